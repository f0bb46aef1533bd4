"""SEA, the shifted Euler method for additive noise: one evaluation of f and g a step.

Foster, dos Reis & Strange 2023, "High order splitting methods for SDEs satisfying a commutativity
condition", equation 5.8: Euler, with the drift taken where the noise is on average over the step. What
depends on time is taken at the middle of the step. Strong order 1.0, with a smaller constant than Euler's.
"""

from __future__ import annotations

from typing import Any

from ..equation import Equation
from ..state import Value
from .additive import AdditiveMethod
from .base import Order, Step
from .runge_kutta import add_drift, add_noise, at, combine


class SEA(AdditiveMethod):
    order = Order(strong_additive=1.0)

    def advance(self, sde: Equation, step: Step, y0: Value, carry: Any) -> tuple[Value, Any]:
        middle = at(step, 0.5)
        diffusion = sde.g(middle, y0)
        shifted = add_noise(sde, y0, diffusion, combine(step.H, (0.5,), [step.W]))
        y1 = add_drift(y0, sde.f(middle, shifted), step.h)
        return add_noise(sde, y1, diffusion, step.W), None
