"""The one-dimensional toy of latent SDEs, with the posterior that it should find.

    python -m experiments.toy_posterior --seeds 0 --out runs/toy_posterior

Prior dz = -z dt + .5 dW from its stationary law; the posterior's drift is a network 3-200-200-1, tanh, of
sin t, cos t and z, its last layer zero at first; Adam 1e-2 decayed by .999, step .01, KL annealed over 100
iterations (Li, Wong, Chen & Duvenaud 2020; torchsde's example `latent_sde`). Twice:

    Laplace   a sine at 16 times with a Laplace likelihood of scale .05, as in the talk: a figure
    normal    a path of the prior at the same times with normal errors of standard deviation .3: the exact
              posterior is a Kalman smoother, and log p(x) - ELBO a number, in nats per observation

Published are 5,000 iterations at batch 512, `--iterations 5000 --laplace-iterations 5000 --batch 512`; the
defaults are smaller, for one core and some minutes. The gap has three parts: Euler's chain is not the
process, q's steps keep the prior's noise, and the network is not the posterior drift.
`experiments/ornstein_uhlenbeck.py` measures the gap of an amortised model on held-out series.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from torch import Tensor
from torch.distributions import Laplace, Normal
from torch.optim import Adam
from torch.optim.lr_scheduler import ExponentialLR

from experiments.kalman import ExactPosterior, smooth
from experiments.seeds import Experiment, options, run
from experiments.torchsde_sine import OBSERVATIONS, SCALE, SIGMA, SPAN, THETA, Sine, Size
from latentsde import PathKL, solve
from latentsde.brownian import derive_seed
from latentsde.plotting.style import MODEL, MODEL_50, MODEL_90, OBSERVED, REFERENCE, grid, legend, style

BAR = 0.02  # nats per observation
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
NORMAL_QUANTILES = (-1.6449, -0.6745, 0.0, 0.6745, 1.6449)


@dataclass(frozen=True)
class Plan:
    iterations: int = 1500
    laplace_iterations: int = 600
    batch: int = 8
    hidden: int = 200
    steps: int = 200
    error: float = 0.3
    """Of the normal likelihood; what Euler's steps cost grows as its inverse square."""
    paths: int = 2048
    """Of the trained posterior, for its ELBO and its bands."""


class Toy(Sine):
    """torchsde's model with either likelihood; the normal one's observations are a path of the prior."""

    def __init__(self, size: Size, *, likelihood: str, error: float, seed: int) -> None:
        super().__init__(size, seed=seed)
        with torch.no_grad():
            # The drift jumps at every observation: units that switch within a tenth, at times spread over the
            # span, learn that sooner than units that hardly see the time.
            first, generator = self.net[0], torch.Generator().manual_seed(derive_seed(seed, 1))
            first.weight[:, :2] = 10.0 * torch.randn(size.hidden, 2, generator=generator)
            centre = SPAN * torch.rand(size.hidden, generator=generator)
            first.bias.copy_(-(first.weight[:, 0] * centre.sin() + first.weight[:, 1] * centre.cos()))
        self.likelihood = Laplace if likelihood == "Laplace" else Normal
        self.scale = SCALE if likelihood == "Laplace" else error
        if likelihood == "normal":
            generator = torch.Generator().manual_seed(derive_seed(seed, 0))
            noise = torch.randn(2, OBSERVATIONS, generator=generator)
            decay = torch.exp(-THETA * self.times[1:-1].diff(prepend=self.times[1:2] - 1e3))
            path, state = [], torch.zeros(())
            for factor, normal in zip(decay, noise[0], strict=True):
                state = factor * state + SIGMA * ((1.0 - factor**2) / (2.0 * THETA)).sqrt() * normal
                path.append(state)
            self.observed = torch.stack(path) + error * noise[1]

    def elbo(self, batch: int, seed: int, weight: float = 1.0, exact: ExactPosterior | None = None) -> Tensor:
        """(batch,) single-path estimates, sticking the landing; the noise is a function of `seed`. With
        `exact`, that one is q.
        """
        noise = torch.randn(batch, 1, generator=torch.Generator().manual_seed(derive_seed(seed, 0)))
        q = Normal(self.mean, self.log_std.exp()) if exact is None else exact.start()
        z0 = q.mean + q.stddev * noise
        own = Normal(q.mean.detach(), q.stddev.detach())
        initial = (own.log_prob(z0) - self.prior.log_prob(z0)).sum(-1)
        posterior = PathKL(self if exact is None else exact, vectorized=exact is None)
        solution = solve(posterior, z0, self.times, method="euler", dt=self.dt, seed=derive_seed(seed, 1))
        location = solution.ys[1:-1, :, 0]
        likelihood = self.likelihood(location, self.scale).log_prob(self.observed.unsqueeze(1)).sum(0)
        return likelihood - weight * (initial + solution.functional[-1])

    @torch.no_grad()
    def paths(self, count: int, seed: int) -> Tensor:
        """(times, count) of the posterior at every step."""
        noise = torch.randn(count, 1, generator=torch.Generator().manual_seed(derive_seed(seed, 0)))
        z0 = self.mean + self.log_std.exp() * noise
        return solve(self, z0, self.grid(), method="euler", dt=self.dt, seed=derive_seed(seed, 1)).ys[..., 0]

    def grid(self) -> Tensor:
        return torch.arange(round(SPAN / self.dt) + 1) * self.dt


