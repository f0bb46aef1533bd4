"""Tape: vector-Jacobian products of single evaluations, the inputs' gradients summed up in place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..equation import Equation
from ..march import Functional
from ..methods import Step
from ..state import Value, add_scaled, like, parts_of, with_gradient

# What torch.autograd.grad calls when it has checked its arguments. The checks cost 40 microseconds at every
# step, a third of what the product of a small network does.
_run_backward = torch.autograd.Variable._execution_engine.run_backward


class Tape:
    """Pulls cotangents back through one evaluation after the other; what reaches `inputs` is added up."""

    def __init__(self, inputs: Sequence[Tensor]) -> None:
        self.inputs = tuple(inputs)
        self.gradients: list[Tensor | None] = [None] * len(self.inputs)

    def pull(self, outputs: Sequence[Any], cotangents: Sequence[Any], wrt: Sequence[Tensor]) -> list[Tensor]:
        """The cotangents of `wrt`; those of the inputs are added to `gradients`."""
        to_wrt, to_inputs = self.products(outputs, cotangents, wrt)
        self.add(to_inputs)
        return to_wrt

    def products(
        self, outputs: Sequence[Any], cotangents: Sequence[Any], wrt: Sequence[Tensor]
    ) -> tuple[list[Tensor], Sequence[Tensor | None]]:
        """The cotangents of `wrt` and of the inputs, None for those that the outputs do not depend on."""
        pairs = [(o, c) for o, c in zip(outputs, cotangents, strict=True) if o.requires_grad]
        if not pairs:
            return [torch.zeros_like(x) for x in wrt], [None] * len(self.inputs)
        # The cotangents have the outputs' shapes and types; unreachable inputs are allowed. The graph is
        # kept, as what lies before this evaluation is not its own.
        found = _run_backward(
            tuple(o for o, _ in pairs),
            tuple(c for _, c in pairs),
            True,
            False,
            (*wrt, *self.inputs),
            allow_unreachable=True,
            accumulate_grad=False,
        )
        count = len(wrt)
        own = [
            torch.zeros_like(x) if gradient is None else gradient
            for x, gradient in zip(wrt, found[:count], strict=True)
        ]
        return own, found[count:]

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


class Evaluation:
    """f and g at one state, on a tape of their own: their slope f h + g W, and its products. With `step`, the
    functional over the step that starts in (t, y) as well, made of the same f and g.

    Made where gradients are switched off, as they are in a backward pass: what follows from them is on no
    tape.
    """

    def __init__(self, equation: Equation, t: Any, y: Value, step: Step | None = None) -> None:
        self.equation = equation
        self.total: Any = None
        with torch.enable_grad():
            self.leaf = with_gradient(y)
            functional: Any = None if step is None else Functional(equation.sde, self.leaf)
            if functional is not None:
                functional.watch(t, self.leaf)
            self.drift = equation.f(t, self.leaf)
            self.diffusion: Any = equation.g(t, self.leaf) if equation.has_noise else None
            if functional is not None:
                self.total = functional.over(step, self.leaf)

    def slope(self, h: Any, W: Any) -> Value:
        """f h + g W."""
        return self.equation.slope_of(self.drift, self.diffusion, h, W)

    def push(self, base: Value, h: Any, W: Any, share: float) -> Any:
        """base + share · (f h + g W)."""
        pushed = add_scaled(base, self.drift, h * share)
        return pushed if W is None else self.equation.add_noise(pushed, self.diffusion, W, share)

    def cotangents(self, cotangent: Any, h: Any, W: Any) -> tuple[Any, Any]:
        """Those of f and g from the slope's."""
        return cotangent * h, None if W is None else self.equation.transposed(cotangent, W)

    def products(
        self, tape: Tape, of_drift: Any, of_diffusion: Any, of_total: Tensor | None = None
    ) -> tuple[Any, Sequence[Tensor | None]]:
        """The cotangents of the state and of the tape's inputs from those of f, g and the functional."""
        outputs, cotangents = parts_of(self.drift), parts_of(of_drift)
        if of_total is not None:
            outputs, cotangents = [*outputs, self.total], [*cotangents, of_total]
        if of_diffusion is not None:
            outputs, cotangents = (
                [*outputs, *parts_of(self.diffusion)],
                [*cotangents, *parts_of(of_diffusion)],
            )
        own, inputs = tape.products(outputs, cotangents, parts_of(self.leaf))
        return like(self.leaf, own), inputs
