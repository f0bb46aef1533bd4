"""Sample paths of a fitted model at any times: posterior given observations, or prior."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..brownian import Increments, RefinedPath, derive_seed
from ..solvers import ConstantStep, Solution, solve
from ..solvers.grid import read_times
from .bound import sample_ids
from .initial import draw
from .paths import Paths
from .posterior import Encoding, PosteriorSDE

if TYPE_CHECKING:
    from .latent_sde import LatentSDE

# Labels of the streams that are drawn from one seed.
_INITIAL, _FORWARD, _BACKWARD = 10, 11, 12


def paths(
    model: LatentSDE,
    code: Encoding,
    observed: Tensor,
    series_ids: Tensor,
    queries: Tensor,
    samples: int,
    seed: int,
) -> Paths:
    """The paths of `LatentSDE.posterior_paths` from an encoding and the model times observed at (B, T)."""
    ids = sample_ids(series_ids, samples)
    mean, std, static = (x.repeat_interleave(samples, 0) for x in (code.mean, code.std, code.static))
    z0 = draw(mean, std, seed=derive_seed(seed, _INITIAL), ids=ids)
    posterior = model.posterior_sde(code.context.repeat(samples), static)
    at = model.model_time(queries).repeat_interleave(samples, 0)

    # Every observation is a step point too: there the context, and with it the drift, jumps.
    origin = torch.zeros_like(at[:, :1])
    known = observed.clamp_min(0.0).repeat_interleave(samples, 0)
    times, order = torch.cat([origin, known, at.clamp_min(0.0)], dim=1).sort(dim=1, stable=True)
    rank = order.argsort(dim=1)[:, 1 + known.shape[1] :]
    forward = _solve(model, posterior, z0, times, derive_seed(seed, _FORWARD), ids)
    z = forward.ys.transpose(0, 1)
    z = z.gather(1, rank.unsqueeze(-1).expand(-1, -1, z.shape[-1]))
    steps = forward.stats.steps
    if bool((at < 0).any()):
        earlier = torch.cat([origin, at.clamp_max(0.0).flip(1)], dim=1)
        backward = _solve(model, _Reversed(posterior), z0, earlier, derive_seed(seed, _BACKWARD), ids)
        z = torch.where((at < 0).unsqueeze(-1), backward.ys.transpose(0, 1)[:, 1:].flip(1), z)
        steps += backward.stats.steps
    location = model.decode(z, at.to(z.dtype), static.unsqueeze(1))
    intensity = model.intensity(z, at.to(z.dtype), static.unsqueeze(1))
    return Paths.of_flat(z, location, steps, samples, intensity)


class _Reversed:
    """The prior continued to earlier times as a reversible diffusion: its drift pulls the same way in both
    directions.
    """

    noise_type, sde_type = "diagonal", "ito"

    def __init__(self, posterior: PosteriorSDE) -> None:
        self.posterior, self.additive = posterior, posterior.additive

    def f(self, t: Tensor, z: Tensor) -> Tensor:
        return -self.posterior.h(t, z)

    def g(self, t: Tensor, z: Tensor) -> Tensor:
        return self.posterior.g(t, z)


def _solve(model: LatentSDE, sde: object, z0: Tensor, times: Tensor, seed: int, ids: Tensor) -> Solution:
    """`sde` at `times` (B, T) of model time, increasing from 0, or decreasing from 0 with its noise
    mirrored.
    """
    dt = model.config.dt / model.config.time_scale
    grid = ConstantStep(dt).grid(read_times(times.t(), len(ids)))
    path = RefinedPath(z0.shape, grid.points.abs(), spacing=dt, seed=seed, ids=ids, device=z0.device)
    noise = _Mirrored(path) if float(times.min()) < 0 else path
    return solve(sde, z0, times.t(), dt=dt, path=noise, method="bridged_euler")


class _Mirrored:
    """A path from 0 to negative times: W(-t) in place of W(t)."""

    def __init__(self, path: RefinedPath) -> None:
        self.path, self.shape = path, path.shape

    def increments(self, times: Tensor) -> Increments:
        return self.path.increments(-times)
