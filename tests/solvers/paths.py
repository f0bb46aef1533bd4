"""What stands in the place of a Brownian path: anything with a shape and `increments(times)`."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from latentsde import VirtualBrownianTree
from latentsde.brownian import Increments
from tests.solvers.equations import DOUBLE


class SmoothIncrements(NamedTuple):
    W: Tensor
    H: Tensor
    A: Tensor


class Smooth:
    """Sines of time in the place of a Brownian path; of their Lévy areas, which are of order h³, nothing."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def increments(self, times: Tensor) -> SmoothIncrements:
        frequencies = 1.0 + torch.arange(math.prod(self.shape), dtype=DOUBLE).view(self.shape) / 4
        times = times.view(-1, *(1,) * len(self.shape))
        at, integral = torch.sin(times * frequencies), -torch.cos(times * frequencies) / frequencies
        W = at.diff(dim=0)
        H = integral.diff(dim=0) / times.diff(dim=0) - at[:-1] - 0.5 * W
        return SmoothIncrements(W, H, W.new_zeros(*W.shape, W.shape[-1]))


class Column:
    """One channel of a path as a path of its own."""

    def __init__(self, path: VirtualBrownianTree, channel: int) -> None:
        self.path, self.channel, self.shape = path, channel, (path.shape[0], 1)

    def increments(self, times: Tensor) -> Increments:
        one = slice(self.channel, self.channel + 1)
        W, H = self.path.increments(times)
        return Increments(W[..., one], None if H is None else H[..., one])
