"""Tape: vector-Jacobian products of single evaluations, the inputs' gradients summed up in place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


class Tape:
    """Pulls cotangents back through one evaluation after the other; what reaches `inputs` is added up."""

    def __init__(self, inputs: Sequence[Tensor]) -> None:
        self.inputs = list(inputs)
        self.gradients: list[Tensor | None] = [None] * len(self.inputs)

    def pull(self, outputs: Sequence[Any], cotangents: Sequence[Any], wrt: Sequence[Tensor]) -> list[Tensor]:
        """The cotangents of `wrt`; those of the inputs are added to `gradients`."""
        to_wrt, to_inputs = self.products(outputs, cotangents, wrt)
        self.add(to_inputs)
        return to_wrt

    def products(
        self, outputs: Sequence[Any], cotangents: Sequence[Any], wrt: Sequence[Tensor]
    ) -> tuple[list[Tensor], list[Tensor | None]]:
        """The cotangents of `wrt` and of the inputs, None for those that the outputs do not depend on."""
        pairs = [(o, c) for o, c in zip(outputs, cotangents, strict=True) if o.requires_grad]
        if not pairs:
            return [torch.zeros_like(x) for x in wrt], [None] * len(self.inputs)
        found = torch.autograd.grad(
            [o for o, _ in pairs], [*wrt, *self.inputs], [c for _, c in pairs], allow_unused=True
        )
        count = len(wrt)
        own = [
            torch.zeros_like(x) if gradient is None else gradient
            for x, gradient in zip(wrt, found[:count], strict=True)
        ]
        return own, list(found[count:])

    def add(self, gradients: Sequence[Tensor | None], scale: float = 1.0) -> None:
        """Add `scale` times the given gradients of the inputs."""
        sums, terms = [], []
        for k, gradient in enumerate(gradients):
            if gradient is None:
                continue
            total = self.gradients[k]
            if total is None:
                # Not the gradient itself: it may share memory with another.
                total = self.gradients[k] = torch.zeros_like(self.inputs[k])
            sums.append(total)
            terms.append(gradient)
        if sums:
            torch._foreach_add_(sums, terms, alpha=scale)
