"""Reversible Heun: a leapfrog pair (y, z) whose step can be undone exactly, at one evaluation of f and g a
step.

Kidger, Foster, Li & Lyons 2021, "Efficient and accurate gradients for neural SDEs", algorithm 1. Strong order
0.5 for general noise, 1.0 for additive noise.
"""

from __future__ import annotations

from typing import Any

from ..sde import Equation
from ..state import Value
from .base import Method, Order, Step


class ReversibleHeun(Method):
    calculus = frozenset({"stratonovich"})
    order = Order(strong=0.5, strong_commutative=0.5, strong_additive=1.0)

    def start(self, sde: Equation, t0: Any, y0: Value) -> Any:
        diffusion = sde.g(t0, y0) if sde.has_noise else None
        return y0, sde.f(t0, y0), diffusion

    def advance(self, sde: Equation, step: Step, y0: Value, carry: Any) -> tuple[Value, Any]:
        z0, drift0, diffusion0 = carry
        slope0 = drift0 * step.h
        if step.W is not None:
            slope0 = slope0 + sde.apply(diffusion0, step.W)
        z1 = y0 * 2.0 - z0 + slope0
        drift1 = sde.f(step.t1, z1)
        slope1 = drift1 * step.h
        diffusion1 = None
        if step.W is not None:
            diffusion1 = sde.g(step.t1, z1)
            slope1 = slope1 + sde.apply(diffusion1, step.W)
        return y0 + (slope0 + slope1) * 0.5, (z1, drift1, diffusion1)
