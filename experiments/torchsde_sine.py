"""torchsde's example `latent_sde`, in our own words: one irregularly observed curve, a one-dimensional latent
SDE.

The prior is an Ornstein-Uhlenbeck process started in its stationary law. The posterior has the same diffusion
and a network of time and state for its drift; observations are Laplace (Li, Wong, Chen & Duvenaud 2020,
section 7.1). The observation times are irregular, but points of the solver's grid: between them torchsde
interpolates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributions import Laplace, Normal, kl_divergence

THETA, SIGMA, SCALE = 1.0, 0.5, 0.05
SPAN, OBSERVATIONS = 2.0, 16


@dataclass(frozen=True)
class Size:
    batch: int
    hidden: int
    steps: int

    def __str__(self) -> str:
        return f"{self.batch} paths, width {self.hidden}, {self.steps} steps"


REDUCED, FULL = Size(batch=64, hidden=64, steps=64), Size(batch=512, hidden=200, steps=200)


class Sine(nn.Module):
    """The model with its data; the weights and the observation times are functions of `seed`."""

    noise_type, sde_type, additive = "diagonal", "ito", True
    name, latent, anneal = "latent_sde", 1, 30

    def __init__(self, size: Size, *, seed: int) -> None:
        super().__init__()
        self.batch, self.dt = size.batch, SPAN / size.steps
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            low, high = math.ceil(0.2 * size.steps), math.floor(0.8 * size.steps)
            observed = (low + torch.randperm(high - low)[:OBSERVATIONS]).sort().values
            self.net = nn.Sequential(
                nn.Linear(3, size.hidden),
                nn.Tanh(),
                nn.Linear(size.hidden, size.hidden),
                nn.Tanh(),
                nn.Linear(size.hidden, 1),
            )
        nn.init.zeros_(self.net[-1].weight)
        nn.init.zeros_(self.net[-1].bias)
        # The first and last time have no observation: what happens beyond the data has its price as well.
        self.times = torch.cat([torch.tensor([0]), observed, torch.tensor([size.steps])]) * self.dt
        self.observed = 0.8 * torch.sin(2.0 * math.pi * self.times[1:-1])
        self.prior = Normal(torch.zeros(1), torch.tensor([SIGMA / math.sqrt(2.0 * THETA)]))
        self.mean = nn.Parameter(self.prior.mean.clone())
        self.log_std = nn.Parameter(self.prior.stddev.log())

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        t = t.expand(*y.shape[:-1], 1)
        out: Tensor = self.net(torch.cat([t.sin(), t.cos(), y], dim=-1))
        return out

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.full_like(y, SIGMA)

    def h(self, t: Tensor, y: Tensor) -> Tensor:
        return -THETA * y

    def native(self) -> Sine:
        """The posterior as `solve` takes it."""
        return self

    def held(self) -> list[Tensor]:
        """What f, g and h depend on besides t and y."""
        return list(self.net.parameters())

    def start(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """z0 (batch, 1) from normal draws of that shape, and KL(q(z0) || p(z0))."""
        posterior = Normal(self.mean, self.log_std.exp())
        return self.mean + self.log_std.exp() * noise, kl_divergence(posterior, self.prior).sum()

    def loss(self, zs: Tensor, kl: Tensor, weight: float) -> Tensor:
        """-ELBO of states (times, batch, 1) with the KL's weight."""
        likelihood = Laplace(zs[1:-1, :, 0], SCALE).log_prob(self.observed.unsqueeze(1))
        return weight * kl - likelihood.sum(0).mean()
