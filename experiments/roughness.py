"""Are learned paths too smooth? Quadratic variation of posterior paths against the process behind the data.

    python -m experiments.roughness --seeds 0 --out runs/roughness

A `LatentSDE` is fitted to Ornstein-Uhlenbeck series observed with normal noise, as in
`experiments.ornstein_uhlenbeck`. Its latent state is known up to coordinates only, so paths are compared as
decoded, in the data's units: of posterior paths given held-out series

    Σ_k (D(z_{k+1}) - D(z_k + f_q h))²      with D the decoder and f_q the posterior drift,

which is the noise's share of the quadratic variation, over the generating process's ∫σ²dt. 1 is right, below
is too smooth; the bar is .8 to 1.25. The model's paths are Euler's with `fine` times the steps of its
training, since a step ending at an observation holds less noise than σ√h for the exact posterior too. The
Lorenz attractor's ratios are printed by `experiments.lorenz`.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from experiments.kalman import smooth
from experiments.ornstein_uhlenbeck import (
    NOISE,
    OBSERVATIONS,
    SIGMA,
    SPAN,
    THETA,
    gap_per_observation,
    simulate,
)
from experiments.seeds import Experiment, options, run
from latentsde import IrregularSeries, LatentSDE, TrainingConfig, fit, solve
from latentsde.brownian import derive_seed
from latentsde.data import collate
from latentsde.plotting.style import MODEL, OBSERVED, REFERENCE, grid, legend, style

BAR = (0.8, 1.25)


@dataclass(frozen=True)
class Plan:
    steps: int = 400
    series: int = 1000
    held_out: int = 50
    dt: float = 0.1
    fine: int = 10


@torch.no_grad()
def variation(model: LatentSDE, batch: Any, dt: float, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """(times (steps + 1,), decoded posterior paths (steps + 1, B, F), their noise's quadratic variation per
    unit of time (B, F)), all in the data's units.
    """
    code = model.encode(batch)
    posterior = model.posterior_sde(code.context, code.static)
    generator = torch.Generator().manual_seed(derive_seed(seed, 0))
    z0 = code.mean + code.std * torch.randn(code.mean.shape, generator=generator)
    # Between the first observation of all and the last one of the series that ends first.
    begin = model.config.start
    end = float(batch.times.gather(1, (batch.lengths - 1).unsqueeze(1)).min())
    steps = round((end - begin) / dt)
    h = dt / model.config.time_scale
    points = torch.arange(steps + 1, dtype=z0.dtype) * h
    grid_of_each = points.unsqueeze(1).expand(-1, len(z0))
    z = solve(posterior, z0, grid_of_each, method="euler", dt=h, seed=derive_seed(seed, 1)).ys

    def decode(state: Tensor, t: Tensor) -> Tensor:
        return model.decode(state, t.expand(len(state)), code.static)

    scale = torch.as_tensor(model.scaler.std, dtype=z0.dtype)
    shift = torch.as_tensor(model.scaler.mean, dtype=z0.dtype)
    total, decoded = torch.zeros(()), [decode(z[0], points[0])]
    for k in range(steps):
        t, following = points[k], points[k + 1]
        decoded.append(decode(z[k + 1], following))
        without = decode(z[k] + posterior.f(t, z[k]) * h, following)
        total = total + (decoded[-1] - without).square()
    paths = torch.stack(decoded) * scale + shift
    return begin + points * model.config.time_scale, paths, total * scale**2 / (steps * dt)


def one(plan: Plan, seed: int) -> dict[str, Any]:
    train = IrregularSeries.from_frame(simulate(plan.series, 1), id="id", time="time")
    frame = simulate(plan.held_out, 2)
    held_out = IrregularSeries.from_frame(frame, id="id", time="time")
    model = LatentSDE.for_series(train, seed=seed, dt=plan.dt, latent=1, context=16, hidden=32, encoder=32)
    with tempfile.TemporaryDirectory() as folder:
        config = TrainingConfig(steps=plan.steps, anneal_steps=100, hidden_share=0.0, seed=seed)
        fit(model, train, out=Path(folder) / "run", config=config, progress=False, tensorboard=False)
    batch = collate(held_out, np.arange(len(held_out)), model.scaler)
    times, paths, rate = variation(model, batch, plan.dt / plan.fine, derive_seed(seed, 2))
    ratios = rate[:, 0].double().numpy() / SIGMA**2
    gap, error = gap_per_observation(model, frame, draws=4)
    first = frame.iloc[:OBSERVATIONS]
    return {
        "ratio": float(ratios.mean()),
        "spread": [float(q) for q in np.quantile(ratios, (0.05, 0.95))],
        "gap": gap,
        "gap_error": error,
        "times": times.double().numpy().round(4).tolist(),
        "path": paths[:, 0, 0].double().numpy().round(4).tolist(),
        "observed": first[["time", "x"]].to_numpy().round(4).tolist(),
        "exact": exact_path(first["time"].to_numpy(), first["x"].to_numpy(), times.double().numpy(), seed),
    }


def exact_path(when: np.ndarray, observed: np.ndarray, times: np.ndarray, seed: int) -> list[float]:
    """A path of the exact posterior at `times`: a path of the prior, moved by what the smoother makes of the
    difference between its own observations and the real ones (Matheron's rule; Doucet 2010).
    """
    rng = np.random.default_rng(seed)
    every, place = np.unique(np.concatenate([times, when]), return_inverse=True)
    stationary = SIGMA**2 / (2.0 * THETA)
    path = np.empty(len(every))
    path[0] = rng.normal(0.0, np.sqrt(stationary))
    for k, gap in enumerate(np.diff(every)):
        decay = np.exp(-THETA * gap)
        path[k + 1] = decay * path[k] + np.sqrt(stationary * (1.0 - decay**2)) * rng.normal()
    at = place[len(times) :]
    difference = np.full(len(every), np.nan)
    difference[at] = observed - path[at] - NOISE * rng.normal(size=len(when))
    moved = path + smooth(every, difference, theta=THETA, sigma=SIGMA, error=NOISE).mean
    return moved[place[: len(times)]].round(4).tolist()


def table(plan: Plan, results: list[dict[str, Any]]) -> list[str]:
    lines = [
        "| seed | quadratic variation / ∫σ²dt | 5 to 95 % of series | bar .8 to 1.25 "
        "| gap, nats per observation |",
        "|---" * 5 + "|",
    ]
    for row in results:
        low, high = row["spread"]
        met = "met" if BAR[0] <= row["ratio"] <= BAR[1] else "missed"
        lines.append(
            f"| {row['seed']} | {row['ratio']:.3f} | {low:.3f} to {high:.3f} | {met} "
            f"| {row['gap']:.4f} ± {row['gap_error']:.4f} |"
        )
    ratios = np.array([row["ratio"] for row in results])
    if len(ratios) > 1:
        lines += ["", f"Over seeds {ratios.mean():.3f} ± {ratios.std(ddof=1):.3f} (standard deviation)."]
    return lines


def draw(plan: Plan, results: list[dict[str, Any]]) -> Figure:
    """The first seed: a posterior path of a held-out series above a path of its exact posterior."""
    row = results[0]
    with style():
        figure, axes = grid(2, 1, width=6.4, height=1.7, sharex=True, sharey=True)
        lines = {}
        for ax, name, colour in zip(axes[:, 0], ("path", "exact"), (MODEL, REFERENCE), strict=True):
            (lines[name],) = ax.plot(row["times"], row[name], color=colour, lw=0.8)
            (dots,) = ax.plot(*np.asarray(row["observed"]).T, "o", color=OBSERVED, ms=3.2, mew=0, zorder=3)
            ax.set_ylabel("x")
        axes[-1, 0].set_xlabel("time")
        axes[-1, 0].set_xlim(0.0, SPAN)
        names = {"observed": dots, "a path of the model's posterior": lines["path"]}
        legend(figure, names | {"a path of the exact posterior": lines["exact"]})
    return figure


EXPERIMENT = "roughness"

if __name__ == "__main__":
    plan, seeds, out, page = options(__doc__, Plan)
    run(Experiment(EXPERIMENT, plan, one, table, draw), seeds, out, page)
