"""The three fields of a latent SDE: prior drift, shared diffusion, and the control that turns the prior into the posterior."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from ..nn import MLP
from ..nn.context import Ahead
from .config import LatentSDEConfig


class PriorDrift(nn.Module):
    """f_p(z) = -κ z + MLP(z, time of day, static), κ > 0: pulled back from anywhere, so that long samples stay bounded."""

    def __init__(self, config: LatentSDEConfig, extra: int) -> None:
        super().__init__()
        self.raw_rate = nn.Parameter(torch.full((config.latent,), -1.5))
        self.network = MLP(config.latent + extra, config.hidden, config.latent, zero_output=True)

    def forward(self, z: Tensor, extra: Tensor) -> Tensor:
        """(..., L) and (..., E) -> (..., L)."""
        return self.network(torch.cat([z, extra], dim=-1)) - softplus(self.raw_rate) * z


class Diffusion(nn.Module):
    """σ(z), diagonal, between `min_diffusion` and `max_diffusion`: a constant, or a network of its own for each dimension."""

    def __init__(self, config: LatentSDEConfig, *, width: int = 16, initial: float = 0.5) -> None:
        super().__init__()
        self.low, self.high = config.min_diffusion, config.max_diffusion
        share = (initial - self.low) / (self.high - self.low)
        self.bias = nn.Parameter(torch.logit(torch.full((config.latent,), share)))
        self.depends_on_state = config.diffusion == "state"
        if self.depends_on_state:
            self.inner = nn.Parameter(torch.randn(config.latent, width, generator=torch.Generator().manual_seed(0)))
            self.inner_bias = nn.Parameter(torch.zeros(config.latent, width))
            self.outer = nn.Parameter(torch.zeros(config.latent, width))

    def forward(self, z: Tensor) -> Tensor:
        """(..., L) -> (..., L)."""
        logit = self.bias
        if self.depends_on_state:
            hidden = torch.tanh(z.unsqueeze(-1) * self.inner + self.inner_bias)
            logit = logit + (hidden * self.outer).sum(-1)
        return (self.low + (self.high - self.low) * torch.sigmoid(logit)).expand_as(z)


class Control(nn.Module):
    """u(z, t): the posterior drift is f_p + σ u. Zero once no observation is left ahead: the posterior then is the prior.

    u = gain(ahead) (target(ahead) - z) + MLP(z, ahead): the exact posterior of a linear-Gaussian model has the first form, with a
    gain that grows towards the next observation.
    """

    def __init__(self, config: LatentSDEConfig, extra: int) -> None:
        super().__init__()
        latent, ahead = config.latent, config.context + 2 + extra
        self.pull = MLP(ahead, config.hidden, 2 * latent, zero_output=True)
        self.network = MLP(latent + ahead, config.hidden, latent, zero_output=True)

    def forward(self, z: Tensor, ahead: Ahead, extra: Tensor) -> Tensor:
        """(..., L) -> (..., L)."""
        known = torch.cat([ahead.summary, ahead.gap, torch.exp(-4.0 * ahead.gap), extra], dim=-1)
        target, gain = self.pull(known).chunk(2, dim=-1)
        control = softplus(gain) * (target - z) + self.network(torch.cat([z, known], dim=-1))
        return control * ahead.exists
