"""SolverTestCase: what every method has to pass. A new method inherits it all; see test_methods.py.

Statistical tests have fixed seeds and a false-alarm rate of FALSE_ALARM = 1e-5.
"""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch

from latentsde import solve
from latentsde.solvers.equation import Equation
from latentsde.solvers.methods import Step
from tests.solvers.case_accuracy import AccuracyTests
from tests.solvers.case_gradients import GradientTests
from tests.solvers.case_states import StateTests, TimeTests
from tests.solvers.equations import DOUBLE, Counted, Learned, LearnedDrift

Count = tuple[int, int]


class SolverTestCase(AccuracyTests, GradientTests, TimeTests, StateTests):
    """Inherit, name the method, and state what it costs and what its class attributes do not say.

    Attributes:
        method: its name in METHODS.
        drift_evaluations, diffusion_evaluations: (per step, once), by noise type; "" for all others; a
            calculus may follow, "commutative-ito".
        weak: weak orders other than 1, by noise type.
        smooth_order: for Stratonovich equations on a differentiable path.
        error_order: of the embedded estimate of one step's error, in h, where there is no noise.
    """

    drift_evaluations: ClassVar[dict[str, Count]]
    diffusion_evaluations: ClassVar[dict[str, Count]] = {}
    error_order: ClassVar[float | None] = None

    # Cost

    def test_evaluations_are_counted(self, fitting: tuple[str, str]) -> None:
        noise_type, calculus = fitting
        equation = Counted(Learned(noise_type, calculus))
        solution = self.solve(equation, torch.ones(2, 3, dtype=DOUBLE), [0.0, 0.35, 1.0], dt=0.1, seed=0)
        stats, steps = solution.stats, 4 + 7
        assert (stats.steps, stats.rejected, stats.method) == (steps, 0, self.method)
        per_step, once = self._count(self.drift_evaluations, *fitting)
        assert stats.drift_evaluations == equation.drifts == per_step * steps + once
        per_step, once = self._count(self.diffusion_evaluations, *fitting)
        assert stats.diffusion_evaluations == equation.diffusions == per_step * steps + once

    def test_evaluations_for_an_ode_are_counted(self) -> None:
        if "none" not in self.chosen.noise:
            pytest.skip(f"{self.method} is not for ODEs")
        equation = Counted(LearnedDrift())
        stats = self.solve(equation, torch.ones(2, 3, dtype=DOUBLE), [0.0, 0.35, 1.0], dt=0.1).stats
        per_step, once = self._count(self.drift_evaluations, "none", "none")
        assert stats.drift_evaluations == equation.drifts == per_step * 11 + once

    @staticmethod
    def _count(counts: dict[str, Count], noise_type: str, calculus: str) -> Count:
        for key in (f"{noise_type}-{calculus}", noise_type, ""):
            if key in counts:
                return counts[key]
        raise KeyError(noise_type)

    # Error estimates

    def test_an_embedded_estimate_comes_with_the_step_itself(self) -> None:
        equation = Equation(self.learned()[0])
        y0 = torch.tensor([[0.4, -1.0], [1.3, 0.2]], dtype=DOUBLE)
        t = torch.tensor(0.3, dtype=DOUBLE)
        carry = self.chosen.start(equation, t, y0)
        shape = y0.shape if equation.is_diagonal else (2, 2)
        sizes = []
        for exponent in (4, 7):
            h = 2.0**-exponent
            zero = torch.zeros(shape, dtype=DOUBLE) if equation.has_noise else None
            step = Step(t, t + h, h, h, zero, zero)
            if not self.chosen.embedded:
                assert self.error_order is None
                with pytest.raises(NotImplementedError, match="no embedded error"):
                    self.chosen.advance_with_error(equation, step, y0, carry)
                return
            y1, after = self.chosen.advance(equation, step, y0, carry)
            same, also, error = self.chosen.advance_with_error(equation, step, y0, carry)
            assert torch.equal(y1, same) and error.shape == y0.shape
            assert after is None or torch.equal(after, also)
            sizes.append(float(error.detach().norm()))
        assert self.error_order is not None
        rate = torch.tensor(sizes[0] / sizes[1]).log2() / 3
        assert abs(rate - self.error_order) < 0.25

    # Refusals

    def test_an_equation_it_is_wrong_for_is_refused_with_those_that_fit(self, unfit: tuple[str, str]) -> None:
        equation, y0 = Learned(*unfit), torch.ones(2, 3, dtype=DOUBLE)
        with pytest.raises(ValueError) as error:
            self.solve(equation, y0, [0, 1], dt=0.1, seed=0)
        kind = ("depends on the state",) if self.depends_on_state(unfit[0]) else unfit
        assert all(word in str(error.value) for word in kind)
        fitting = {name.strip() for name in str(error.value).rpartition(":")[2].split(",")}
        assert fitting and self.method not in fitting
        for name in fitting:
            solve(equation, y0, [0, 1], dt=0.5, seed=0, method=name)

    def depends_on_state(self, noise_type: str) -> bool:
        """Whether this noise is refused because it depends on the state."""
        return self.chosen.additive_only and noise_type != "additive"
