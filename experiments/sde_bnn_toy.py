"""One-dimensional regression by an SDE-BNN: predictive bands that open where there are no data.

    python -m experiments.sde_bnn_toy --out runs/sde_bnn_toy

Two clusters of points of sin(3x) with normal errors of .1, between and beside them nothing. The input is
augmented by zero channels, solved over depth by a block of one hidden layer whose weights are a path of an
SDE, and read out linearly (Xu, Chen, Li & Duvenaud 2022, figure 1; theirs is of another curve). The error is
known; everything else is learned from the points alone.

Printed are the bands' width inside and outside of the data, the root mean squared error of the predictive
mean at the points, and the log-likelihood of new points in the clusters beside that of the true curve.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from torch import Tensor, nn
from torch.distributions import Normal

from experiments.seeds import Experiment, options, run
from latentsde.brownian import derive_seed
from latentsde.models.sde_bnn import SDEBNN, ContinuousDepth, Depth, negative_elbo
from latentsde.plotting.style import MODEL, MODEL_50, MODEL_90, OBSERVED, REFERENCE, grid, legend, style

CLUSTERS = ((-1.2, -0.4), (0.5, 1.1))
SHOWN = (-2.5, 2.5)


@dataclass(frozen=True)
class Plan:
    points: int = 40
    error: float = 0.1
    iterations: int = 1000
    samples: int = 8
    """Of the weights, in a step of training."""
    hidden: int = 20
    channels: int = 4
    sigma: float = 0.2
    prior: str = "brownian"
    drift: tuple[int, ...] = (64,)
    """Layers of the posterior's drift."""
    steps: int = 20
    rate: float = 0.01
    drawn: int = 400
    """Samples of the weights, for the bands."""


class Augment(nn.Module):
    """(batch, 1) to (batch, channels), zeros behind."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.pad(x, (0, self.channels - 1))


class Block(nn.Module):
    """f_h(h, t): one hidden layer, time beside the channels."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(channels + 1, hidden), nn.Linear(hidden, channels)

    def forward(self, t: Tensor, h: Tensor) -> Tensor:
        return self.outer(nn.functional.silu(self.inner(torch.cat([h, t.expand(len(h), 1)], dim=-1))))


def curve(x: Tensor) -> Tensor:
    return torch.sin(3.0 * x)


def points(count: int, error: float, seed: int) -> tuple[Tensor, Tensor]:
    """x and y (count, 1), half in each cluster."""
    generator = torch.Generator().manual_seed(seed)
    low, high = torch.tensor(CLUSTERS).t()
    cluster = torch.arange(count) % 2
    x = low[cluster] + (high - low)[cluster] * torch.rand(count, generator=generator)
    x = x.unsqueeze(-1)
    return x, curve(x) + error * torch.randn(x.shape, generator=generator)


