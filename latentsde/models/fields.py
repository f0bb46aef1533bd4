"""The three fields of a latent SDE: prior drift, shared diffusion, and the control that turns the prior into
the posterior.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from ..nn import ConditionedMLP
from ..nn.context import Ahead
from .config import LatentSDEConfig, SeriesConfig


class PriorDrift(nn.Module):
    """f_p(z) = -κ z + MLP(z, time of day, static), κ > 0: pulled back from anywhere, so that long samples
    stay bounded.
    """

    def __init__(self, config: SeriesConfig, extra: int) -> None:
        super().__init__()
        self.raw_rate = nn.Parameter(torch.full((config.latent,), -1.5))
        self.network = ConditionedMLP(config.latent, extra, config.hidden, config.latent)

    def forward(self, z: Tensor, condition: Tensor | None) -> Tensor:
        """(..., L) and `network.condition` of (..., E) -> (..., L)."""
        return self.network(z, condition) - softplus(self.raw_rate) * z

    def linearised(self, z: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        """(..., L) and the derivatives (..., L, L), by row."""
        rate = softplus(self.raw_rate)
        value, slope = self.network.linearised(z, condition)
        return value - rate * z, slope - torch.diag(rate)


class Diffusion(nn.Module):
    """σ(z), diagonal, between `min_diffusion` and `max_diffusion`: a constant, or a network of its own for
    each dimension.
    """

    def __init__(self, config: LatentSDEConfig, *, width: int = 16, initial: float = 0.5) -> None:
        super().__init__()
        self.low, self.high = config.min_diffusion, config.max_diffusion
        share = min(max((initial - self.low) / (self.high - self.low), 0.05), 0.95)
        self.bias = nn.Parameter(torch.logit(torch.full((config.latent,), share)))
        self.depends_on_state = config.diffusion == "state"
        if self.depends_on_state:
            self.inner = nn.Parameter(
                torch.randn(config.latent, width, generator=torch.Generator().manual_seed(0))
            )
            self.inner_bias = nn.Parameter(torch.zeros(config.latent, width))
            self.outer = nn.Parameter(torch.zeros(config.latent, width))

    @property
    def typical(self) -> Tensor:
        """(L,) σ without what the state adds: σ itself where it is constant."""
        return self.low + (self.high - self.low) * torch.sigmoid(self.bias)

    def variance_slope(self, z: Tensor) -> Tensor:
        """(..., L) ∂σ_i²/∂z_i."""
        if not self.depends_on_state:
            return torch.zeros_like(z)
        hidden = torch.tanh(z.unsqueeze(-1) * self.inner + self.inner_bias)
        slope = ((1.0 - hidden.square()) * self.inner * self.outer).sum(-1)
        sigma = self.forward(z)
        share = (sigma - self.low) / (self.high - self.low)
        return 2.0 * sigma * (self.high - self.low) * share * (1.0 - share) * slope

    def forward(self, z: Tensor) -> Tensor:
        """(..., L) -> (..., L)."""
        logit: Tensor = self.bias
        if self.depends_on_state:
            hidden = torch.tanh(z.unsqueeze(-1) * self.inner + self.inner_bias)
            logit = logit + (hidden * self.outer).sum(-1)
        return (self.low + (self.high - self.low) * torch.sigmoid(logit)).expand_as(z)


class Pull(NamedTuple):
    """What a context makes of a time, for `Control`: all but the state.

    rate is 1 / (b + τ), 0 without an observation ahead; target is m; strength is a; condition is the
    network's.
    """

    rate: Tensor
    target: Tensor
    strength: Tensor
    exists: Tensor
    condition: Tensor | None


class Control(nn.Module):
    """u(z, t): the posterior drift is f_p + σ u. Zero once no observation is left ahead: the posterior then
    is the prior.

    With a context (c, m, a, b) for each observation, τ the time to the next one and b > 0,

        u = (m - z) (1/σ + a) / (b + τ) + MLP(z, c, τ, time of day, static).

    For a = 0 and no MLP it is the exact posterior of a Brownian state that is observed at m with noise
    variance b σ²; of a step h it then leaves the share s² = (b + τ - h) / (b + τ) of the variance (see
    `latentsde.solvers.methods.bridged_euler`).
    """

    def __init__(self, config: LatentSDEConfig, extra: int) -> None:
        super().__init__()
        self.split = [config.context, config.latent, config.latent, config.latent]
        self.network = ConditionedMLP(config.latent, config.context + 2 + extra, config.hidden, config.latent)

    @property
    def inputs(self) -> int:
        """Size of the context."""
        return sum(self.split)

    def prepare(self, ahead: Ahead, extra: Tensor) -> Pull:
        """The context (..., inputs) and what else is known, (..., E), at any number of times."""
        summary, target, strength, delay = ahead.summary.split(self.split, dim=-1)
        rate = ahead.exists / (softplus(delay) + 0.01 + ahead.gap)
        known = torch.cat([summary, ahead.gap, torch.exp(-4.0 * ahead.gap), extra], dim=-1)
        return Pull(rate, target, strength, ahead.exists, self.network.condition(known))

    def forward(self, z: Tensor, pull: Pull, diffusion: Tensor) -> Tensor:
        """(..., L) -> (..., L)."""
        towards = pull.rate * (diffusion.reciprocal() + pull.strength) * (pull.target - z)
        return towards + pull.exists * self.network(z, pull.condition)

    def contraction(self, pull: Pull, h: Tensor | float) -> Tensor:
        """(..., L): the factor of the noise of a step h that ends at the next observation or before."""
        return (1.0 - h * pull.rate).sqrt()
