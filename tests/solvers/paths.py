"""What stands in the place of a Brownian path: anything with a shape and `increments(times)`."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from latentsde import VirtualBrownianTree
from latentsde.brownian import Increments
from tests.solvers.equations import DOUBLE


class Smooth:
    """A differentiable function of time in the place of a Brownian path."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def increments(self, times: Tensor) -> Increments:
        frequencies = 1.0 + torch.arange(math.prod(self.shape), dtype=DOUBLE).view(self.shape) / 4
        at = torch.sin(times.view(-1, *(1,) * len(self.shape)) * frequencies)
        return Increments(at.diff(dim=0), None)


class Column:
    """One channel of a path as a path of its own."""

    def __init__(self, path: VirtualBrownianTree, channel: int) -> None:
        self.path, self.channel, self.shape = path, channel, (path.shape[0], 1)

    def increments(self, times: Tensor) -> Increments:
        return Increments(self.path.increments(times).W[..., self.channel : self.channel + 1], None)
