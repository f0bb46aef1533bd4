"""Bridged Euler: Euler-Maruyama for an SDE that is pulled towards a point ahead, exact in the pull however
long the step.

Near an observation the drift of a posterior is (m - z) / (c + τ) with τ the time left: over a step h it
moves the mean by the share h / (c + τ) and leaves the share (c + τ - h) / (c + τ) of the noise's variance.
Euler has the first and misses the second. An SDE that knows it says so by `contraction(t, y, h)`, the factor
of the step's noise, 1 for h -> 0: the endpoint then has the law of the diffusion with the drift's mean
displacement and that variance (the Föllmer drift between the two), at the cost of an Euler step. Strong order
as Euler's.
"""

from __future__ import annotations

from typing import Any

from ..equation import Equation
from ..state import Value
from .base import Method, Order, Step


class BridgedEuler(Method):
    calculus = frozenset({"ito"})
    noise = frozenset({"diagonal"})
    order = Order(strong=0.5, strong_commutative=0.5, strong_additive=1.0)
    adaptive = False

    def advance(self, sde: Equation, step: Step, y0: Value, carry: Any) -> tuple[Value, Any]:
        contraction = getattr(sde.sde, "contraction", None)
        noise = step.W if contraction is None else contraction(step.t0, y0, step.h) * step.W
        return sde.push(y0, step.t0, y0, step.h, noise), None
