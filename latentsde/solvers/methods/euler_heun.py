"""Euler-Heun: the explicit trapezium rule for the noise, Euler for the drift.

Kloeden & Platen 1992, section 11.1; Rößler 2010. Strong order 1.0 for commutative noise, 0.5 otherwise. It
is Milstein for Stratonovich equations with the derivative along g W taken as a difference.
"""

from __future__ import annotations

from typing import Any

from ..equation import Equation
from ..state import Value, add_scaled, between
from .base import Method, Order, Step


class EulerHeun(Method):
    calculus = frozenset({"stratonovich"})
    order = Order(strong=0.5, strong_commutative=1.0, strong_additive=1.0, ode=1)
    undoes = True

    def advance(self, sde: Equation, step: Step, y0: Value, carry: Any) -> tuple[Value, Any]:
        if step.W is None:
            return sde.push(y0, step.t0, y0, step.h, None), None
        drift = sde.f(step.t0, y0)
        kicked = sde.add_noise(y0, sde.g(step.t0, y0), step.W)
        # The mean of the kicks at both ends is half of two in a row.
        twice = sde.add_noise(kicked, sde.g(step.t1, kicked), step.W)
        return add_scaled(between(y0, twice, 0.5), drift, step.h), None
