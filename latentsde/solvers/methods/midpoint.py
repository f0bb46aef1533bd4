"""Midpoint: drift and noise from the predicted middle of the step.

Kloeden & Platen 1992, section 15.5; Rößler 2010. Strong order 1.0 for commutative noise, 0.5 otherwise; order
2 for ODEs.
"""

from __future__ import annotations

from typing import Any

from ..sde import Equation
from ..state import Value
from .base import Method, Order, Step


class Midpoint(Method):
    calculus = frozenset({"stratonovich"})
    order = Order(strong=0.5, strong_commutative=1.0, strong_additive=1.0)

    def advance(self, sde: Equation, step: Step, y0: Value, carry: Any) -> tuple[Value, Any]:
        slope = sde.f(step.t0, y0) * step.h
        if step.W is not None:
            slope = slope + sde.g_prod(step.t0, y0, step.W)
        middle, t_middle = y0 + slope * 0.5, (step.t0 + step.t1) * 0.5
        y1 = y0 + sde.f(t_middle, middle) * step.h
        if step.W is not None:
            y1 = y1 + sde.g_prod(t_middle, middle, step.W)
        return y1, None
