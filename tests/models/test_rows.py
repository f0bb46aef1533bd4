"""Rows brought to the front, and the chain of a model of discrete steps."""

from __future__ import annotations

import numpy as np
import torch

from latentsde.data import collate
from latentsde.models.rows import chain, pick, rows_before, without_empty_rows
from tests.models.small import small_model, small_series

SERIES = small_series()
SCALER = small_model(SERIES).scaler


def test_without_empty_rows_is_what_collate_makes_of_the_values_alone() -> None:
    """Rows emptied at the start, in the middle and at the end, and one series emptied wholly."""
    first = SERIES.offsets[:-1]
    emptied = np.zeros(len(SERIES.times), dtype=bool)
    emptied[[first[0], first[1] + 1, first[3] - 1]] = True
    emptied[SERIES.rows(4)] = True
    values = np.where(emptied[:, None], np.nan, SERIES.values)
    everyone = np.arange(len(SERIES))
    whole = collate(SERIES, everyone, SCALER)
    gone = torch.zeros_like(whole.mask)
    for s in everyone:
        at = SERIES.times[SERIES.rows(s)][emptied[SERIES.rows(s)]]
        gone[s] = torch.isin(whole.times[s], torch.from_numpy(at)).unsqueeze(-1)
    mask = whole.mask & ~gone
    own = without_empty_rows(
        type(whole)(*(vars(whole) | {"mask": mask, "values": whole.values * mask}).values())
    )
    expected = collate(SERIES.with_values(values), everyone, SCALER)
    width = expected.times.shape[1]
    assert torch.equal(own.lengths, expected.lengths) and own.lengths[4] == 0
    for s in everyone:
        n = int(own.lengths[s])
        assert torch.equal(own.times[s, :n], expected.times[s, :n])
        assert torch.equal(own.values[s, :n], expected.values[s, :n])
        assert torch.equal(own.mask[s, :width], expected.mask[s])
        assert (own.times[s, max(n - 1, 0) :] == own.times[s, max(n - 1, 0)]).all()


def test_rows_before_counts_no_padding() -> None:
    times = torch.tensor([[1.0, 2.0, 3.0], [1.0, 1.0, 1.0]])
    queries = torch.tensor([[0.5, 2.0, 9.0], [0.5, 1.0, 9.0]])
    lengths = torch.tensor([3, 1])
    assert rows_before(times, lengths, queries, or_at=True).tolist() == [[0, 2, 3], [0, 1, 1]]
    assert rows_before(times, lengths, queries, or_at=False).tolist() == [[0, 1, 3], [0, 0, 1]]


def test_a_chain_passes_the_rows_and_then_the_later_queries() -> None:
    times = torch.tensor([[1.0, 2.0, 2.0], [1.0, 3.0, 4.0], [5.0, 5.0, 5.0]])
    queries = torch.tensor([[0.5, 2.0, 6.0, 7.0], [1.5, 3.0, 3.5, 4.0], [0.0, 1.0, 6.0, 6.0]])
    along = chain(times, torch.tensor([2, 3, 0]), queries)
    assert along.times.tolist() == [[1.0, 2.0, 6.0, 7.0], [1.0, 3.0, 4.0, 4.0], [0.0, 1.0, 6.0, 6.0]]
    assert along.place.tolist() == [[0, 2, 3, 4], [1, 2, 2, 3], [1, 2, 3, 4]]
    assert along.aside.tolist() == [[True, False, False, False], [True, False, True, False], [False] * 4]
    assert along.gap.tolist() == [[0.5, 0.0, 0.0, 0.0], [0.5, 0.0, 0.5, 0.0], [0.0] * 4]
    # Every query that is no side step finds its own time in the chain.
    found = pick(along.times.unsqueeze(-1), (along.place - 1).clamp_min(0)).squeeze(-1)
    assert torch.equal(found[~along.aside], queries[~along.aside])