def train(model: Toy, iterations: int, plan: Plan, seed: int) -> None:
    optimizer = Adam(model.parameters(), lr=1e-2)
    schedule = ExponentialLR(optimizer, gamma=0.999)
    for iteration in range(1, iterations + 1):
        optimizer.zero_grad()
        loss = -model.elbo(plan.batch, derive_seed(seed, iteration), min(1.0, iteration / 100)).mean()
        loss.backward()
        optimizer.step()
        schedule.step()


def fitted(likelihood: str, plan: Plan, seed: int) -> dict[str, Any]:
    """The trained posterior's ELBO and bands, and the exact ones where they are known."""
    size = Size(batch=plan.batch, hidden=plan.hidden, steps=plan.steps)
    model = Toy(size, likelihood=likelihood, error=plan.error, seed=seed)
    iterations = plan.laplace_iterations if likelihood == "Laplace" else plan.iterations
    train(model, iterations, plan, derive_seed(seed, 1))
    fresh = derive_seed(seed, 2)
    with torch.no_grad():
        bound = model.elbo(plan.paths, fresh).double() / OBSERVATIONS
    paths = model.paths(plan.paths, fresh).double().numpy()
    quantiles = np.quantile(paths, LEVELS, axis=1)
    found = {
        "times": model.times[1:-1].tolist(),
        "observed": model.observed.tolist(),
        "elbo": float(bound.mean()),
        "error": float(bound.std()) / plan.paths**0.5,
        "quantiles": quantiles.round(4).tolist(),
        "paths": paths[:, :3].T.round(4).tolist(),
    }
    return found | (exact(model, paths, plan, fresh) if likelihood == "normal" else {})


def exact(model: Toy, paths: np.ndarray, plan: Plan, seed: int) -> dict[str, Any]:
    """log p(x) per observation, the smoother's mean and deviation at every step, and how far q is from
    them.
    """
    grid = model.grid().double().numpy()
    seen = np.full(len(grid), np.nan)
    seen[(model.times[1:-1] / model.dt).round().long().numpy()] = model.observed.numpy()
    process = {"theta": THETA, "sigma": SIGMA, "error": plan.error}
    known = smooth(grid, seen, **process)
    with torch.no_grad():
        best = model.elbo(plan.paths, seed, exact=ExactPosterior(grid, seen, **process)).double()
    return {
        "log_likelihood": known.log_likelihood / OBSERVATIONS,
        "elbo_of_the_exact_drift": float(best.mean()) / OBSERVATIONS,
        "mean": known.mean.round(4).tolist(),
        "std": known.std.round(4).tolist(),
        # In standard deviations of the exact posterior, root mean square over the times.
        "mean_error": float(np.sqrt(np.mean(((paths.mean(1) - known.mean) / known.std) ** 2))),
        "std_ratio": [float(q) for q in np.quantile(paths.std(1) / known.std, (0.0, 0.5, 1.0))],
    }


