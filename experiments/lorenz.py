"""The stochastic Lorenz attractor: how near the law of a latent SDE's prior comes to the true one.

    python -m experiments.lorenz --seeds 0 --out runs/lorenz

1,024 series observed every .025 on [0, 1] with an error of .01 (see `experiments.lorenz_model`), trained by
`solve` with its path KL, sticking the landing, one Euler step for each observation. Over the whole span an
error of z0 grows many times over, and a model that knows nothing yet learns nothing from it. So training
begins with windows of four observations, half of them the first ones and the others anywhere in the series
(where p(z0) does not count), and the windows grow to the whole series from `short` to `grow` iterations.

Printed is KL(true || prior) of the law of the three coordinates at t = .25, .5, .75 and 1, without
observation errors, by the nearest-neighbour estimator of `experiments.neighbours` with k = 5, on `paths`
samples of each, in normalised coordinates; beside it the same between two sets of true samples, its floor.
How the published figures were estimated is not said in the papers, so they are beside ours and not on one
scale. The roughness is Σ (D(z_{k+1} - z_k - f_q h))² of posterior paths, D the decoder, over ∫σ²dt of the
attractor in the same units: 1 is right, below is too smooth.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.optim import Adam

from experiments.lorenz_model import (
    DIFFUSION,
    ERROR,
    OBSERVATIONS,
    SPACING,
    Lorenz,
    normal_constant,
    simulate,
)
from experiments.neighbours import knn_kl
from experiments.seeds import Experiment, options, run
from latentsde.benchmarks.output import say
from latentsde.brownian import derive_seed
from latentsde.plotting.style import MODEL, OBSERVED, grid, legend, style

WINDOW = 4
AT = (0.25, 0.5, 0.75, 1.0)
PUBLISHED = {
    "latent SDE (Li et al. 2020)": (2.1, 1.8, 0.9, 1.5),
    "neural stochastic flow (Kiyohara et al. 2025)": (0.8, 1.3, 0.6, 0.2),
    "SDE matching (Bartosh et al. 2025)": (6.3, 11.7, 7.9, 6.0),
}
BAR = PUBLISHED["latent SDE (Li et al. 2020)"]


@dataclass(frozen=True)
class Plan:
    iterations: int = 5000
    short: int = 1500
    grow: int = 4300
    series: int = 1024
    batch: int = 64
    hidden: int = 100
    latent: int = 4
    context: int = 1
    dt: float = 0.025
    rate: float = 3e-3
    paths: int = 5000


def train(model: Lorenz, observed: Tensor, plan: Plan, seed: int) -> list[float]:
    """-ELBO less its least value, per observation, each 100 iterations."""
    optimizer = Adam(model.parameters(), lr=plan.rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda k: min(1.0, (k + 1) / 50) * (0.5 + 0.5 * np.cos(np.pi * k / plan.iterations)) + 1e-3
    )
    generator = torch.Generator().manual_seed(derive_seed(seed, 0))
    limit = float("inf")
    curve, begin = [], time.perf_counter()
    for iteration in range(plan.iterations):
        done = min(1.0, max(0.0, (iteration - plan.short) / (plan.grow - plan.short)))
        seen = round(WINDOW * ((OBSERVATIONS + 1) / WINDOW) ** done)
        places = OBSERVATIONS + 2 - seen
        first = 0 if iteration % 2 else int(torch.randint(places, (), generator=generator))
        chosen = torch.randint(observed.shape[1], (plan.batch,), generator=generator)
        optimizer.zero_grad()
        value = model.elbo(
            observed[first : first + seen, chosen],
            dt=plan.dt,
            seed=derive_seed(seed, iteration + 1),
            at_start=first == 0,
        ).mean()
        (-value / seen).backward()
        # Single batches have gradients a thousand times the usual ones: clipped at three times the usual.
        norm = float(torch.nn.utils.clip_grad_norm_(model.parameters(), limit))
        limit = 0.98 * limit + 0.06 * min(norm, limit) if limit < float("inf") else 3.0 * norm
        optimizer.step()
        schedule.step()
        if iteration % 100 == 99:
            curve.append(round(normal_constant() - float(value.detach()) / seen, 2))
            say(
                f"  iteration {iteration + 1}, {time.perf_counter() - begin:.0f} s, {seen} observations: "
                f"{curve[-1]}"
            )
    return curve


def one(plan: Plan, seed: int) -> dict[str, Any]:
    raw = simulate(plan.series, 0)
    centre, scale = raw.mean((0, 1)), raw.std((0, 1))
    clean = (raw - centre) / scale
    observed = clean + ERROR * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    model = Lorenz(hidden=plan.hidden, latent=plan.latent, context=plan.context, seed=seed)
    begin = time.perf_counter()
    curve = train(model, observed, plan, seed)
    each = (time.perf_counter() - begin) / plan.iterations
    return {"curve": curve, "seconds_per_iteration": each} | evaluate(
        model, clean, observed, centre, scale, plan, seed
    )


def evaluate(
    model: Lorenz, clean: Tensor, observed: Tensor, centre: Tensor, scale: Tensor, plan: Plan, seed: int
) -> dict[str, Any]:
    """KLs at the times of AT, roughness, and the figure's paths."""
    fresh, second = ((simulate(plan.paths, 1 + k) - centre) / scale for k in (0, 1))
    drawn = model.sample(plan.paths, dt=plan.dt, seed=derive_seed(seed, -1))
    kl, backwards, floor = [], [], []
    for t in AT:
        k = round(t / SPACING)
        true, other, ours = (x[k].double().numpy() for x in (fresh, second, drawn))
        kl.append(knn_kl(true, ours))
        backwards.append(knn_kl(ours, true))
        floor.append(knn_kl(true, other))
    few = observed[:, : plan.batch]
    paths, variation = model.roughness(few, dt=plan.dt, seed=derive_seed(seed, -2))
    ratio = variation.double().mean(0) / ((DIFFUSION / scale.double()) ** 2 * OBSERVATIONS * SPACING)
    return {
        "kl": kl,
        "kl_backwards": backwards,
        "floor": floor,
        "roughness": ratio.tolist(),
        "true": fresh[:, :40].round(decimals=3).tolist(),
        "prior": drawn[:, :40].round(decimals=3).tolist(),
        "posterior": paths[:, 0].round(decimals=4).tolist(),
        "behind": clean[:, 0].round(decimals=4).tolist(),
    }


