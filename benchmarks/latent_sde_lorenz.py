"""Seconds for one training iteration on torchsde's Lorenz example: the package itself against `LatentSDE`,
in every way it can be trained.

The example (`experiments/torchsde_lorenz.py`, direct gradients) at its own size: 1,024 paths seen at 51
times, latent 4, width 128, 100 Euler steps. `LatentSDE` has the same data, latent size, width and, where it
simulates, steps; its networks are its own. Only "control" is the same estimator of the same bound;
"marginals" has no path, and "linearised" the likelihood of an extended Kalman filter in a step for each
interval. Loss and gradient of the whole batch, without the optimiser; interleaved, medians of ratios.

    python -m benchmarks.latent_sde_lorenz --page docs/results/latent-sde.md
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchsde
from torch import Tensor

from experiments.lorenz_attractor import series_of
from experiments.results import circumstances, insert
from experiments.torchsde_lorenz import FULL, Lorenz
from experiments.torchsde_ways import by_torchsde
from latentsde import LatentSDE
from latentsde.benchmarks.machine import describe, versions
from latentsde.benchmarks.timing import seconds_with_gradient
from latentsde.data import collate
from latentsde.files import write_json

NAME, BAR = "latent_sde_lorenz", 4.0
POSTERIORS = {
    "control": "simulated, sticking the landing",
    "marginals": "32 random times a path, no solver",
    "linearised": "extended Kalman filter",
}


def ways() -> dict[str, tuple[Callable[[int], Tensor], list[Tensor]]]:
    """By name: seed -> loss, and the parameters."""
    example = Lorenz(FULL, seed=0)
    draws = torch.randn(FULL.batch, FULL.latent, generator=torch.Generator().manual_seed(0))

    def by_example(seed: int) -> Tensor:
        z0, kl = example.start(draws)
        zs, path_kl = by_torchsde(torchsde, False, example, z0, seed)
        return example.loss(zs, kl + path_kl, 1.0)

    found: dict[str, Any] = {"torchsde": (by_example, list(example.parameters()))}
    series = series_of(example.observed, FULL.span / (len(example.times) - 1))
    for posterior in POSTERIORS:
        # An interval of the linearised one is a step; the others step as the example does.
        dt = FULL.span / (len(example.times) - 1 if posterior == "linearised" else FULL.steps)
        sizes = {
            "latent": FULL.latent,
            "hidden": FULL.hidden,
            "encoder": FULL.hidden,
            "context": FULL.context,
        }
        model = LatentSDE.for_series(series, dt=dt, posterior=posterior, **sizes)
        batch = collate(series, np.arange(len(series)), model.scaler)

        def by_model(seed: int, model: LatentSDE = model, batch: Any = batch) -> Tensor:
            return -model.elbo(batch, seed=seed).value().mean()

        found[posterior] = (by_model, list(model.parameters()))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--page", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    calls = ways()
    for loss, parameters in calls.values():
        seconds_with_gradient(partial(loss, 0), parameters)
    timed = {name: [] for name in calls}
    for k in range(options.rounds):
        for name, (loss, parameters) in calls.items():
            timed[name].append(seconds_with_gradient(partial(loss, k), parameters))
    lines = [
        "| trained by | an iteration | torchsde's time / this: median (quartiles) | bar 4 |",
        "|---|---|---|---|",
    ]
    peer = np.array(timed["torchsde"])
    for name, taken in timed.items():
        ratios = peer / np.array(taken)
        median, low, high = np.quantile(ratios, (0.5, 0.25, 0.75))
        how = "its example, direct gradients" if name == "torchsde" else POSTERIORS[name]
        met = "" if name == "torchsde" else "met" if median >= BAR else "missed"
        lines.append(
            f"| {name}: {how} | {np.median(taken):.2f} s | {median:.2f} ({low:.2f} to {high:.2f}) | {met} |"
        )
    lines += [
        "",
        f"1,024 paths, latent 4, width 128; {options.rounds} interleaved rounds; threads: {options.threads}; "
        f"{describe()['cpu']}, torch {versions()['torch']}, torchsde {versions()['torchsde']}.",
    ]
    print("\n".join(lines))
    if options.page:
        insert("\n".join(lines), options.page, NAME)
        how = circumstances() | {"threads": options.threads, "rounds": options.rounds, "seconds": timed}
        write_json(options.page.with_name(f"{NAME}.json"), how)


if __name__ == "__main__":
    main()
