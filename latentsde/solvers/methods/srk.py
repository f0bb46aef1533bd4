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
from .runge_kutta import add_noise, at
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
        twice = each(lambda w, r, size: (w * w - size) / (r * 2.0), W, root, length)
        thrice = each(lambda w, r, size: w * (w * w - size * 3.0) / (r * r * 6.0), W, root, length)
        mean = W * 0.5 + step.H

        h, late = step.h, at(step, 1 / 4)
        drift1 = sde.f(step.t0, y0) * h
        g1 = sde.g(step.t0, y0)
        kick1 = sde.apply(g1, root)
        g2 = sde.g(late, y0 + drift1 * 0.25 - kick1 * 0.5)
        g3 = sde.g(step.t1, y0 + drift1 + kick1)
        drift2 = sde.f(step.t1, y0 + drift1) * h
        middle = y0 + (drift1 + drift2) * 0.25
        middle = add_noise(sde, add_noise(sde, middle, g1, mean), g2, mean * 0.5)
        drift3 = sde.f(at(step, 1 / 2), middle) * h
        kicks = kick1 * 2.0 - sde.apply(g2, root) + sde.apply(g3, root * 0.5)
        g4 = sde.g(late, y0 + drift3 * 0.25 + kicks)

        third = W * (1 / 3) - twice * (1 / 3) - mean * (1 / 3)  # shared by the second and third weight
        y1 = y0 + (drift1 + drift2) * (1 / 6) + drift3 * (2 / 3)
        y1 = add_noise(sde, y1, g1, twice - W + mean * 2.0 - thrice * 2.0)
        y1 = add_noise(sde, y1, g2, third * 4.0 + thrice * (5 / 3))
        y1 = add_noise(sde, y1, g3, third * 2.0 + twice - thrice * (2 / 3))
        return add_noise(sde, y1, g4, thrice), None
