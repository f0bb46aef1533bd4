"""Adaptive steps end with the event: their search goes no further, for each sample or for the last of all."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from latentsde import VirtualBrownianTree, solve
from latentsde.solvers import PID, Event
from latentsde.solvers.adaptive import StepTooSmall
from tests.solvers.equations import DOUBLE, Learned
from tests.solvers.test_event_stops import CROSSING, TEN, Y0, OwnSquare

OWN = [False, True]
EMBEDDED_OR_HALVES = ["tsit5", "heun", "rk4", "midpoint"]


@pytest.mark.parametrize("own", OWN)
@pytest.mark.parametrize("method", EMBEDDED_OR_HALVES)
def test_the_search_does_not_run_into_what_comes_after_the_event(method: str, own: bool) -> None:
    y0 = torch.tensor([[1.0], [0.5], [0.2]], dtype=DOUBLE, requires_grad=True)
    square, controller = OwnSquare(), PID(1e-5, 1e-5, per_sample=own)
    with pytest.raises(StepTooSmall):
        solve(square, y0, [0, 2], method=method, controller=controller)
    options: dict[str, Any] = {"method": method, "controller": controller, "event": TEN, "dense": True}
    solution: Any = solve(square, y0, [0, 0.7, 2], **options)
    stopped = solution.event
    assert stopped.occurred.tolist() == [True, True, False]
    exact = torch.tensor([0.9, 1.9, 2.0], dtype=DOUBLE)
    torch.testing.assert_close(stopped.times, exact, rtol=1e-3, atol=0.0)
    torch.testing.assert_close(solution.ys[-1, :2], torch.full((2, 1), 10.0, dtype=DOUBLE))
    torch.testing.assert_close(solution.ys[1], y0.detach() / (1.0 - 0.7 * y0.detach()), rtol=1e-3, atol=0.0)
    torch.testing.assert_close(solution.at(1.95)[:2], torch.full((2, 1), 10.0, dtype=DOUBLE))
    (by_y0,) = torch.autograd.grad(stopped.times.sum(), y0)
    torch.testing.assert_close(by_y0[:, 0], torch.tensor([-1.0, -4.0, 0.0], dtype=DOUBLE), rtol=1e-2, atol=0)


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("own", OWN)
@pytest.mark.parametrize("method", EMBEDDED_OR_HALVES)
def test_its_steps_and_costs_are_those_of_the_way_to_the_event(method: str, own: bool, sign: float) -> None:
    class Oscillating:
        def f(self, t: Tensor, y: Tensor) -> Tensor:
            return sign * (torch.cos(20.0 * t) * y - y)

    y0, event = torch.tensor([[1.0], [2.0]], dtype=DOUBLE), Event(lambda t, y: y[:, 0] - 0.9)
    controller = PID(1e-4, 1e-4, dt0=0.01, per_sample=own)
    options: dict[str, Any] = {"method": method, "controller": controller, "event": event, "dense": True}
    short, far = (solve(Oscillating(), y0, [0, sign * end], **options) for end in (2.0, 1e4))
    assert bool(short.event.occurred.all()) and float(short.event.times.abs().max()) < 1.5  # type: ignore[union-attr]
    torch.testing.assert_close(far.at.points, short.at.points, rtol=1e-12, atol=0.0)  # type: ignore[union-attr]
    assert far.stats.rejected == short.stats.rejected
    # The search looks only now and then, and may have gone on by as many steps as there were.
    assert far.stats.drift_evaluations < 2 * short.stats.drift_evaluations


@pytest.mark.parametrize("method", ["heun", "reversible_heun"])
def test_a_samples_own_steps_and_event_do_not_depend_on_its_batch(method: str) -> None:
    equation = Learned("diagonal", "stratonovich")

    def found(ids: list[int]) -> Any:
        path = VirtualBrownianTree(0, 1, (len(ids), 2), seed=5, ids=torch.tensor(ids), dtype=DOUBLE)
        controller = PID(1e-2, 1e-2, per_sample=True)
        return solve(
            equation, Y0[ids], [0, 0.5, 1], path=path, method=method, event=CROSSING, controller=controller
        )

    together = found([0, 1, 2])
    assert together.event.occurred.tolist() == [True, True, False]
    for k in range(3):
        alone = found([k])
        torch.testing.assert_close(together.event.times[k], alone.event.times[0], rtol=1e-10, atol=0.0)
        torch.testing.assert_close(together.ys[:, k], alone.ys[:, 0], rtol=1e-9, atol=1e-10)


def test_steps_for_all_find_the_event_of_short_fixed_ones() -> None:
    equation = Learned("general", "stratonovich")
    path = VirtualBrownianTree(0, 1, (3, 2), seed=6, levy_area="space-time", dtype=DOUBLE)
    options: dict[str, Any] = {"path": path, "event": CROSSING, "method": "general_shark"}
    adapted: Any = solve(equation, Y0, [0, 1], controller=PID(1e-2, 1e-2), **options).event
    fixed: Any = solve(equation, Y0, [0, 1], dt=2.0**-11, **options).event
    assert torch.equal(adapted.occurred, fixed.occurred) and 0 < int(fixed.occurred.sum()) < 3
    torch.testing.assert_close(adapted.times, fixed.times, rtol=0.0, atol=0.05)


def test_a_change_in_the_first_of_two_half_steps_is_that_steps() -> None:
    class Still:
        def f(self, t: Tensor, y: Tensor) -> Tensor:
            return torch.zeros_like(y)

    # All of [0, 8] is one trial, whose halves end at 4 and 8.
    controller = PID(1e-3, 1e-3, dt0=8.0)
    event = Event(lambda t, y: t - y[:, 0])
    y0 = torch.tensor([[1.0], [3.0], [5.0]], dtype=DOUBLE)
    solution: Any = solve(Still(), y0, [0, 8], method="rk4", controller=controller, event=event)
    assert solution.stats.steps == 2
    torch.testing.assert_close(solution.event.times, y0[:, 0], rtol=1e-12, atol=0.0)