def one(plan: Plan, seed: int) -> dict[str, Any]:
    return {likelihood: fitted(likelihood, plan, seed) for likelihood in ("Laplace", "normal")}


def table(plan: Plan, results: list[dict[str, Any]]) -> list[str]:
    lines = [
        "| seed | log p(x), exact | ELBO | gap, nats per observation | bar "
        "| gap of the exact drift on the same steps | q's mean, off by "
        "| q's std / exact: least, median, most |",
        "|---" * 8 + "|",
    ]
    for number, row in enumerate(result["normal"] for result in results):
        gap = row["log_likelihood"] - row["elbo"]
        ratio = ", ".join(f"{value:.3f}" for value in row["std_ratio"])
        lines.append(
            f"| {number} | {row['log_likelihood']:.4f} | {row['elbo']:.4f} ± {row['error']:.4f} | {gap:.4f} "
            f"| {BAR}: {'met' if gap <= BAR else 'missed'} "
            f"| {row['log_likelihood'] - row['elbo_of_the_exact_drift']:.4f} "
            f"| {row['mean_error']:.3f} std | {ratio} |"
        )
    bounds = ", ".join(f"{result['Laplace']['elbo']:.3f}" for result in results)
    lines += [
        "",
        f"± is a standard error over paths. ELBO of the Laplace toy, nats per observation: {bounds}.",
    ]
    return lines


def draw(plan: Plan, results: list[dict[str, Any]]) -> Figure:
    """The first seed: learned bands, the exact smoother's on top, observations."""
    times = np.linspace(0.0, SPAN, plan.steps + 1)
    with style():
        figure, axes = grid(1, 2, width=3.7, height=2.6, sharex=True)
        for ax, likelihood in zip(axes[0], ("Laplace", "normal"), strict=True):
            _draw(ax, times, results[0][likelihood])
            ax.set(xlabel="time", title=f"{likelihood} likelihood")
        legend(
            figure,
            {
                "observed": Line2D([], [], color=OBSERVED, marker="o", ls="", ms=4, mew=0),
                "learned median": Line2D([], [], color=MODEL, lw=1.4),
                "50 % band": Patch(color=MODEL_50, lw=0),
                "90 % band": Patch(color=MODEL_90, lw=0),
                "Kalman smoother, the same levels": Line2D([], [], color=REFERENCE, lw=1.0, ls=(0, (4, 2))),
                "learned paths": Line2D([], [], color=MODEL, lw=0.5),
            },
        )
    return figure


def _draw(ax: Axes, times: np.ndarray, row: dict[str, Any]) -> None:
    low, lower, median, upper, high = np.asarray(row["quantiles"])
    ax.fill_between(times, low, high, color=MODEL_90, lw=0)
    ax.fill_between(times, lower, upper, color=MODEL_50, lw=0)
    if "mean" in row:
        for quantile in NORMAL_QUANTILES:
            line = np.asarray(row["mean"]) + quantile * np.asarray(row["std"])
            ax.plot(times, line, color=REFERENCE, lw=1.0, ls=(0, (4, 2)), zorder=4)
    else:
        ax.plot(times, np.asarray(row["paths"]).T, color=MODEL, lw=0.5, alpha=0.8)
    ax.plot(times, median, color=MODEL, lw=1.4)
    ax.plot(row["times"], row["observed"], "o", color=OBSERVED, ms=3.2, mew=0, zorder=5)


EXPERIMENT = "toy_posterior"

if __name__ == "__main__":
    plan, seeds, out, page = options(__doc__, Plan)
    run(Experiment(EXPERIMENT, plan, one, table, draw), seeds, out, page)
