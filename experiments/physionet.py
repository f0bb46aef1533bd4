"""PhysioNet 2012: the ICU stays of Rubanova, Chen & Duvenaud 2019 and of Zeng, Graf & Kwitt 2023.

    python -m experiments.physionet --root DATA --task interpolation --models latent-sde --out runs/physionet

DATA holds physionet2012/ (Silva et al. 2012; Open Data Commons Attribution License): 8,000 stays of 48 hours.
36 features that vary in time; the four descriptors are left out, and the ventilator's switch, which is only
ever on. Stays are split 80/20 at random; a tenth of the training stays is for early stopping. Squared errors
are given in two units, every feature divided by its range over the whole data set, so that it spans one, or
by its largest value, which is what the code of Rubanova et al. does (normalize_masked_data in lib/utils.py)
and not the same for a feature whose least value is not 0; and with three means:

    of values    over all observed values, of the posterior's mean
    of pairs     over the observed values of each pair of a stay and a feature, then over all pairs, of which
                 those without a value count as 0; of the posterior's mean
    of paths     the same, of single paths of the posterior

Published for interpolation and extrapolation is the error of pairs and of paths, in units of the largest
value (compute_masked_likelihood in lib/likelihood_eval.py, get_mse in lib/base_models.py). What still
differs: their vectors also hold the descriptors and the ventilator's switch, their halves are those of the
times in a batch of stays, not the hours, and -1 for "not known" counts as a value.

Tasks: "interpolation" as in the code of Rubanova et al.: all observations are given, and reconstructed; by
autoregressive models each row is predicted from those before it, "one step ahead".
"extrapolation": the first 24 hours are given, the values after them predicted; in training too. "imputation":
bins of 6 minutes; a share p of the rows is given, and the others are predicted (for p = 1 all are given and
reconstructed).
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from experiments.physionet_table import records
from experiments.physionet_table import table as long_table
from experiments.seeds import Experiment, run
from latentsde import IrregularSeries, TrainingConfig, fit
from latentsde.data import collate
from latentsde.errors import InputError
from latentsde.files import write_json, write_whole
from latentsde.models import SeriesModel, model_class, predict
from latentsde.models.autoregressive import Autoregressive
from latentsde.plotting.style import MODEL, grid, style

TASKS = ("interpolation", "extrapolation", "imputation")
HALF = 24.0  # hours
DESCRIPTORS = ("age", "gender", "height", "icu_type")
PUBLISHED = {
    # Published for no latent SDE: the bar is the latent ODE's.
    "interpolation": {
        "rnn_vae": "5.930 ± .249",
        "latent_ode_rnn_encoder": "3.907 ± .252",
        "latent_ode": "2.118 ± .271",
        "ode_rnn": "2.361 ± .086 (one step ahead)",
        "gru_d": "3.384 ± .274 (one step ahead)",
        "rnn_decay": "3.215 ± .276 (one step ahead)",
    },
    "extrapolation": {
        "rnn_vae": "3.055 ± .145",
        "latent_ode_rnn_encoder": "3.162 ± .052",
        "latent_ode": "2.231 ± .029 (with a Poisson process 2.208 ± .050)",
    },
    "imputation": {"latent_sde": "p = .5: 3.14, p = 1: 1.55 (on homogeneous spaces)"},
}


@dataclass(frozen=True)
class Plan:
    """What is fitted to what.

    Attributes:
        stays: of the 8,000, in order of their record numbers.
        error: the deviation of the normal error of a value, in units of its feature's range; not learned, so
            that the likelihood weighs features as the table does.
        hidden_share: of the visible values, what training steps leave out, against overfitting.
        given: the share p of the rows, for imputation.
    """

    task: str = "interpolation"
    models: tuple[str, ...] = ("latent_sde", "latent_ode", "ode_rnn", "rnn_vae")
    stays: int = 8000
    steps: int = 3000
    batch: int = 64
    latent: int = 32
    hidden: int = 64
    encoder: int = 64
    error: float = 0.02
    hidden_share: float = 0.3
    given: float = 0.5
    samples: int = 20


def read(root: Path, out: Path, count: int, *, minutes: int) -> pd.DataFrame:
    """Columns id, hours and the features, values averaged in bins of so many minutes; kept in `out`."""
    cache = out / f"stays_{count}_{minutes}min.parquet"
    if cache.exists():
        return pd.read_parquet(cache)
    archives = [root / "physionet2012" / f"set-{name}.tar.gz" for name in "ab"]
    for archive in archives:
        if not archive.exists():
            raise InputError(
                f"{archive} is missing; name the directory that holds physionet2012/ with --root"
            )
    measured = pd.concat([records(archive, count) for archive in archives], ignore_index=True)
    measured = measured[measured["id"].isin(measured["id"].unique()[:count])]
    measured["hours"] = (np.floor(measured["hours"] * 60 / minutes) * minutes / 60).round(6)
    wide = long_table(measured).drop(columns=list(DESCRIPTORS), errors="ignore")
    write_whole(cache, lambda file: wide.to_parquet(file, index=False))
    return wide


def split(frame: pd.DataFrame, seed: int) -> tuple[IrregularSeries, IrregularSeries, IrregularSeries]:
    """Training, validation and test stays: 72, 8 and 20 %."""
    series = IrregularSeries.from_frame(frame, id="id", time="hours", time_unit="h")
    train, validation, test = series.split((0.72, 0.08, 0.2), seed=seed)
    return train, validation, test


def questions(task: str, series: IrregularSeries, given: float) -> tuple[IrregularSeries, IrregularSeries]:
    """(visible, to predict) of a task, rows aligned."""
    if task == "extrapolation":
        return series.hold_out_after(time=HALF)
    if task == "interpolation" or given >= 1.0:
        return series, series
    rows = np.random.default_rng(0).random(series.n_rows) >= given
    hidden = np.where(rows[:, None], series.values, np.nan)
    return series.with_values(np.where(rows[:, None], np.nan, series.values)), series.with_values(hidden)


@dataclass(frozen=True)
class Units:
    """What errors are divided by, (F,): each feature's range, and its largest value, over the whole data."""

    ranges: np.ndarray
    largest: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray) -> Units:
        least, largest = np.nanmin(values, 0), np.nanmax(values, 0)
        return cls(largest - least, largest)


