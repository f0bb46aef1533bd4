"""The posterior's drift of the weights, beyond the prior's: a network with a narrow bottleneck."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from ...errors import InputError


class DriftNetwork(nn.Module):
    """(t, x) -> (..., size), through layers of few units: a matrix of all pairs of weights would not fit.

    Xu, Chen, Li & Duvenaud 2022, section 3: the last layer starts at 0, so that training starts at the prior.

    Args:
        size: number of weights.
        hidden: widths of the layers; time is appended to the input of each.
        rank: None, or of a low-rank matrix in place of those between weights and hidden units: with `hidden`
            wide they are the bulk of a network's parameters.
    """

    def __init__(self, size: int, hidden: Sequence[int] = (2, 64, 2), rank: int | None = None) -> None:
        super().__init__()
        if not hidden or min(hidden) < 1:
            raise InputError(f"hidden must be widths of at least 1, got {tuple(hidden)}")
        if rank is not None and rank < 1:
            raise InputError(f"rank must be at least 1, got {rank}")
        widths = [size, *hidden, size]
        self.layers = nn.ModuleList(
            _linear(inputs + 1, outputs, rank if size in (inputs, outputs) else None)
            for inputs, outputs in itertools.pairwise(widths)
        )
        *_, last = (part for part in self.layers.modules() if isinstance(part, nn.Linear))
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        """t () or (..., 1), x (..., size): what weights have moved (see `WeightProcess`)."""
        time = t.to(x.dtype).expand(*x.shape[:-1], 1)
        # Single rows times large matrices gain nothing by lower precision, and weights are kept in full.
        with torch.autocast(x.device.type, enabled=False):
            for k, layer in enumerate(self.layers):
                x = layer(torch.cat([x if k == 0 else softplus(x), time], dim=-1))
        return x


def _linear(inputs: int, outputs: int, rank: int | None) -> nn.Module:
    if rank is None:
        return nn.Linear(inputs, outputs)
    return nn.Sequential(nn.Linear(inputs, rank, bias=False), nn.Linear(rank, outputs))