def network_of(plan: Plan, seed: int) -> ContinuousDepth:
    """Not yet trained."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layer = SDEBNN(
            Block(plan.channels, plan.hidden),
            sigma=plan.sigma,
            prior=plan.prior,
            hidden=plan.drift,
            depth=Depth(plan.steps),
        )
        return ContinuousDepth(Augment(plan.channels), layer, nn.Linear(plan.channels, 1))


def trained(
    network: ContinuousDepth,
    x: Tensor,
    y: Tensor,
    plan: Plan,
    seed: int,
    after: Callable[[int], None] = lambda iteration: None,
) -> ContinuousDepth:
    """`after` is called with the number of iterations done, after each."""
    optimizer = torch.optim.Adam(network.parameters(), lr=plan.rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, plan.iterations)
    for k in range(plan.iterations):
        predicted = network(x, seed=derive_seed(seed, 1 + k), samples=plan.samples)
        log_likelihood = Normal(predicted.output, plan.error).log_prob(y).squeeze(-1)
        loss = negative_elbo(log_likelihood, predicted.kl, training_size=len(x)).loss
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 10.0)
        optimizer.step()
        schedule.step()
        after(k + 1)
    return network


def one(plan: Plan, seed: int) -> dict[str, Any]:
    x, y = points(plan.points, plan.error, derive_seed(seed, 0))
    return evaluate(trained(network_of(plan, seed), x, y, plan, seed), x, y, plan, seed)


@torch.no_grad()
def evaluate(network: ContinuousDepth, x: Tensor, y: Tensor, plan: Plan, seed: int) -> dict[str, Any]:
    """Bands of the curve (without the points' error), and scores of new points."""
    network.eval()

    def means(at: Tensor) -> Tensor:
        """(drawn, points) of the curve, one row for each sample of the weights."""
        return network(at, seed=derive_seed(seed, -1), samples=plan.drawn).output.squeeze(-1)

    shown = torch.linspace(*SHOWN, 201).unsqueeze(-1)
    drawn = means(shown)
    low, *_, high = bands = torch.quantile(drawn, torch.tensor([0.05, 0.25, 0.5, 0.75, 0.95]), dim=0)
    inside = torch.zeros(len(shown), dtype=torch.bool)
    for start, end in CLUSTERS:
        inside |= (shown >= start).squeeze(-1) & (shown <= end).squeeze(-1)
    between = ((shown > CLUSTERS[0][1]) & (shown < CLUSTERS[1][0])).squeeze(-1)
    width = high - low

    fresh, values = points(1000, plan.error, derive_seed(seed, -2))
    predictive = torch.logsumexp(Normal(means(fresh), plan.error).log_prob(values.squeeze(-1)), 0) - math.log(
        plan.drawn
    )
    return {
        "x": x.flatten().double().round(decimals=4).tolist(),
        "y": y.flatten().double().round(decimals=4).tolist(),
        "shown": shown.flatten().double().round(decimals=3).tolist(),
        "bands": bands.double().round(decimals=4).tolist(),
        "draws": drawn[:5].double().round(decimals=4).tolist(),
        "rmse": float((means(x).mean(0) - y.flatten()).square().mean().sqrt()),
        "width_inside": float(width[inside].mean()),
        "width_between": float(width[between].mean()),
        "width_outside": float(width[~inside & ~between].mean()),
        "log_likelihood": float(predictive.mean()),
        "log_likelihood_true": float(Normal(curve(fresh), plan.error).log_prob(values).mean()),
    }


def table(plan: Plan, results: list[dict[str, Any]]) -> list[str]:
    lines = [
        "| seed | 90 % band: at the points | between the clusters | beside them | rmse at the points | "
        "log-likelihood of new points, true curve's |",
        "|---|---|---|---|---|---|",
    ]
    for row in results:
        lines.append(
            f"| {row['seed']} | {row['width_inside']:.3f} | {row['width_between']:.3f} | "
            f"{row['width_outside']:.3f} | {row['rmse']:.3f} | {row['log_likelihood']:.3f}, "
            f"{row['log_likelihood_true']:.3f} |"
        )
    return lines


def draw(plan: Plan, results: list[dict[str, Any]]) -> Figure:
    """The first seed: bands of the curve, five draws, the points and the curve they come from."""
    row = results[0]
    shown, bands = np.asarray(row["shown"]), np.asarray(row["bands"])
    with style():
        figure, axes = grid(1, 1, width=6.0, height=2.8)
        ax = axes[0, 0]
        ax.fill_between(shown, bands[0], bands[4], color=MODEL_90, lw=0)
        ax.fill_between(shown, bands[1], bands[3], color=MODEL_50, lw=0)
        for path in row["draws"]:
            ax.plot(shown, path, color=MODEL, lw=0.5, alpha=0.6)
        (middle,) = ax.plot(shown, bands[2], color=MODEL, lw=1.3)
        (true,) = ax.plot(shown, np.sin(3.0 * shown), color=REFERENCE, lw=1.0, ls="--")
        (dots,) = ax.plot(row["x"], row["y"], "o", color=OBSERVED, ms=3)
        ax.set_xlabel("x")
        ax.set_ylabel("y")
        names = {"points": dots, "their curve": true, "median and five draws": middle}
        patches = {"50 %": Patch(color=MODEL_50), "90 % of the curve's draws": Patch(color=MODEL_90)}
        legend(figure, names | patches)
    return figure


EXPERIMENT = "sde_bnn_toy"

if __name__ == "__main__":
    plan, seeds, out, page = options(__doc__, Plan)
    run(Experiment(EXPERIMENT, plan, one, table, draw), seeds, out, page)
