"""The gradient with respect to the requested times: of ODEs it is there, of SDEs there is none."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from latentsde import solve
from latentsde.solvers import METHODS, PID, Event, ReversiblePair
from tests.solvers.adjoints.held import Y0, Holding, Parts
from tests.solvers.equations import DOUBLE, Growth, Learned, LearnedDrift

ODE_METHODS = [name for name in METHODS if "none" in METHODS[name].noise]
OWN = torch.tensor([[0.0, 0.1, -0.4], [0.5, 0.15, 0.9], [1.3, 0.2, 0.95]], dtype=DOUBLE)
TIMES = {"shared": torch.tensor([0.0, 0.33, 1.0], dtype=DOUBLE), "own": OWN}


@pytest.mark.parametrize("method", ODE_METHODS)
@pytest.mark.parametrize("adjoint", ["direct", "checkpointed"])
def test_gradients_by_times_are_those_of_finite_differences(method: str, adjoint: str) -> None:
    for ts in TIMES.values():
        for times in (ts, ts.flip(0)):

            def end(times: Tensor, y0: Tensor) -> Tensor:
                return solve(LearnedDrift(), y0, times, dt=0.21, method=method, adjoint=adjoint).ys

            leaves = [times.clone().requires_grad_(), Y0.clone().requires_grad_()]
            assert torch.autograd.gradcheck(end, leaves, fast_mode=True)


@pytest.mark.parametrize("adjoint", ["direct", "checkpointed"])
def test_gradient_by_the_last_time_is_the_drift_there(adjoint: str) -> None:
    # And by the first one minus the drift carried along; an exact relation up to the method's error.
    ts = torch.tensor([0.2, 0.5, 1.0], dtype=DOUBLE, requires_grad=True)
    ys = solve(Growth(), Y0, ts, dt=0.01, method="rk4", adjoint=adjoint).ys
    (by_times,) = torch.autograd.grad(ys[-1].sum(), ts)
    at_end = Growth().f(ts[-1], ys[-1]).sum()
    carried = Growth().f(ts[0], Y0) * ys[-1] / Y0
    torch.testing.assert_close(by_times[2], at_end.detach(), rtol=1e-8, atol=0.0)
    torch.testing.assert_close(by_times[0], -carried.sum().detach(), rtol=1e-8, atol=0.0)
    assert abs(float(by_times[1])) < 1e-8


def test_times_may_be_computed_and_of_another_type() -> None:
    length = torch.tensor(1.5, requires_grad=True)
    for adjoint in ("direct", "checkpointed"):
        ts = torch.stack([torch.zeros(()), length * 0.5, length])
        ys = solve(Growth(), Y0, ts, dt=0.01, method="rk4", adjoint=adjoint).ys
        (gradient,) = torch.autograd.grad(ys[-1].sum(), length)
        expected = Growth().f(torch.tensor(1.5, dtype=DOUBLE), ys[-1].detach()).sum()
        assert gradient.dtype == torch.float32
        assert abs(float(gradient) - float(expected)) < 1e-5


def test_tuples_captured_tensors_and_pairs_have_them_as_well() -> None:
    parts = (Y0, Y0[:, 0].clone(), Y0[:, :1, None].clone())
    for ts in TIMES.values():
        for adjoint in ("direct", "checkpointed"):

            def parts_end(times: Tensor, adjoint: str = adjoint) -> Tensor:
                ys = solve(Parts("none", "none"), parts, times, dt=0.23, method="rk4", adjoint=adjoint).ys
                return torch.cat([part.reshape(len(times), -1) for part in ys], 1)

            def held_end(times: Tensor, adjoint: str = adjoint) -> Tensor:
                pair = ReversiblePair("midpoint")
                return solve(Holding("none", "none"), Y0, times, dt=0.23, method=pair, adjoint=adjoint).ys

            for end in (parts_end, held_end):
                assert torch.autograd.gradcheck(end, [ts.clone().requires_grad_()], fast_mode=True)


def test_second_derivatives_by_times() -> None:
    for adjoint in ("direct", "checkpointed"):

        def end(times: Tensor, y0: Tensor, adjoint: str = adjoint) -> Tensor:
            return solve(LearnedDrift(), y0, times, dt=0.23, method="heun", adjoint=adjoint).ys[-1]

        leaves = [TIMES["shared"].clone().requires_grad_(), Y0.clone().requires_grad_()]
        assert torch.autograd.gradgradcheck(end, leaves, fast_mode=True)


def test_adaptive_steps_keep_their_share_of_the_interval() -> None:
    for adjoint in ("direct", "checkpointed"):
        ts = TIMES["shared"].clone().requires_grad_()
        controller = PID(rtol=1e-9, atol=1e-11)
        ys = solve(Growth(), Y0, ts, method="dopri5", controller=controller, adjoint=adjoint).ys
        (gradient,) = torch.autograd.grad(ys[-1].sum(), ts)
        expected = Growth().f(ts[-1], ys[-1]).sum().detach()
        torch.testing.assert_close(gradient[-1], expected, rtol=1e-6, atol=0.0)


@pytest.mark.parametrize("adjoint", ["direct", "checkpointed", "reversible", "backsolve"])
def test_times_of_an_sde_that_ask_for_a_gradient_are_an_error(adjoint: str) -> None:
    ts = torch.tensor([0.0, 1.0], requires_grad=True)
    equation = Learned("diagonal", "stratonovich")
    with pytest.raises(ValueError, match=r"the state of an SDE has no derivative .* detach ts"):
        solve(equation, Y0, ts, dt=0.1, method="reversible_heun", adjoint=adjoint)
    solve(equation, Y0, ts.detach(), dt=0.1, method="reversible_heun", adjoint=adjoint)
    with torch.no_grad():
        solve(equation, Y0, ts, dt=0.1, method="reversible_heun", adjoint=adjoint)


@pytest.mark.parametrize("adjoint", ["reversible", "backsolve"])
def test_times_that_ask_for_a_gradient_in_vain_are_an_error(adjoint: str) -> None:
    ts = torch.tensor([0.0, 1.0], requires_grad=True)
    with pytest.raises(ValueError, match=f'adjoint="{adjoint}" has none.*"direct" or "checkpointed"'):
        solve(LearnedDrift(), Y0, ts, dt=0.1, method="reversible_heun", adjoint=adjoint)


def test_an_event_leaves_the_gradient_by_the_first_time() -> None:
    # From t0 on, y = y0 e^(t - t0) reaches 3 at t0 + log(3 / y0).
    class Exponential:
        def f(self, t: Tensor, y: Tensor) -> Tensor:
            return y

    ts = torch.tensor([0.2, 4.0], dtype=DOUBLE, requires_grad=True)
    y0 = torch.tensor([[1.0], [2.0]], dtype=DOUBLE)
    event = Event(lambda t, y: y[:, 0] - 3.0)
    stopped: Any = solve(Exponential(), y0, ts, dt=0.01, method="rk4", event=event).event
    (gradient,) = torch.autograd.grad(stopped.times.sum(), ts)
    torch.testing.assert_close(gradient[0], torch.tensor(2.0, dtype=DOUBLE), rtol=1e-6, atol=0.0)
