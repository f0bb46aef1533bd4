"""ShARK, the shifted additive-noise Runge-Kutta method: strong order 1.5 at two evaluations of f and g.

Foster, dos Reis & Strange 2023, "High order splitting methods for SDEs satisfying a commutativity
condition", equation 6.1. The first stage alone would make a step too: the difference estimates the error.
"""

from __future__ import annotations

from typing import Any

from ..equation import Equation
from ..state import Value
from .additive import AdditiveMethod
from .base import Order, Step
from .runge_kutta import add_noise, at, combine


class ShARK(AdditiveMethod):
    order = Order(strong_additive=1.5)
    embedded = True

    def advance_with_error(
        self, sde: Equation, step: Step, y0: Value, carry: Any
    ) -> tuple[Value, Any, Value]:
        before, after = sde.g(step.t0, y0), sde.g(step.t1, y0)
        shifted = add_noise(sde, y0, before, step.H)
        first = sde.f(step.t0, shifted) * step.h
        stage = add_noise(sde, combine(shifted, (5 / 6,), [first]), before, step.W * (5 / 6))
        difference = (sde.f(at(step, 5 / 6), stage) * step.h - first) * 0.6
        noise = self.integrated_noise(sde, step, before, after)
        return y0 + first + difference + noise, None, difference
