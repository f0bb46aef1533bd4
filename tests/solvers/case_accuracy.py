"""Of SolverTestCase: how near the solutions are, to those of single paths and to the law."""

from __future__ import annotations

import functools
import math

import pytest
import torch
from torch import Tensor

from experiments import solver_orders
from experiments.solver_orders import LEVELS, ODE_LEVELS, slope
from experiments.solver_problems import Nonlinear
from latentsde import solve
from tests.significance import bound
from tests.solvers.case import CALCULI, NOISE_TYPES, Case, rms
from tests.solvers.equations import DOUBLE, Coupled, Geometric, Growth, Learned, noise_shape
from tests.solvers.paths import Smooth

SMOOTH_Y0 = torch.tensor([[0.4, -1.0], [1.3, 0.2]], dtype=DOUBLE)


@functools.cache
def on_a_smooth_path(noise_type: str) -> tuple[Learned, Smooth, Tensor]:
    """An equation, a differentiable path, and what solves them at 1."""
    equation, path = Learned(noise_type, "stratonovich"), Smooth(noise_shape(noise_type, SMOOTH_Y0))
    with torch.no_grad():
        fine = solve(equation, SMOOTH_Y0, [0, 1], dt=2.0**-10, path=path, method="ralston").ys[-1]
    return equation, path, fine


