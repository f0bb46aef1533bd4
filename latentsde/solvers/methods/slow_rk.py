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
from .runge_kutta import at, combine


class SlowRK(Method):
    calculus = frozenset({"stratonovich"})
    noise = ANY_NOISE - {"none"}
    order = Order(strong=0.5, strong_commutative=1.5, strong_additive=1.5)
    levy_area = "space-time"
    fractions = (0.5, 0.75)
    undoes = True

    def advance(self, sde: Equation, step: Step, y0: Value, carry: Any) -> tuple[Value, Any]:
        W, H, h, middle = step.W, step.H, step.h, at(step, 0.5)
        drift1 = sde.f(step.t0, y0)
        centre = combine(y0, (h * 0.5,), [drift1])
        kick2 = sde.g_prod(middle, centre, W)
        g3 = sde.g(middle, combine(centre, (0.5,), [kick2]))
        kick3 = sde.apply(g3, W)
        g4 = sde.g(middle, combine(centre, (0.5,), [kick3]))
        kick4 = sde.apply(g4, W)
        g5 = sde.g(middle, centre + kick4)
        late = sde.add_noise(combine(y0, (h * 0.75, 0.75), [drift1, kick4]), g4, H, 1.5)
        drift6 = sde.f(at(step, 0.75), late)
        g6 = sde.g(step.t1, combine(y0, (h, 0.5), [drift1, kick3]))
        weights = (h * (1 / 3), h * (2 / 3), 1 / 6, 1 / 3, 1 / 3)
        y1 = combine(y0, weights, [drift1, drift6, kick2, kick3, kick4])
        y1 = sde.add_noise(y1, g5, W, 1 / 6)
        return sde.add_noise(sde.add_noise(y1, g4, H, 2.0), g6, H, -2.0), None
