"""The recurrence over irregular rows: torch's GRU where nothing lies between, exact moves where it does."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torchdiffeq import odeint

from latentsde.nn import Between, Decay, FeatureDecay, Flow, Recurrence

DOUBLE = torch.float64
INPUTS, HIDDEN = 3, 4


def made(between: Between) -> Recurrence:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        recurrence = Recurrence(INPUTS, HIDDEN, between).double()
        for parameter in recurrence.parameters():
            torch.nn.init.normal_(parameter, std=0.4)
    return recurrence


def drawn(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


def torch_gru(recurrence: Recurrence, start: Tensor, inputs: Tensor) -> Tensor:
    """torch.nn.GRU with the same weights."""
    gru = torch.nn.GRU(INPUTS, HIDDEN, batch_first=True).double()
    gru.load_state_dict({f"{name}_l0": weight for name, weight in recurrence.cell.state_dict().items()})
    states, _ = gru(inputs, start.unsqueeze(0))
    return states


def test_with_nothing_between_it_is_torchs_gru() -> None:
    recurrence, start, inputs = made(Between()), drawn(2, HIDDEN), drawn(2, 6, INPUTS, seed=2)
    own = recurrence(start, inputs, torch.rand(2, 6, 1, dtype=DOUBLE))
    torch.testing.assert_close(own, torch_gru(recurrence, start, inputs))


def test_decay_without_a_rate_is_nothing_between() -> None:
    recurrence, start, inputs = made(Decay(HIDDEN)), drawn(2, HIDDEN), drawn(2, 6, INPUTS, seed=2)
    since = drawn(2, 6, 1, seed=3).abs()
    assert not torch.allclose(recurrence(start, inputs, since), torch_gru(recurrence, start, inputs))
    with torch.no_grad():
        recurrence.between.raw_rate.fill_(-1000.0)
    torch.testing.assert_close(recurrence(start, inputs, since), torch_gru(recurrence, start, inputs))


def test_decays_are_those_of_the_papers() -> None:
    state, gap = drawn(2, HIDDEN), torch.tensor([[0.5], [2.0]], dtype=DOUBLE)
    decay = Decay(HIDDEN).double()
    rate = torch.log1p(decay.raw_rate.exp())
    torch.testing.assert_close(decay(state, decay.prepare(gap)), state * (-rate * gap).exp())
    # In two parts as in one.
    half = decay.prepare(0.5 * gap)
    torch.testing.assert_close(decay(decay(state, half), half), decay(state, decay.prepare(gap)))
    of_features = FeatureDecay(3, HIDDEN).double()
    since = drawn(2, 3, seed=5).abs()
    power = (since @ of_features.rate.weight.T + of_features.rate.bias).clamp_min(0.0)
    assert (power == 0).any() and (power > 0).any()
    torch.testing.assert_close(of_features(state, of_features.prepare(since)), state * (-power).exp())


def test_every_row_moves_by_its_own_time_and_then_updates() -> None:
    """The loop with everything prepared against one that is written out, a cell of torch's at a time."""
    for between in (Decay(HIDDEN), Flow(HIDDEN, 5, step=0.3)):
        recurrence, start, inputs = made(between), drawn(2, HIDDEN), drawn(2, 5, INPUTS, seed=2)
        since = drawn(2, 5, 1, seed=3).abs()
        since[0, 2], since[:, 4] = 0.0, 0.0
        own = recurrence(start, inputs, since)
        for s in range(2):
            state = start[s : s + 1]
            for k in range(5):
                state = between(state, between.prepare(since[s : s + 1, k]))
                state = recurrence.cell(inputs[s : s + 1, k], state)
                torch.testing.assert_close(own[s, k], state[0])


@pytest.mark.parametrize("gap", [0.06, 0.7, 3.0])
def test_the_flow_is_the_solution_of_its_ode(gap: float) -> None:
    """Against torchdiffeq at a tolerance of 1e-10; of order 2 in the step."""
    state, errors = drawn(3, HIDDEN), []
    for step in (0.02, 0.01):
        flow = made(Flow(HIDDEN, 5, step)).between
        assert isinstance(flow, Flow)
        times = torch.tensor([0.0, gap], dtype=DOUBLE)
        exact = odeint(lambda t, y, f=flow.field: f(y), state, times, rtol=1e-10, atol=1e-12)[-1]
        own = flow(state, flow.prepare(torch.full((3, 1), gap, dtype=DOUBLE)))
        errors.append(float((own - exact).detach().abs().max()))
    assert errors[1] < 1e-4 and 3.0 < errors[0] / errors[1] < 6.0


def test_a_flow_takes_the_steps_of_its_own_gap() -> None:
    flow = made(Flow(HIDDEN, 5, step=0.3)).between
    state, gaps = drawn(4, HIDDEN), torch.tensor([[0.0], [0.2], [0.9], [5.0]], dtype=DOUBLE)
    together = flow(state, flow.prepare(gaps))
    assert len(flow.prepare(gaps)) == 17 and len(flow.prepare(gaps[:3])) == 3
    for s in range(4):
        alone = flow(state[s : s + 1], flow.prepare(gaps[s : s + 1]))
        torch.testing.assert_close(alone[0], together[s], rtol=0.0, atol=1e-14)
    assert torch.equal(together[0], state[0])
