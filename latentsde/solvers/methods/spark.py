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
from .runge_kutta import at, combine

_ENDS = (3 - math.sqrt(3)) / 6
_MIDDLE = 1 / math.sqrt(3)


class SPaRK(Method):
    calculus = frozenset({"stratonovich"})
    noise = ANY_NOISE - {"none"}
    order = Order(strong=0.5, strong_commutative=1.0, strong_additive=1.5)
    levy_area = "space-time"
    fractions = (0.5,)
    undoes = embedded = True

    def advance(self, sde: Equation, step: Step, y0: Value, carry: Any) -> tuple[Value, Any]:
        y1, _, _ = self._stages(sde, step, y0)
        return y1, None

    def advance_with_error(
        self, sde: Equation, step: Step, y0: Value, carry: Any
    ) -> tuple[Value, Any, Value]:
        y1, drifts, (g1, g3) = self._stages(sde, step, y0)
        trapezium = combine(y0, (step.h * 0.5, step.h * 0.5), drifts)
        return y1, None, y1 - sde.add_noise(trapezium, g1 + g3, step.W, 0.5)

    def terms_of_noise(self, sde: Equation, step: Step) -> Any:
        ends = step.W * _ENDS
        return combine(step.W * 0.5, (math.sqrt(3),), [step.H]), ends + step.H, ends - step.H

    def _stages(self, sde: Equation, step: Step, y0: Value) -> tuple[Value, list[Value], list[Value]]:
        """y1, and f and g at the step's ends."""
        h, middle = step.h, at(step, 0.5)
        half, rising, falling = self.terms(sde, step)
        drift1, g1 = sde.f(step.t0, y0), sde.g(step.t0, y0)
        stage = sde.add_noise(combine(y0, (h * 0.5,), [drift1]), g1, half)
        slope2 = sde.slope(middle, stage, h, step.W)
        stage = y0 + slope2
        drift3, g3 = sde.f(step.t1, stage), sde.g(step.t1, stage)
        y1 = combine(y0, (_MIDDLE, h * _ENDS, h * _ENDS), [slope2, drift1, drift3])
        return sde.add_noise(sde.add_noise(y1, g1, rising), g3, falling), [drift1, drift3], [g1, g3]
