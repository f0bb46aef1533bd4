"""The log-ratio penalty of `logqp=True`: the path's KL to a prior with the same diffusion, as one more
component of the state.

With u = g⁻¹ (f - h) it is the integral of |u|²/2 (Li, Wong, Chen & Duvenaud 2020, section 5), which the
solver's method integrates beside the state.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .fields import Field, Fields, together
from .settings import NOISE_TYPES

_SMALLEST = 1e-7  # of a diagonal diffusion that is divided by


class WithLogRatio:
    """The fields of (y, integral of |u|²/2), of shape (batch, size of y + 1) whatever y's shape.

    Args:
        prior: the prior's drift h.
        shape: of y, (batch, ...).
        paired: as of `Fields`.
    """

    def __init__(self, fields: Fields, prior: Field, shape: torch.Size, paired: bool) -> None:
        self.noise_type, self.sde_type = fields.noise_type, fields.sde_type
        self._fields, self._prior, self._shape = fields, prior, shape
        if paired:
            self.f, self.g = together(self._both)
        else:
            self.f, self.g = self._drift, self._diffusion

    def _both(self, t: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        y = self._state(y)
        f, g, h = self._fields.f(t, y), self._fields.g(t, y), self._prior(t, y)
        away = (f - h).flatten(1)
        if self.noise_type == NOISE_TYPES.diagonal:
            u = away / _away_from_zero(g.flatten(1))
        else:
            u = (torch.linalg.pinv(g.flatten(1, -2)) @ away.unsqueeze(-1)).squeeze(-1)
        rate = 0.5 * (u**2).sum(dim=1, keepdim=True)
        return torch.cat([f.flatten(1), rate], dim=1), self._without_noise(g)

    def _drift(self, t: Tensor, y: Tensor) -> Tensor:
        return self._both(t, y)[0]

    def _diffusion(self, t: Tensor, y: Tensor) -> Tensor:
        return self._without_noise(self._fields.g(t, self._state(y)))

    def _state(self, y: Tensor) -> Tensor:
        return y[:, :-1].reshape(self._shape)

    def _without_noise(self, g: Tensor) -> Tensor:
        """The diffusion g with a row of zeros for the integral."""
        g = g.flatten(1) if self.noise_type == NOISE_TYPES.diagonal else g.flatten(1, -2)
        return torch.cat([g, torch.zeros_like(g[:, :1])], dim=1)


def with_integral(y0: Tensor) -> Tensor:
    """y0 (batch, ...) as a row for each sample, and the integral's start 0 behind it."""
    return torch.cat([y0.flatten(1), y0.new_zeros(len(y0), 1)], dim=1)


def without_integral(ys: Tensor, shape: torch.Size) -> tuple[Tensor, Tensor]:
    """(times, *shape) of the state, and the integral's increments (times - 1, batch)."""
    return ys[..., :-1].reshape(len(ys), *shape), ys[..., -1].diff(dim=0)


def _away_from_zero(diffusion: Tensor) -> Tensor:
    smallest = torch.full_like(diffusion, _SMALLEST).copysign(diffusion.detach())
    return torch.where(diffusion.detach().abs() > _SMALLEST, diffusion, smallest)
