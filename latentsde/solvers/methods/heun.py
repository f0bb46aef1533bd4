"""Heun: the explicit trapezium rule for drift and noise.

Kloeden & Platen 1992, section 15.5; Rößler 2010. Strong order 1.0 for commutative noise, 0.5 otherwise; order
2 for ODEs.
"""

from __future__ import annotations

from typing import Any

from ..sde import Equation
from ..state import Value
from .base import Method, Order, Step


class Heun(Method):
    calculus = frozenset({"stratonovich"})
    order = Order(strong=0.5, strong_commutative=1.0, strong_additive=1.0)

    def advance(self, sde: Equation, step: Step, y0: Value, carry: Any) -> tuple[Value, Any]:
        slope = sde.f(step.t0, y0) * step.h
        if step.W is not None:
            slope = slope + sde.g_prod(step.t0, y0, step.W)
        predicted = y0 + slope
        slope_end = sde.f(step.t1, predicted) * step.h
        if step.W is not None:
            slope_end = slope_end + sde.g_prod(step.t1, predicted, step.W)
        return y0 + (slope + slope_end) * 0.5, None
