"""The stochastic Lorenz attractor, and a latent SDE for it (Li, Wong, Chen & Duvenaud 2020, section 7.2).

dx = 10 (y - x) dt + .15 dW, dy = (x (28 - z) - y) dt + .15 dW, dz = (x y - 8/3 z) dt + .15 dW from standard
normal starts, normalised over all paths and times, then observed every .025 with a normal error of .01.

The architecture is torchsde's example at the paper's sizes: a GRU of width 100 reads the observations
backwards and leaves a context of size 1 at each, latent state of size 4, networks of width 100 for both
drifts and for the diffusion of every dimension, a linear decoder. Two things are ours: q(z0) is made of the
GRU's state and not of the context, which for a single number would tie the mean of z0 to a line; and the
posterior's drift is f_p + σ u with a network for u, so that what the data say of q teaches the prior.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Normal
from torch.nn.functional import linear, softplus

from experiments.torchsde_lorenz import FEATURES, network
from latentsde import PathKL, solve
from latentsde.brownian import derive_seed

SPEED = 10.0  # the attractor's rates: networks whose outputs are of order 1 are learned sooner
FLOOR = 1e-3  # of the diffusion: a sigmoid may come out as 0, and the control is divided by it
DIFFUSION, ERROR, SPACING, OBSERVATIONS = 0.15, 0.01, 0.025, 40


class Attractor:
    """Lorenz' equations with additive noise."""

    noise_type, sde_type, additive = "diagonal", "ito", True

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        a, b, c = y.unbind(-1)
        return torch.stack([10.0 * (b - a), a * (28.0 - c) - b, a * b - 8.0 / 3.0 * c], dim=-1)

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.full_like(y, DIFFUSION)


def times() -> Tensor:
    return torch.arange(OBSERVATIONS + 1) * SPACING


@torch.no_grad()
def simulate(count: int, seed: int, dt: float = 1e-3) -> Tensor:
    """(times, count, 3) of the attractor, in its own units, a function of `seed`."""
    start = torch.randn(count, FEATURES, generator=torch.Generator().manual_seed(derive_seed(seed, 0)))
    return solve(Attractor(), start, times(), dt=dt, seed=derive_seed(seed, 1)).ys


