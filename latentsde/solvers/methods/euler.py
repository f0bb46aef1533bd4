"""Euler-Maruyama: drift and noise from the start of the step.

Kloeden & Platen 1992, section 10.2. Strong order 0.5, 1.0 for additive noise. For ODEs: the forward Euler
method.
"""

from __future__ import annotations

from typing import Any

from ..equation import Equation
from ..state import Value
from .base import Method, Order, Step


class Euler(Method):
    calculus = frozenset({"ito"})
    order = Order(strong=0.5, strong_commutative=0.5, strong_additive=1.0, ode=1)
    adaptive = False
    slopes_only = True

    def advance(self, sde: Equation, step: Step, y0: Value, carry: Any) -> tuple[Value, Any]:
        return sde.push(y0, step.t0, y0, step.h, step.W), None
