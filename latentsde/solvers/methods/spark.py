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
from .runge_kutta import add_noise, at, combine

_ENDS = (3 - math.sqrt(3)) / 6
_MIDDLE = 1 / math.sqrt(3)


class SPaRK(Method):
    calculus = frozenset({"stratonovich"})
    noise = ANY_NOISE - {"none"}
    order = Order(strong=0.5, strong_commutative=1.0, strong_additive=1.5)
    levy_area = "space-time"
    undoes = embedded = True

    def advance(self, sde: Equation, step: Step, y0: Value, carry: Any) -> tuple[Value, Any]:
        change, _, _ = self._stages(sde, step, y0)
        return y0 + change, None

    def advance_with_error(
        self, sde: Equation, step: Step, y0: Value, carry: Any
    ) -> tuple[Value, Any, Value]:
        change, drifts, kicks = self._stages(sde, step, y0)
        trapezium = drifts + sde.apply(kicks, step.W)
        return y0 + change, None, combine(change, (-0.5,), [trapezium])

    def _stages(self, sde: Equation, step: Step, y0: Value) -> tuple[Value, Value, Value]:
        """The step's increment, and the sums over its ends of f h and of g."""
        W, H, h, middle = step.W, step.H, step.h, at(step, 0.5)
        drift1, g1 = sde.f(step.t0, y0) * h, sde.g(step.t0, y0)
        noise = combine(W * 0.5, (math.sqrt(3),), [H])
        slope2 = sde.slope(middle, add_noise(sde, combine(y0, (0.5,), [drift1]), g1, noise), h, W)
        stage = y0 + slope2
        drifts, g3 = drift1 + sde.f(step.t1, stage) * h, sde.g(step.t1, stage)
        ends = W * _ENDS
        change = add_noise(sde, combine(slope2 * _MIDDLE, (_ENDS,), [drifts]), g1, ends + H)
        return add_noise(sde, change, g3, ends - H), drifts, g1 + g3
