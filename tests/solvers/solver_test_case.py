"""SolverTestCase: what every method has to pass. A new method inherits it all; see test_methods.py.

Statistical tests have fixed seeds and a false-alarm rate of FALSE_ALARM = 1e-5.
"""

from __future__ import annotations

import functools
import math
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from latentsde import VirtualBrownianTree, solve
from latentsde.solvers import METHODS, Method
from tests.significance import bound
from tests.solvers.equations import (
    DOUBLE,
    Bound,
    Counted,
    Coupled,
    Forced,
    Geometric,
    Growth,
    InTuples,
    Learned,
    NonCommutative,
    Oscillator,
    noise_shape,
)
from tests.solvers.paths import Column, Smooth

NOISE_TYPES = ("diagonal", "scalar", "additive", "general")
CALCULI = ("ito", "stratonovich")
BATCH = 400
LEVELS = (3, 4, 5, 6, 7)
EQUATIONS: dict[str, Any] = {
    "diagonal": Geometric,
    "scalar": Coupled,
    "additive": Forced,
    "general": NonCommutative,
}
COLUMNS = {"diagonal": 2, "scalar": 1, "additive": 3, "general": 2}
Y0 = torch.tensor([1.0, -0.7], dtype=DOUBLE)


def order_path(noise_type: str) -> VirtualBrownianTree:
    return VirtualBrownianTree(0, 1, (BATCH, COLUMNS[noise_type]), seed=77, dtype=DOUBLE)


@functools.cache
def reference(noise_type: str, calculus: str) -> Tensor:
    """The solutions at 1 on `order_path`: exact where they are known, else by a step 16 times below the
    smallest measured.
    """
    equation, path = EQUATIONS[noise_type](calculus), order_path(noise_type)
    y0 = Y0.expand(BATCH, 2)
    if hasattr(equation, "exact"):
        return equation.exact(y0, 1.0, path(0, 1))
    method = "heun" if calculus == "stratonovich" or noise_type == "additive" else "euler"
    return solve(equation, y0, [0, 1], dt=2.0**-11, path=path, method=method).ys[-1]


def slope(errors: list[float]) -> float:
    """The order p of errors that fall as dt^p on LEVELS."""
    return -float(np.polyfit(LEVELS[: len(errors)], np.log2(errors), 1)[0])


def rms(x: Tensor) -> float:
    return float(x.square().mean().sqrt())


