"""Euler-Maruyama: drift and noise from the start of the step.

Kloeden & Platen 1992, section 10.2. Strong order 0.5, 1.0 for additive noise. For ODEs: the forward Euler
method.
"""

from __future__ import annotations

from typing import Any

from ..sde import Equation
from ..state import Value
from .base import Method, Order, Step


class Euler(Method):
    calculus = frozenset({"ito"})
    order = Order(strong=0.5, strong_commutative=0.5, strong_additive=1.0)

    def advance(self, sde: Equation, step: Step, y0: Value, carry: Any) -> tuple[Value, Any]:
        y1 = y0 + sde.f(step.t0, y0) * step.h
        if step.W is not None:
            y1 = y1 + sde.g_prod(step.t0, y0, step.W)
        return y1, None