class SquaredErrors:
    """Sums of squared errors for the means of the module's head."""

    def __init__(self, units: Units) -> None:
        self.units = units
        self.total, self.values = 0.0, 0
        self.of_pairs: list[float] = []
        self.of_paths: list[float] = []
        self.published: list[float] = []

    def add(self, paths: np.ndarray, values: np.ndarray) -> None:
        """A stay: paths (N, T, F) and what was observed (T, F), NaN for nothing."""
        away = paths - values
        mean = away.mean(0, keepdims=True)
        self.total += float(np.nansum((mean / self.units.ranges) ** 2))
        self.values += int(np.isfinite(values).sum())
        self.of_pairs.append(_of_pairs(mean / self.units.ranges))
        self.of_paths.append(_of_pairs(away / self.units.ranges))
        self.published.append(_of_pairs(away / self.units.largest))

    def means(self) -> dict[str, float]:
        return {
            "mse": self.total / self.values,
            "mse_of_pairs": float(np.mean(self.of_pairs)),
            "mse_of_paths": float(np.mean(self.of_paths)),
            "mse_as_published": float(np.mean(self.published)),
            "values": self.values,
        }


def _of_pairs(away: np.ndarray) -> float:
    """The mean over features of the mean square over the rows that have a value; of (N, T, F)."""
    count = np.isfinite(away[0]).sum(0)
    return float((np.nansum(away**2, 1) / np.maximum(count, 1)).mean())


