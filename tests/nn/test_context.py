"""Context at t is the summary of what is strictly ahead of t, for any series' own times and padding."""

from __future__ import annotations

import hypothesis.strategies as st
import torch
from hypothesis import given
from torch import Tensor

from latentsde.nn import Context

TIMES = torch.tensor([[0.5, 1.0, 2.0, 2.0], [0.0, 0.25, 0.75, 3.0]])
LENGTHS = torch.tensor([3, 4])
# Each summary names its observation: 10 (series + 1) + row, and the negative of it.
ROWS = 10.0 * torch.arange(1, 3).unsqueeze(1) + torch.arange(4.0)
SUMMARIES = torch.stack([ROWS, -ROWS], -1)


def context() -> Context:
    return Context(TIMES, SUMMARIES, LENGTHS)


def expected(t: float, series: int) -> tuple[float, float, float] | None:
    """(summary, gap, exists) by a search in Python; None where nothing is ahead."""
    for row in range(int(LENGTHS[series])):
        time = float(TIMES[series, row])
        if time > t:
            return float(ROWS[series, row]), time - t, 1.0
    return None


def test_the_next_observation_is_the_first_strictly_after() -> None:
    ahead = context().at(torch.tensor([1.0, 0.1]))
    assert ahead.summary[:, 0].tolist() == [12.0, 21.0]  # at an observation, it is the one after it
    assert ahead.gap.squeeze(-1).tolist() == [1.0, torch.tensor(0.25).sub(0.1).item()]
    assert ahead.exists.squeeze(-1).tolist() == [1.0, 1.0]


def test_nothing_is_ahead_of_the_last_observation() -> None:
    ahead = context().at(torch.tensor([2.0, 3.0]))
    assert (ahead.exists == 0).all() and (ahead.gap == 0).all()
    later = context().at(torch.tensor(100.0))
    assert (later.exists == 0).all() and (later.gap == 0).all() and torch.isfinite(later.summary).all()


def test_nothing_is_ahead_in_an_empty_series() -> None:
    empty = Context(torch.zeros(2, 3), torch.ones(2, 3, 5), torch.tensor([0, 3]))
    ahead = empty.at(torch.tensor(-1.0))
    assert ahead.exists.squeeze(-1).tolist() == [0.0, 1.0]


@given(
    st.lists(
        st.tuples(
            *[st.one_of(st.sampled_from([0.0, 0.25, 0.5, 1.0, 2.0, 3.0]), st.floats(-1, 4, width=32))] * 2
        ),
        min_size=1,
        max_size=6,
    )
)
def test_any_times_are_looked_up_as_one_by_one(times: list[tuple[float, float]]) -> None:
    t = torch.tensor(times)
    ahead = context().at(t)
    assert ahead.summary.shape == (len(times), 2, 2) and ahead.gap.shape == ahead.exists.shape == (
        len(times),
        2,
        1,
    )
    for step, row in enumerate(times):
        for series, time in enumerate(row):
            wanted = expected(time, series)
            assert bool(ahead.exists[step, series]) == (wanted is not None)
            if wanted is None:
                assert ahead.gap[step, series] == 0
            else:
                assert ahead.summary[step, series].tolist() == [wanted[0], -wanted[0]]
                assert abs(float(ahead.gap[step, series]) - wanted[1]) < 1e-6
    shaped = context().at(t.view(1, len(times), 2))
    assert torch.equal(shaped.summary[0], ahead.summary) and torch.equal(shaped.gap[0], ahead.gap)


def test_one_time_for_all_is_that_time_for_each() -> None:
    for each, one in zip(
        context().at(torch.tensor([0.6, 0.6])), context().at(torch.tensor(0.6)), strict=True
    ):
        assert torch.equal(each, one)


def test_repeating_makes_copies_of_each_series_in_a_row() -> None:
    t = torch.tensor([0.6, 0.1])
    many = context().repeat(3).at(t.repeat_interleave(3))
    for part, single in zip(many, context().at(t), strict=True):
        assert torch.equal(part, single.repeat_interleave(3, 0))


def test_gradients_reach_the_summary_that_was_read_and_no_other() -> None:
    summaries = SUMMARIES.clone().requires_grad_()

    def read(t: Tensor) -> Tensor:
        return Context(TIMES, summaries, LENGTHS).at(t).summary.sum()

    (gradient,) = torch.autograd.grad(read(torch.tensor([[0.0, 0.1], [0.6, 0.1]])), summaries)
    wanted = torch.zeros_like(SUMMARIES)
    wanted[0, 0] = wanted[0, 1] = 1.0
    wanted[1, 1] = 2.0
    assert torch.equal(gradient, wanted)
