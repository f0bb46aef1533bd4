"""What a network is told of the time."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class TimeFeatures(nn.Module):
    """Sines and cosines of a known period, `harmonics` of them: (...,) -> (..., count); nothing without a
    period.

    Args:
        period: in the model's time unit, or None.
        phase: the model time at which the phase is zero.
    """

    def __init__(self, period: float | None, *, harmonics: int = 2, phase: float = 0.0) -> None:
        super().__init__()
        self.count = 2 * harmonics if period else 0
        frequencies = [2.0 * math.pi * (k + 1) / period for k in range(harmonics)] if period else []
        self.register_buffer("frequencies", torch.tensor(frequencies), persistent=False)
        self.phase = phase

    def forward(self, t: Tensor) -> Tensor:
        angles = (t - self.phase).unsqueeze(-1) * self.frequencies.to(t.dtype)  # type: ignore[operator]
        return torch.cat([angles.sin(), angles.cos()], dim=-1)
