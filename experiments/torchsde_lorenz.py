"""torchsde's example `latent_sde_lorenz`, in our own words: paths of a stochastic Lorenz attractor.

A GRU reads the observations backwards; the context it leaves at the next observation drives the posterior.
Prior, posterior and the diffusion of each dimension are networks, the decoder is linear (Li, Wong, Chen &
Duvenaud 2020, section 7.2). The times are points of the solver's grid: between them torchsde interpolates.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence
from torch.nn.functional import linear

from latentsde import solve

FEATURES, OBSERVATIONS = 3, 50


@dataclass(frozen=True)
class Size:
    batch: int
    hidden: int
    latent: int
    context: int
    steps: int
    span: float
    noise: float

    def __str__(self) -> str:
        return f"{self.batch} paths, width {self.hidden}, {self.steps} steps"


# Steps of 1/64: torchsde adds them up, exactly where they are exact in binary.
REDUCED = Size(batch=32, hidden=32, latent=4, context=16, steps=50, span=50 / 64, noise=0.1)
FULL = Size(batch=1024, hidden=128, latent=4, context=64, steps=100, span=1.0, noise=0.01)


class Attractor:
    """Lorenz' equations with noise in proportion to the state."""

    noise_type, sde_type = "diagonal", "ito"

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        a, b, c = y.unbind(-1)
        return torch.stack([10.0 * (b - a), a * (28.0 - c) - b, a * b - 8.0 / 3.0 * c], dim=-1)

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        return y * y.new_tensor([0.1, 0.28, 0.3])


@functools.cache
def data(batch: int, span: float, noise: float) -> tuple[Tensor, Tensor]:
    """Times and normalised observations (times, batch, 3) of always the same paths."""
    generator = torch.Generator().manual_seed(0)
    times = torch.linspace(0.0, span, OBSERVATIONS + 1)
    start = torch.randn(batch, FEATURES, generator=generator)
    with torch.no_grad():
        paths = solve(Attractor(), start, times, method="srk", dt=1e-3, seed=0).ys
    normalised = (paths - paths.mean((0, 1))) / paths.std((0, 1))
    return times, normalised + noise * torch.randn(normalised.shape, generator=generator)


def network(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    layers = [nn.Linear(inputs, hidden), nn.Softplus(), nn.Linear(hidden, hidden), nn.Softplus()]
    return nn.Sequential(*layers, nn.Linear(hidden, outputs))


class Lorenz(nn.Module):
    """The model with its data; the weights are a function of `seed`."""

    noise_type, sde_type = "diagonal", "ito"
    name, anneal = "latent_sde_lorenz", 50

    def __init__(self, size: Size, *, seed: int) -> None:
        super().__init__()
        self.batch, self.latent, self.dt = size.batch, size.latent, size.span / size.steps
        self.times, self.observed = data(size.batch, size.span, size.noise)
        self.noise = size.noise
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.encoder = nn.GRU(FEATURES, size.hidden)
            self.summary = nn.Linear(size.hidden, size.context)
            self.initial = nn.Linear(size.context, 2 * size.latent)
            self.posterior_drift = network(size.latent + size.context, size.hidden, size.latent)
            self.prior_drift = network(size.latent, size.hidden, size.latent)
            self.diffusion = nn.ModuleList(
                nn.Sequential(
                    nn.Linear(1, size.hidden), nn.Softplus(), nn.Linear(size.hidden, 1), nn.Sigmoid()
                )
                for _ in range(size.latent)
            )
            self.decoder = nn.Linear(size.latent, FEATURES)
        self.prior_mean = nn.Parameter(torch.zeros(1, size.latent))
        self.prior_log_std = nn.Parameter(torch.zeros(1, size.latent))
        self.context = torch.empty(0)

    def interval(self, t: Tensor) -> Tensor:
        """The index of the next observation after t."""
        return torch.searchsorted(self.times, t, right=True).clamp_max(len(self.times) - 1)

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        context = self.context[self.interval(t).reshape(-1)].view(*y.shape[:-1], -1)
        out: Tensor = self.posterior_drift(torch.cat([y, context], dim=-1))
        return out

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        columns = zip(self.diffusion, y.split(1, dim=-1), strict=True)
        return torch.cat([net(column) for net, column in columns], dim=-1)

    def h(self, t: Tensor, y: Tensor) -> Tensor:
        out: Tensor = self.prior_drift(y)
        return out

    def native(self) -> Prepared:
        """The posterior as `solve` takes it."""
        return Prepared(self)

    def held(self) -> list[Tensor]:
        """What f, g and h depend on besides t and y."""
        fields = (self.posterior_drift, self.prior_drift, self.diffusion)
        return [self.context, *(p for field in fields for p in field.parameters())]

    def start(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """z0 (batch, latent) from normal draws of that shape, and KL(q(z0) || p(z0)); makes the context."""
        states, _ = self.encoder(self.observed.flip(0))
        self.context = self.summary(states).flip(0)
        mean, log_std = self.initial(self.context[0]).chunk(2, dim=-1)
        posterior, prior = Normal(mean, log_std.exp()), Normal(self.prior_mean, self.prior_log_std.exp())
        return mean + log_std.exp() * noise, kl_divergence(posterior, prior).sum(-1).mean()

    def loss(self, zs: Tensor, kl: Tensor, weight: float) -> Tensor:
        """-ELBO of states (times, batch, latent) with the KL's weight."""
        likelihood = Normal(self.decoder(zs), self.noise).log_prob(self.observed)
        return weight * kl - likelihood.sum((0, 2)).mean()


class Prepared:
    """The posterior with its first layer's view of the context worked out once for each observation, instead
    of at every step.
    """

    noise_type, sde_type = "diagonal", "ito"

    def __init__(self, model: Lorenz) -> None:
        self.model, self.g, self.h = model, model.g, model.h
        first, *self.rest = model.posterior_drift
        self.of_state, of_context = first.weight.split([model.latent, model.context.shape[-1]], dim=1)
        self.known = linear(model.context, of_context, first.bias)
        self.at: dict[int, Tensor] = {}

    def prepare(self, ts: Sequence[Tensor]) -> None:
        rows = self.known.unbind(0)
        self.ts = ts  # keeps the tensors, and with them their ids, alive
        self.at = {
            id(t): rows[k] for t, k in zip(ts, self.model.interval(torch.stack(list(ts))), strict=True)
        }

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        known = self.at.get(id(t))
        if known is None:  # many steps at once
            known = self.known[self.model.interval(t).reshape(-1)].view(*y.shape[:-1], -1)
        hidden = linear(y, self.of_state) + known
        for layer in self.rest:
            hidden = layer(hidden)
        return hidden
