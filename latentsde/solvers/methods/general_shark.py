"""GeneralShARK: ShARK for noise that depends on the state, at two evaluations of f and three of g.

Foster, dos Reis & Strange 2023, "High order splitting methods for SDEs satisfying a commutativity
condition", equation 6.1. Strong order 0.5 for general, 1.0 for commutative and 1.5 for additive noise; for
general noise as precise as SPaRK, with a drift less.
"""

from __future__ import annotations

from typing import Any

from ..equation import Equation
from ..state import Value
from .base import ANY_NOISE, Method, Order, Step
from .runge_kutta import at, combine


class GeneralShARK(Method):
    calculus = frozenset({"stratonovich"})
    noise = ANY_NOISE - {"none"}
    order = Order(strong=0.5, strong_commutative=1.0, strong_additive=1.5)
    levy_area = "space-time"
    fractions = (5 / 6,)
    undoes = True

    def advance(self, sde: Equation, step: Step, y0: Value, carry: Any) -> tuple[Value, Any]:
        h, late = step.h, at(step, 5 / 6)
        early_noise, late_noise = self.terms(sde, step)
        shifted = sde.add_noise(y0, sde.g(step.t0, y0), step.H)
        first, g2 = sde.f(step.t0, shifted), sde.g(step.t0, shifted)
        stage = sde.add_noise(combine(shifted, (h * (5 / 6),), [first]), g2, step.W, 5 / 6)
        y1 = combine(y0, (h * 0.4, h * 0.6), [first, sde.f(late, stage)])
        return sde.add_noise(sde.add_noise(y1, g2, early_noise), sde.g(late, stage), late_noise), None

    def terms_of_noise(self, sde: Equation, step: Step) -> Any:
        early = combine(step.W * 0.4, (1.2,), [step.H])
        return early, step.W - early