class AccuracyTests(Case):
    def test_strong_order_is_the_declared_one(self, fitting: tuple[str, str]) -> None:
        # Nonlinear, depending on time, and with a drift that does not commute with the noise. Of 400 fixed
        # paths the slope scatters by about 0.03.
        noise_type, calculus = fitting
        with torch.no_grad():
            errors = solver_orders.strong_errors(self.method, noise_type, calculus)
        declared = self.strong_order(noise_type)
        assert declared is not None
        assert abs(slope(errors) - declared) < 0.17
        assert errors[-1] < 0.2

    def test_weak_order_is_the_stated_one(self, fitting: tuple[str, str]) -> None:
        # The moments of a linear equation, exactly: nothing is sampled, there are no false alarms.
        noise_type, calculus = fitting
        with torch.no_grad():
            errors = solver_orders.weak_errors(self.method, noise_type, calculus)
        assert abs(slope(errors) - self.weak_order(noise_type)) < 0.25
        assert errors[-1] < 0.1

    def test_solutions_that_are_known_are_met(self) -> None:
        for noise_type, known in (("diagonal", Geometric), ("scalar", Coupled)):
            for calculus in CALCULI:
                if not self.fits(noise_type, calculus):
                    continue
                equation, y0 = known(calculus), solver_orders.Y0.expand(100, 2)
                path = self.path(0, 1, (100, 2 if noise_type == "diagonal" else 1))
                exact = equation.exact(y0, 1.0, path(0, 1))
                errors = [
                    rms(self.solve(equation, y0, [0, 1], dt=2.0**-level, path=path).ys[-1] - exact)
                    for level in (4, 7)
                ]
                order = self.strong_order(noise_type) or 0.0
                assert errors[1] < 0.25 and math.log2(errors[0] / errors[1]) > 3 * (order - 0.2)

    def test_order_for_odes(self) -> None:
        if self.chosen.order.ode is None:
            assert "none" not in self.chosen.noise
            return
        errors = solver_orders.ode_errors(self.method)
        assert abs(slope(errors, ODE_LEVELS) - self.chosen.order.ode) < 0.3
        y0 = torch.tensor([[1.0], [-2.0]], dtype=DOUBLE)
        for start, end in ((0.0, 1.0), (1.0, 0.0)):
            solution = self.solve(Growth(), y0, [start, end], dt=2.0**-6)
            error = rms(solution.ys[-1] - Growth().exact(y0, start, end))
            assert error < 4 * 2.0 ** (-6 * self.chosen.order.ode)
            assert solution.stats.diffusion_evaluations == 0 and solution.stats.seed is None

    def test_on_a_smooth_path_a_stratonovich_equation_is_an_ode(self) -> None:
        # dy = f dt + g dw with differentiable w: the order for ODEs, which sees all times and states of g.
        for noise_type in NOISE_TYPES:
            if not self.fits(noise_type, "stratonovich"):
                continue
            equation, path, fine = on_a_smooth_path(noise_type)
            with torch.no_grad():
                ends = [
                    self.solve(equation, SMOOTH_Y0, [0, 1], dt=2.0**-level, path=path).ys[-1]
                    for level in LEVELS[:4]
                ]
            errors = [rms(end - fine) for end in ends]
            assert slope(errors, LEVELS[:4]) > self.smooth_order - 0.25
            assert errors[-1] < 0.02

    @pytest.mark.parametrize("calculus", CALCULI)
    def test_law_of_an_ornstein_uhlenbeck_process(self, calculus: str) -> None:
        # Mean and variance to their sampling errors and an allowance for the step: the bias of order dt =
        # 1/64.
        if "diagonal" not in self.chosen.noise:
            pytest.skip(f"{self.method} is not for diagonal noise")
        n, rate, size, dt = 20_000, 1.0, 0.8, 1 / 64

        class OrnsteinUhlenbeck:
            noise_type, sde_type, additive = "diagonal", calculus, True

            def f(self, t: Tensor, y: Tensor) -> Tensor:
                return -rate * y

            def g(self, t: Tensor, y: Tensor) -> Tensor:
                return torch.full_like(y, size)

        y0 = torch.full((n,), 2.0)
        ys = self.solve(OrnsteinUhlenbeck(), y0, [0.0, 0.3, 1.5], dt=dt, seed=5).ys.double()
        for time, y in zip((0.3, 1.5), ys[1:], strict=True):
            mean = 2.0 * math.exp(-rate * time)
            variance = size**2 * (1 - math.exp(-2 * rate * time)) / (2 * rate)
            z = bound(4)
            assert abs(float(y.mean()) - mean) < z * math.sqrt(variance / n) + rate * dt * mean
            assert abs(float(y.var()) / variance - 1) < z * math.sqrt(2 / n) + rate * dt

    def test_law_of_an_ito_equation_backwards_in_time(self) -> None:
        # dy = μ y dt + σ y dW from t = 1 down to 0, read from the later end: mean e^-μ, mean square e^(σ² -
        # 2μ). A correction with h in place of |h| would make the mean e^(σ² - μ).
        if not self.fits("diagonal", "ito"):
            pytest.skip(f"{self.method} is not for Itô equations")
        n, drift, volatility, dt = 40_000, 0.3, 0.5, 1 / 64
        y0 = torch.ones(n, dtype=DOUBLE)
        y = self.solve(Geometric("ito", drift, volatility), y0, [1.0, 0.0], dt=dt, seed=8).ys[-1]
        for power in (1, 2):
            exponent = -power * drift + 0.5 * power * (power - 1) * volatility**2
            mean = math.exp(exponent)
            spread = math.sqrt(math.expm1((power * volatility) ** 2)) * mean
            allowance = 2 * (drift**2 + volatility**4) * dt * mean
            assert abs(float((y**power).mean()) - mean) < bound(2) * spread / math.sqrt(n) + allowance

    # There and back

    def test_there_and_back_on_one_path_returns(self) -> None:
        # Stratonovich solutions are undone by the reversed path, and so are those with additive noise.
        noise_type = next((n for n in ("diagonal", "additive") if self.fits(n, "stratonovich")), None)
        if noise_type is None:
            pytest.skip(f"{self.method} is for neither Stratonovich equations nor additive noise")
        # Means of absolute errors, of many paths: those of reversible Heun have such tails that root mean
        # squares of 400 scatter by 0.2 in slope, means of 4,000 by 0.02.
        channels = solver_orders.CHANNELS[noise_type]
        path, y0 = self.path(0, 1, (2000, channels)), solver_orders.Y0.expand(2000, 2)
        equation: object = (
            Geometric("stratonovich") if noise_type == "diagonal" else Nonlinear("additive", "ito")
        )
        errors = []
        for level in LEVELS[:4]:
            there = self.solve(equation, y0, [0, 1], dt=2.0**-level, path=path).ys[-1]
            back = self.solve(equation, there, [1, 0], dt=2.0**-level, path=path).ys[-1]
            errors.append(float((back - y0).abs().mean()))
        assert slope(errors, LEVELS[:4]) > 0.85
        assert errors[-1] < 0.1

    def test_a_method_that_undoes_comes_back_by_reversed_steps(self, undone: tuple[str, str]) -> None:
        noise_type = undone[0]
        with torch.no_grad():
            errors = [solver_orders.way_back(self.method, *undone, level) for level in LEVELS[:4]]
        order = self.chosen.order.ode if noise_type == "none" else self.strong_order(noise_type)
        # From the fourth order on rounding is near.
        assert slope(errors, LEVELS[:4]) > min(order or 0.0, 4.0) - 0.2
