"""Reversible Heun: a leapfrog pair (y, z) whose step can be undone exactly, at one evaluation of f and g a
step.

Kidger, Foster, Li & Lyons 2021, "Efficient and accurate gradients for neural SDEs", algorithm 1. Strong order
0.5 for general noise and 1.0 for additive noise, as proven there; 1.0 for commutative noise, as measured.
"""

from __future__ import annotations

from typing import Any

from ..equation import Equation
from ..state import Value
from .base import Method, Order, Step
from .runge_kutta import add_drift, add_noise


class ReversibleHeun(Method):
    calculus = frozenset({"stratonovich"})
    order = Order(strong=0.5, strong_commutative=1.0, strong_additive=1.0, ode=2)
    reversible = True

    def start(self, sde: Equation, t0: Any, y0: Value) -> Any:
        diffusion = sde.g(t0, y0) if sde.has_noise else None
        return y0, sde.f(t0, y0), diffusion

    def advance(self, sde: Equation, step: Step, y0: Value, carry: Any) -> tuple[Value, Any]:
        z0, drift0, diffusion0 = carry
        slope = drift0 * step.h
        if step.W is not None:
            slope = add_noise(sde, slope, diffusion0, step.W)
        z1 = add_drift(slope - z0, y0, 2.0)
        drift1, diffusion1 = sde.f(step.t1, z1), None
        slope = add_drift(slope, drift1, step.h)
        if step.W is not None:
            diffusion1 = sde.g(step.t1, z1)
            slope = add_noise(sde, slope, diffusion1, step.W)
        return add_drift(y0, slope, 0.5), (z1, drift1, diffusion1)
