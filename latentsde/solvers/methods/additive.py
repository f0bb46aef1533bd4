"""What the methods for additive noise share."""

from __future__ import annotations

from typing import Any

from ..equation import Equation
from ..state import Value
from .base import BOTH, Method, Step
from .runge_kutta import add_noise


class AdditiveMethod(Method):
    """A method for noise that does not depend on the state, which reads the same in both calculi."""

    calculus = BOTH
    noise = frozenset({"additive", "diagonal"})
    additive_only = True
    levy_area = "space-time"
    undoes = True

    def integrated_noise(self, sde: Equation, step: Step, before: Value, after: Value) -> Value:
        """∫ g dW for g linear in time between its values at t0 and t1: it needs H."""
        half = step.W * 0.5
        return add_noise(sde, sde.apply(before, half + step.H), after, half - step.H)

    def advance(self, sde: Equation, step: Step, y0: Value, carry: Any) -> tuple[Value, Any]:
        y1, carry, _ = self.advance_with_error(sde, step, y0, carry)
        return y1, carry