def squared_errors(
    model: SeriesModel, visible: IrregularSeries, asked: IrregularSeries, units: Units, samples: int
) -> dict[str, float]:
    """The means of a model's errors at the asked values."""
    rows = [asked.rows(s) for s in range(len(asked))]
    kept = [np.flatnonzero(np.isfinite(asked.values[r]).any(1)) + r.start for r in rows]
    told = predict(model, visible, [asked.times[k] for k in kept], samples=samples, seed=1)
    errors = SquaredErrors(units)
    for k, prediction in zip(kept, told, strict=True):
        errors.add(prediction.paths, asked.values[k])
    return errors.means()


@torch.no_grad()
def one_step_ahead(model: Autoregressive, series: IrregularSeries, units: Units) -> dict[str, float]:
    """The same of every row predicted from those before it."""
    errors = SquaredErrors(units)
    for s in range(len(series)):
        batch = collate(series, np.array([s]), model.scaler)
        times = model.model_time(batch.times)
        states = model.states_at(batch, times, or_at=False)
        location = model.decode(states, times.to(states.dtype), batch.static.unsqueeze(1))
        means = model.scaler.unscale(model.likelihoods.mean(location).double())
        errors.add(means.numpy(), series.values[series.rows(s)])
    return errors.means()


def last_value_carried(
    visible: IrregularSeries, asked: IrregularSeries, mean: np.ndarray, units: Units
) -> dict[str, float]:
    """The same of a forecast that needs no model: every feature's last value, or `mean` (F,) where there is
    none.
    """
    errors = SquaredErrors(units)
    for s in range(len(visible)):
        rows = visible.rows(s)
        known = pd.DataFrame(visible.values[rows]).ffill().to_numpy()[-1]
        values = asked.values[rows]
        carried = np.where(np.isfinite(known), known, mean)
        errors.add(np.broadcast_to(carried, (1, *values.shape)), values)
    return errors.means()


def one(plan: Plan, seed: int, root: Path, out: Path) -> dict[str, Any]:
    """Fit and score every model; what is finished in `out` is not done again."""
    frame = read(root, out, plan.stays, minutes=6 if plan.task == "imputation" else 1)
    parts = split(frame, seed=0)
    units = Units.of(np.concatenate([part.values for part in parts]))
    task = f"{plan.task}_{plan.given:g}" if plan.task == "imputation" else plan.task
    found = {
        name: score(plan, name, seed, parts, units, out / "runs" / f"{task}_{name}_{seed}")
        for name in plan.models
    }
    if plan.task == "extrapolation":
        visible, asked = questions(plan.task, parts[2], plan.given)
        found["last_value_carried"] = last_value_carried(
            visible, asked, np.nanmean(parts[0].values, 0), units
        )
    return found


def score(
    plan: Plan,
    name: str,
    seed: int,
    parts: tuple[IrregularSeries, IrregularSeries, IrregularSeries],
    units: Units,
    place: Path,
) -> dict[str, Any]:
    """Fit a model in `place`, going on from its last checkpoint, and predict the test stays."""
    own = asdict(replace(plan, models=(name,)))
    check_plan(place, own)
    train, validation, test = parts
    sizes = {"latent": plan.latent, "hidden": plan.hidden, "encoder": plan.encoder}
    model = model_class(name).for_series(train, seed=seed, start=0.0, dt=1.0, **sizes)
    model.likelihoods.hold_scale(torch.from_numpy(plan.error * units.ranges / model.scaler.std))
    config = TrainingConfig(
        steps=plan.steps,
        batch_size=plan.batch,
        hidden_share=max(plan.hidden_share, 1.0 - plan.given if plan.task == "imputation" else 0.0),
        hidden_after=HALF if plan.task == "extrapolation" else None,
        patience=0,
        seed=seed,
    )
    result = fit(
        model, train, validation=validation, out=place, config=config, resume=True, tensorboard=False
    )
    model.eval()
    if plan.task == "interpolation" and isinstance(model, Autoregressive):
        errors = one_step_ahead(model, test, units)
    else:
        visible, asked = questions(plan.task, test, plan.given)
        errors = squared_errors(model, visible, asked, units, plan.samples)
    found = {
        **errors,
        "parameters": sum(p.numel() for p in model.parameters()),
        "best_step": result.best_step,
        "training_seconds": round(result.seconds, 1),
        "elbo": result.best_elbo,
    }
    write_json(place / "score.json", found)
    return found


