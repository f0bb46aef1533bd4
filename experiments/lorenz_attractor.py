"""The stochastic Lorenz attractor of Li, Wong, Chen & Duvenaud 2020, section 7.2, and its series.

dx = 10 (y - x) dt + .15 dW, dy = (x (28 - z) - y) dt + .15 dW, dz = (x y - 8/3 z) dt + .15 dW from standard
normal starts, on [0, 1]; observed every .025, normalised over all paths and times, with a normal error of
.01.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from latentsde import IrregularSeries, solve
from latentsde.brownian import derive_seed

DIFFUSION, ERROR, SPACING, OBSERVATIONS = 0.15, 0.01, 0.025, 40
COORDINATES = ("x", "y", "z")


class Attractor:
    """Lorenz' equations with additive noise."""

    noise_type, sde_type, additive = "diagonal", "ito", True

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        a, b, c = y.unbind(-1)
        return torch.stack([10.0 * (b - a), a * (28.0 - c) - b, a * b - 8.0 / 3.0 * c], dim=-1)

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.full_like(y, DIFFUSION)


@torch.no_grad()
def simulate(count: int, seed: int, dt: float = 1e-3) -> Tensor:
    """(times, count, 3) of the attractor, in its own units, a function of `seed`."""
    times = torch.arange(OBSERVATIONS + 1) * SPACING
    start = torch.randn(count, 3, generator=torch.Generator().manual_seed(derive_seed(seed, 0)))
    return solve(Attractor(), start, times, dt=dt, seed=derive_seed(seed, 1)).ys


def series_of(paths: Tensor, spacing: float = SPACING) -> IrregularSeries:
    """Paths (times, count, 3) as series s0, s1, ... of x, y and z at times 0, `spacing`, ..."""
    times, count = paths.shape[:2]
    columns = dict(zip(COORDINATES, paths.transpose(0, 1).reshape(-1, 3).t().double().numpy(), strict=True))
    names = np.repeat([f"s{k}" for k in range(count)], times)
    when = np.tile(np.arange(times) * spacing, count)
    return IrregularSeries.from_frame(
        pd.DataFrame({"id": names, "time": when} | columns), id="id", time="time"
    )
