"""A network, and the running average of its weights, which is what predicts in the end."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn


class Averaged(nn.Module):
    """Calls the network while training, its average otherwise (Polyak & Juditsky 1992)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.average = copy.deepcopy(network).requires_grad_(False)

    @torch.no_grad()
    def update(self, decay: float, step: int) -> None:
        """After `step` steps: the first ones, of weights that are still on their way, are soon forgotten."""
        weight = 1.0 - min(decay, (1.0 + step) / (10.0 + step))
        for ours, theirs in zip(self.average.parameters(), self.network.parameters(), strict=True):
            ours.lerp_(theirs, weight)

    def forward(self, *arguments: Any, **options: Any) -> Any:
        return (self.network if self.training else self.average)(*arguments, **options)
