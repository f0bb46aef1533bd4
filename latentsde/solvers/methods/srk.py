"""SRK: Rößler's strong order 1.5 methods for Itô equations, SRID2 and for additive noise SRA1.

Rößler 2010, "Runge-Kutta methods for the strong approximation of solutions of stochastic differential
equations". Three evaluations of f and four of g a step; for additive noise two and two.
Diagonal noise is read as g_i depending on y_i alone.
"""

from __future__ import annotations

from typing import Any

from ..equation import Equation
from ..state import Value, each
from .base import Method, Order, Step
from .milstein import lengths, roots
from .runge_kutta import at, combine
from .sra1 import SRA1


class SRK(Method):
    calculus = frozenset({"ito"})
    noise = frozenset({"diagonal", "scalar", "additive"})
    order = Order(strong_commutative=1.5, strong_additive=1.5)
    levy_area = "space-time"
    fractions = (1 / 4, 1 / 2)
    _additive = SRA1()

    def terms_of_noise(self, sde: Equation, step: Step) -> Any:
        """The root of the length, I(1,0) over the length, and the weights of the four diffusions."""
        if sde.is_additive:
            return self._additive.terms_of_noise(sde, step)
        # The iterated integrals, in the units of the paper's tableau: I(1,1) over the root of the step's
        # length, I(1,0) and I(1,1,1) over the length.
        W, root, length = step.W, roots(step), lengths(step)
        twice, thrice = each(_twice, W, root, length), each(_thrice, W, root, length)
        mean = combine(step.H, (0.5,), [W])
        rest = W - twice - mean
        first = combine(mean - rest, (-2.0,), [thrice])
        second = combine(rest * (4 / 3), (5 / 3,), [thrice])
        return root, mean, first, second, combine(twice, (2 / 3, -2 / 3), [rest, thrice]), thrice

    def advance(self, sde: Equation, step: Step, y0: Value, carry: Any) -> tuple[Value, Any]:
        if sde.is_additive:
            return self._additive.advance(sde, step, y0, carry)
        root, mean, *weights = self.terms(sde, step)
        h, late = step.h, at(step, 1 / 4)
        drift1, g1 = sde.f(step.t0, y0), sde.g(step.t0, y0)
        quarter, end = combine(y0, (h * 0.25,), [drift1]), combine(y0, (h,), [drift1])
        g2 = sde.g(late, sde.add_noise(quarter, g1, root, -0.5))
        g3 = sde.g(step.t1, sde.add_noise(end, g1, root))
        drift2 = sde.f(step.t1, end)
        middle = sde.add_noise(combine(quarter, (h * 0.25,), [drift2]), g1, mean)
        drift3 = sde.f(at(step, 1 / 2), sde.add_noise(middle, g2, mean, 0.5))
        stage = combine(y0, (h * 0.25,), [drift3])
        for diffusion, weight in ((g1, 2.0), (g2, -1.0), (g3, 0.5)):
            stage = sde.add_noise(stage, diffusion, root, weight)
        g4 = sde.g(late, stage)
        y1 = combine(y0, (h * (1 / 6), h * (1 / 6), h * (2 / 3)), [drift1, drift2, drift3])
        for diffusion, weight in zip((g1, g2, g3, g4), weights, strict=True):
            y1 = sde.add_noise(y1, diffusion, weight)
        return y1, None


def _twice(W: Any, root: Any, length: Any) -> Any:
    return (W * W - length) / (root * 2.0)


def _thrice(W: Any, root: Any, length: Any) -> Any:
    return W * (W * W - length * 3.0) / (root * root * 6.0)
