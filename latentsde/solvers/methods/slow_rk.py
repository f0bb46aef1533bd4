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
    undoes = True

    def advance(self, sde: Equation, step: Step, y0: Value, carry: Any) -> tuple[Value, Any]:
        W, H, h, middle = step.W, step.H, step.h, at(step, 0.5)
        drift1 = sde.f(step.t0, y0) * h
        centre = combine(y0, (0.5,), [drift1])
        kick2 = sde.g_prod(middle, centre, W)
        g3 = sde.g(middle, combine(centre, (0.5,), [kick2]))
        kick3 = sde.apply(g3, W)
        g4 = sde.g(middle, combine(centre, (0.5,), [kick3]))
        kick4 = sde.apply(g4, W)
        kick5 = sde.g_prod(middle, centre + kick4, W)
        shift = sde.apply(g4, H)
        late = combine(y0, (0.75, 0.75, 1.5), [drift1, kick4, shift])
        drift6 = sde.f(at(step, 0.75), late) * h
        shift = shift - sde.g_prod(step.t1, combine(y0 + drift1, (0.5,), [kick3]), H)
        weights = (1 / 3, 2 / 3, 1 / 6, 1 / 3, 1 / 3, 1 / 6, 2.0)
        return combine(y0, weights, [drift1, drift6, kick2, kick3, kick4, kick5, shift]), None
