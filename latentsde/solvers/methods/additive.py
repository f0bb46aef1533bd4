"""What the methods for additive noise share."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

from ..equation import Equation
from ..state import Value
from .base import BOTH, Method, Step
from .runge_kutta import combine


class AdditiveMethod(Method):
    """A method for noise that does not depend on the state, which reads the same in both calculi."""

    calculus = BOTH
    noise = frozenset({"additive", "diagonal"})
    additive_only = True
    levy_area = "space-time"
    undoes = True


class TwoStages(AdditiveMethod):
    """A method with two drifts f1 and f2, of which the first alone makes a step too:

    y1 = y0 + h ((1 - share) f1 + share f2) + ∫ g dW, for g linear in time between its values at the ends.

    Attributes:
        share: the weight of the second drift.
    """

    embedded = True
    share: ClassVar[float]

    @abstractmethod
    def stages(self, sde: Equation, step: Step, y0: Value, mean: Value) -> tuple[Value, Value, Value, Value]:
        """g at both ends of the step, f1 and f2; `mean` is the Brownian path's over the step."""

    def terms_of_noise(self, sde: Equation, step: Step) -> Any:
        half = step.W * 0.5
        return half + step.H, half - step.H

    def advance(self, sde: Equation, step: Step, y0: Value, carry: Any) -> tuple[Value, Any]:
        y1, _, _ = self._result(sde, step, y0)
        return y1, None

    def advance_with_error(
        self, sde: Equation, step: Step, y0: Value, carry: Any
    ) -> tuple[Value, Any, Value]:
        y1, first, second = self._result(sde, step, y0)
        return y1, None, (second - first) * (step.h * self.share)

    def _result(self, sde: Equation, step: Step, y0: Value) -> tuple[Value, Value, Value]:
        rising, falling = self.terms(sde, step)
        before, after, first, second = self.stages(sde, step, y0, rising)
        y1 = combine(y0, (step.h * (1 - self.share), step.h * self.share), [first, second])
        return sde.add_noise(sde.add_noise(y1, before, rising), after, falling), first, second
