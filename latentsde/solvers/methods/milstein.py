"""Milstein without derivatives: Euler plus the iterated integral, its derivative by a finite difference along
g.

Kloeden & Platen 1992, section 11.1; Rößler 2010. Strong order 1.0 for diagonal and scalar noise. In the Itô
reading the iterated integral is (W² - |h|)/2, in the Stratonovich one W²/2. With scalar noise the difference
is taken along the vector g, so that coupled equations are right too; diagonal noise is read as g_i depending
on y_i alone.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..sde import Equation
from ..state import Value, each
from .base import BOTH, Method, Order, Step


class Milstein(Method):
    calculus = BOTH
    noise = frozenset({"none", "diagonal", "additive", "scalar"})
    order = Order(strong=1.0, strong_commutative=1.0, strong_additive=1.0)

    def advance(self, sde: Equation, step: Step, y0: Value, carry: Any) -> tuple[Value, Any]:
        y1 = y0 + sde.f(step.t0, y0) * step.h
        if step.W is None:
            return y1, None
        diffusion = sde.g(step.t0, y0)
        y1 = y1 + sde.apply(diffusion, step.W)
        if sde.is_additive:
            return y1, None
        root = each(_root, step.h)
        along = sde.apply(diffusion, each(torch.ones_like, step.W))
        beside: Any = sde.g(step.t0, y0 + along * root)
        difference = beside - diffusion
        iterated = each(torch.square, step.W)
        if sde.calculus == "ito":
            iterated = iterated - each(abs, step.h_noise)
        return y1 + sde.apply(difference, iterated) / (root * 2.0), None


def _root(h: float | Tensor) -> float | Tensor:
    # Over a zero step the iterated integral is 0: any root but 0 makes the correction 0 instead of 0/0.
    if isinstance(h, float):
        return abs(h) ** 0.5
    return torch.where(h == 0, 1.0, h.abs().sqrt())
