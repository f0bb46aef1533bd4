"""A data set and a model that train in a second; as a script, a run in a process of its own."""

from __future__ import annotations

import argparse
import csv
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from latentsde.data import IrregularSeries, Scaler
from latentsde.models import LatentSDE, LatentSDEConfig
from latentsde.training import FitResult, TrainingConfig, fit

SETTINGS: dict[str, Any] = {
    "steps": 14,
    "batch_size": 4,
    "warmup_steps": 3,
    "anneal_steps": 8,
    "weight_decay": 0.0,
    "hidden_share": 0.0,
    "validate_every": 4,
    "log_every": 3,
}


def make_series(count: int = 9, *, seed: int = 0) -> IrregularSeries:
    """Two features at 3 to 6 times of 8, in series of unlike lengths."""
    draws = np.random.default_rng(seed)
    rows = []
    for s in range(count):
        for t in np.sort(draws.choice(8, draws.integers(3, 7), replace=False)):
            rows.append((f"s{s}", float(t), np.sin(t) + 0.1 * draws.normal(), draws.normal()))
    return IrregularSeries.from_frame(pd.DataFrame(rows, columns=["id", "t", "x", "y"]), id="id", time="t")


def make_model(series: IrregularSeries, kind: type[LatentSDE] = LatentSDE) -> LatentSDE:
    """The same initial weights at every call, whatever has been drawn before."""
    config = LatentSDEConfig(
        features=series.features,
        likelihoods=("normal", "laplace"),
        start=0.0,
        time_scale=1.0,
        dt=1.0,
        latent=2,
        context=3,
        hidden=4,
        encoder=4,
    )
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # without static covariates a layer has no inputs
        torch.manual_seed(0)
        return kind(config, Scaler.fit(series))


def run(out: Path, *, model: LatentSDE | None = None, validate: bool = True, **arguments: Any) -> FitResult:
    """A run with `SETTINGS`, changed by the arguments that `TrainingConfig` has; the others go to `fit`."""
    fields = TrainingConfig.__dataclass_fields__
    settings = SETTINGS | {name: arguments.pop(name) for name in list(arguments) if name in fields}
    series = make_series()
    return fit(
        make_model(series) if model is None else model,
        series,
        out=out,
        validation=make_series(5, seed=1) if validate else None,
        config=TrainingConfig(**settings),
        **{"progress": False, "tensorboard": False, **arguments},
    )


def history(out: Path) -> list[dict[str, str]]:
    """The rows of history.csv without the seconds, which are never the same twice."""
    with (out / "history.csv").open(newline="") as file:
        return [
            {name: text for name, text in row.items() if name != "seconds"} for row in csv.DictReader(file)
        ]


def checkpoint(out: Path, name: str = "last") -> dict[str, Any]:
    """A checkpoint without the seconds."""
    content = torch.load(out / "checkpoints" / f"{name}.ckpt", weights_only=True)
    del content["state"]["seconds"]
    return content


def same_run(first: Path, second: Path) -> bool:
    """Whether two runs left the same weights, to the bit, and the same history, checkpoints and outcome."""
    outcomes = [json.loads((out / "config.json").read_text())["training"] for out in (first, second)]
    for outcome in outcomes:
        del outcome["seconds"]
    weights = [(out / "model.safetensors").read_bytes() for out in (first, second)]
    states = [[_plain(checkpoint(out, name)) for name in ("last", "best")] for out in (first, second)]
    return (
        weights[0] == weights[1]
        and outcomes[0] == outcomes[1]
        and history(first) == history(second)
        and states[0] == states[1]
    )


def _plain(content: Any) -> Any:
    if isinstance(content, torch.Tensor):
        return content.numpy().tobytes()
    if isinstance(content, dict):
        return {key: _plain(value) for key, value in content.items()}
    return [_plain(value) for value in content] if isinstance(content, list) else content


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("settings", type=json.loads)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    print(run(chosen.out, **chosen.settings))
