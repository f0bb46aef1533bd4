"""Of SolverTestCase: derivatives through the steps."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.solvers.case import Case
from tests.solvers.equations import DOUBLE, Bound, Geometric, LearnedDrift


class GradientTests(Case):
    def test_gradients_are_those_of_finite_differences(self) -> None:
        y0 = torch.tensor([[0.4, -1.0], [1.3, 0.2], [0.1, 0.6]], dtype=DOUBLE)
        for equation in self.learned():
            path = self.path_for(equation, 0, 1, y0, seed=1)

            def end(
                y0: Tensor, rate: Tensor, size: Tensor, equation: LearnedDrift = equation, path: Any = path
            ) -> Tensor:
                bound = Bound(equation, {"rate": rate, "size": size})
                return self.solve(bound, y0, [0.0, 0.35, 1.0], dt=0.35, path=path).ys

            leaves = [x.detach().clone().requires_grad_() for x in (y0, equation.rate, equation.size)]
            assert torch.autograd.gradcheck(end, leaves, eps=1e-6, atol=1e-7, rtol=1e-5, fast_mode=True)

    def test_second_derivatives_are_those_of_finite_differences(self) -> None:
        y0 = torch.tensor([[0.4, -1.0]], dtype=DOUBLE)
        for equation in self.learned():
            path = self.path_for(equation, 0, 1, y0, seed=1)

            def end(y0: Tensor, rate: Tensor, equation: LearnedDrift = equation, path: Any = path) -> Tensor:
                bound = Bound(equation, {"rate": rate, "size": equation.size.detach()})
                return self.solve(bound, y0, [0.0, 1.0], dt=0.5, path=path).ys[-1]

            leaves = [y0.clone().requires_grad_(), equation.rate]
            assert torch.autograd.gradgradcheck(end, leaves, fast_mode=True)

    def test_gradient_of_a_linear_equation_is_its_solution_per_start(self) -> None:
        calculus = min(self.chosen.calculus)
        if not self.fits("diagonal", calculus):
            pytest.skip(f"{self.method} is not for diagonal noise")
        y0 = torch.tensor([[1.0, 2.0], [-0.5, 0.3]], dtype=DOUBLE, requires_grad=True)
        y1 = self.solve(Geometric(calculus), y0, [0, 1], dt=0.1, seed=3).ys[-1]
        (gradient,) = torch.autograd.grad(y1.sum(), y0)
        torch.testing.assert_close(gradient, (y1 / y0).detach(), rtol=1e-12, atol=0.0)
