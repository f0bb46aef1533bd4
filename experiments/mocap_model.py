"""The latent SDE of Li, Wong, Chen & Duvenaud 2020 for motion capture: 11,605 parameters.

An encoder reads the first three frames and nothing else, so that the posterior can be run at test time; no
net is told the time, so that a walk may begin anywhere:

    (z0's mean and log-deviation, context c) = MLP(frames 1..3)            150-30-30-15
    posterior dz = f_q(z, c) dt + σ(z) dW,  prior dz = f_p(z) dt + σ(z) dW  9-30-6, 6-30-6, six nets 1-30-1
    frame ~ N(mean(z), deviation(z)²)                                       6-30-30-100

The latent ODE beside it has no diffusion, no prior drift and no context: 10,573 parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from latentsde import PathKL, solve
from latentsde.brownian import derive_seed, standard_normal

GIVEN, FEATURES, LATENT, CONTEXT, HIDDEN = 3, 50, 6, 3, 30
DT = 0.1  # model time between two frames, and the solver's step
FLOOR = 1e-3  # of the diffusion: a sigmoid underflows, and u = (f_q - f_p)/σ with it
SCALE = 5.8  # degrees: the deviation of the training frames, by which encoder and decoder count


@dataclass(frozen=True)
class Loss:
    """Of each sequence: nats (B,) of the frames, and of the two divergences that are weighed against it."""

    log_likelihood: Tensor
    kl_initial: Tensor
    kl_path: Tensor


class Diffusion(nn.Module):
    """σ_i(z_i) in (.001, 1): a net 1-30-1 and a sigmoid for each dimension, (..., 6) -> (..., 6)."""

    def __init__(self, logit: float) -> None:
        super().__init__()
        self.inner = nn.Parameter(torch.randn(LATENT, HIDDEN))
        self.inner_bias = nn.Parameter(0.5 * torch.randn(LATENT, HIDDEN))
        self.outer = nn.Parameter(torch.zeros(LATENT, HIDDEN))
        self.logit = nn.Parameter(torch.full((LATENT,), logit))

    def forward(self, z: Tensor) -> Tensor:
        states = z.reshape(-1, LATENT, 1).transpose(0, 1)
        hidden = softplus(torch.baddbmm(self.inner_bias.unsqueeze(1), states, self.inner.unsqueeze(1)))
        logit = torch.bmm(hidden, self.outer.unsqueeze(-1)).squeeze(-1).t() + self.logit
        return (FLOOR + (1.0 - FLOOR) * torch.sigmoid(logit)).view_as(z)


class MocapModel(nn.Module):
    """Latent SDE, or with `stochastic=False` the latent ODE; the weights are a function of `seed`.

    Args:
        width: of the drifts' hidden layer, 30 in the paper.
        logit: of the diffusion at first. Small: a path of 300 steps must first learn where it goes.
    """

    noise_type, sde_type = "diagonal", "ito"

    def __init__(
        self, *, stochastic: bool = True, logit: float = -3.0, width: int = HIDDEN, seed: int = 0
    ) -> None:
        super().__init__()
        self.stochastic = stochastic
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.encoder = mlp(GIVEN * FEATURES, HIDDEN, HIDDEN, 2 * LATENT + CONTEXT)
            self.decoder = mlp(LATENT, HIDDEN, HIDDEN, 2 * FEATURES)
            self.drift = mlp(LATENT + (CONTEXT if stochastic else 0), width, LATENT)
            self.prior_initial = nn.Parameter(torch.zeros(2 * LATENT))
            if stochastic:
                self.prior_drift = mlp(LATENT, width, LATENT)
                self.diffusion = Diffusion(logit)

    def loss(self, given: Tensor, frames: Tensor, mask: Tensor, *, seed: int, compile: bool = False) -> Loss:
        """Of frames (B, T, 50) whose first three, as the encoder sees them, are `given` (B, 3, 50); `mask`
        (B, T) says which frames there are. `compile` is `solve`'s.
        """
        z, kl_initial, kl_path = self._paths(
            given, frames.shape[1], seed, divergence=self.stochastic, compile=compile
        )
        mean, log_std = self.decode(z)
        density = (-0.5 * ((frames - mean) / log_std.exp()).square() - log_std).sum(-1)
        return Loss((density * mask).sum(1), kl_initial, kl_path)

    @torch.no_grad()
    def predict(self, given: Tensor, frames: int, *, samples: int, seed: int) -> Tensor:
        """(samples, B, frames, 50): frame 0 is the first of the three `given` (B, 3, 50)."""
        z, _, _ = self._paths(given.repeat(samples, 1, 1), frames, seed, divergence=False)
        return self.decode(z)[0].unflatten(0, (samples, len(given)))

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """(..., 6) -> mean and log-deviation (..., 50), degrees."""
        mean, log_std = self.decoder(z).chunk(2, dim=-1)
        return SCALE * mean, log_std.clamp(-3.0, 3.0)

    def _paths(
        self, given: Tensor, frames: int, seed: int, *, divergence: bool, compile: bool = False
    ) -> Any:
        code = self.encoder(given.flatten(1) / SCALE)
        mean, log_std, context = code.split([LATENT, LATENT, CONTEXT], dim=-1)
        # Far below the rounding of the mean the density at the sample would be noise.
        log_std = log_std.clamp(-6.0, 3.0)
        z0 = mean + log_std.exp() * standard_normal(mean.shape, seed=derive_seed(seed, 0))
        prior_mean, prior_log_std = self.prior_initial.chunk(2)
        # Sticking the landing: the posterior's density at the sample, its parameters detached.
        own = -0.5 * ((z0 - mean.detach()) / log_std.detach().exp()).square() - log_std.detach()
        prior = -0.5 * ((z0 - prior_mean) / prior_log_std.exp()).square() - prior_log_std
        field: Any = _Posterior(self, context) if self.stochastic else _Flow(self)
        posterior = PathKL(field, vectorized=True) if divergence else field
        times = DT * torch.arange(frames)
        method = "euler" if self.stochastic else "midpoint"
        solution = solve(
            posterior, z0, times, dt=DT, method=method, seed=derive_seed(seed, 1), compile=compile
        )
        kl_path = solution.functional[-1] if divergence else torch.zeros(len(z0))
        return solution.ys.transpose(0, 1), (own - prior).sum(-1), kl_path


class _Posterior:
    """The SDE of a batch with its contexts (B, 3); the prior drift is h."""

    noise_type, sde_type = "diagonal", "ito"

    def __init__(self, model: MocapModel, context: Tensor) -> None:
        self.model = model
        first = model.drift[0]
        self.weight = first.weight[:, :LATENT].t()
        # What of the first layer does not see the state is the same at every step.
        self.known = context @ first.weight[:, LATENT:].t() + first.bias

    def f(self, t: Tensor, z: Tensor) -> Tensor:
        out: Tensor = self.model.drift[2](softplus(z @ self.weight + self.known))
        return out

    def g(self, t: Tensor, z: Tensor) -> Tensor:
        out: Tensor = self.model.diffusion(z)
        return out

    def h(self, t: Tensor, z: Tensor) -> Tensor:
        out: Tensor = self.model.prior_drift(z)
        return out


class _Flow:
    """The ODE of the latent ODE."""

    def __init__(self, model: MocapModel) -> None:
        self.model = model

    def f(self, t: Tensor, z: Tensor) -> Tensor:
        out: Tensor = self.model.drift(z)
        return out


def mlp(*widths: int) -> nn.Sequential:
    """Linear layers with softplus between."""
    layers: list[nn.Module] = []
    for narrow, wide in pairwise(widths):
        layers += [nn.Linear(narrow, wide), nn.Softplus()]
    return nn.Sequential(*layers[:-1])
