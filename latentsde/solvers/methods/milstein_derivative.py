"""Milstein with the derivative of g along g, exact, at one evaluation of g a step.

Milstein 1975; Kloeden & Platen 1992, section 10.3. As `milstein`, without the difference's error. The
derivative along a direction is the product with the transposed Jacobian, which is linear, differentiated by
what it multiplies: two backward passes, of which each further channel needs the second alone. The Jacobian of
diagonal noise as Itô's reading takes it, g_i of y_i alone, is its own transpose: one pass. Strong order 1.0
for commutative noise.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..equation import Equation
from ..state import Value, each, like, parts_of, with_gradient
from .milstein import Change, Milstein


class MilsteinDerivative(Milstein):
    def _diffusion(self, sde: Equation, t0: Any, y0: Value) -> tuple[Value, Change]:
        keep = torch.is_grad_enabled()
        if keep and not any(part.requires_grad for part in parts_of(y0)):
            # The first step; or nobody wants a gradient, and then none shall come of the leaves made here.
            keep = any(part.requires_grad for part in parts_of(sde.g(t0, y0)))
        with torch.enable_grad():
            y = each(_differentiable, y0) if keep else with_gradient(y0)
            diffusion = sde.g(t0, y)
            values = parts_of(diffusion)
            plain = diffusion if keep else each(torch.detach, diffusion)
            if sde.is_diagonal and sde.calculus == "ito":
                return plain, lambda direction: _pulled(diffusion, y, direction, keep=keep)
            # What each value of g is multiplied by; its own value does not matter.
            factors = [torch.zeros_like(value).requires_grad_() for value in values]
            pulled = _gradients(values, parts_of(y), factors, keep=True)

        def change(direction: Value) -> Value:
            along = [d for d in direction] if isinstance(direction, tuple) else [direction]
            used = [k for k, d in enumerate(along) if d is not None and pulled[k] is not None]
            with torch.set_grad_enabled(keep):
                pushed = _gradients([pulled[k] for k in used], factors, [along[k] for k in used], keep=keep)
            zeros = [torch.zeros_like(v) if p is None else p for p, v in zip(pushed, values, strict=True)]
            return like(diffusion, zeros)

        return plain, change


def _differentiable(y: Tensor) -> Tensor:
    return y if y.requires_grad else y.detach().requires_grad_()


def _pulled(diffusion: Value, y: Value, direction: Value, *, keep: bool) -> Value:
    """The product of `direction` and the Jacobian of the diffusion, from the left, where there is noise."""
    noisy = parts_of(each(lambda _, part: part, diffusion, y))
    with torch.set_grad_enabled(keep):
        found = _gradients(parts_of(diffusion), noisy, parts_of(direction), keep=keep)
    return like(
        diffusion, [torch.zeros_like(x) if p is None else p for p, x in zip(found, noisy, strict=True)]
    )


def _gradients(outputs: list[Any], inputs: list[Tensor], weights: list[Any], *, keep: bool) -> list[Any]:
    """torch.autograd.grad, with None wherever nothing depends."""
    pairs = [(y, w) for y, w in zip(outputs, weights, strict=True) if y.requires_grad]
    if not pairs:
        return [None] * len(inputs)
    ends, by = zip(*pairs, strict=True)
    return list(
        torch.autograd.grad(ends, inputs, by, create_graph=keep, retain_graph=True, allow_unused=True)
    )
