"""Events: where a sample stops, and what its time and state depend on."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from latentsde import VirtualBrownianTree, solve
from latentsde.solvers import PID, Event
from tests.solvers.adjoints.held import leaf
from tests.solvers.equations import DOUBLE, Counted, LearnedDrift

ADJOINTS = ("direct", "checkpointed", "reversible", "backsolve")


class Fall:
    """dx = v, dv = -g: free fall as one state."""

    def __init__(self, gravity: float = 9.81) -> None:
        self.gravity = leaf(gravity)

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.stack([y[:, 1], -self.gravity.expand(len(y))], -1)


class Parts(Fall):
    """The same as a tuple."""

    def f(self, t: Tensor, y: Any) -> Any:  # type: ignore[override]
        return y[1], -self.gravity.expand_as(y[1])


class Decay:
    """dy = -λ y."""

    def __init__(self, rate: float = 0.7) -> None:
        self.rate = leaf(rate)

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        return -self.rate * y


HEIGHTS = torch.tensor([10.0, 3.0, 400.0], dtype=DOUBLE)  # the last does not land
LANDING = Event(lambda t, y: y[:, 0])


@pytest.mark.parametrize("adjoint", ADJOINTS)
def test_free_fall_lands_when_it_must_and_depends_on_what_it_must(adjoint: str) -> None:
    # t = sqrt(2 h / g); its derivatives by h and g, and the speed at the end, -sqrt(2 h g).
    fall, heights = Fall(), HEIGHTS.clone().requires_grad_()
    y0 = torch.stack([heights, torch.zeros_like(heights)], -1)
    method = "reversible_heun" if adjoint == "reversible" else "rk4"
    solution = solve(fall, y0, [0.0, 1.0, 3.0], dt=0.05, method=method, event=LANDING, adjoint=adjoint)
    stopped: Any = solution.event
    g = fall.gravity.detach()
    exact = (2 * HEIGHTS / g).sqrt()
    assert stopped.occurred.tolist() == [True, True, False]
    tolerance = 1e-3 if adjoint == "reversible" else 1e-9
    torch.testing.assert_close(stopped.times[:2], exact[:2], rtol=tolerance, atol=0.0)
    assert float(stopped.times[2]) == 3.0
    torch.testing.assert_close(stopped.states[:2, 0], torch.zeros(2, dtype=DOUBLE), rtol=0.0, atol=1e-8)
    torch.testing.assert_close(stopped.states[:2, 1], -(2 * HEIGHTS * g).sqrt()[:2], rtol=tolerance, atol=0.0)
    by_h, by_g = torch.autograd.grad(stopped.times[:2].sum(), [heights, fall.gravity], retain_graph=True)
    torch.testing.assert_close(by_h[:2], (exact / (2 * HEIGHTS))[:2], rtol=2 * tolerance, atol=0.0)
    assert float(by_h[2]) == 0.0
    torch.testing.assert_close(by_g, -(exact / (2 * g))[:2].sum(), rtol=2 * tolerance, atol=0.0)
    (of_speed,) = torch.autograd.grad(stopped.states[:2, 1].sum(), heights)
    torch.testing.assert_close(of_speed[:2], -(g / (2 * HEIGHTS)).sqrt()[:2], rtol=2 * tolerance, atol=0.0)


@pytest.mark.parametrize("method", ["heun", "rk4", "dopri5", "reversible_heun"])
def test_exponential_decay_crosses_a_level(method: str) -> None:
    # log(y0 / c) / λ, forwards; and backwards in time.
    decay, y0 = Decay(), torch.tensor([[1.0], [2.0]], dtype=DOUBLE, requires_grad=True)
    for sign in (1.0, -1.0):
        level = 0.5 if sign > 0 else 4.0
        event = Event(lambda t, y, level=level: y[:, 0] - level)
        stopped: Any = solve(decay, y0, [0.0, sign * 4.0], dt=0.02, method=method, event=event).event
        exact = (y0[:, 0] / level).log() / decay.rate
        torch.testing.assert_close(stopped.times, exact, rtol=1e-3, atol=0.0)
        wanted = torch.autograd.grad(exact.sum(), [y0, decay.rate])
        found = torch.autograd.grad(stopped.times.sum(), [y0, decay.rate])
        for one, other in zip(found, wanted, strict=True):
            torch.testing.assert_close(one, other, rtol=2e-3, atol=0.0)


def test_states_stay_as_they_were_at_the_event() -> None:
    ts = torch.linspace(0, 2, 9, dtype=DOUBLE)
    y0 = torch.tensor([[1.0], [2.0], [0.1]], dtype=DOUBLE)
    event = Event(lambda t, y: y[:, 0] - 0.5)
    solution: Any = solve(Decay(), y0, ts, dt=0.1, method="rk4", event=event)
    plain = solve(Decay(), y0, ts, dt=0.1, method="rk4").ys
    for sample in range(3):
        before = ts <= solution.event.times[sample].detach()
        torch.testing.assert_close(solution.ys[before, sample], plain[before, sample], rtol=0.0, atol=1e-14)
        after = solution.ys[~before, sample]
        assert sample == 2 or len(after) > 0
        torch.testing.assert_close(after, solution.event.states[sample].expand_as(after), rtol=0.0, atol=0.0)


def test_a_condition_may_depend_on_time_and_on_tensors_of_its_own() -> None:
    # y0 e^(-λt) = c t: the derivative by c, implicitly.
    decay, slope = Decay(), leaf(0.5)
    y0 = torch.tensor([[1.0], [2.0]], dtype=DOUBLE)
    event = Event(lambda t, y: y[:, 0] - slope * t)
    stopped: Any = solve(decay, y0, [0, 5], dt=0.01, method="rk4", event=event).event
    t = stopped.times.detach()
    rate = decay.rate.detach()
    residual = y0[:, 0] * torch.exp(-rate * t) - slope.detach() * t
    assert residual.abs().max() < 1e-8
    (by_slope,) = torch.autograd.grad(stopped.times.sum(), slope)
    expected = -(t / (slope.detach() + rate * slope.detach() * t)).sum()
    torch.testing.assert_close(by_slope, expected, rtol=1e-6, atol=0.0)


class Noisy:
    """Diagonal, its noise depending on the state."""

    noise_type, sde_type = "diagonal", "stratonovich"

    def __init__(self, rate: Tensor, size: Tensor) -> None:
        self.rate, self.size = rate, size

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        return self.rate * (1.0 + torch.cos(t)) - 0.2 * y

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        return self.size * (1.0 + 0.3 * torch.sin(y))


@pytest.mark.parametrize("adjoint", ADJOINTS)
@pytest.mark.parametrize("own", [False, True])
def test_events_of_an_sde_on_one_path_are_differentiated_as_by_finite_differences(
    adjoint: str, own: bool
) -> None:
    path = VirtualBrownianTree(0, 2, (4, 2), seed=6, dtype=DOUBLE)
    event = Event(lambda t, y: y.sum(-1) - 1.5)
    ts: Any = [0.0, 1.0, 2.0]
    if own:
        ts = torch.tensor([[0.0, 0.1, 0.0, 0.2], [2.0, 1.9, 2.0, 1.8]], dtype=DOUBLE)
    y0 = torch.tensor([[0.1, 0.0], [0.3, -0.2], [-0.5, 0.4], [0.0, 0.2]], dtype=DOUBLE)

    def found(y0: Tensor, rate: Tensor, size: Tensor, adjoint: str = adjoint) -> Tensor:
        options = {"dt": 0.05, "path": path, "method": "reversible_heun", "adjoint": adjoint}
        stopped: Any = solve(Noisy(rate, size), y0, ts, event=event, **options).event
        assert bool(stopped.occurred.all())
        return torch.cat([stopped.times, stopped.states.flatten()])

    leaves = [y0.requires_grad_(), leaf(0.9), leaf(0.3)]
    if adjoint != "backsolve":
        assert torch.autograd.gradcheck(found, leaves, fast_mode=True)
        return
    weights = torch.linspace(-1, 1, 12, dtype=DOUBLE)
    exact = torch.autograd.grad((found(*leaves, adjoint="direct") * weights).sum(), leaves)
    for one, other in zip(torch.autograd.grad((found(*leaves) * weights).sum(), leaves), exact, strict=True):
        torch.testing.assert_close(one, other, rtol=0.1, atol=0.05)


@pytest.mark.parametrize("method", ["euler", "rk4", "tsit5", "reversible_heun"])
def test_an_event_at_a_point_of_the_grid_is_there_whatever_the_rounding(method: str) -> None:
    # Each sample's condition is a rounding error away from zero at a point of its own: which of the two steps
    # there has the change must not depend on who looks.
    y0 = torch.linspace(1, 2, 60, dtype=DOUBLE).unsqueeze(1)
    plain: Any = solve(Decay(), y0, [0, 3], dt=0.1, method=method, dense=True).at
    k = torch.arange(60) % 28 + 1
    for nearer in (-2e-16, 0.0, 2e-16):
        levels = plain.states[k, torch.arange(60), 0].detach() * (1.0 + nearer)
        event = Event(lambda t, y, levels=levels: y[:, 0] - levels)
        stopped: Any = solve(Decay(), y0, [0, 3], dt=0.1, method=method, event=event).event
        torch.testing.assert_close(stopped.times, plain.points[k], rtol=1e-10, atol=0.0)


def test_only_changes_in_the_asked_direction_count() -> None:
    class Cosine:
        def f(self, t: Tensor, y: Tensor) -> Tensor:
            return -torch.sin(t) * torch.ones_like(y)

    y0 = torch.ones(1, 1, dtype=DOUBLE)
    for direction, time in ((0, 0.5), (-1, 0.5), (1, 1.5)):
        event = Event(lambda t, y: y[:, 0], direction)
        stopped: Any = solve(Cosine(), y0, [0.0, 6.0], dt=0.01, method="rk4", event=event).event
        assert abs(float(stopped.times) - time * math.pi) < 1e-6


def test_a_condition_that_starts_at_zero_has_no_sign_yet() -> None:
    class Bounce:
        def f(self, t: Tensor, y: Tensor) -> Tensor:
            return torch.cos(t) * torch.ones_like(y)

    y0 = torch.zeros(1, 1, dtype=DOUBLE)  # sin t: back at zero at π
    stopped: Any = solve(
        Bounce(), y0, [0.0, 6.0], dt=0.01, method="rk4", event=Event(lambda t, y: y[:, 0])
    ).event
    assert abs(float(stopped.times) - math.pi) < 1e-6


def test_without_an_event_the_solution_is_the_plain_one() -> None:
    y0 = torch.tensor([[1.0], [2.0]], dtype=DOUBLE)
    solution: Any = solve(Decay(), y0, [0, 1, 2], dt=0.1, method="rk4", event=Event(lambda t, y: y[:, 0] + 1))
    plain = solve(Decay(), y0, [0, 1, 2], dt=0.1, method="rk4")
    assert not solution.event.occurred.any()
    assert (solution.event.times == 2.0).all() and solution.stats.steps == plain.stats.steps
    torch.testing.assert_close(solution.ys, plain.ys, rtol=0.0, atol=0.0)
    torch.testing.assert_close(solution.event.states, plain.ys[-1], rtol=0.0, atol=0.0)
    assert plain.event is None


def test_tuples_are_as_one_state() -> None:
    y0 = torch.stack([HEIGHTS, torch.zeros(3, dtype=DOUBLE)], -1)
    joint: Any = solve(Fall(), y0, [0, 1, 3], dt=0.05, method="rk4", event=LANDING)
    event = Event(lambda t, y: y[0])
    parts: Any = solve(Parts(), (y0[:, 0], y0[:, 1]), [0, 1, 3], dt=0.05, method="rk4", event=event)
    torch.testing.assert_close(parts.event.times, joint.event.times, rtol=1e-12, atol=0.0)
    assert isinstance(parts.ys, tuple) and isinstance(parts.event.states, tuple)
    torch.testing.assert_close(torch.stack(parts.ys, -1), joint.ys, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(
        torch.stack(parts.event.states, -1), joint.event.states, rtol=1e-12, atol=1e-12
    )


def test_a_solve_ends_when_all_samples_have() -> None:
    y0 = torch.tensor([[1.0], [2.0]], dtype=DOUBLE)
    counted = Counted(LearnedDrift())
    event = Event(lambda t, y: y[:, 0] - 1.5)
    short: Any = solve(
        Decay(), y0, [0, 100.0], dt=0.01, method="rk4", event=Event(lambda t, y: y[:, 0] - 0.5)
    )
    assert short.stats.steps == math.ceil(float(short.event.times.max()) * 100)
    solve(counted, y0, [0, 100.0], dt=0.01, method="rk4", event=event)
    assert counted.drifts < 10_000


def test_adaptive_steps_have_events() -> None:
    y0 = torch.stack([HEIGHTS, torch.zeros(3, dtype=DOUBLE)], -1)
    for per_sample in (False, True):
        controller = PID(rtol=1e-8, atol=1e-8, per_sample=per_sample)
        stopped: Any = solve(
            Fall(), y0, [0.0, 3.0], method="dopri5", event=LANDING, controller=controller
        ).event
        exact = (2 * HEIGHTS / 9.81).sqrt()
        torch.testing.assert_close(stopped.times[:2], exact[:2], rtol=1e-6, atol=0.0)


def test_what_makes_no_event_is_an_error() -> None:
    y0 = torch.ones(2, 1, dtype=DOUBLE)

    def run(event: Any, sde: Any = None, start: Tensor = y0) -> None:
        solve(sde or Decay(), start, [0, 1], dt=0.1, method="rk4", event=event)

    with pytest.raises(ValueError, match="direction must be -1, 0 or 1"):
        Event(lambda t, y: y, 2)
    for condition in (lambda t, y: y, lambda t, y: y.sum(), lambda t, y: 1.0):
        with pytest.raises(ValueError, match=r"condition.* shape \(2,\)"):
            run(Event(condition))
    with pytest.raises(ValueError, match="batch of samples"):
        run(Event(lambda t, y: y), start=torch.ones((), dtype=DOUBLE))
    functional: Any = Decay()
    functional.functional = lambda t, y, h, dW: y[:, 0]
    with pytest.raises(ValueError, match="functional does not stop"):
        run(Event(lambda t, y: y[:, 0]), functional)
