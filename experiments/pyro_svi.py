"""SVI of a latent SDE in Pyro with a prior over its parameters, beside the exact posterior.

Ornstein-Uhlenbeck series dz = -θ z dt + σ dW, observed with known noise at random times; θ and σ are
log-normal a priori and shared by all series, which the plate subsamples. Given θ and σ the guide is the prior
pulled towards learned targets, one for each observation; its path KL enters by
`latentsde.pyro.posterior_path`.
The exact posterior and evidence come from quadrature over θ and σ with a Kalman filter.

    python experiments/pyro_svi.py                      less than a minute on one core
"""

from __future__ import annotations

import argparse
import math
import time

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions.transforms import ExpTransform
from pyro.infer import SVI, Trace_ELBO
from torch import Tensor

from latentsde.pyro import LinearSDEObservations, StickingTheLanding, posterior_path, prior_path

THETA, SIGMA, NOISE, SPAN = 1.0, 0.7, 0.2, 5.0
PRIOR = dist.LogNormal(torch.tensor([-0.5, -0.5]), torch.tensor([1.0, 1.0])).to_event(1)


class OrnsteinUhlenbeck:
    """The prior, from sampled θ and σ; the posterior adds a pull to it."""

    noise_type, sde_type, additive = "diagonal", "ito", True

    def __init__(self, parameters: Tensor) -> None:
        self.theta, self.sigma = parameters[..., 0:1], parameters[..., 1:2]

    def h(self, t: Tensor, z: Tensor) -> Tensor:
        return -self.theta * z

    def f(self, t: Tensor, z: Tensor) -> Tensor:
        return self.h(t, z)

    def g(self, t: Tensor, z: Tensor) -> Tensor:
        return self.sigma.expand_as(z)

    def stationary(self) -> Tensor:
        return self.sigma / (2.0 * self.theta).sqrt()


class Pulled(OrnsteinUhlenbeck):
    """Given θ, σ and a message N(m; z(t_k), v) of all that comes at and after observation k: f = h + σ² ∇ log
    of its density at (t, z), which is Doob's transform, exact where the messages are.

    Args:
        times, target, variance: (series, observations) t_k, m and v.
    """

    def __init__(self, parameters: Tensor, times: Tensor, target: Tensor, variance: Tensor) -> None:
        super().__init__(parameters)
        self.times, self.target, self.variance = times, target, variance
        self.known: dict[int, tuple[Tensor, ...]] = {}

    def prepare(self, ts: list[Tensor]) -> None:
        """What does not depend on the state, for all of the solver's times at once."""
        self.solver_times = ts
        parts = zip(*(part.unbind(0) for part in self.ahead(torch.stack(ts))), strict=True)
        self.known = {id(t): part for t, part in zip(ts, parts, strict=True)}

    def ahead(self, t: Tensor) -> tuple[Tensor, ...]:
        """Decay until the next observation, its target, and the variance of the target given z(t)."""
        if id(t) in self.known:
            return self.known[id(t)]
        t = t.expand(*t.shape[:-2], len(self.times), 1)
        index = (t >= self.times).sum(-1, keepdim=True).clamp_max(self.times.shape[1] - 1)
        times, target, variance = (
            x.expand(*t.shape[:-1], -1).gather(-1, index) for x in (self.times, self.target, self.variance)
        )
        left = (times - t).clamp_min(0.0)
        return torch.exp(-self.theta * left), target, variance + self.spread(left)

    def spread(self, length: Tensor) -> Tensor:
        return -torch.expm1(-2.0 * self.theta * length) * self.stationary().square()

    def f(self, t: Tensor, z: Tensor) -> Tensor:
        decay, target, variance = self.ahead(t)
        return self.h(t, z) + self.sigma.square() * decay * (target - decay * z) / variance

    def contraction(self, t: Tensor, z: Tensor, h: Tensor) -> Tensor:
        """A step towards an observation ends with less noise than the prior's."""
        decay, _, variance = self.ahead(t)
        share = decay.square() * self.sigma.square() * h / variance
        return (1.0 - share).clamp_min(0.05).sqrt()

    def start(self) -> dist.Distribution:
        """z(0): the stationary law times the first message."""
        decay, target, variance = self.ahead(torch.zeros(1, 1))
        precision = self.stationary().reciprocal().square() + decay.square() / variance
        return dist.Normal(decay * target / variance / precision, precision.rsqrt()).to_event(1)


def simulate(series: int, observations: int) -> tuple[Tensor, Tensor]:
    """Times and values (series, observations)."""
    times = torch.rand(series, observations).sort(1)[0] * SPAN
    return times, exact(torch.tensor([THETA, SIGMA]), times).sample().squeeze(-1)


def exact(parameters: Tensor, times: Tensor) -> LinearSDEObservations:
    theta, sigma = parameters.unbind(-1)
    return LinearSDEObservations.ornstein_uhlenbeck(theta, 0.0, sigma, NOISE, times)


