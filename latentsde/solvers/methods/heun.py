"""Heun: the explicit trapezium rule for drift and noise.

Kloeden & Platen 1992, section 15.5; Rößler 2010. Strong order 1.0 for commutative noise, 0.5 otherwise; order
2 for ODEs. The difference to the predictor, an Euler step, estimates the error.
"""

from __future__ import annotations

from typing import Any

from ..equation import Equation
from ..state import Value, between
from .base import Method, Order, Step


class Heun(Method):
    calculus = frozenset({"stratonovich"})
    order = Order(strong=0.5, strong_commutative=1.0, strong_additive=1.0, ode=2)
    slopes_only = undoes = embedded = True

    def advance(self, sde: Equation, step: Step, y0: Value, carry: Any) -> tuple[Value, Any]:
        predicted = sde.push(y0, step.t0, y0, step.h, step.W)
        # The mean of the slopes at both ends is the mean of y0 and two pushes in a row.
        pushed = sde.push(predicted, step.t1, predicted, step.h, step.W)
        return between(y0, pushed, 0.5), None

    def advance_with_error(
        self, sde: Equation, step: Step, y0: Value, carry: Any
    ) -> tuple[Value, Any, Value]:
        predicted = sde.push(y0, step.t0, y0, step.h, step.W)
        y1 = between(y0, sde.push(predicted, step.t1, predicted, step.h, step.W), 0.5)
        return y1, None, y1 - predicted
