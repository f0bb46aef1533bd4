"""The variance of three gradient estimators of the ELBO along a training: sticking the landing pays late.

    python -m experiments.gradient_variance --seeds 0 --out runs/gradient_variance

A one-dimensional latent SDE on two segments of a cosine: drift net 3-400-1, tanh, of sin t, cos t and z;
prior dz = -z dt + dW from its stationary law; normal observations of standard deviation .1 on [.4, .6] and
[.8, 1]. At some iterations `samples` single-path gradients are taken at the same weights and with the same
noise by three estimators, and their variances summed over the parameters:

    Monte Carlo            -log(q/p) of the path as a sample: ½∫|u|²dt + ∫u·dW and log q(z0) - log p(z0)
    closed form            ½∫|u|²dt and the closed form of KL(q(z0) || p(z0))
    sticking the landing   ½∫|u|²dt + ∫ū·dW and log q̄(z0) - log p(z0)     (Xu, Chen, Li & Duvenaud 2022)

The variance of sticking the landing is that of what separates q from the exact posterior, so the training has
to get near it. The exact drift is steep before an observation and jumps behind it. A first layer whose units
switch within .003 to .1, at times spread over the span, can follow it; but such units are nearly collinear,
and Adam does not find their output weights in time. Natural
gradients do (`experiments.natural_gradient`); everything else follows Adam.

Published is a figure in a talk without numbers; the bar here is a tenth of Monte Carlo's variance at the last
iteration. The second table is of a linear-Gaussian chain, where the exact posterior is known: there the
variance is rounding (see `experiments.linear_gaussian`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from torch import Tensor
from torch.distributions import Normal, kl_divergence
from torch.optim import Adam
from torch.optim.lr_scheduler import ExponentialLR

from experiments import linear_gaussian
from experiments.kalman import smooth
from experiments.natural_gradient import NaturalGradient
from experiments.seeds import Experiment, options, run
from latentsde import PathKL, solve
from latentsde.benchmarks.output import say
from latentsde.brownian import derive_seed
from latentsde.plotting.style import MODEL, OBSERVED, REFERENCE, grid, legend, style

ESTIMATORS = {"Monte Carlo": OBSERVED, "closed form": REFERENCE, "sticking the landing": MODEL}
SIGMA, NOISE, SPAN = 1.0, 0.1, 1.0
PRIOR = Normal(0.0, SIGMA / math.sqrt(2.0))
CHUNK = 250  # samples with weights of their own that fit into the cache
FISHER_EVERY, FISHER_PATHS = 10, 64  # iterations between two estimates of F, and the paths of one


@dataclass(frozen=True)
class Plan:
    iterations: tuple[int, ...] = (1, 50, 100, 500, 1000, 2000, 3000)
    samples: int = 2000
    batch: int = 128
    hidden: int = 400
    points: int = 2
    dt: float = 0.005
    rate: float = 3e-3
    natural_rate: float = 0.3
    damping: float = 1e-4
    decay: float = 0.999


class Curve:
    """The posterior. Its weights may have a leading axis: then every path has its own, and the gradients of
    single paths are those of their weights.
    """

    noise_type, sde_type, additive = "diagonal", "ito", True

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self.weights = weights

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        w = self.weights
        t = t.expand(*y.shape[:-1], 1)
        inputs = torch.cat([t.sin(), t.cos(), y], dim=-1)
        if w["inner"].dim() == 2:
            return torch.tanh(inputs @ w["inner"] + w["inner_bias"]) @ w["outer"] + w["outer_bias"]
        paths = inputs.reshape(-1, *inputs.shape[-2:]).transpose(0, 1)  # (paths, steps or 1, 3)
        hidden = torch.tanh(torch.baddbmm(w["inner_bias"].unsqueeze(1), paths, w["inner"]))
        return torch.baddbmm(w["outer_bias"].unsqueeze(1), hidden, w["outer"]).transpose(0, 1).view_as(y)

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.full_like(y, SIGMA)

    def h(self, t: Tensor, y: Tensor) -> Tensor:
        return -y


class MonteCarlo:
    """An SDE whose functional is log(q/p) of its path, nothing detached."""

    functional_vectorized = True

    def __init__(self, posterior: Any) -> None:
        self.posterior = posterior
        self.noise_type, self.sde_type = posterior.noise_type, posterior.sde_type
        self.f, self.g = posterior.f, posterior.g

    def functional(self, t: Tensor, y: Tensor, h: Tensor, dW: Tensor, *_: Tensor) -> Tensor:
        u = (self.posterior.f(t, y) - self.posterior.h(t, y)) / self.posterior.g(t, y)
        return (0.5 * u.square() * h + u * dW).sum(-1)


def initial_weights(hidden: int, seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    steepness = 10.0 * 30.0 ** torch.rand(hidden, generator=generator)
    inner = torch.cat([steepness * normal(2, hidden), 6.0 * normal(1, hidden)])
    centre = SPAN * torch.rand(hidden, generator=generator)
    weights = {
        "inner": inner,
        "inner_bias": -(inner[0] * centre.sin() + inner[1] * centre.cos()),
        "outer": torch.zeros(hidden, 1),
        "outer_bias": torch.zeros(1),
        "mean": torch.tensor([PRIOR.mean]),
        "log_std": torch.tensor([PRIOR.stddev]).log(),
    }
    return {name: value.requires_grad_() for name, value in weights.items()}


def data(points: int) -> tuple[Tensor, Tensor]:
    """Times (2 points,), `points` in each segment with its ends, and values of cos 2πt with an error that is
    always the same.
    """
    times = torch.cat([torch.linspace(0.4, 0.6, points), torch.linspace(0.8, 1.0, points)])
    error = torch.randn(2 * points, generator=torch.Generator().manual_seed(0))
    return times, torch.cos(2.0 * math.pi * times) + NOISE * error


def initial_state(weights: Mapping[str, Tensor], count: int, seed: int) -> Tensor:
    """(count, 1) z0 ~ q."""
    noise = torch.randn(count, 1, generator=torch.Generator().manual_seed(seed))
    return weights["mean"] + weights["log_std"].exp() * noise


def elbo(weights: Mapping[str, Tensor], estimator: str, plan: Plan, count: int, seed: int) -> Tensor:
    """(count,) single-path estimates; the noise is a function of `seed`, the same for every estimator."""
    mean, std = weights["mean"], weights["log_std"].exp()
    z0 = initial_state(weights, count, derive_seed(seed, 0))
    curve = Curve(weights)
    if estimator == "closed form":
        initial = kl_divergence(Normal(mean, std), PRIOR).sum(-1)
        posterior: Any = PathKL(curve, sticking_the_landing=False, vectorized=True)
    elif estimator == "Monte Carlo":
        initial = (Normal(mean, std).log_prob(z0) - PRIOR.log_prob(z0)).sum(-1)
        posterior = MonteCarlo(curve)
    else:
        initial = (Normal(mean.detach(), std.detach()).log_prob(z0) - PRIOR.log_prob(z0)).sum(-1)
        posterior = PathKL(curve, vectorized=True)
    times, values = data(plan.points)
    ts = torch.cat([torch.zeros(1), times])
    solution = solve(posterior, z0, ts, method="euler", dt=plan.dt, seed=derive_seed(seed, 1))
    likelihood = Normal(solution.ys[1:, :, 0], NOISE).log_prob(values.unsqueeze(1)).sum(0)
    return likelihood - initial - solution.functional[-1]


def variance(weights: Mapping[str, Tensor], estimator: str, plan: Plan, seed: int) -> dict[str, float]:
    """The variance of single-path gradients, summed over the drift's weights, and of the initial state's two
    numbers.
    """
    gradients: dict[str, list[Tensor]] = {name: [] for name in weights}
    for chunk, begin in enumerate(range(0, plan.samples, CHUNK)):
        count = min(CHUNK, plan.samples - begin)
        own = {k: w.detach().expand(count, *w.shape).clone().requires_grad_() for k, w in weights.items()}
        value = elbo(own, estimator, plan, count, derive_seed(seed, chunk))
        for name, gradient in zip(own, torch.autograd.grad(value.sum(), list(own.values())), strict=True):
            gradients[name].append(gradient.flatten(1).double())
    found = {name: float(torch.cat(parts).var(0).sum()) for name, parts in gradients.items()}
    initial = {name: found.pop(name) for name in ("mean", "log_std")}
    return {"drift": sum(found.values())} | initial


@torch.no_grad()
def observe(natural: NaturalGradient, weights: Mapping[str, Tensor], plan: Plan, seed: int) -> None:
    """Show it the hidden units along fresh posterior paths."""
    grid = torch.arange(round(SPAN / plan.dt) + 1) * plan.dt
    z0 = initial_state(weights, FISHER_PATHS, derive_seed(seed, 0))
    z = solve(Curve(weights), z0, grid, method="euler", dt=plan.dt, seed=derive_seed(seed, 1)).ys[:-1]
    t = grid[:-1, None, None].expand_as(z)
    inputs = torch.cat([t.sin(), t.cos(), z], dim=-1).flatten(0, 1)
    units = torch.tanh(inputs @ weights["inner"] + weights["inner_bias"])
    natural.observe(units, plan.dt / (FISHER_PATHS * SIGMA**2))


def one(plan: Plan, seed: int) -> dict[str, Any]:
    weights = initial_weights(plan.hidden, seed)
    natural = NaturalGradient(weights["outer"], weights["outer_bias"], damping=plan.damping)
    optimizer = Adam(
        [
            {"params": [weights["inner"], weights["inner_bias"]], "lr": plan.rate},
            {"params": [weights["mean"], weights["log_std"]], "lr": 1e-2},
        ]
    )
    schedule = ExponentialLR(optimizer, gamma=plan.decay)
    rows = []
    for iteration in itertools.count(1):
        for weight in weights.values():
            weight.grad = None
        value = elbo(weights, "sticking the landing", plan, plan.batch, derive_seed(seed, iteration)).mean()
        (-value).backward()
        if iteration % FISHER_EVERY == 1:
            observe(natural, weights, plan, derive_seed(seed, iteration, 0))
        natural.step(plan.natural_rate * plan.decay**iteration * min(1.0, iteration / 50))
        optimizer.step()
        schedule.step()
        if iteration in plan.iterations:
            fresh = derive_seed(seed, -iteration)
            rows.append({name: variance(weights, name, plan, fresh) for name in ESTIMATORS})
            say(f"  iteration {iteration}: ELBO {float(value.detach()):.3f}")
        if iteration == max(plan.iterations):
            break
    chain = linear_gaussian.rows(samples=plan.samples)
    with torch.no_grad():
        bound = elbo(weights, "sticking the landing", plan, plan.samples, derive_seed(seed, 0)).mean()
    return {"variances": rows, "gap": evidence(plan) - float(bound), "linear_gaussian": chain}


def evidence(plan: Plan) -> float:
    """log p(x) of the observations."""
    times, values = (part.double().numpy() for part in data(plan.points))
    return smooth(times, values, theta=1.0, sigma=SIGMA, error=NOISE).log_likelihood


def table(plan: Plan, results: list[dict[str, Any]]) -> list[str]:
    lines = [
        f"| seed | iteration | {' | '.join(ESTIMATORS)} | Monte Carlo / sticking the landing "
        "| the same of the mean of z0 |"
    ]
    lines.append("|---" * (len(ESTIMATORS) + 4) + "|")
    for result in results:
        for iteration, row in zip(plan.iterations, result["variances"], strict=True):
            cells = " | ".join(f"{row[name]['drift']:.3g}" for name in ESTIMATORS)
            ratio = {
                part: row["Monte Carlo"][part] / max(row["sticking the landing"][part], 1e-300)
                for part in ("drift", "mean")
            }
            lines.append(
                f"| {result['seed']} | {iteration} | {cells} | {ratio['drift']:.1f} | {ratio['mean']:.1f} |"
            )
    gaps = ", ".join(f"{result['gap']:.2f}" for result in results)
    last = [result["variances"][-1] for result in results]
    met = all(row["Monte Carlo"]["drift"] >= 10.0 * row["sticking the landing"]["drift"] for row in last)
    lines += [
        "",
        f"Ten times at the last iteration: {'yes' if met else 'no'}. log p(x) - ELBO there: {gaps} nats.",
    ]
    return [*lines, "", *linear_gaussian.table(results[0]["linear_gaussian"])]


def draw(plan: Plan, results: list[dict[str, Any]]) -> Figure:
    parts = {
        "drift": "drift network, sum over weights",
        "mean": "mean of z0",
        "log_std": "log-deviation of z0",
    }
    with style():
        figure, axes = grid(1, len(parts), width=2.6, height=2.2)
        for ax, (part, title) in zip(axes[0], parts.items(), strict=True):
            ax.set(title=title, xlabel="iteration", xscale="log", yscale="log")
            # The style takes labels as they are, and matplotlib's for logarithmic axes are formulas.
            ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
            ax.yaxis.set_major_formatter(lambda value, _: f"1e{round(math.log10(value))}")
            for axis in (ax.xaxis, ax.yaxis):
                axis.set_minor_formatter(NullFormatter())
            for name, colour in ESTIMATORS.items():
                for result in results:
                    line = [row[name][part] for row in result["variances"]]
                    (handle,) = ax.plot(plan.iterations, line, color=colour, lw=1.2, marker="o", ms=3)
                handle.set_label(name)
        axes[0, 0].set_ylabel("variance of single-path gradients")
        handles, labels = axes[0, 0].get_legend_handles_labels()
        legend(figure, dict(zip(labels, handles, strict=True)))
    return figure


EXPERIMENT = "gradient_variance"

if __name__ == "__main__":
    plan, seeds, out, page = options(__doc__, Plan)
    run(Experiment(EXPERIMENT, plan, one, table, draw), seeds, out, page)