def quadrature(times: Tensor, values: Tensor, points: int = 61) -> tuple[Tensor, Tensor, float]:
    """Mean and standard deviation (2,) of the exact posterior of θ and σ, and the log evidence in nats."""
    logs = torch.linspace(-3.0, 2.0, points, dtype=torch.float64)
    grid = torch.cartesian_prod(logs, logs).exp()
    times, values = times.double(), values.double()[..., None]
    log = exact(grid[:, None], times).log_prob(values).sum(-1)
    log = log + PRIOR.log_prob(grid) + grid.log().sum(-1)  # on the scale of logarithms
    evidence = log.logsumexp(0) + 2.0 * math.log(float(logs[1] - logs[0]))
    weights = log.softmax(0)[:, None]
    mean = (weights * grid).sum(0)
    return mean, (weights * (grid - mean).square()).sum(0).sqrt(), float(evidence)


class Inference:
    """Model and guide; every call subsamples `batch` series."""

    def __init__(self, times: Tensor, values: Tensor, batch: int, dt: float) -> None:
        self.times, self.values, self.dt, self.batch = times, values, dt, batch

    def plate(self) -> pyro.plate:
        return pyro.plate("series", len(self.times), subsample_size=self.batch)

    def grid(self, index: Tensor) -> Tensor:
        """(1 + observations, batch) for the solver, beginning at 0."""
        times = self.times[index]
        return torch.cat([torch.zeros_like(times[:, :1]), times], 1).t()

    def model(self) -> None:
        prior = OrnsteinUhlenbeck(pyro.sample("parameters", PRIOR))
        with self.plate() as index:
            z0 = pyro.sample("z0", dist.Normal(0.0, prior.stationary()).to_event(1))
            z = prior_path("z", prior, z0, self.grid(index), dt=self.dt)
            pyro.sample("x", dist.Normal(z[:, 1:, 0], NOISE).to_event(1), obs=self.values[index])

    def guide(self) -> None:
        location = pyro.param("location", torch.tensor([-0.5, -0.5]))
        root = pyro.param("root", 0.3 * torch.eye(2), constraint=dist.constraints.lower_cholesky)
        normal = dist.MultivariateNormal(location, scale_tril=root)
        law = dist.TransformedDistribution(normal, ExpTransform())
        parameters = pyro.sample("parameters", StickingTheLanding(law))
        shape = self.values.shape
        target = pyro.param("target", self.values.clone())
        log_variance = pyro.param("log_variance", torch.full(shape, 2.0 * math.log(NOISE)))
        # What the messages are to first order in log θ and log σ: without it these would seem independent
        # of the paths, and their posterior too narrow.
        target_slope = pyro.param("target_slope", torch.zeros(*shape, 2))
        variance_slope = pyro.param("variance_slope", torch.zeros(*shape, 2))
        away = parameters.log() - location.detach()
        with self.plate() as index:
            m = target[index] + (target_slope[index] * away).sum(-1)
            v = (log_variance[index] + (variance_slope[index] * away).sum(-1)).exp()
            posterior = Pulled(parameters, self.times[index], m, v)
            z0 = pyro.sample("z0", StickingTheLanding(posterior.start()))
            posterior_path(
                "z", posterior, z0, self.grid(index), dt=self.dt, vectorized=True, sampled=[parameters]
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--series", type=int, default=20)
    parser.add_argument("--observations", type=int, default=10)
    parser.add_argument("--batch", type=int, default=10, help="series in a step of SVI")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--dt", type=float, default=0.05)
    options = parser.parse_args()
    torch.set_num_threads(1)
    pyro.set_rng_seed(options.seed)
    pyro.clear_param_store()
    begin = time.perf_counter()
    times, values = simulate(options.series, options.observations)
    mean, deviation, evidence = quadrature(times, values)

    inference = Inference(times, values, options.batch, options.dt)
    decay = 0.02 ** (1.0 / options.steps)
    optimiser = pyro.optim.ClippedAdam({"lr": 0.05, "lrd": decay, "betas": (0.9, 0.99)})
    svi = SVI(inference.model, inference.guide, optimiser, Trace_ELBO())
    for _ in range(options.steps):
        svi.step()
    inference.batch = options.series
    with torch.no_grad():
        bounds = torch.tensor([-svi.evaluate_loss() for _ in range(50)])
    location = pyro.param("location").detach()
    variance = pyro.param("root").detach().square().sum(-1)
    found = (location + 0.5 * variance).exp()
    spread = found * variance.expm1().sqrt()

    print(f"{'':8}{'truth':>8}{'exact posterior':>20}{'SVI':>20}")
    for k, (name, truth) in enumerate((("theta", THETA), ("sigma", SIGMA))):
        print(f"{name:8}{truth:8.2f}{mean[k]:12.3f} ± {deviation[k]:.3f}{found[k]:12.3f} ± {spread[k]:.3f}")
    error = bounds.std() / math.sqrt(len(bounds))
    print(f"log evidence {evidence:.2f}, ELBO {bounds.mean():.2f} ± {error:.2f} (standard error), nats")
    print(
        f"seed {options.seed}: {options.steps} steps on {options.batch} of {options.series} series, "
        f"dt = {options.dt}, {time.perf_counter() - begin:.0f} s"
    )


if __name__ == "__main__":
    main()
