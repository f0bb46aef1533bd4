"""SEA, the shifted Euler method for additive noise: one evaluation of f and g a step.

Foster, dos Reis & Strange 2023, "High order splitting methods for SDEs satisfying a commutativity
condition", equation 5.8: Euler, with the drift taken where the noise is on average over the step. What
depends on time is taken at the middle of the step. Strong order 1.0, with a smaller constant than Euler's.
"""

from __future__ import annotations

from typing import Any

from ..equation import Equation
from ..state import Value, add_scaled
from .additive import AdditiveMethod
from .base import Order, Step
from .runge_kutta import at


class SEA(AdditiveMethod):
    fractions = (0.5,)
    order = Order(strong_additive=1.0)

    def advance(self, sde: Equation, step: Step, y0: Value, carry: Any) -> tuple[Value, Any]:
        middle = at(step, 0.5)
        diffusion = sde.g(middle, y0)
        shifted = sde.add_noise(y0, diffusion, add_scaled(step.H, step.W, 0.5))
        y1 = add_scaled(y0, sde.f(middle, shifted), step.h)
        return sde.add_noise(y1, diffusion, step.W), None