def table(plan: Plan, results: list[dict[str, Any]]) -> list[str]:
    def cells(values: Any) -> str:
        return " | ".join(f"{value:.2f}" for value in values)

    lines = [f"| KL of the law at t = | {' | '.join(map(str, AT))} |", "|---" * (1 + len(AT)) + "|"]
    lines += [f"| {name}, published | {cells(values)} |" for name, values in PUBLISHED.items()]
    for number, row in enumerate(results):
        lines.append(f"| prior of seed {number}: KL(true, prior) | {cells(row['kl'])} |")
        lines.append(f"| KL(prior, true) | {cells(row['kl_backwards'])} |")
    lines.append(f"| true against true, the floor | {cells(results[0]['floor'])} |")
    met = all(ours <= bar for row in results for ours, bar in zip(row["kl"], BAR, strict=True))
    lines += ["", f"At or under the published latent SDE at every time: {'yes' if met else 'no'}."]
    for number, row in enumerate(results):
        ratios = ", ".join(f"{value:.2f}" for value in row["roughness"])
        good = all(0.8 <= value <= 1.25 for value in row["roughness"])
        lines.append(
            f"Seed {number}: quadratic variation of posterior paths over the attractor's (x, y, z) {ratios}, "
            f"bar .8 to 1.25 {'met' if good else 'missed'}; "
            f"{1e3 * row['seconds_per_iteration']:.0f} ms an iteration."
        )
    return lines


def draw(plan: Plan, results: list[dict[str, Any]]) -> Figure:
    """The first seed: true paths and paths of the prior, and a posterior path with the one behind it."""
    row = results[0]
    names = ("x", "y", "z")
    when = np.arange(OBSERVATIONS + 1) * SPACING
    with style():
        figure, axes = grid(3, 3, width=2.6, height=1.4, sharex=True, sharey="row")
        for f, name in enumerate(names):
            for ax, kind, colour in zip(axes[f], ("true", "prior"), (OBSERVED, MODEL), strict=False):
                ax.plot(when, np.asarray(row[kind])[:, :, f], color=colour, lw=0.5, alpha=0.5)
            axes[f, 2].plot(when, np.asarray(row["behind"])[:, f], color=OBSERVED, lw=1.2)
            posterior = np.asarray(row["posterior"])[:, f]
            axes[f, 2].plot(np.linspace(0.0, 1.0, len(posterior)), posterior, color=MODEL, lw=0.9)
            axes[f, 0].set_ylabel(f"{name}, normalised")
        for ax, title in zip(axes[0], ("true paths", "paths of the prior", "one series"), strict=True):
            ax.set_title(title)
        for ax in axes[-1]:
            ax.set_xlabel("time")
        lines = axes[0, 2].get_lines()
        legend(figure, {"true path": lines[0], "model (right: a posterior path)": lines[1]})
    return figure


EXPERIMENT = "lorenz"

if __name__ == "__main__":
    plan, seeds, out, page = options(__doc__, Plan)
    run(Experiment(EXPERIMENT, plan, one, table, draw), seeds, out, page)
