"""The figures of a run, from a fitted model and its tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from latentsde import plotting
from latentsde.data import IrregularSeries
from latentsde.evaluation.evaluate import Evaluation
from latentsde.evaluation.metrics import CALIBRATION_LEVELS, calibration_curve
from latentsde.evaluation.tasks import Task
from latentsde.models import Predictive, SeriesModel, predict
from latentsde.nn import FAMILIES

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_SHOWN = 4  # series in a figure
_FEATURES = 8  # features in a figure: those with the most values
_GRID = 145  # times on a band's grid
_LATENT = 8  # dimensions of the state in a figure: the first ones


def draw_figures(
    model: SeriesModel,
    tasks: list[Task],
    train: IrregularSeries,
    evaluation: Evaluation,
    history: pd.DataFrame,
    folder: Path,
    *,
    best_step: int | None = None,
    units: Mapping[str, str] | None = None,
    samples: int = 200,
    seed: int = 0,
) -> list[Path]:
    """Write every figure that the run has the material for into `folder`; the paths written."""
    # Classes are drawn by their numbers; where a unit would stand is what they mean.
    units = {name: _numbered(levels) for name, levels in train.levels.items()} | dict(units or {})
    drawn: dict[str, object] = {}
    for task in tasks:
        drawn[task.name] = _draw_task(model, task, units, samples, seed)
    drawn["prior_samples"] = _draw_prior(model, train, units, seed)
    drawn["latent_paths"] = _draw_latent(model, tasks[0].test[0] if tasks else train, seed)
    if len(history):
        drawn["training_curves"] = plotting.training_curves(history, best_step=best_step)
    if evaluation.pit:
        drawn["calibration"] = plotting.calibration(
            levels=CALIBRATION_LEVELS,
            coverage={name: calibration_curve(pit) for name, pit in evaluation.pit.items()},
            counts={name: len(pit) for name, pit in evaluation.pit.items()},
            pit=evaluation.pit,
        )
        drawn["metrics"] = plotting.metric_bars(evaluation.metrics)
    return [plotting.save(figure, folder / f"{name}.png") for name, figure in drawn.items()]  # type: ignore[arg-type]


def shown_series(series: IrregularSeries, withheld: IrregularSeries | None = None) -> np.ndarray:
    """A few series spread over the data set, those with many values first in the running."""
    counts = np.add.reduceat(np.isfinite(series.values).sum(1), series.offsets[:-1])
    if withheld is not None:
        asked = np.add.reduceat(np.isfinite(withheld.values).sum(1), withheld.offsets[:-1])
        counts = np.where(asked > 0, counts, -1)
    rich = np.flatnonzero(counts >= np.median(counts[counts >= 0]))
    return rich[np.unique(np.linspace(0, len(rich) - 1, min(_SHOWN, len(rich))).astype(int))]


def shown_features(series: IrregularSeries) -> list[int]:
    """The features with the most observed values, in their own order."""
    counts = np.isfinite(series.values).sum(0)
    return sorted(np.argsort(-counts, kind="stable")[:_FEATURES].tolist())


def _draw_task(
    model: SeriesModel, task: Task, units: Mapping[str, str] | None, samples: int, seed: int
) -> object:
    visible, withheld = task.test
    chosen = shown_series(visible, withheld)
    seen, hidden = visible.select(chosen), withheld.select(chosen)
    grids = [_grid(seen, s) for s in range(len(chosen))]
    predictions = list(predict(model, seen, grids, samples=samples, seed=seed))
    features = shown_features(visible)
    lines = None
    if task.starts is not None:
        lines = _baseline_lines(task, chosen, grids)
    columns = _columns(model, features)
    panels = [
        [
            _panel(
                seen,
                hidden,
                s,
                column,
                grids[s],
                predictions[s],
                None if lines is None else lines[s][:, column.feature],
            )
            for column in columns
        ]
        for s in range(len(chosen))
    ]
    names = [column.name for column in columns]
    shared = {"panels": panels, "series": list(seen.names), "features": names, "units": units}
    if task.starts is None:
        return plotting.bands(**shared, time_unit=seen.time_unit)  # type: ignore[arg-type]
    return plotting.forecasts(
        **shared,  # type: ignore[arg-type]
        starts=list(task.starts[chosen]),
        baseline_name="last observation",
        time_unit=seen.time_unit,
    )


@dataclass(frozen=True)
class _Column:
    """What a row of a figure shows: a feature, or the probability of one of its classes."""

    name: str
    feature: int
    is_class: int | None = None
    likely: bool = False  # whether the band is that of a probability

    def shown(self, values: np.ndarray) -> np.ndarray:
        """Values of the feature, or 1 for the class and 0 for another."""
        if self.is_class is None:
            return values
        return np.where(np.isfinite(values), values == self.is_class, np.nan)

    def samples(self, prediction: Predictive) -> np.ndarray:
        classes = prediction.classes[self.feature]
        if classes is not None and self.is_class is not None:
            return classes[:, :, self.is_class]
        return (prediction.paths if self.likely else prediction.samples)[:, :, self.feature]


def _columns(model: SeriesModel, features: Sequence[int]) -> list[_Column]:
    """Of the features, every class of a categorical one for itself; at most `_FEATURES` in all."""
    columns = []
    for f in features:
        name, levels = model.config.features[f], model.config.levels_of(f)
        binary = FAMILIES[model.config.likelihoods[f]].binary
        columns += [_Column(f"{name}={level}", f, k) for k, level in enumerate(levels)]
        columns += [] if levels else [_Column(name, f, likely=binary)]
    return columns[:_FEATURES]


def _baseline_lines(task: Task, chosen: np.ndarray, grids: list[np.ndarray]) -> list[np.ndarray]:
    """The last observation of every feature, drawn from the forecast's start on: (T, F) for each series."""
    lines = []
    visible = task.test[0]
    assert task.starts is not None
    for s, grid in zip(chosen, grids, strict=True):
        values = pd.DataFrame(visible.values[visible.rows(s)]).ffill().to_numpy()[-1]
        lines.append(np.where((grid >= task.starts[s])[:, None], values, np.nan))
    return lines


