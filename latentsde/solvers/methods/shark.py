"""ShARK, the shifted additive-noise Runge-Kutta method: strong order 1.5 at two evaluations of f and g.

Foster, dos Reis & Strange 2023, "High order splitting methods for SDEs satisfying a commutativity
condition", equation 6.1. The first stage alone would make a step too: the difference estimates the error.
"""

from __future__ import annotations

from ..equation import Equation
from ..state import Value
from .additive import TwoStages
from .base import Order, Step
from .runge_kutta import at, combine


class ShARK(TwoStages):
    order = Order(strong_additive=1.5)
    fractions = (5 / 6,)
    share = 0.6

    def stages(self, sde: Equation, step: Step, y0: Value, mean: Value) -> tuple[Value, Value, Value, Value]:
        before, after = sde.g(step.t0, y0), sde.g(step.t1, y0)
        shifted = sde.add_noise(y0, before, step.H)
        first = sde.f(step.t0, shifted)
        stage = combine(shifted, (step.h * (5 / 6),), [first])
        second = sde.f(at(step, 5 / 6), sde.add_noise(stage, before, step.W, 5 / 6))
        return before, after, first, second
