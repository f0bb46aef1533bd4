"""An Ornstein-Uhlenbeck process under Euler's method, observed with normal noise: all is known exactly."""

from __future__ import annotations

from typing import Any

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

from latentsde.pyro import posterior_path, prior_path

DOUBLE = torch.float64
STEPS, STEP, NOISE, START = 12, 0.1, 0.3, 0.4
TIMES = torch.tensor([0.0, 0.5, 0.8, 1.2], dtype=DOUBLE)
OBSERVED = (5, 8, 12)  # the steps at whose ends the last three times are
VALUES = torch.tensor([[0.9, -0.2, 0.5], [0.1, 0.7, -0.6]], dtype=DOUBLE)  # (series, times)


def real(value: float) -> Tensor:
    return torch.tensor(value, dtype=DOUBLE, requires_grad=True)


class Chain:
    """The prior; f = h, z of any shape."""

    noise_type, sde_type, additive = "diagonal", "ito", True

    def __init__(self, theta: Tensor, sigma: Tensor) -> None:
        self.theta, self.sigma = theta, sigma

    def h(self, t: Tensor, z: Tensor) -> Tensor:
        return -self.theta * z

    def f(self, t: Tensor, z: Tensor) -> Tensor:
        return self.h(t, z)

    def g(self, t: Tensor, z: Tensor) -> Tensor:
        return self.sigma.expand_as(z)


class ExactPosterior(Chain):
    """The chain given the observations: the backward information filter in closed form.

    After step k all that is still to be seen has likelihood exp(-Λ z²/2 + η z). A step of the prior with
    decay A and variance q then has mean s² (A z + q η) and variance s² q, s² = 1 / (1 + q Λ). `shift`
    (steps,) is added to η: a parameter whose exact value is 0.
    """

    def __init__(self, theta: Tensor, sigma: Tensor, values: Tensor, shift: Tensor) -> None:
        super().__init__(theta, sigma)
        self.decay, self.variance = 1.0 - theta * STEP, sigma.square() * STEP
        precision, pull = torch.zeros((), dtype=DOUBLE), torch.zeros(len(values), dtype=DOUBLE)
        self.share, self.pull = [theta] * STEPS, [pull] * STEPS
        for k in reversed(range(STEPS)):
            if k + 1 in OBSERVED:
                precision = precision + NOISE**-2
                pull = pull + values[:, OBSERVED.index(k + 1)] * NOISE**-2
            self.share[k] = 1.0 / (1.0 + self.variance * precision)
            self.pull[k] = pull + shift[k]
            precision = self.decay.square() * precision * self.share[k]
            pull = self.decay * pull * self.share[k]

    def f(self, t: Tensor, z: Tensor) -> Tensor:
        k = round(float(t) / STEP)
        pull = self.pull[k].view(-1, *(1,) * (z.dim() - 1))
        return (self.share[k] * (self.decay * z + self.variance * pull) - z) / STEP

    def contraction(self, t: Tensor, z: Tensor, h: Any) -> Tensor:
        return self.share[round(float(t) / STEP)].sqrt().expand_as(z)


def log_evidence(theta: Tensor, sigma: Tensor) -> Tensor:
    """(series,) nats: the observations of the chain are jointly normal."""
    decay = 1.0 - theta * STEP
    steps = torch.arange(1, STEPS + 1, dtype=DOUBLE)
    response = decay ** (steps[:, None] - steps).clamp_min(0.0) * (steps[:, None] >= steps)
    response = response[torch.tensor(OBSERVED) - 1]
    covariance = sigma.square() * STEP * response @ response.T + NOISE**2 * torch.eye(3, dtype=DOUBLE)
    mean = START * decay ** torch.tensor(OBSERVED, dtype=DOUBLE)
    return torch.distributions.MultivariateNormal(mean, covariance).log_prob(VALUES)


def start() -> Tensor:
    return torch.full((len(VALUES), 1), START, dtype=DOUBLE)


class Program:
    """Model and guide with θ fixed by the guide; the prior of θ is standard normal, so that it has a
    gradient.
    """

    def __init__(self, **options: Any) -> None:
        self.theta, self.sigma = real(0.8), real(0.6)
        self.shift = torch.zeros(STEPS, dtype=DOUBLE, requires_grad=True)
        self.sampled = options.pop("sampled", True)
        self.options = {"dt": STEP, **options}

    def model(self) -> None:
        theta = pyro.sample("theta", dist.Normal(torch.zeros((), dtype=DOUBLE), 1.0))
        with pyro.plate("series", len(VALUES)):
            z = prior_path("z", Chain(theta, self.sigma), start(), TIMES, dt=STEP)
            pyro.sample("x", dist.Normal(z[:, 1:, 0], NOISE).to_event(1), obs=VALUES)

    def guide(self) -> None:
        theta = pyro.sample("theta", dist.Delta(self.theta))
        with pyro.plate("series", len(VALUES)):
            sde = ExactPosterior(theta, self.sigma, VALUES, self.shift)
            sampled = [theta] if self.sampled else []
            posterior_path("z", sde, start(), TIMES, sampled=sampled, **self.options)

    def target(self) -> Tensor:
        """What the bound is for every path when the guide is exact."""
        prior = torch.distributions.Normal(0.0, 1.0).log_prob(self.theta)
        return prior + log_evidence(self.theta, self.sigma).sum()
