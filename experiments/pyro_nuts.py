"""NUTS over the parameters of an Ornstein-Uhlenbeck process: its path integrated out, and its path simulated.

dz = -θ z dt + σ dW is observed with known noise at random times. Once a Kalman filter integrates the path out
(`latentsde.pyro.LinearSDEObservations`) and NUTS samples θ and σ alone; once the Brownian increments are
latent variables beside them and `latentsde.solve` makes the path (`latentsde.pyro.simulated_path`), as one
would for a nonlinear SDE. Both must agree with quadrature.

    python experiments/pyro_nuts.py                     about a minute on one core
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import pyro
import pyro.distributions as dist
import torch
from pyro.infer import MCMC, NUTS
from torch import Tensor

from latentsde.pyro import LinearSDEObservations, simulated_path

THETA, SIGMA, NOISE, SPAN = 1.0, 1.0, 0.3, 5.0
PRIOR = dist.LogNormal(torch.tensor([0.0, 0.0]), torch.tensor([0.5, 0.5])).to_event(1)


class OrnsteinUhlenbeck:
    noise_type, sde_type, additive = "diagonal", "ito", True

    def __init__(self, theta: Tensor, sigma: Tensor) -> None:
        self.theta, self.sigma = theta, sigma

    def f(self, t: Tensor, z: Tensor) -> Tensor:
        return -self.theta * z

    def g(self, t: Tensor, z: Tensor) -> Tensor:
        return self.sigma.expand_as(z)


def observations(parameters: Tensor, times: Tensor) -> LinearSDEObservations:
    theta, sigma = parameters.unbind(-1)
    return LinearSDEObservations.ornstein_uhlenbeck(theta, 0.0, sigma, NOISE, times)


def marginalised(times: Tensor, values: Tensor) -> None:
    parameters = pyro.sample("parameters", PRIOR)
    pyro.sample("x", observations(parameters, times), obs=values)


def simulated(times: Tensor, values: Tensor, dt: float) -> None:
    parameters = pyro.sample("parameters", PRIOR)
    theta, sigma = parameters.unbind(-1)
    start = pyro.sample("start", dist.Normal(0.0, 1.0).expand([1, 1]).to_event(2))
    z0 = start * sigma / (2.0 * theta).sqrt()
    # Heun's mean decays by 1 - θh + ½θ²h² a step, which Euler would need far shorter ones for.
    sde = OrnsteinUhlenbeck(theta, sigma)
    z = simulated_path("z", sde, z0, times, dt=dt, method="heun", event_dim=2)
    pyro.sample("x", dist.Normal(z[:, 0], NOISE).to_event(2), obs=values)


def quadrature(times: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    logs = torch.linspace(-2.5, 2.5, 101, dtype=torch.float64)
    grid = torch.cartesian_prod(logs, logs).exp()
    log = observations(grid, times.double()).log_prob(values.double())
    log = log + PRIOR.log_prob(grid) + grid.log().sum(-1)
    weights = log.softmax(0)[:, None]
    mean = (weights * grid).sum(0)
    return mean, (weights * (grid - mean).square()).sum(0).sqrt()


def sample(model: Callable[..., None], options: argparse.Namespace, *data: object) -> tuple[Tensor, Tensor]:
    """Draws (samples, 2) of θ and σ, and how many independent ones they are worth, (2,)."""
    # The grid of the steps does not depend on what is sampled, so the whole program can be traced once.
    kernel = NUTS(model, jit_compile=True, ignore_jit_warnings=True, max_tree_depth=6)
    mcmc = MCMC(kernel, options.samples, options.warmup, disable_progbar=True)
    mcmc.run(*data)
    return mcmc.get_samples()["parameters"], mcmc.diagnostics()["parameters"]["n_eff"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--observations", type=int, default=8)
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--warmup", type=int, default=100)
    parser.add_argument("--dt", type=float, default=0.25)
    options = parser.parse_args()
    torch.set_num_threads(1)
    pyro.set_rng_seed(options.seed)
    times = torch.rand(options.observations).sort()[0] * SPAN
    values = observations(torch.tensor([THETA, SIGMA]), times).sample()

    def row(name: str, mean: Tensor, spread: Tensor, rest: str = "") -> None:
        cells = [f"{mean[k]:10.3f} ± {spread[k]:.3f}" for k in range(2)]
        print(f"{name:24}{cells[0]}{cells[1]}{rest}")

    print(f"{'':24}{'theta':>12}{'sigma':>18}{'n_eff':>20}{'seconds':>10}")
    print(f"{'truth':24}{THETA:10.3f}{SIGMA:18.3f}")
    row("exact (quadrature)", *quadrature(times, values))
    for name, model, data in (
        ("NUTS, marginalised", marginalised, ()),
        ("NUTS, simulated", simulated, (options.dt,)),
    ):
        begin = time.perf_counter()
        draws, effective = sample(model, options, times, values, *data)
        numbers = f"{float(effective[0]):10.0f}, {float(effective[1]):.0f}"
        row(name, draws.mean(0), draws.std(0), f"{numbers}{time.perf_counter() - begin:10.0f}")
    print(f"seed {options.seed}: {options.samples} samples after {options.warmup}, dt = {options.dt}")


if __name__ == "__main__":
    main()
