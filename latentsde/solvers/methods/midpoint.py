"""Midpoint: drift and noise from the predicted middle of the step.

Kloeden & Platen 1992, section 15.5; Rößler 2010. Strong order 1.0 for commutative noise, 0.5 otherwise; order
2 for ODEs.
"""

from __future__ import annotations

from typing import Any

from ..equation import Equation
from ..state import Value
from .base import Method, Order, Step
from .runge_kutta import at


class Midpoint(Method):
    calculus = frozenset({"stratonovich"})
    order = Order(strong=0.5, strong_commutative=1.0, strong_additive=1.0, ode=2)
    fractions = (0.5,)
    slopes_only = undoes = True

    def advance(self, sde: Equation, step: Step, y0: Value, carry: Any) -> tuple[Value, Any]:
        middle = sde.push(y0, step.t0, y0, step.h, step.W, 0.5)
        return sde.push(y0, at(step, 0.5), middle, step.h, step.W), None