class SolverTestCase:
    """Inherit, name the method, and state what it costs and how it does on ODEs.

    Attributes:
        method: its name in METHODS.
        ode_order: order of convergence for ODEs; None where it has no use for them.
        drift_evaluations, diffusion_evaluations: (per step, once).
        additive_diffusion_evaluations: where fewer are made for additive noise.
        better_than_declared: measured strong orders above the declared ones, by noise type.
    """

    __test__ = False

    method: ClassVar[str]
    ode_order: ClassVar[float | None]
    drift_evaluations: ClassVar[tuple[int, int]]
    diffusion_evaluations: ClassVar[tuple[int, int]]
    additive_diffusion_evaluations: ClassVar[tuple[int, int] | None] = None
    better_than_declared: ClassVar[dict[str, float]] = {}

    @property
    def chosen(self) -> Method:
        return METHODS[self.method]

    def fits(self, noise_type: str, calculus: str) -> bool:
        """Additive noise reads the same in both calculi."""
        right_calculus = noise_type == "additive" or calculus in self.chosen.calculus
        return right_calculus and noise_type in self.chosen.noise

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """A test of "fitting" equations runs for each kind the method is for, one of "unfit" ones for each
        other kind.
        """
        pairs = [(noise_type, calculus) for noise_type in NOISE_TYPES for calculus in CALCULI]
        for name, right in (("fitting", True), ("unfit", False)):
            if name in metafunc.fixturenames:
                chosen = [pair for pair in pairs if self.fits(*pair) == right]
                metafunc.parametrize(name, chosen, ids="-".join)

    def learned(self) -> list[Learned]:
        return [Learned(n, c) for n in NOISE_TYPES for c in CALCULI if self.fits(n, c)]

    def solve(self, equation: Any, y0: Any, ts: Any, **options: Any) -> Any:
        return solve(equation, y0, ts, method=self.method, **options)

    # Accuracy

    def test_strong_order_is_the_declared_one(self, fitting: tuple[str, str]) -> None:
        noise_type, calculus = fitting
        path, y0 = order_path(noise_type), Y0.expand(BATCH, 2)
        errors = []
        for level in LEVELS:
            equation = EQUATIONS[noise_type](calculus)
            end = self.solve(equation, y0, [0, 1], dt=2.0**-level, path=path).ys[-1]
            errors.append(rms(end - reference(noise_type, calculus)))
        order = self.chosen.order
        declared = {"additive": order.strong_additive, "general": order.strong}.get(
            noise_type, order.strong_commutative
        )
        expected = self.better_than_declared.get(noise_type, declared)
        assert expected >= declared
        assert abs(slope(errors) - expected) < 0.15
        assert errors[-1] < 0.1

    def test_order_for_odes(self) -> None:
        if self.ode_order is None:
            assert "none" not in self.chosen.noise
            return
        y0 = torch.tensor([[1.0], [-2.0]], dtype=DOUBLE)
        for start, end in ((0.0, 1.0), (1.0, 0.0)):
            exact = Growth().exact(y0, start, end)
            errors = []
            for level in LEVELS:
                solution = self.solve(Growth(), y0, [start, end], dt=2.0**-level)
                errors.append(rms(solution.ys[-1] - exact))
            assert abs(slope(errors) - self.ode_order) < 0.15
            assert solution.stats.diffusion_evaluations == 0 and solution.stats.seed is None

    def test_on_a_smooth_path_a_stratonovich_equation_is_an_ode(self) -> None:
        # dy = f dt + g dw with differentiable w: the order for ODEs, which sees all times and states of g.
        if "stratonovich" not in self.chosen.calculus:
            pytest.skip(f"{self.method} is not for Stratonovich equations")
        y0 = torch.tensor([[0.4, -1.0], [1.3, 0.2]], dtype=DOUBLE)
        for noise_type in NOISE_TYPES:
            if noise_type not in self.chosen.noise:
                continue
            equation, path = Learned(noise_type, "stratonovich"), Smooth(noise_shape(noise_type, y0))
            with torch.no_grad():
                fine = solve(equation, y0, [0, 1], dt=2.0**-11, path=path, method="heun").ys[-1]
                ends = [
                    self.solve(equation, y0, [0, 1], dt=2.0**-level, path=path).ys[-1] for level in LEVELS
                ]
            assert abs(slope([rms(end - fine) for end in ends]) - float(self.ode_order or 0)) < 0.2

    @pytest.mark.parametrize("calculus", CALCULI)
    def test_law_of_an_ornstein_uhlenbeck_process(self, calculus: str) -> None:
        # Mean and variance to their sampling errors and an allowance for the step: the bias of order dt =
        # 1/64.
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

    # Gradients

    def test_gradients_are_those_of_finite_differences(self) -> None:
        y0 = torch.tensor([[0.4, -1.0], [1.3, 0.2], [0.1, 0.6]], dtype=DOUBLE)
        for equation in self.learned():
            path = VirtualBrownianTree(0, 1, noise_shape(equation.noise_type, y0), seed=1, dtype=DOUBLE)

            def end(
                y0: Tensor, rate: Tensor, size: Tensor, equation: Learned = equation, path: Any = path
            ) -> Tensor:
                values = {"rate": rate, "size": size}
                bound_equation = Bound(equation, values)
                return self.solve(bound_equation, y0, [0.0, 0.35, 1.0], dt=0.2, path=path).ys

            leaves = [x.detach().clone().requires_grad_() for x in (y0, equation.rate, equation.size)]
            assert torch.autograd.gradcheck(end, leaves, eps=1e-6, atol=1e-7, rtol=1e-5)

    def test_second_derivatives_are_those_of_finite_differences(self) -> None:
        equation = self.learned()[0]
        path = VirtualBrownianTree(0, 1, (1, 2), seed=1, dtype=DOUBLE)

        def end(y0: Tensor, rate: Tensor) -> Tensor:
            values = {"rate": rate, "size": equation.size.detach()}
            return self.solve(Bound(equation, values), y0, [0.0, 1.0], dt=0.25, path=path).ys[-1]

        leaves = [torch.tensor([[0.4, -1.0]], dtype=DOUBLE, requires_grad=True), equation.rate]
        assert torch.autograd.gradgradcheck(end, leaves)

    def test_gradient_of_a_linear_equation_is_its_solution_per_start(self) -> None:
        y0 = torch.tensor([[1.0, 2.0], [-0.5, 0.3]], dtype=DOUBLE, requires_grad=True)
        y1 = self.solve(Geometric(min(self.chosen.calculus)), y0, [0, 1], dt=0.1, seed=3).ys[-1]
        (gradient,) = torch.autograd.grad(y1.sum(), y0)
        torch.testing.assert_close(gradient, (y1 / y0).detach(), rtol=1e-12, atol=0.0)

    # Time

    def test_there_and_back_on_one_path_returns(self) -> None:
        # Stratonovich solutions are undone by the reversed path, and so are those with additive noise.
        noise_type = "diagonal" if "stratonovich" in self.chosen.calculus else "additive"
        if noise_type not in self.chosen.noise:
            pytest.skip(f"{self.method} is for neither Stratonovich equations nor additive noise")
        # Means of absolute errors, of many paths: those of reversible Heun have such tails that root mean
        # squares of 400 scatter by 0.2 in slope, means of 4,000 by 0.02.
        samples = 10 * BATCH
        path = VirtualBrownianTree(0, 1, (samples, COLUMNS[noise_type]), seed=77, dtype=DOUBLE)
        y0 = Y0.expand(samples, 2)
        errors = []
        for level in LEVELS:
            equation = EQUATIONS[noise_type]("stratonovich")
            there = self.solve(equation, y0, [0, 1], dt=2.0**-level, path=path).ys[-1]
            back = self.solve(equation, there, [1, 0], dt=2.0**-level, path=path).ys[-1]
            errors.append(float((back - y0).abs().mean()))
        assert slope(errors) > 0.85
        assert errors[-1] < 0.05

    def test_law_of_an_ito_equation_backwards_in_time(self) -> None:
        # dy = μ y dt + σ y dW from t = 1 down to 0, read from the later end: mean e^-μ, mean square e^(σ² -
        # 2μ). A correction with h in place of |h| would make the mean e^(σ² - μ).
        if "ito" not in self.chosen.calculus:
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

    def test_samples_on_their_own_times_are_as_if_alone(self) -> None:
        own = [[0.0, 0.21, 0.5, 1.3], [0.1, 0.15], [-0.4, 0.3, 0.9]]
        for ts in (own, [[-t for t in times] for times in own]):
            width = max(len(times) for times in ts)
            padded = torch.tensor(
                [times + times[-1:] * (width - len(times)) for times in ts], dtype=DOUBLE
            ).t()
            y0 = torch.tensor([[0.4, -1.0], [1.3, 0.2], [0.1, 0.6]], dtype=DOUBLE)
            for equation in self.learned():
                shape = noise_shape(equation.noise_type, y0)
                path = VirtualBrownianTree(-2, 2, shape, seed=1, dtype=DOUBLE)
                together = self.solve(equation, y0, padded, dt=0.1, path=path)
                steps = []
                for sample, times in enumerate(ts):
                    named = VirtualBrownianTree(
                        -2, 2, (1, *shape[1:]), seed=1, ids=torch.tensor([sample]), dtype=DOUBLE
                    )
                    alone = self.solve(equation, y0[sample : sample + 1], times, dt=0.1, path=named)
                    steps.append(alone.stats.steps)
                    # Up to the last bits: alone, a step is a Python number, together a tensor.
                    torch.testing.assert_close(
                        together.ys[: len(times), sample], alone.ys[:, 0], rtol=1e-13, atol=1e-13
                    )
                    assert (together.ys[len(times) :, sample] == together.ys[len(times) - 1, sample]).all()
                assert together.stats.steps == max(steps)

    def test_a_shared_grid_is_the_grid_of_each(self) -> None:
        ts = torch.tensor([0.0, 0.3, 1.0], dtype=DOUBLE)
        y0 = torch.tensor([[0.4, -1.0], [1.3, 0.2]], dtype=DOUBLE)
        for equation in self.learned():
            shape = noise_shape(equation.noise_type, y0)
            path = VirtualBrownianTree(0, 1, shape, seed=1, dtype=DOUBLE)
            shared = self.solve(equation, y0, ts, dt=0.1, path=path)
            each = self.solve(equation, y0, ts.unsqueeze(1).expand(3, 2), dt=0.1, path=path)
            torch.testing.assert_close(each.ys, shared.ys, rtol=1e-13, atol=1e-13)

    def test_a_step_of_no_length_does_nothing(self) -> None:
        y0 = torch.tensor([[0.4, -1.0], [1.3, 0.2]], dtype=DOUBLE)
        for equation in self.learned():
            ts = torch.tensor([[0.5, 0.0], [0.5, 0.4], [0.5, 1.0]], dtype=DOUBLE)
            solution = self.solve(equation, y0, ts, dt=0.1, seed=0)
            assert (solution.ys[:, 0] == y0[0]).all()
            assert (solution.ys[1:, 1] != y0[1]).all()
            nothing = self.solve(equation, y0, torch.full((3, 2), 0.5), dt=0.1, seed=0)
            assert nothing.stats.steps == 0 and (nothing.ys == y0).all()

    # State

    @pytest.mark.parametrize("shape", [(3,), (3, 1), (3, 4), (3, 2, 1, 5), ()])
    def test_any_shape_of_state(self, shape: tuple[int, ...]) -> None:
        for equation in self.learned():
            if not shape and equation.noise_type != "diagonal":
                continue
            flat = torch.linspace(-1, 1, max(1, math.prod(shape)), dtype=DOUBLE).view(
                shape[0] if shape else 1, -1
            )
            path = VirtualBrownianTree(0, 1, noise_shape(equation.noise_type, flat), seed=1, dtype=DOUBLE)
            expected = self.solve(equation, flat, [0.0, 0.3, 1.0], dt=0.2, path=path).ys
            y0 = flat.view(shape)
            path = VirtualBrownianTree(0, 1, noise_shape(equation.noise_type, y0), seed=1, dtype=DOUBLE)
            ys = self.solve(equation, y0, [0.0, 0.3, 1.0], dt=0.2, path=path).ys
            assert ys.shape == (3, *shape)
            torch.testing.assert_close(ys.reshape(expected.shape), expected, rtol=1e-13, atol=1e-13)

    def test_a_tuple_is_its_parts_side_by_side(self) -> None:
        # Position and velocity, noise on the velocity alone.
        calculus = min(self.chosen.calculus)
        joint = Oscillator(calculus)
        y0 = torch.tensor([[0.4, -1.0], [1.3, 0.2]], dtype=DOUBLE)
        path = VirtualBrownianTree(0, 1, (2, 2), seed=1, dtype=DOUBLE)
        parts = (y0[:, :1], y0[:, 1:])
        for ts in ([0.0, 0.3, 1.0], torch.tensor([[0.0, 0.0], [0.3, 0.5], [1.0, 0.5]], dtype=DOUBLE)):
            expected = self.solve(joint, y0, ts, dt=0.1, path=path)
            solution = self.solve(InTuples(joint), parts, ts, dt=0.1, path=(None, Column(path, 1)))
            assert isinstance(solution.ys, tuple)
            torch.testing.assert_close(torch.cat(solution.ys, -1), expected.ys, rtol=1e-13, atol=1e-13)
            assert solution.stats.steps == expected.stats.steps
            made = self.solve(InTuples(joint), parts, ts, dt=0.1, seed=4)
            assert torch.isfinite(torch.cat(made.ys)).all()

    def test_float32_is_the_same_solution_to_rounding(self) -> None:
        for equation in self.learned():
            y0 = torch.tensor([[0.4, -1.0], [1.3, 0.2]], dtype=DOUBLE)
            shape = noise_shape(equation.noise_type, y0)
            solutions = []
            for dtype in (DOUBLE, torch.float32):
                path = VirtualBrownianTree(0, 1, shape, seed=1, dtype=dtype)
                solution = self.solve(equation.to(dtype), y0.to(dtype), [0.0, 0.3, 1.0], dt=0.01, path=path)
                assert solution.ys.dtype == dtype
                solutions.append(solution.ys.double())
            torch.testing.assert_close(*solutions, rtol=0.0, atol=2e-5)

    def test_the_states_type_is_kept_whatever_the_paths(self) -> None:
        equation = self.learned()[0].float()
        path = VirtualBrownianTree(0, 1, (2, 2), seed=1, dtype=DOUBLE)
        assert self.solve(equation, torch.ones(2, 2), [0, 1], dt=0.25, path=path).ys.dtype == torch.float32

    # Cost

    def test_evaluations_are_counted(self, fitting: tuple[str, str]) -> None:
        noise_type, calculus = fitting
        equation = Counted(Learned(noise_type, calculus))
        solution = self.solve(equation, torch.ones(2, 3, dtype=DOUBLE), [0.0, 0.35, 1.0], dt=0.1, seed=0)
        stats, steps = solution.stats, 4 + 7
        assert (stats.steps, stats.rejected, stats.method) == (steps, 0, self.method)
        per_step, once = self.drift_evaluations
        assert stats.drift_evaluations == equation.drifts == per_step * steps + once
        per_step, once = self.diffusion_evaluations
        if noise_type == "additive" and self.additive_diffusion_evaluations is not None:
            per_step, once = self.additive_diffusion_evaluations
        assert stats.diffusion_evaluations == equation.diffusions == per_step * steps + once

    # Refusals

    def test_an_equation_it_is_wrong_for_is_refused_with_those_that_fit(self, unfit: tuple[str, str]) -> None:
        noise_type, calculus = unfit
        with pytest.raises(ValueError) as error:
            self.solve(Learned(noise_type, calculus), torch.ones(2, 3, dtype=DOUBLE), [0, 1], dt=0.1, seed=0)
        named = str(error.value).rpartition(":")[2]
        fitting = {name.strip() for name in named.split(",")}
        assert noise_type in str(error.value) and calculus in str(error.value)
        assert fitting and self.method not in fitting
        for name in fitting:
            solve(
                Learned(noise_type, calculus),
                torch.ones(2, 3, dtype=DOUBLE),
                [0, 1],
                dt=0.5,
                seed=0,
                method=name,
            )
