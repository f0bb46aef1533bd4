"""Adaptive steps: tolerances are met, a sample's steps are its own, and what cannot be done is an error."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from latentsde import VirtualBrownianTree, solve
from latentsde.solvers import METHODS, PID, StepTooSmall
from tests.solvers.adjoints.held import Y0
from tests.solvers.equations import DOUBLE, Geometric, Given, Growth, Learned

ODE_METHODS = [name for name in METHODS if "none" in METHODS[name].noise]


class Oscillation:
    """dx = v, dv = -ω² x with ω of each sample: the cosine, at very different speeds."""

    def __init__(self, speeds: Tensor) -> None:
        self.speeds = speeds

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.stack([y[:, 1], -(self.speeds**2) * y[:, 0]], -1)


SPEEDS = torch.tensor([0.5, 4.0, 20.0], dtype=DOUBLE)


# Tolerances


@pytest.mark.parametrize("per_sample", [False, True])
@pytest.mark.parametrize("method", ODE_METHODS)
def test_odes_meet_their_tolerance(method: str, per_sample: bool) -> None:
    # Of errors of tol in each of N = tol^(-1/(p+1)) steps: tol^(p/(p+1)).
    errors, order = [], METHODS[method].order.ode or 1
    tolerances = (1e-3, 1e-5) if order < 3 else (1e-4, 1e-7)
    for backwards in (False, True):
        ts, y0 = [0.0, 0.7, 2.0], torch.tensor([[1.0], [-2.0], [0.1]], dtype=DOUBLE)
        ts = ts[::-1] if backwards else ts
        for tolerance in tolerances:
            controller = PID(rtol=tolerance, atol=0.01 * tolerance, per_sample=per_sample)
            ys = solve(Growth(), y0, ts, method=method, controller=controller).ys
            exact = torch.stack([Growth().exact(y0, ts[0], t) for t in ts])
            errors.append(float(((ys - exact) / exact).abs().max()))
            assert errors[-1] < 10 * tolerance ** (order / (order + 1))
        assert errors[-1] < 0.2 * errors[-2]


@pytest.mark.parametrize("per_sample", [False, True])
def test_fast_and_slow_samples_are_solved_to_one_tolerance(per_sample: bool) -> None:
    y0 = torch.tensor([[1.0, 0.0]] * 3, dtype=DOUBLE)
    controller = PID(rtol=1e-8, atol=1e-8, per_sample=per_sample)
    solution = solve(Oscillation(SPEEDS), y0, [0, 3], method="dopri5", controller=controller, dense=True)
    torch.testing.assert_close(solution.ys[-1, :, 0], torch.cos(3 * SPEEDS), rtol=0.0, atol=2e-6)
    points = solution.at.points  # type: ignore[union-attr]
    if per_sample:
        counts = (points.diff(dim=0) > 0).sum(0)
        assert counts[0] < counts[1] < counts[2] == solution.stats.steps
        assert (points[-1] == 3).all()


def test_the_pair_of_dormand_and_prince_agrees_with_torchdiffeq() -> None:
    torchdiffeq = pytest.importorskip("torchdiffeq")

    def f(t: Tensor, y: Tensor) -> Tensor:
        return torch.stack([y[:, 1], 3.0 * (1 - y[:, 0] ** 2) * y[:, 1] - y[:, 0]], -1)  # van der Pol

    y0, ts = torch.tensor([[2.0, 0.0], [0.5, 1.0]], dtype=DOUBLE), torch.linspace(0, 5, 6, dtype=DOUBLE)
    theirs = torchdiffeq.odeint(f, y0, ts, rtol=1e-9, atol=1e-10, method="dopri5")
    exact = torchdiffeq.odeint(f, y0, ts, rtol=1e-12, atol=1e-13, method="dopri8")
    for method in ("dopri5", "tsit5"):
        ode: Any = type("ODE", (), {"f": staticmethod(f)})()
        solution = solve(ode, y0, ts, method=method, controller=PID(rtol=1e-9, atol=1e-10))
        error = (solution.ys - exact).abs().max()
        assert error < 1e-6 and error < 30 * (theirs - exact).abs().max()
        assert solution.stats.rejected < 0.3 * solution.stats.steps


def run_on(path: Any, tolerance: float, method: str, calculus: str, per_sample: bool) -> Any:
    y0 = torch.ones(path.shape, dtype=DOUBLE)
    controller = PID(rtol=tolerance, atol=tolerance, per_sample=per_sample)
    return solve(Geometric(calculus), y0, [0, 0.4, 1], method=method, path=path, controller=controller)


@pytest.mark.parametrize(
    ("method", "calculus"),
    [
        ("heun", "stratonovich"),
        ("milstein", "ito"),
        ("srk", "ito"),
        ("spark", "stratonovich"),
        ("reversible_heun", "stratonovich"),
    ],
)
@pytest.mark.parametrize("per_sample", [False, True])
def test_errors_of_sdes_on_one_path_fall_with_the_tolerance(
    method: str, calculus: str, per_sample: bool
) -> None:
    path = VirtualBrownianTree(0, 1, (20, 2), seed=3, levy_area="space-time", dtype=DOUBLE)
    exact = Geometric(calculus).exact(torch.ones(20, 2, dtype=DOUBLE), 1.0, path(0, 1))
    errors, steps = [], []
    for tolerance in (1e-1, 1e-2, 1e-3):
        solution = run_on(path, tolerance, method, calculus, per_sample)
        errors.append(float((solution.ys[-1] - exact).square().mean().sqrt()))
        steps.append(solution.stats.steps)
    assert steps[0] < steps[1] < steps[2]
    assert errors[2] < errors[1] < errors[0] and errors[2] < min(0.4 * errors[0], 0.03)


class Area:
    """dz = (x dW₂ - y dW₁) / 2 for the motion (x, y): all that a step by W alone misses is the area in z."""

    noise_type, sde_type = "general", "stratonovich"

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.zeros_like(y)

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        one, zero = torch.ones_like(y[:, 0]), torch.zeros_like(y[:, 0])
        rows = [one, zero], [zero, one], [-0.5 * y[:, 1], 0.5 * y[:, 0]]
        return torch.stack([torch.stack(row, -1) for row in rows], 1)


@pytest.mark.parametrize("method", ["heun", "midpoint", "spark"])
def test_an_error_in_the_area_between_channels_is_seen(method: str) -> None:
    path = VirtualBrownianTree(0, 1, (100, 2), seed=3, levy_area="space-time", dtype=DOUBLE)
    y0, errors = torch.zeros(100, 3, dtype=DOUBLE), []
    fine = solve(Area(), y0, [0, 1], dt=2.0**-11, method=method, path=path).ys[-1]
    for tolerance in (1e-1, 1e-2):
        controller = PID(rtol=0.0, atol=tolerance, dt0=0.5, per_sample=True)
        ys = solve(Area(), y0, [0, 1], method=method, path=path, controller=controller).ys
        errors.append(float((ys[-1] - fine).square().mean().sqrt()))
    assert errors[1] < 0.6 * errors[0] and errors[1] < 0.1


def test_additive_noise_is_for_every_method() -> None:
    path = VirtualBrownianTree(0, 1, (50, 1), seed=3, levy_area="space-time", dtype=DOUBLE)

    class OrnsteinUhlenbeck(Given):
        additive = True

    sde = OrnsteinUhlenbeck(f=lambda t, y: -2.0 * y, g=lambda t, y: torch.full_like(y, 0.7))
    y0 = torch.ones(50, 1, dtype=DOUBLE)
    fine = solve(sde, y0, [0, 1], dt=2.0**-12, method="shark", path=path).ys[-1]
    for method in ("euler", "heun", "shark", "sra1", "srk"):
        ys = solve(sde, y0, [0, 1], method=method, path=path, controller=PID(rtol=1e-4, atol=1e-4)).ys
        assert (ys[-1] - fine).abs().max() < 5e-3


# Errors that are exactly zero


def test_constant_drift_and_noise_are_a_few_long_steps() -> None:
    class Drifting(Given):
        additive = True

    sde, y0 = Drifting(f=lambda t, y: torch.ones_like(y)), torch.zeros(3, 2, dtype=DOUBLE)
    path = VirtualBrownianTree(0, 1, (3, 2), seed=5, levy_area="space-time", dtype=DOUBLE)
    for per_sample in (False, True):
        solution = solve(sde, y0, [0, 1], path=path, controller=PID(max_steps=100, per_sample=per_sample))
        assert solution.stats.method == "shark" and solution.stats.steps < 20
        torch.testing.assert_close(solution.ys[-1], 1.0 + path(0, 1), rtol=0.0, atol=1e-12)


def test_a_sample_that_is_absorbed_at_zero_does_not_hold_the_others_up() -> None:
    path = VirtualBrownianTree(0, 1, (3, 2), seed=5, dtype=DOUBLE)
    y0 = torch.tensor([[1.0, 0.5], [0.0, 0.0], [2.0, 1.0]], dtype=DOUBLE)
    controller = PID(rtol=1e-2, atol=1e-2, per_sample=True, max_steps=2000)
    equation = Geometric("stratonovich")
    solution = solve(equation, y0, [0, 1], method="heun", path=path, controller=controller, dense=True)
    assert (solution.ys[:, 1] == 0).all()
    taken = (solution.at.points.diff(dim=0) > 0).sum(0)  # type: ignore[union-attr]
    assert taken[1] < 20 < taken[0]


def test_an_ode_at_its_equilibrium_and_one_that_leaves_it_are_solved() -> None:
    controller = PID(rtol=1e-5, atol=1e-5, p=0.4, i=0.3, max_steps=1000)
    rest = solve(Growth(), torch.zeros(2, 1, dtype=DOUBLE), [0, 5], method="dopri5", controller=controller)
    assert rest.stats.steps < 20 and (rest.ys == 0).all()

    class Woken:
        def f(self, t: Tensor, y: Tensor) -> Tensor:
            return torch.relu(t - 2.0) ** 3 * torch.ones_like(y)

    woken = solve(Woken(), torch.zeros(2, 1, dtype=DOUBLE), [0, 4], method="heun", controller=controller)
    assert (woken.ys[-1] - 4.0).abs().max() < 1e-2


# Each sample's own


@pytest.mark.parametrize(
    ("method", "noise_type", "calculus"),
    [
        ("heun", "general", "stratonovich"),
        ("milstein", "diagonal", "ito"),
        ("dopri5", "none", "none"),
        ("srk", "scalar", "ito"),
    ],
)
def test_steps_of_a_sample_do_not_depend_on_the_others(method: str, noise_type: str, calculus: str) -> None:
    y0 = torch.tensor([[0.4, -1.0], [1.3, 0.2], [0.1, 0.6], [2.0, -2.0], [0.0, 0.3]], dtype=DOUBLE)
    ids = torch.tensor([4, 9, 2, 7, 100])
    columns = {"scalar": 1}.get(noise_type, 2)
    tolerance = 1e-2 if noise_type == "general" else 1e-3

    def run(rows: list[int], ts: Any) -> tuple[Tensor, Tensor]:
        equation: Any = Growth() if noise_type == "none" else Learned(noise_type, calculus)
        noise = {"seed": 2, "ids": ids[rows], "levy_area": "space-time", "dtype": DOUBLE}
        shape = (len(rows), columns)
        path = None if noise_type == "none" else VirtualBrownianTree(0, 1, shape, **noise)
        controller = PID(rtol=tolerance, atol=tolerance, per_sample=True)
        with torch.no_grad():
            solution = solve(
                equation, y0[rows], ts, method=method, path=path, controller=controller, dense=True
            )
        return solution.ys, solution.at.points  # type: ignore[union-attr]

    own = torch.tensor([[0.0, 0.1, 0.0, 0.2, 0.0], [0.5, 0.3, 0.9, 0.2, 0.4], [1.0, 1.0, 0.9, 0.7, 0.8]])
    for ts in ([0.0, 0.3, 1.0], own):
        together, points = run([0, 1, 2, 3, 4], ts)
        for rows in ([3], [4, 1], [2, 0, 3]):
            ys, alone = run(rows, ts[:, rows] if isinstance(ts, Tensor) else ts)
            torch.testing.assert_close(ys, together[:, rows], rtol=1e-12, atol=1e-12)
            torch.testing.assert_close(alone, points[: len(alone), rows], rtol=1e-9, atol=1e-12)


# Bounds of a step, and no end


def test_first_step_and_bounds_are_kept() -> None:
    y0, ts = torch.ones(2, 1, dtype=DOUBLE), [0.0, 1.0]

    def lengths(**options: Any) -> Tensor:
        controller = PID(rtol=1e-6, atol=1e-6, **options)
        solution = solve(Growth(), y0, ts, method="dopri5", controller=controller, dense=True)
        return solution.at.points.diff(dim=0)  # type: ignore[union-attr]

    assert abs(float(lengths(dt0=1e-3)[0]) - 1e-3) < 1e-12
    assert float(lengths(dt_max=0.03).max()) < 0.03 + 1e-12
    assert len(lengths(dt_max=0.03)) >= 34
    assert len(lengths()) < 15
    ratios = lengths(dt0=1e-3, factor_max=1.5)
    assert float((ratios[1:-2] / ratios[:-3]).max()) < 1.5 + 1e-9


class BlowsUp:
    """y = 1 / (1 - t): no solution from t = 1 on."""

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        return y * y


@pytest.mark.parametrize("per_sample", [False, True])
def test_a_step_that_would_be_too_small_says_where_and_carries_the_state(per_sample: bool) -> None:
    y0 = torch.tensor([[0.1], [1.0]], dtype=DOUBLE)
    for dt_min in (1e-4, None):
        controller = PID(rtol=1e-6, atol=1e-6, dt_min=dt_min, per_sample=per_sample)
        with pytest.raises(StepTooSmall) as caught:
            solve(BlowsUp(), y0, [0.0, 2.0], method="dopri5", controller=controller)
        error = caught.value
        assert isinstance(error, ArithmeticError)
        assert abs(error.time - 1.0) < (0.05 if dt_min else 1e-3)
        assert not error.error <= 1.0
        assert bool(error.state.isfinite().all())
        if dt_min:
            assert abs(float(error.state[1, 0]) * (1 - error.time) - 1) < 0.05
        assert f"t = {error.time:.6g}" in str(error)
        assert ("dt_min = 0.0001" if dt_min else "rounding of t") in str(error)


def test_a_drift_that_is_not_a_number_is_a_step_too_small() -> None:
    class Broken:
        def f(self, t: Tensor, y: Tensor) -> Tensor:
            return torch.where(t < 0.5, torch.ones_like(y), torch.nan)

    with pytest.raises(StepTooSmall, match="not a number") as caught:
        solve(Broken(), torch.zeros(2, 1, dtype=DOUBLE), [0.0, 1.0], method="heun", controller=PID())
    assert 0.4 < caught.value.time <= 0.5
    assert math.isnan(caught.value.error)
    torch.testing.assert_close(caught.value.state, torch.full((2, 1), caught.value.time, dtype=DOUBLE))


def test_no_end_after_max_steps_is_an_error() -> None:
    with pytest.raises(StepTooSmall, match=r"no end after \d+ steps \(max_steps\), at t = ") as caught:
        solve(Growth(), Y0, [0.0, 100.0], method="heun", controller=PID(rtol=1e-8, atol=1e-10, max_steps=50))
    assert 0 < caught.value.time < 100
