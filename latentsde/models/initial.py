"""Initial states: q(z0 | x) from the recognition network and p(z0) from the static covariates; or a learned
one.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from ..brownian import standard_normal
from .bound import log_normal


class InitialState(nn.Module):
    """Both laws are diagonal normals.

    Args:
        inputs: of the recognition network's summary; None without one, and then there is no `posterior`.
        latent: size of the state.
        static: covariates that p(z0) may depend on.
    """

    def __init__(self, inputs: int | None, latent: int, static: int) -> None:
        super().__init__()
        self.posterior_head = None if inputs is None else nn.Linear(inputs, 2 * latent)
        self.prior_raw = nn.Parameter(torch.zeros(2 * latent))
        self.prior_static = nn.Linear(static, 2 * latent, bias=False) if static else None

    def posterior(self, summary: Tensor) -> tuple[Tensor, Tensor]:
        """(B, inputs) -> mean and standard deviation (B, L) of q(z0 | x)."""
        assert self.posterior_head is not None
        mean, raw = self.posterior_head(summary).chunk(2, dim=-1)
        return mean, softplus(raw) + 1e-3

    def prior(self, static: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C) -> mean and standard deviation (B, L) of p(z0)."""
        raw = self.prior_raw.expand(*static.shape[:-1], -1)
        if self.prior_static is not None:
            raw = raw + self.prior_static(static)
        mean, log_std = raw.chunk(2, dim=-1)
        return mean, log_std.exp()

    def divergence(self, z0: Tensor, mean: Tensor, std: Tensor, static: Tensor) -> Tensor:
        """(B,) log q̄(z0) - log p(z0) at the sample, q's parameters detached: sticking the landing."""
        prior_mean, prior_std = self.prior(static)
        return log_normal(z0, mean.detach(), std.detach()) - log_normal(z0, prior_mean, prior_std)


class LearnedStart(nn.Module):
    """A state to begin with, the same for all series but for what the static covariates add to it."""

    def __init__(self, size: int, static: int) -> None:
        super().__init__()
        self.state = nn.Parameter(torch.zeros(size))
        self.from_static = nn.Linear(static, size, bias=False) if static else None

    def forward(self, static: Tensor) -> Tensor:
        """(B, C) -> (B, size)."""
        start = self.state.expand(len(static), -1)
        return start if self.from_static is None else start + self.from_static(static)


def draw(mean: Tensor, std: Tensor, *, seed: int, ids: Tensor) -> Tensor:
    """A sample of the normals (B, L): a function of (seed, id)."""
    return mean + std * standard_normal(mean.shape, seed=seed, ids=ids, device=mean.device)