def check_plan(place: Path, plan: dict[str, Any]) -> None:
    """`InputError` where `place` was begun with another plan; otherwise the plan is written there."""
    path = place.parent / f"{place.name}.plan.json"
    plan = json.loads(json.dumps(plan))
    if path.exists() and json.loads(path.read_text(encoding="utf-8")) != plan:
        raise InputError(f"{place} was begun with another plan, see {path}; choose another --out")
    write_json(path, plan)


def table(plan: Plan, results: list[dict[str, Any]]) -> list[str]:
    task = f"imputation, p = {plan.given:g}" if plan.task == "imputation" else plan.task
    lines = [
        f"| {task}, MSE in 1e-3 | published | ours, as published | of pairs | of paths | of values "
        "| parameters | training, s |",
        "|---" * 8 + "|",
    ]
    for name in results[0]:
        rows = [row[name] for row in results]
        errors = []
        for key in ("mse_as_published", "mse_of_pairs", "mse_of_paths", "mse"):
            values = 1e3 * np.array([row[key] for row in rows])
            spread = f" ± {values.std(ddof=1):.3f}" if len(values) > 1 else ""
            errors.append(f"{values.mean():.3f}{spread}")
        cells = [PUBLISHED[plan.task].get(name, "-"), *errors]
        if "parameters" in rows[0]:
            seconds = np.mean([row["training_seconds"] for row in rows])
            cells += [f"{rows[0]['parameters']:,}", f"{seconds:.0f}"]
        else:
            cells += ["-", "-"]
        lines.append(f"| {name.replace('_', ' ')} | {' | '.join(cells)} |")
    seeds = f"± standard deviation of {len(results)} seeds" if len(results) > 1 else "One seed"
    return [*lines, "", f"{seeds}; {results[0][plan.models[0]]['values']:,} values."]


def draw(plan: Plan, results: list[dict[str, Any]]) -> Figure:
    """Errors of every row of the table, a dot a seed."""
    names = list(reversed(results[0]))
    with style():
        figure, axes = grid(1, 1, width=4.5, height=0.4 + 0.3 * len(names))
        errors = np.array([[1e3 * row[name]["mse_as_published"] for row in results] for name in names])
        for place, row in enumerate(errors):
            axes[0, 0].plot(row, [place] * len(row), "o", color=MODEL, ms=4)
        axes[0, 0].set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
        axes[0, 0].set(xlabel="test MSE as published, 1e-3", title=f"PhysioNet 2012, {plan.task}")
        axes[0, 0].set(xlim=(0.0, 1.08 * errors.max()), ylim=(-0.5, len(names) - 0.5))
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, required=True, help="directory that holds physionet2012/")
    parser.add_argument("--task", choices=TASKS, default=TASKS[0])
    parser.add_argument("--models", nargs="+", default=["latent-sde", "latent-ode", "ode-rnn", "rnn-vae"])
    parser.add_argument("--given", type=float, default=0.5, help="the share p, for imputation")
    parser.add_argument("--stays", type=int, default=8000)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--out", type=Path, default=Path("runs/physionet"))
    parser.add_argument("--page", type=Path, help="markdown page to put the tables into")
    asked = parser.parse_args()
    names = tuple(model_class(name).name for name in asked.models)
    plan = Plan(asked.task, names, asked.stays, asked.steps, given=asked.given)
    label = f"physionet_{plan.task}" + (f"_{plan.given:g}" if plan.task == "imputation" else "")

    def run_seed(plan: Plan, seed: int) -> dict[str, Any]:
        return one(plan, seed, asked.root, asked.out)

    run(Experiment(label, plan, run_seed, table, draw), asked.seeds, asked.out, asked.page)


if __name__ == "__main__":
    main()
