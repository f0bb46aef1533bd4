"""Reversible Heun: a leapfrog pair (y, z) whose step can be undone exactly, at one evaluation of f and g a
step.

Kidger, Foster, Li & Lyons 2021, "Efficient and accurate gradients for neural SDEs", algorithm 1. Strong order
0.5 for general noise and 1.0 for additive noise, as proven there; 1.0 for commutative noise, as measured.
"""

from __future__ import annotations

from typing import Any

from ..equation import Equation
from ..state import Value, add_scaled, between
from .base import Method, Order, Step


class ReversibleHeun(Method):
    calculus = frozenset({"stratonovich"})
    order = Order(strong=0.5, strong_commutative=1.0, strong_additive=1.0, ode=2)
    reversible = True

    def start(self, sde: Equation, t0: Any, y0: Value) -> Any:
        diffusion = sde.g(t0, y0) if sde.has_noise else None
        return y0, sde.f(t0, y0), diffusion

    def advance(self, sde: Equation, step: Step, y0: Value, carry: Any) -> tuple[Value, Any]:
        z0, drift0, diffusion0 = carry
        h, W = step.h, step.W
        pushed = add_scaled(y0, drift0, h)
        if W is not None:
            pushed = sde.add_noise(pushed, diffusion0, W)
        z1 = pushed + (y0 - z0)
        drift1, diffusion1 = sde.f(step.t1, z1), None
        # The mean of both slopes is half of two pushes in a row.
        pushed = add_scaled(pushed, drift1, h)
        if W is not None:
            diffusion1 = sde.g(step.t1, z1)
            pushed = sde.add_noise(pushed, diffusion1, W)
        return between(y0, pushed, 0.5), (z1, drift1, diffusion1)
