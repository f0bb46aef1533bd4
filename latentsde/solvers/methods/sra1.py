"""SRA1: strong order 1.5 for additive noise at two evaluations of f and g.

Rößler 2010, "Runge-Kutta methods for the strong approximation of solutions of stochastic differential
equations", section 6.2. The first stage alone would make a step too: the difference estimates the error.
"""

from __future__ import annotations

from typing import Any

from ..equation import Equation
from ..state import Value
from .additive import AdditiveMethod
from .base import Order, Step
from .runge_kutta import add_noise, at, combine


class SRA1(AdditiveMethod):
    order = Order(strong_additive=1.5)
    embedded = True

    def advance_with_error(
        self, sde: Equation, step: Step, y0: Value, carry: Any
    ) -> tuple[Value, Any, Value]:
        before, after = sde.g(step.t0, y0), sde.g(step.t1, y0)
        first = sde.f(step.t0, y0) * step.h
        # I(1,0) / h = W/2 + H, the Brownian path's mean over the step.
        mean = combine(step.H, (1 / 2,), [step.W])
        stage = add_noise(sde, combine(y0, (3 / 4,), [first]), after, mean * 1.5)
        difference = (sde.f(at(step, 3 / 4), stage) * step.h - first) * (2 / 3)
        noise = self.integrated_noise(sde, step, before, after)
        return y0 + first + difference + noise, None, difference
