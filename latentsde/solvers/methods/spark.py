"""SPaRK, the splitting path Runge-Kutta method: for general noise as precise as three steps of Heun.

Foster & Jelinčič 2024, "On the convergence of adaptive approximations for stochastic differential
equations", definition 1.6. Strong order 0.5 for general, 1.0 for commutative and 1.5 for additive noise. The
trapezium rule is embedded in it and estimates the error.
"""

from __future__ import annotations

import math
from typing import Any

from ..equation import Equation
from ..state import Value
from .base import ANY_NOISE, Method, Order, Step
from .runge_kutta import add_noise, at

_ENDS = (3 - math.sqrt(3)) / 6
_MIDDLE = 1 / math.sqrt(3)


class SPaRK(Method):
    calculus = frozenset({"stratonovich"})
    noise = ANY_NOISE - {"none"}
    order = Order(strong=0.5, strong_commutative=1.0, strong_additive=1.5)
    levy_area = "space-time"
    undoes = embedded = True

    def advance(self, sde: Equation, step: Step, y0: Value, carry: Any) -> tuple[Value, Any]:
        y1, carry, _ = self.advance_with_error(sde, step, y0, carry)
        return y1, carry

    def advance_with_error(
        self, sde: Equation, step: Step, y0: Value, carry: Any
    ) -> tuple[Value, Any, Value]:
        W, H, h, middle = step.W, step.H, step.h, at(step, 0.5)
        drift1, g1 = sde.f(step.t0, y0) * h, sde.g(step.t0, y0)
        stage = add_noise(sde, y0 + drift1 * 0.5, g1, W * 0.5 + H * math.sqrt(3))
        slope2 = sde.slope(middle, stage, h, W)
        stage = y0 + slope2
        drift3, g3 = sde.f(step.t1, stage) * h, sde.g(step.t1, stage)
        ends = (drift1 + drift3) * _ENDS
        ends = add_noise(sde, add_noise(sde, ends, g1, W * _ENDS + H), g3, W * _ENDS - H)
        change = ends + slope2 * _MIDDLE
        trapezium = add_noise(sde, sde.apply(g1, W * 0.5), g3, W * 0.5) + (drift1 + drift3) * 0.5
        return y0 + change, None, change - trapezium
