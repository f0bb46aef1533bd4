"""SRA1: strong order 1.5 for additive noise at two evaluations of f and g.

Rößler 2010, "Runge-Kutta methods for the strong approximation of solutions of stochastic differential
equations". The first stage alone would make a step too: the difference estimates the error.
"""

from __future__ import annotations

from ..equation import Equation
from ..state import Value
from .additive import TwoStages
from .base import Order, Step
from .runge_kutta import at, combine


class SRA1(TwoStages):
    order = Order(strong_additive=1.5)
    fractions = (3 / 4,)
    share = 2 / 3

    def stages(self, sde: Equation, step: Step, y0: Value, mean: Value) -> tuple[Value, Value, Value, Value]:
        before, after = sde.g(step.t0, y0), sde.g(step.t1, y0)
        first = sde.f(step.t0, y0)
        # The mean is I(1,0) / h = W/2 + H.
        stage = combine(y0, (step.h * (3 / 4),), [first])
        second = sde.f(at(step, 3 / 4), sde.add_noise(stage, after, mean, 1.5))
        return before, after, first, second
