"""Dense output: the solution at any time, on the same path and with the right law."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from experiments.solver_orders import slope
from latentsde import VirtualBrownianTree, solve
from latentsde.brownian import AlignedPath
from latentsde.solvers import PID
from tests.significance import bound, correlation_z, mean_z, variance_z
from tests.solvers.equations import DOUBLE, Given, Growth, InTuples, Learned, Oscillator

Y0 = torch.tensor([[0.4, -1.0], [1.3, 0.2], [0.1, 0.6]], dtype=DOUBLE)
OWN = torch.tensor([[0.0, 0.1, -0.4], [0.5, 0.15, 0.9], [1.3, 0.15, 0.95]], dtype=DOUBLE)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_at_the_points_it_is_the_solution(sign: float) -> None:
    ts = torch.tensor([0.0, 0.35, 1.0], dtype=DOUBLE) * sign
    for equation in (Growth(), Learned("diagonal", "stratonovich"), Learned("general", "stratonovich")):
        solution: Any = solve(equation, Y0, ts, dt=0.1, method="heun", seed=2, dense=True)
        plain = solve(equation, Y0, ts, dt=0.1, method="heun", path=getattr(solution.at, "_path", None))
        assert torch.equal(solution.ys, plain.ys)
        assert torch.equal(solution.at(ts), solution.ys)
        assert len(solution.at.points) == solution.stats.steps + 1 == len(solution.at.states)
        assert torch.equal(solution.at(solution.at.points), solution.at.states)
        assert torch.equal(solution.at(float(ts[1])), solution.ys[1])
        assert solution.at(float(ts[1]) * 0.7).shape == Y0.shape


@pytest.mark.parametrize(
    ("method", "noise_type", "calculus", "order"),
    [
        ("euler", "general", "ito", 0.5),
        ("milstein", "diagonal", "ito", 1.0),
        ("srk", "diagonal", "ito", 1.5),
        ("heun", "scalar", "stratonovich", 1.0),
        ("reversible_heun", "diagonal", "stratonovich", 1.0),
    ],
)
def test_between_the_points_it_is_on_the_same_path(
    method: str, noise_type: str, calculus: str, order: float
) -> None:
    equation = Learned(noise_type, calculus)
    columns = {"scalar": 1}.get(noise_type, 2)
    path = VirtualBrownianTree(0, 1, (300, columns), seed=3, levy_area="space-time", dtype=DOUBLE)
    y0 = torch.tensor([0.4, -1.0], dtype=DOUBLE).expand(300, 2)
    times, levels, errors = [0.137, 0.51, 0.823], (3, 4, 5, 6), []
    with torch.no_grad():
        exact = solve(equation, y0, [0.0, *times, 1.0], dt=2.0**-11, method=method, path=path).ys[1:-1]
        for level in levels:
            solution: Any = solve(equation, y0, [0, 1], dt=2.0**-level, method=method, path=path, dense=True)
            errors.append(float((solution.at(times) - exact).square().mean().sqrt()))
    assert slope(errors, levels) > order - 0.2
    assert errors[-1] < 0.15


@pytest.mark.parametrize("method", ["rk4", "dopri5", "tsit5", "reversible_heun"])
def test_between_the_points_of_an_ode_it_has_the_methods_order(method: str) -> None:
    times = torch.linspace(0.03, 0.97, 11, dtype=DOUBLE)
    exact = torch.stack([Growth().exact(Y0, 0.0, float(t)) for t in times])
    errors, levels = [], (1, 2, 3, 4)
    for level in levels:
        solution: Any = solve(Growth(), Y0, [0, 1], dt=2.0**-level, method=method, dense=True)
        errors.append(float((solution.at(times) - exact).abs().max()))
    order = {"rk4": 4, "reversible_heun": 2}.get(method, 5)
    assert slope(errors, levels) > order - 0.5


def test_brownian_motion_between_the_points_has_its_law() -> None:
    # torchsde draws a line: at dt = 0.1 its W(0.05) has the variance 0.0253, where 0.05 is right.
    # False alarm: 1e-5 in all.
    n = 20_000
    solution: Any = solve(Given(), torch.zeros(n, 1, dtype=DOUBLE), [0, 1], dt=0.1, seed=1, dense=True)
    times = torch.tensor([0.05, 0.2, 0.27, 0.999], dtype=DOUBLE)
    w = solution.at(times)[..., 0].t()
    assert variance_z(w, times).abs().max() < bound(20)
    assert mean_z(w, 0.0, times).abs().max() < bound(20)
    increments = w.diff(dim=1, prepend=torch.zeros(n, 1, dtype=DOUBLE))
    assert variance_z(increments, times.diff(prepend=torch.zeros(1, dtype=DOUBLE))).abs().max() < bound(20)
    assert correlation_z(increments, increments).fill_diagonal_(0).abs().max() < bound(20)


def test_own_times_are_each_samples() -> None:
    path = VirtualBrownianTree(-2, 2, (3, 2), seed=3, dtype=DOUBLE)
    for sign in (1.0, -1.0):
        equation, ts = Learned("diagonal", "stratonovich"), OWN * sign
        solution: Any = solve(equation, Y0, ts, dt=0.1, path=path, method="heun", dense=True)
        for row in range(3):
            torch.testing.assert_close(solution.at(ts[row]), solution.ys[row], rtol=0.0, atol=0.0)
        wanted = torch.tensor([0.77, 0.12, 0.3], dtype=DOUBLE) * sign
        found = solution.at(wanted)
        for k in range(3):
            own = VirtualBrownianTree(-2, 2, (1, 2), seed=3, ids=torch.tensor([k]), dtype=DOUBLE)
            times = ts[:, k] if k != 1 else ts[:2, k]
            alone: Any = solve(equation, Y0[k : k + 1], times, dt=0.1, path=own, method="heun", dense=True)
            torch.testing.assert_close(found[k], alone.at(float(wanted[k]))[0], rtol=1e-12, atol=1e-12)
        # A number is that time of all samples; each has to have it.
        assert solution.at(0.12 * sign).shape == Y0.shape
        with pytest.raises(ValueError, match="outside"):
            solution.at(0.3 * sign)


def test_adaptive_steps_have_it_as_well() -> None:
    times = torch.linspace(0.0, 2.0, 21, dtype=DOUBLE)
    exact = torch.stack([Growth().exact(Y0, 0.0, float(t)) for t in times])
    for per_sample in (False, True):
        controller = PID(rtol=1e-8, atol=1e-9, per_sample=per_sample)
        solution: Any = solve(Growth(), Y0, [0, 2], method="dopri5", controller=controller, dense=True)
        torch.testing.assert_close(solution.at(times), exact, rtol=1e-6, atol=1e-7)
        noisy: Any = solve(
            Learned("diagonal", "stratonovich"), Y0, [0, 2], seed=1, controller=PID(1e-2, 1e-2), dense=True
        )
        assert bool(noisy.at(times).isfinite().all())


def test_tuples_have_it_as_well() -> None:
    joint = Oscillator("diagonal", "stratonovich")
    parts = (Y0[:, :1], Y0[:, 1:])
    solution: Any = solve(InTuples(joint), parts, [0, 1], dt=0.1, seed=2, method="heun", dense=True)
    found = solution.at([0.0, 0.37, 1.0])
    assert isinstance(found, tuple) and [x.shape for x in found] == [(3, 3, 1), (3, 3, 1)]
    assert torch.equal(found[0][-1], solution.ys[0][-1]) and torch.equal(found[1][0], parts[1])
    assert isinstance(solution.at(0.37), tuple)


def test_it_can_be_differentiated() -> None:
    equation, path = (
        Learned("diagonal", "stratonovich"),
        VirtualBrownianTree(0, 1, (3, 2), seed=3, dtype=DOUBLE),
    )

    def at(y0: Tensor) -> Tensor:
        solution: Any = solve(equation, y0, [0, 1], dt=0.2, method="heun", path=path, dense=True)
        return solution.at([0.1, 0.33, 1.0])

    assert torch.autograd.gradcheck(at, [Y0.clone().requires_grad_()], fast_mode=True)


@pytest.mark.parametrize("time", [-0.1, 1.1, [0.5, 1.0001], float("nan")])
def test_times_outside_are_an_error(time: Any) -> None:
    solution: Any = solve(Growth(), Y0, [0, 1], dt=0.1, dense=True)
    with pytest.raises(ValueError, match=r"outside the solution, \[0, 1\]"):
        solution.at(time)
    backwards: Any = solve(Growth(), Y0, [1, 0], dt=0.1, dense=True)
    with pytest.raises(ValueError, match=r"outside the solution, \[0, 1\]"):
        backwards.at(time)


def test_a_path_that_knows_no_times_between_its_points_is_an_error() -> None:
    path = AlignedPath((3, 2), torch.linspace(0, 1, 11, dtype=DOUBLE), seed=1, dtype=DOUBLE)
    solution: Any = solve(Learned("diagonal", "ito"), Y0, [0, 1], dt=0.1, path=path, dense=True)
    assert torch.equal(solution.at(1.0), solution.ys[-1])
    with pytest.raises(ValueError, match="not a point"):
        solution.at(0.55)


def test_without_asking_there_is_none() -> None:
    assert solve(Growth(), Y0, [0, 1], dt=0.1).at is None
