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
from .runge_kutta import add_noise, at, combine


class GeneralShARK(Method):
    calculus = frozenset({"stratonovich"})
    noise = ANY_NOISE - {"none"}
    order = Order(strong=0.5, strong_commutative=1.0, strong_additive=1.5)
    levy_area = "space-time"
    undoes = True

    def advance(self, sde: Equation, step: Step, y0: Value, carry: Any) -> tuple[Value, Any]:
        W, H, h, late = step.W, step.H, step.h, at(step, 5 / 6)
        shifted = add_noise(sde, y0, sde.g(step.t0, y0), H)
        first, g2 = sde.f(step.t0, shifted) * h, sde.g(step.t0, shifted)
        stage = add_noise(sde, combine(shifted, (5 / 6,), [first]), g2, W * (5 / 6))
        y1 = combine(y0, (0.4, 0.6), [first, sde.f(late, stage) * h])
        # The two weights of the noise add up to W.
        weight = combine(W * 0.4, (1.2,), [H])
        return add_noise(sde, add_noise(sde, y1, g2, weight), sde.g(late, stage), W - weight), None
