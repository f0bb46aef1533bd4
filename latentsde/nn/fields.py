"""The networks that stand for drifts, controls and decoders."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn


class MLP(nn.Sequential):
    """Linear layers with tanh between: (..., inputs) -> (..., outputs).

    tanh because its output is bounded: a drift -κ z + MLP(z) then pulls back from far away whatever was
    learned, and a long sample cannot explode.
    """

    def __init__(
        self, inputs: int, hidden: int, outputs: int, *, layers: int = 2, zero_output: bool = False
    ) -> None:
        widths = [inputs] + [hidden] * layers
        modules: list[nn.Module] = []
        for narrow, wide in pairwise(widths):
            modules += [nn.Linear(narrow, wide), nn.Tanh()]
        last = nn.Linear(widths[-1], outputs)
        if zero_output:
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
        super().__init__(*modules, last)

    def linearised(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(..., outputs) at x (..., inputs), and the derivatives (..., outputs, inputs)."""
        bends, linear = [], [module for module in self if isinstance(module, nn.Linear)]
        for module in linear[:-1]:
            x = torch.tanh(module(x))
            bends.append(1.0 - x.square())
        slope = _across(linear[-1].weight, bends[-1], linear[-2].weight)
        # From the output backwards each product is one matrix of all rows by a weight.
        for module, bend in zip(reversed(linear[:-2]), reversed(bends[:-1]), strict=True):
            slope = (slope * bend.unsqueeze(-2)) @ module.weight
        return linear[-1](x), slope


def _across(outer: Tensor, bend: Tensor, inner: Tensor) -> Tensor:
    """outer diag(bend) inner, (..., O, I), of weights (O, H) and (H, I) and bend (..., H).

    As bend by all products of two weights: where I is small, nothing of the size rows by O by H is made.
    """
    products = outer.mT.unsqueeze(-1) * inner.unsqueeze(-2)
    return (bend @ products.flatten(1)).unflatten(-1, products.shape[1:])


class ConditionedMLP(nn.Module):
    """One tanh layer over (state, known): outputs start at 0. What is known ahead enters through `condition`,
    for all times at once.

    A solver evaluates its fields a step at a time; the part of the first layer that does not see the state
    need not wait for it.
    """

    def __init__(self, state: int, known: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.from_state = nn.Linear(state, hidden)
        self.from_known = nn.Linear(known, hidden, bias=False) if known else None
        self.output = nn.Linear(hidden, outputs)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def condition(self, known: Tensor) -> Tensor | None:
        """(..., known) -> (..., hidden) for `forward`; None if nothing is known."""
        return None if self.from_known is None else self.from_known(known)

    def forward(self, state: Tensor, condition: Tensor | None) -> Tensor:
        """(..., state) -> (..., outputs)."""
        hidden = self.from_state(state)
        return self.output(torch.tanh(hidden if condition is None else hidden + condition))

    def linearised(self, state: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        """(..., outputs) and their derivatives by the state (..., outputs, state)."""
        hidden = self.from_state(state)
        hidden = torch.tanh(hidden if condition is None else hidden + condition)
        slope = _across(self.output.weight, 1.0 - hidden.square(), self.from_state.weight)
        return self.output(hidden), slope
