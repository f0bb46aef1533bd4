"""Small blocks for the tests."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class TimedMLP(nn.Module):
    """forward(t, h) of (batch, 3)."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.inner, self.outer = nn.Linear(4, 6), nn.Linear(6, 3)

    def forward(self, t: Tensor, h: Tensor) -> Tensor:
        return self.outer(torch.tanh(self.inner(torch.cat([h, t.expand(len(h), 1)], -1))))


class TimedConvolution(nn.Module):
    """forward(t, h) of (batch, 2, height, width)."""

    def __init__(self, channels: int = 2, width: int = 4, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.inner = nn.Conv2d(channels + 1, width, 3, padding=1)
            self.outer = nn.Conv2d(width, channels, 3, padding=1)

    def forward(self, t: Tensor, h: Tensor) -> Tensor:
        time = t.expand(len(h), 1, *h.shape[2:])
        return self.outer(nn.functional.softplus(self.inner(torch.cat([h, time], 1))))


class Clock(nn.Module):
    """dh = weight dt, whatever h; remembers the times it is asked at."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.asked: list[float] = []

    def forward(self, t: Tensor, h: Tensor) -> Tensor:
        self.asked.append(float(t))
        return self.weight.expand_as(h)


class LinearDrift(nn.Module):
    """f_θ(t, x) = a - k x, with a closed form for everything."""

    def __init__(self, size: int, a: float, k: float) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.full((size,), a, dtype=torch.float64))
        self.k = nn.Parameter(torch.tensor(k, dtype=torch.float64))

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        return self.a - self.k * x
