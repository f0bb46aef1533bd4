"""Solver steps and seconds of a batch of irregular series: the longest one's, not the union of all times.

    python benchmarks/batch_steps.py --root DATA [--stays stays.csv]

DATA holds irregular/pbcseq.csv.gz; stays.csv is what `experiments/physionet_table.py` writes.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from latentsde import IrregularSeries, LatentSDE, load_weather
from latentsde.data import collate

LABORATORY = ["bili", "chol", "albumin", "alk.phos", "ast", "platelet", "protime"]


def report(name: str, series: IrregularSeries, size: int = 64, rounds: int = 5, **options: Any) -> None:
    """Print one line for a random batch of `size` series."""
    model = LatentSDE.for_series(series, **options)
    chosen = np.random.default_rng(0).permutation(len(series))[:size]
    batch = collate(series, chosen, model.scaler)
    with torch.no_grad():
        steps = model.elbo(batch, seed=0).steps
        alone = max(model.elbo(collate(series, [k], model.scaler), seed=0).steps for k in chosen)
    union = len(np.unique(np.concatenate([series.times[series.rows(k)] for k in chosen])))
    seconds = []
    for seed in range(rounds):
        start = time.perf_counter()
        (-model.elbo(batch, seed=seed).value().mean()).backward()  # type: ignore[no-untyped-call]
        seconds.append(time.perf_counter() - start)
    step = float(np.median(seconds))
    print(
        f"{name}: a batch takes {steps} steps, its longest series {alone}, the union of its times would "
        f"{union}; {step * 1e3:.0f} ms a training step, {step * len(series) / size:.1f} s an epoch of "
        f"{len(series)} series"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True, help="directory that holds irregular/")
    parser.add_argument("--stays", type=Path, help="table of PhysioNet stays")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    report("weather", load_weather().visible, period=24.0, dt=1.0)
    visits = IrregularSeries.from_file(
        asked.root / "irregular" / "pbcseq.csv.gz",
        id="id",
        time="day",
        values=LABORATORY,
        static=["age", "sex", "trt"],
    )
    report("pbcseq", visits)
    if asked.stays:
        static = ["age", "gender", "height", "icu_type"]
        stays = IrregularSeries.from_file(asked.stays, id="id", time="hours", static=static, time_unit="h")
        report("physionet", stays, latent=16)


if __name__ == "__main__":
    main()