class Lorenz(nn.Module):
    """The model; its weights are a function of `seed`."""

    noise_type, sde_type = "diagonal", "ito"

    def __init__(self, *, hidden: int, latent: int, context: int, seed: int) -> None:
        super().__init__()
        self.latent, self.times = latent, times()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.encoder = nn.GRU(FEATURES, hidden)
            self.summary = nn.Linear(hidden, context)
            self.initial = nn.Linear(hidden, 2 * latent)
            self.control = network(latent + context, hidden, latent)
            self.prior_drift = network(latent, hidden, latent)
            self.decoder = nn.Linear(latent, FEATURES)
            # A network 1-hidden-1 for each dimension's diffusion, all of them at once.
            self.inner = nn.Parameter(torch.randn(latent, hidden))
            self.inner_bias = nn.Parameter(torch.randn(latent, hidden))
        self.outer = nn.Parameter(torch.zeros(latent, hidden))
        # Small at first: paths of a large diffusion tell the drift nothing.
        self.outer_bias = nn.Parameter(torch.full((latent,), -3.0))
        self.prior_mean = nn.Parameter(torch.zeros(latent))
        self.prior_log_std = nn.Parameter(torch.zeros(latent))
        nn.init.zeros_(self.control[-1].weight)
        nn.init.zeros_(self.control[-1].bias)
        with torch.no_grad():
            self.initial.bias[latent:] = -2.0

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        known = self.at.get(id(t))
        if known is None:  # many steps at once
            known = self.known[self.interval(t).reshape(-1)].view(*y.shape[:-1], -1)
        hidden = linear(y, self.of_state) + known
        for layer in self.control[1:]:
            hidden = layer(hidden)
        return self.h(t, y) + self.g(t, y) * SPEED * hidden

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        hidden = softplus(y.unsqueeze(-1) * self.inner + self.inner_bias)
        return FLOOR + torch.sigmoid((hidden * self.outer).sum(-1) + self.outer_bias)

    def h(self, t: Tensor, y: Tensor) -> Tensor:
        return SPEED * self.prior_drift(y)

    def interval(self, t: Tensor) -> Tensor:
        """The index of the next observation after t."""
        return torch.searchsorted(self.times, t, right=True).clamp_max(len(self.known) - 1)

    def prepare(self, ts: Sequence[Tensor]) -> None:
        rows = self.known.unbind(0)
        self.ts = ts  # keeps the tensors, and with them their ids, alive
        self.at = {id(t): rows[k] for t, k in zip(ts, self.interval(torch.stack(list(ts))), strict=True)}

    def encode(self, observed: Tensor) -> Normal:
        """q(z0) of observations (times, batch, 3); makes the context."""
        states, _ = self.encoder(observed.flip(0))
        self.of_state, of_context = self.control[0].weight.split(
            [self.latent, self.summary.out_features], dim=1
        )
        # The first layer's view of the context once for each observation, instead of at every step.
        self.known = linear(self.summary(states).flip(0), of_context, self.control[0].bias)
        self.at: dict[int, Tensor] = {}
        mean, log_std = self.initial(states[-1]).chunk(2, dim=-1)
        return Normal(mean, log_std.exp())

    def elbo(
        self, observed: Tensor, *, dt: float, seed: int, weight: float = 1.0, at_start: bool = True
    ) -> Tensor:
        """(batch,) of observations (times, batch, 3), sticking the landing. They may be fewer than all, and
        of any window: nothing here depends on time but p(z0), which counts only `at_start`.
        """
        q = self.encode(observed)
        noise = torch.randn(q.mean.shape, generator=torch.Generator().manual_seed(derive_seed(seed, 0)))
        z0 = q.mean + q.stddev * noise
        own = Normal(q.mean.detach(), q.stddev.detach())
        initial = (own.log_prob(z0) - self.prior_start().log_prob(z0)).sum(-1)
        solution = solve(
            PathKL(self, vectorized=True),
            z0,
            self.times[: len(observed)],
            method="euler",
            dt=dt,
            seed=derive_seed(seed, 1),
        )
        likelihood = Normal(self.decoder(solution.ys), ERROR).log_prob(observed).sum((0, 2))
        return likelihood - weight * (solution.functional[-1] + (initial if at_start else 0.0))

    def prior_start(self) -> Normal:
        return Normal(self.prior_mean, self.prior_log_std.exp())

    @torch.no_grad()
    def sample(self, count: int, *, dt: float, seed: int) -> Tensor:
        """(times, count, 3) decoded paths of the prior, without observation error."""
        generator = torch.Generator().manual_seed(derive_seed(seed, 0))
        z0 = self.prior_start().mean + self.prior_start().stddev * torch.randn(
            count, self.latent, generator=generator
        )
        paths = solve(Prior(self), z0, self.times, method="euler", dt=dt, seed=derive_seed(seed, 1)).ys
        return self.decoder(paths)

    @torch.no_grad()
    def roughness(self, observed: Tensor, *, dt: float, seed: int) -> tuple[Tensor, Tensor]:
        """Decoded posterior paths (steps + 1, batch, 3), and their quadratic variation without the drift's
        share, (batch, 3): Σ (D (z_{k+1} - z_k - f_q h))² with the decoder's matrix D.
        """
        q = self.encode(observed)
        noise = torch.randn(q.mean.shape, generator=torch.Generator().manual_seed(derive_seed(seed, 0)))
        steps = round(OBSERVATIONS * SPACING / dt)
        grid = torch.arange(steps + 1) * dt
        start = q.mean + q.stddev * noise
        z = solve(self, start, grid, method="euler", dt=dt, seed=derive_seed(seed, 1)).ys
        drift = torch.stack([self.f(t + 0.0, y) for t, y in zip(grid[:-1], z[:-1], strict=True)])
        rest = (z.diff(dim=0) - drift * dt) @ self.decoder.weight.T
        return self.decoder(z), rest.square().sum(0)


class Prior:
    """The prior of a `Lorenz` as an SDE of its own."""

    noise_type, sde_type = "diagonal", "ito"

    def __init__(self, model: Lorenz) -> None:
        self.f, self.g = model.h, model.g


def normal_constant() -> float:
    """log N(0; 0, ERROR²) of the three values of an observation: the most that its log-likelihood can be."""
    return -FEATURES * (math.log(ERROR) + 0.5 * math.log(2.0 * math.pi))
