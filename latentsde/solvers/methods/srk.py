"""SRK: Rößler's strong order 1.5 methods for Itô equations, SRID2 and for additive noise SRA1.

Rößler 2010, "Runge-Kutta methods for the strong approximation of solutions of stochastic differential
equations", tables 6.2 and 6.3. Three evaluations of f and four of g a step; for additive noise two and two.
Diagonal noise is read as g_i depending on y_i alone.
"""

from __future__ import annotations

from typing import Any

from ..equation import Equation
from ..state import Value, each
from .base import Method, Order, Step
from .milstein import lengths, roots
from .runge_kutta import add_noise, at, combine
from .sra1 import SRA1


class SRK(Method):
    calculus = frozenset({"ito"})
    noise = frozenset({"diagonal", "scalar", "additive"})
    order = Order(strong_commutative=1.5, strong_additive=1.5)
    levy_area = "space-time"
    _additive = SRA1()

    def advance(self, sde: Equation, step: Step, y0: Value, carry: Any) -> tuple[Value, Any]:
        if sde.is_additive:
            return self._additive.advance(sde, step, y0, carry)
        # The iterated integrals, in the units of the paper's tableau: I(1,1) over the root of the step's
        # length, I(1,0) and I(1,1,1) over the length.
        W, root = step.W, roots(step)
        length = lengths(step)
        twice, thrice = each(_twice, W, root, length), each(_thrice, W, root, length)
        mean = combine(step.H, (0.5,), [W])

        h, late = step.h, at(step, 1 / 4)
        drift1 = sde.f(step.t0, y0) * h
        g1 = sde.g(step.t0, y0)
        kick1 = sde.apply(g1, root)
        g2 = sde.g(late, combine(y0, (0.25, -0.5), [drift1, kick1]))
        end = y0 + drift1
        g3 = sde.g(step.t1, end + kick1)
        drift2 = sde.f(step.t1, end) * h
        middle = add_noise(sde, combine(y0, (0.25, 0.25), [drift1, drift2]), g1, mean)
        drift3 = sde.f(at(step, 1 / 2), add_noise(sde, middle, g2, mean * 0.5)) * h
        kicks = [drift3, kick1, sde.apply(g2, root), sde.apply(g3, root)]
        g4 = sde.g(late, combine(y0, (0.25, 2.0, -1.0, 0.5), kicks))

        rest = W - twice - mean
        y1 = combine(y0, (1 / 6, 1 / 6, 2 / 3), [drift1, drift2, drift3])
        y1 = add_noise(sde, y1, g1, combine(mean - rest, (-2.0,), [thrice]))
        y1 = add_noise(sde, y1, g2, combine(rest * (4 / 3), (5 / 3,), [thrice]))
        y1 = add_noise(sde, y1, g3, combine(twice, (2 / 3, -2 / 3), [rest, thrice]))
        return add_noise(sde, y1, g4, thrice), None


def _twice(W: Any, root: Any, length: Any) -> Any:
    return (W * W - length) / (root * 2.0)


def _thrice(W: Any, root: Any, length: Any) -> Any:
    return W * (W * W - length * 3.0) / (root * root * 6.0)
