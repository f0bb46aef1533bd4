"""A posterior and a prior of any noise type, and their path KL on one path."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from latentsde import VirtualBrownianTree, solve
from latentsde.girsanov import BridgedPathKL, PathKL

DOUBLE = torch.float64
NOISE_TYPES = ["diagonal", "scalar", "additive", "general"]
COLUMNS = {"scalar": 1, "additive": 1, "general": 2}


class Pair(nn.Module):
    """Posterior f, prior h and diffusion g, nonlinear, explicit in time, with a parameter each; any axes."""

    def __init__(self, noise_type: str = "diagonal", sde_type: str = "ito") -> None:
        super().__init__()
        self.noise_type, self.sde_type = noise_type, sde_type
        self.own = nn.Parameter(torch.tensor(0.8, dtype=DOUBLE))
        self.prior = nn.Parameter(torch.tensor(-0.6, dtype=DOUBLE))
        self.size = nn.Parameter(torch.tensor(0.7, dtype=DOUBLE))

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.cos(self.own * y) - t * y

    def h(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.sin(self.prior * y + t)

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        if self.noise_type == "additive":
            return (self.size * (1.2 + torch.sin(t)) * torch.ones_like(y)).unsqueeze(-1)
        columns = [1.2 + torch.sin(y - t), 0.5 + torch.cos(2.0 * y)]
        if self.noise_type == "diagonal":
            return self.size * columns[0]
        return self.size * torch.stack(columns[: COLUMNS[self.noise_type]], -1)


def path_for(pair: Any, y0: Tensor, low: float = 0.0, high: float = 1.0) -> VirtualBrownianTree:
    shape = y0.shape if pair.noise_type == "diagonal" else (y0.shape[0], COLUMNS[pair.noise_type])
    return VirtualBrownianTree(low, high, tuple(shape), seed=3, dtype=DOUBLE)


def start(*shape: int) -> Tensor:
    return torch.linspace(-1.0, 1.5, math.prod(shape), dtype=DOUBLE).view(shape)


def kl(
    pair: Any,
    y0: Tensor,
    ts: Any = (0.0, 1.0),
    *,
    dt: float = 0.1,
    kind: type[PathKL] = PathKL,
    **options: Any,
) -> Tensor:
    """(batch,) the functional at the last time."""
    method = options.pop("method", "bridged_euler" if kind is BridgedPathKL else "euler")
    path = options.pop("path", None)
    path = path_for(pair, y0) if path is None else path
    functional = solve(kind(pair, **options), y0, ts, dt=dt, path=path, method=method).functional
    assert functional is not None
    return functional[-1]


class Contracted:
    """A diagonal `Pair` with plain attributes, and a share of the noise that depends on the state."""

    noise_type, sde_type = "diagonal", "ito"

    def __init__(self) -> None:
        self.own, self.prior, self.size, self.share = (
            torch.tensor(x, dtype=DOUBLE, requires_grad=True) for x in (0.8, -0.6, 0.7, 0.5)
        )

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.cos(self.own * y) - t * y

    def h(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.sin(self.prior * y + t)

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        return self.size * (1.2 + torch.sin(y - t))

    def contraction(self, t: Tensor, y: Tensor, h: Any) -> Tensor:
        return torch.exp(-self.share * (1.0 + y.square()) * abs(h))
