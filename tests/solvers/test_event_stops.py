"""A sample's own event is where it ends: nothing after it is taken, looked at, or given back."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from latentsde import VirtualBrownianTree, solve
from latentsde.solvers import METHODS, Event, ReversiblePair
from tests.solvers.adjoints.held import kinds, leaf
from tests.solvers.equations import DOUBLE, InTuples, Learned, LearnedDrift, Oscillator, noise_shape

TEN = Event(lambda t, y: y[:, 0] - 10.0)
# Samples that end in the middle, early, and not at all.
CROSSING = Event(lambda t, y: t + 0.3 * y.sum(-1) - 0.6)
Y0 = torch.tensor([[0.4, -1.0], [1.3, 0.2], [-2.0, -2.0]], dtype=DOUBLE)


class Square:
    """dy = λ y² dt: from y0 it is at c at (1/y0 - 1/c)/λ, and infinite soon after. f takes t for a number."""

    def __init__(self) -> None:
        self.rate = leaf(1.0)

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        assert t.dim() == 0 and bool(t < 3.0)
        return self.rate * y * y


class OwnSquare(Square):
    """The same with grids of each its own."""

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        return self.rate * y * y + 0.0 * t


WAYS: list[Any] = [
    ("direct", "rk4"),
    ("checkpointed", "tsit5"),
    ("backsolve", "heun"),
    ("backsolve", "tsit5"),
    ("reversible", "reversible_heun"),
    ("reversible", ReversiblePair("midpoint")),
]


@pytest.mark.parametrize(("adjoint", "method"), WAYS)
@pytest.mark.parametrize("own", [False, True])
def test_what_would_be_infinite_after_its_event_is_never_reached(
    adjoint: str, method: Any, own: bool
) -> None:
    y0 = torch.tensor([[1.0], [0.5], [0.2]], dtype=DOUBLE, requires_grad=True)
    ts: Any = torch.tensor([[0.0, 0.0, 0.0], [2.0, 2.0, 1.9]], dtype=DOUBLE) if own else [0.0, 2.0]
    square = OwnSquare() if own else Square()
    solution: Any = solve(square, y0, ts, dt=0.005, method=method, adjoint=adjoint, event=TEN)
    stopped = solution.event
    assert stopped.occurred.tolist() == [True, True, False]
    torch.testing.assert_close(stopped.times[:2], torch.tensor([0.9, 1.9], dtype=DOUBLE), rtol=1e-3, atol=0)
    torch.testing.assert_close(solution.ys[-1, :2, 0], torch.full((2,), 10.0, dtype=DOUBLE))
    by_y0, by_rate = torch.autograd.grad(stopped.times.sum(), [y0, square.rate])
    exact = torch.tensor([[-1.0], [-4.0], [0.0]], dtype=DOUBLE)
    torch.testing.assert_close(by_y0, exact, rtol=3e-3, atol=1e-12)
    torch.testing.assert_close(by_rate, torch.tensor(-2.8, dtype=DOUBLE), rtol=3e-3, atol=0)


def test_its_steps_do_not_reach_the_parameters_of_those_that_go_on() -> None:
    # Of the sum over all states, where a state is infinite the gradient would be not a number.
    square, y0 = Square(), torch.tensor([[1.0], [0.5]], dtype=DOUBLE, requires_grad=True)
    ts = torch.linspace(0.0, 2.0, 9, dtype=DOUBLE)
    ys = solve(square, y0, ts, dt=0.01, method="rk4", event=TEN).ys
    gradients = torch.autograd.grad(ys.sum(), [y0, square.rate])
    alone = []
    for k in range(2):
        square, start = Square(), y0[k : k + 1].detach().requires_grad_()
        mine = solve(square, start, ts, dt=0.01, method="rk4", event=TEN).ys
        torch.testing.assert_close(ys[:, k : k + 1], mine, rtol=1e-10, atol=0.0)
        alone.append(torch.autograd.grad(mine.sum(), [start, square.rate]))
    torch.testing.assert_close(gradients[0], torch.cat([a[0] for a in alone]), rtol=1e-9, atol=0.0)
    torch.testing.assert_close(gradients[1], alone[0][1] + alone[1][1], rtol=1e-9, atol=0.0)


def found(equation: Any, y0: Tensor, path: Any, **options: Any) -> tuple[Tensor, list[Tensor]]:
    """States, event times and states of each sample, (batch, n), and the gradients of their weighted sum."""
    y0 = y0.clone().requires_grad_()
    # Every step's end is asked for, so that going back has the same exact states in every batch.
    ts = torch.linspace(0, 1, 11, dtype=DOUBLE)
    solution: Any = solve(equation, y0, ts, dt=0.1, path=path, event=CROSSING, **options)
    event = solution.event
    values = torch.cat([solution.ys.transpose(0, 1).flatten(1), event.times.unsqueeze(1), event.states], 1)
    weights = torch.linspace(-1.0, 1.0, values.shape[1], dtype=DOUBLE)
    return values, list(torch.autograd.grad((values * weights).sum(), [y0, *equation.parameters()]))


PAIR = ReversiblePair("heun")
NAMED: list[Any] = [("direct", name) for name in sorted(METHODS)]
SWEPT: list[Any] = [
    ("checkpointed", "srk"),
    *(("backsolve", name) for name in ("euler", "heun", "milstein", "shark", "srk", "general_shark", "rk4")),
    ("reversible", "reversible_heun"),
    ("reversible", PAIR),
]


@pytest.mark.parametrize(("adjoint", "method"), NAMED + SWEPT)
def test_beside_others_a_sample_stops_as_it_does_alone(adjoint: str, method: Any) -> None:
    for noise_type, calculus in kinds(method):
        ode = noise_type == "none"
        equation = LearnedDrift() if ode else Learned(noise_type, calculus)

        def path_of(y0: Tensor, ids: list[int], noise_type: str = noise_type, ode: bool = ode) -> Any:
            options: dict[str, Any] = {"seed": 5, "levy_area": "space-time", "dtype": DOUBLE}
            shape = noise_shape(noise_type, y0) if not ode else ()
            return None if ode else VirtualBrownianTree(0, 1, shape, ids=torch.tensor(ids), **options)

        options = {"method": method, "adjoint": adjoint}
        values, gradients = found(equation, Y0, path_of(Y0, [0, 1, 2]), **options)
        alone = [found(equation, Y0[k : k + 1], path_of(Y0[:1], [k]), **options) for k in range(3)]
        times = values[:, -3].tolist()
        assert len(set(times)) == 3 and times[2] == 1.0
        torch.testing.assert_close(values, torch.cat([v for v, _ in alone]), rtol=1e-9, atol=1e-9)
        columns = zip(*(g for _, g in alone), strict=True)
        expected = [torch.cat(parts) if parts[0].dim() == 2 else sum(parts) for parts in columns]
        torch.testing.assert_close(gradients, expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("method", ["heun", "reversible_heun", "milstein"])
def test_a_tuple_stops_each_sample_as_it_does_alone(method: str) -> None:
    equation = InTuples(Oscillator("diagonal", "stratonovich"))
    event = Event(lambda t, y: t + 0.2 * y[0][:, 0] - 0.5)

    def solved(samples: list[int]) -> Any:
        ids = torch.tensor(samples)
        path = (None, VirtualBrownianTree(0, 1, (len(samples), 1), seed=3, ids=ids, dtype=DOUBLE))
        y0 = (Y0[samples, :1], Y0[samples, 1:])
        return solve(equation, y0, [0, 0.5, 1], dt=0.1, path=path, method=method, event=event, dense=True)

    together, times = solved([0, 1, 2]), (0.2, 0.55, 0.77, 1.0)
    assert together.event.occurred.tolist() == [True, True, False]
    for k in range(3):
        alone = solved([k])
        torch.testing.assert_close(together.event.times[k], alone.event.times[0], rtol=1e-12, atol=0.0)
        for a, b in zip(together.ys, alone.ys, strict=True):
            torch.testing.assert_close(a[:, k], b[:, 0], rtol=1e-12, atol=1e-12)
        for a, b in zip(together.at(times), alone.at(times), strict=True):
            torch.testing.assert_close(a[:, k], b[:, 0], rtol=1e-12, atol=1e-12)


def test_chunks_stop_as_single_steps_do(monkeypatch: pytest.MonkeyPatch) -> None:
    from latentsde.solvers import compiled

    monkeypatch.setattr(compiled, "_compiled_for", lambda device: compiled._chunk)
    for method, noise_type in (("heun", "general"), ("milstein", "scalar"), ("shark", "additive")):
        equation = Learned(noise_type, "stratonovich")
        path = VirtualBrownianTree(
            0, 1, noise_shape(noise_type, Y0), seed=5, levy_area="space-time", dtype=DOUBLE
        )
        plain, chunked = (found(equation, Y0, path, method=method, compile=c) for c in (False, 4))
        torch.testing.assert_close(chunked, plain, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_states_before_an_event_are_kept_backwards_in_time_too(sign: float) -> None:
    class Growing:
        def f(self, t: Tensor, y: Tensor) -> Tensor:
            return sign * y

    y0, ts = torch.tensor([[1.0], [2.0]], dtype=DOUBLE), sign * torch.linspace(0, 2, 5, dtype=DOUBLE)
    event = Event(lambda t, y: y[:, 0] - 4.0)
    ys = solve(Growing(), y0, ts, dt=0.01, method="rk4", event=event).ys
    exact = (y0 * (sign * ts).exp().view(-1, 1, 1)).clamp_max(4.0)
    torch.testing.assert_close(ys, exact, rtol=1e-8, atol=0.0)


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_dense_output_ends_with_each_samples_event(own: bool, sign: float) -> None:
    class Signed(OwnSquare):
        def f(self, t: Tensor, y: Tensor) -> Tensor:
            return sign * super().f(t, y)

    y0 = torch.tensor([[1.0], [0.5]], dtype=DOUBLE, requires_grad=True)
    ts = sign * torch.tensor([[0.0, 0.0], [3.0, 2.5]], dtype=DOUBLE) if own else [0.0, sign * 3.0]
    square = Signed()
    solution: Any = solve(square, y0, ts, dt=0.01, method="rk4", event=TEN, dense=True)
    # Past both events the grid has ended, but not what was asked for.
    times = sign * torch.tensor([0.0, 0.5, 0.893, 0.897, 0.91, 1.3, 1.89, 2.1, 2.5], dtype=DOUBLE)
    exact = 1.0 / (1.0 / y0.detach() - (sign * times).view(-1, 1, 1))
    ended = (sign * times).view(-1, 1, 1) > 1.0 / y0.detach() - 0.1
    at = solution.at(times)
    torch.testing.assert_close(at, torch.where(ended, 10.0, exact), rtol=1e-5, atol=0.0)
    after = solution.at(sign * 1.0)
    assert torch.equal(after[0], solution.event.states[0])
    assert torch.equal(solution.at(solution.at.points[-1]), solution.event.states)
    assert torch.equal(torch.stack([solution.at(t) for t in solution.at.points]), solution.at.states)
    gradients = torch.autograd.grad(at.sum(), [y0, square.rate])
    expected = torch.where(ended, 0.0, (exact / y0.detach()).square()).sum(0)
    torch.testing.assert_close(gradients[0], expected, rtol=1e-3, atol=1e-6)
    assert bool(gradients[1].isfinite())
    with pytest.raises(ValueError, match="outside the solution"):
        solution.at(sign * 3.1)


def test_an_event_changes_nothing_in_what_f_is_given() -> None:
    seen = []

    class Looks(LearnedDrift):
        def f(self, t: Tensor, y: Tensor) -> Tensor:
            seen.append((tuple(t.shape), t.dtype, tuple(y.shape)))
            return super().f(t, y)

    for ts, shape in (([0.0, 1.0], ()), (torch.tensor([[0.0, 0.1, 0.2], [1.0, 1.0, 1.0]]), (3, 1))):
        solve(Looks(), Y0.to(torch.float32), ts, dt=0.1, event=CROSSING, dense=True, method="rk4").at(0.45)
        assert set(seen) == {(shape, torch.float32, (3, 2))}
        seen.clear()


@pytest.mark.parametrize("own", [False, True])
def test_a_conditions_time_is_each_samples(own: bool) -> None:
    seen = set()

    def condition(t: Tensor, y: Tensor) -> Tensor:
        seen.add((tuple(t.shape), t.dtype))
        return y[:, 0] - (1 + t)

    y0 = torch.tensor([[1.5], [3.0]], dtype=DOUBLE)
    ts: Any = torch.tensor([[0.0, 0.0], [3.0, 2.5]], dtype=DOUBLE) if own else [0.0, 3.0]

    class Still:
        def f(self, t: Tensor, y: Tensor) -> Tensor:
            return torch.zeros_like(y)

    stopped: Any = solve(Still(), y0, ts, dt=0.1, method="rk4", event=Event(condition)).event
    torch.testing.assert_close(stopped.times, torch.tensor([0.5, 2.0], dtype=DOUBLE), rtol=1e-9, atol=0.0)
    assert seen == {((2,), DOUBLE)}


def test_a_condition_of_another_shape_at_the_located_time_is_one_clear_error() -> None:
    y0, calls = torch.tensor([[1.0], [2.0]], dtype=DOUBLE), []

    def condition(t: Tensor, y: Tensor) -> Tensor:
        calls.append(t)
        crossing = y[:, 0] - 0.5 * (1 + t)
        return crossing if len(calls) <= 21 else crossing.unsqueeze(1) - t

    with pytest.raises(ValueError, match=r"must be a tensor of shape \(2,\), got \(2, 2\)"):
        solve(LearnedDrift(), y0, [0, 2], dt=0.1, method="rk4", event=Event(condition))
