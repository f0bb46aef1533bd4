"""Gradient variance of an SDE-BNN along its training, with and without sticking the landing.

    python -m experiments.sde_bnn_gradient_variance --out runs/sde_bnn_gradient_variance

The regression of `experiments.sde_bnn_toy`, trained as there with sticking the landing. At some iterations,
at the same weights and with the same noise, gradients of the loss by single paths of the weights are taken
both ways; the variance is the sum over parameters of the variance over paths, of the drift's network and of
the weights at time 0 apart. Sticking the landing leaves the mean as it is, and its noise goes to zero as the
posterior becomes the true one; here it stays a family of drifts through one layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.distributions import Normal

from experiments.sde_bnn_toy import Plan as Toy
from experiments.sde_bnn_toy import network_of, points, trained
from experiments.seeds import Experiment, options, run
from latentsde.brownian import derive_seed
from latentsde.models.sde_bnn import SDEBNN, negative_elbo
from latentsde.plotting.style import MODEL, MUTED, REFERENCE, grid, legend, style


@dataclass(frozen=True)
class Plan:
    at: tuple[int, ...] = (1, 30, 100, 300, 1000)
    paths: int = 400


def one(plan: Plan, seed: int) -> dict[str, Any]:
    toy = Toy(iterations=max(plan.at))
    x, y = points(toy.points, toy.error, derive_seed(seed, 0))
    network = network_of(toy, seed)
    rows: list[dict[str, Any]] = []

    def look(iteration: int) -> None:
        if iteration in plan.at:
            rows.append({"iteration": iteration, **variances(network, x, y, plan, toy, seed)})

    trained(network, x, y, toy, seed, after=look)
    return {"rows": rows}


def variances(
    network: nn.Module, x: Tensor, y: Tensor, plan: Plan, toy: Toy, seed: int
) -> dict[str, list[float]]:
    """By estimator, the summed variance of the drift's network and of the weights at time 0."""
    layer = next(part for part in network.modules() if isinstance(part, SDEBNN))
    assert layer.drift is not None
    groups: list[list[Tensor]] = [list(layer.drift.parameters()), [layer.start]]
    everything = [parameter for group in groups for parameter in group]
    sizes = [sum(parameter.numel() for parameter in group) for group in groups]
    found: dict[str, list[float]] = {}
    for name, sticking in (("plain", False), ("sticking", True)):
        layer.sticking_the_landing = sticking
        draws = []
        for path in range(plan.paths):
            predicted = network(x, seed=derive_seed(seed, -10 - path))
            log_likelihood = Normal(predicted.output, toy.error).log_prob(y).squeeze(-1)
            loss = negative_elbo(log_likelihood, predicted.kl, training_size=len(x)).loss
            draws.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, everything)]))
        variance = torch.stack(draws).double().var(0)
        found[name] = [float(part.sum()) for part in variance.split(sizes)]
    layer.sticking_the_landing = True
    return found


def table(plan: Plan, results: list[dict[str, Any]]) -> list[str]:
    lines = [
        "| seed | iteration | drift: plain | sticking the landing | plain / sticking | weights at 0: plain | "
        "sticking the landing | plain / sticking |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for result in results:
        for row in result["rows"]:
            cells = []
            for plain, sticking in zip(row["plain"], row["sticking"], strict=True):
                cells += [f"{plain:.3g}", f"{sticking:.3g}", f"{plain / sticking:.2f}"]
            lines.append(f"| {result['seed']} | {row['iteration']} | {' | '.join(cells)} |")
    return lines


def draw(plan: Plan, results: list[dict[str, Any]]) -> Figure:
    """How many times as large the variance is without sticking the landing."""
    with style():
        figure, axes = grid(1, 1, width=4.6, height=2.6)
        ax, entries = axes[0, 0], {}
        for k, (name, colour) in enumerate(
            (("the drift's network", MODEL), ("weights at time 0", REFERENCE))
        ):
            for result in results:
                at = [row["iteration"] for row in result["rows"]]
                ratio = [row["plain"][k] / row["sticking"][k] for row in result["rows"]]
                (entries[name],) = ax.plot(at, ratio, "o-", color=colour, ms=3, lw=1.0)
        ax.axhline(1.0, color=MUTED, lw=0.6)
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        ax.set_xlabel("iteration")
        ax.set_ylabel("variance, plain / sticking the landing")
        legend(figure, entries)
    return figure


EXPERIMENT = "sde_bnn_gradient_variance"

if __name__ == "__main__":
    plan, seeds, out, page = options(__doc__, Plan)
    run(Experiment(EXPERIMENT, plan, one, table, draw), seeds, out, page)
