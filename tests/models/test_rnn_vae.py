"""The RNN-VAE's decoder steps along rows; queries between them are side steps."""

from __future__ import annotations

import torch

from latentsde.models.initial_value import Rows
from latentsde.models.rnn_vae import RNNVAE
from tests.models.small import small_model_named, small_series

MODEL = small_model_named("rnn_vae", small_series(), period=5.0)
STATIC = torch.tensor([[0.4]])
Z0 = torch.tensor([[0.5, -1.0, 2.0]])
ROWS = Rows(torch.tensor([[1.0, 2.0, 4.0]], dtype=torch.float64), torch.tensor([3]))


def states(queries: list[float], rows: Rows = ROWS) -> torch.Tensor:
    assert isinstance(MODEL, RNNVAE)
    with torch.no_grad():
        return MODEL.states(Z0, STATIC, rows, torch.tensor([queries], dtype=torch.float64))[0][0]


def stepped(times: list[float]) -> torch.Tensor:
    """The GRU's states at increasing times, one cell of torch's after another from z0."""
    assert isinstance(MODEL, RNNVAE)
    state, before, found = torch.tanh(MODEL.start(Z0)), 0.0, []
    for t in times:
        gap = torch.tensor([[t - before]])
        extra = MODEL.extra(torch.tensor([t]), STATIC, torch.Size((1,)))
        state = MODEL.recurrence.cell(torch.cat([gap, gap.log1p(), extra], 1), state)
        before = t
        found.append(state[0])
    return torch.stack(found).detach()


def test_the_decoder_steps_along_the_rows_and_the_later_queries() -> None:
    torch.testing.assert_close(states([1.0, 2.0, 4.0, 5.0, 7.5]), stepped([1.0, 2.0, 4.0, 5.0, 7.5]))


def test_a_query_between_rows_is_one_step_and_bears_on_no_other() -> None:
    torch.testing.assert_close(states([2.5])[0], stepped([1.0, 2.0, 2.5])[-1])
    torch.testing.assert_close(states([0.5])[0], stepped([0.5])[-1])
    many = states([0.5, 1.0, 2.5, 3.0, 4.0, 6.0])
    torch.testing.assert_close(many[3], stepped([1.0, 2.0, 3.0])[-1])
    torch.testing.assert_close(many[5], stepped([1.0, 2.0, 4.0, 6.0])[-1])


def test_before_the_start_is_at_the_start() -> None:
    before, at = states([-3.0]), states([0.0])
    torch.testing.assert_close(before, at)
