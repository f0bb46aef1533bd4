"""SlowRK: strong order 1.5 for commutative noise, at two evaluations of f and five of g.

Foster, dos Reis & Strange 2023, "High order splitting methods for SDEs satisfying a commutativity
condition", equation 6.2: along the noise the classical Runge-Kutta method. Strong order 0.5 for general
noise.
"""

from __future__ import annotations

from typing import Any

from ..equation import Equation
from ..state import Value
from .base import ANY_NOISE, Method, Order, Step
from .runge_kutta import add_noise, at


class SlowRK(Method):
    calculus = frozenset({"stratonovich"})
    noise = ANY_NOISE - {"none"}
    order = Order(strong=0.5, strong_commutative=1.5, strong_additive=1.5)
    levy_area = "space-time"
    undoes = True

    def advance(self, sde: Equation, step: Step, y0: Value, carry: Any) -> tuple[Value, Any]:
        W, H, h, middle = step.W, step.H, step.h, at(step, 0.5)
        half, shift = W * 0.5, H * 2.0
        drift1 = sde.f(step.t0, y0) * h
        centre = y0 + drift1 * 0.5
        kick2 = sde.g_prod(middle, centre, W)
        g3 = sde.g(middle, centre + kick2 * 0.5)
        kick3 = sde.apply(g3, W)
        g4 = sde.g(middle, centre + kick3 * 0.5)
        kick4 = sde.apply(g4, W)
        kick5 = sde.g_prod(middle, centre + kick4, W)
        late = add_noise(sde, y0 + drift1 * 0.75, g4, W * 0.75 + H * 1.5)
        drift6 = sde.f(at(step, 0.75), late) * h
        g7 = sde.g(step.t1, add_noise(sde, y0 + drift1, g3, half))
        noise = (kick2 + kick5) * (1 / 6) + (kick3 + kick4) * (1 / 3)
        noise = add_noise(sde, add_noise(sde, noise, g4, shift), g7, shift * -1.0)
        return y0 + drift1 * (1 / 3) + drift6 * (2 / 3) + noise, None