def _panel(
    seen: IrregularSeries,
    hidden: IrregularSeries,
    s: int,
    column: _Column,
    grid: np.ndarray,
    prediction: Predictive,
    baseline: np.ndarray | None,
) -> plotting.Panel:
    rows = seen.rows(s)
    f = column.feature
    q05, q25, q50, q75, q95 = np.quantile(column.samples(prediction), QUANTILES, axis=0)
    return plotting.Panel(
        observed_times=seen.times[rows],
        observed=column.shown(seen.values[rows, f]),
        withheld_times=hidden.times[rows],
        withheld=column.shown(hidden.values[rows, f]),
        grid=grid,
        q05=q05,
        q25=q25,
        q50=q50,
        q75=q75,
        q95=q95,
        baseline=None if baseline is None else column.shown(baseline),
    )


def _draw_prior(
    model: SeriesModel, train: IrregularSeries, units: Mapping[str, str] | None, seed: int
) -> object:
    rng = np.random.default_rng(seed)
    count = min(30, len(train))
    chosen = rng.choice(len(train), count, replace=False)
    grid = np.linspace(model.config.start, float(np.quantile(train.times, 0.99)), 73)
    ids = np.arange(count, dtype=np.int64)
    drawn = predict(model, None, [grid] * count, ids=ids, static=train.static[chosen], samples=1, seed=seed)
    features = shown_features(train)
    data = [(train.times[train.rows(s)], train.values[train.rows(s)][:, features]) for s in chosen]
    return plotting.prior_samples(
        data=data,
        times=grid,
        samples=np.concatenate([p.samples for p in drawn])[..., features],
        features=[train.features[f] for f in features],
        units=units,
        time_unit=train.time_unit,
    )


def _draw_latent(model: SeriesModel, series: IrregularSeries, seed: int) -> object:
    chosen = shown_series(series)
    seen = series.select(chosen)
    grids = [_grid(seen, s) for s in range(len(chosen))]
    drawn = list(predict(model, seen, grids, samples=12, seed=seed))
    observed = np.isfinite(seen.values).any(1)
    return plotting.latent_paths(
        series=list(seen.names),
        grids=grids,
        paths=[p.latent[..., :_LATENT] for p in drawn],
        observation_times=[seen.times[seen.rows(s)][observed[seen.rows(s)]] for s in range(len(chosen))],
        time_unit=seen.time_unit,
    )


def _numbered(levels: Sequence[str]) -> str:
    return ", ".join(level if level == str(k) else f"{k} {level}" for k, level in enumerate(levels))


def _grid(series: IrregularSeries, s: int) -> np.ndarray:
    times = series.times[series.rows(s)]
    if len(times) == 1:
        return times
    return np.unique(np.concatenate([times, np.linspace(times[0], times[-1], _GRID)]))
