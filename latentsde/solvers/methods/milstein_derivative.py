"""Milstein with the derivative of g, taken forwards by torch.func.jvp.

Milstein 1975; Kloeden & Platen 1992, section 10.3. As `milstein`, without the difference's error: g must be
made of operations that PyTorch can differentiate forwards. Strong order 1.0 for commutative noise.
"""

from __future__ import annotations

from typing import Any

import torch

from ..equation import Equation
from ..state import State, Value
from .milstein import Milstein


class MilsteinDerivative(Milstein):
    def _change(self, sde: Equation, t0: Any, y0: Value, diffusion: Value, direction: Value) -> Value:
        if not isinstance(y0, tuple):
            # Contiguous: PyTorch makes no dual number of an expanded tensor.
            return torch.func.jvp(lambda y: sde.g(t0, y), (y0.contiguous(),), (direction,))[1]
        tangents = tuple(torch.zeros_like(y) if d is None else d for y, d in zip(y0, direction, strict=True))

        def noisy(*parts: Any) -> tuple[Any, ...]:
            return tuple(part for part in sde.g(t0, State(parts)) if part is not None)

        changes = iter(torch.func.jvp(noisy, tuple(y.contiguous() for y in y0), tangents)[1])
        return State(None if part is None else next(changes) for part in diffusion)
