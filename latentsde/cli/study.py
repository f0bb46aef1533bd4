"""What a run is about: who is trained on, and what is asked of the fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from latentsde.cli.source import EMBEDDED, describe, series_of_fit
from latentsde.data import IrregularSeries, load_weather
from latentsde.data.weather import UNITS
from latentsde.errors import InputError
from latentsde.evaluation.tasks import Task, answerable, forecast, forecast_starts, imputation
from latentsde.models import read_config

FEWEST_TO_SPLIT = 10  # series; with fewer, a test set would be one or two of them
FRACTIONS = (0.8, 0.1, 0.1)
IMPUTED, FORECAST = 0.3, 1 / 3  # withheld of each test series: of its values at random, of its span
LAST, SINGLE = 0.2, 0.1  # with few series: of each one's span, and of the values before
NAMES_KEPT = 1000  # more series than these are counted in config.json, not named
WEATHER_FORECAST_FROM = 48.0  # hours: the last of three days


@dataclass(frozen=True)
class Study:
    """Series to train on, to stop early by (None: train all steps), and the questions with their answers.

    Attributes:
        data: the `data` section of config.json.
        period: of a known rhythm, in the data's unit, for model and baselines.
        start: the earliest time of all series, those not trained on included.
        units: of the features, for figures and tables, where known.
        rule: one sentence on who is trained on and what is withheld.
    """

    data: dict[str, Any]
    train: IrregularSeries
    validation: IrregularSeries | None
    tasks: list[Task]
    period: float | None
    rule: str
    start: float
    units: Mapping[str, str] | None = None


def study_of(series: IrregularSeries, section: dict[str, Any], *, seed: int, period: float | None) -> Study:
    """Split by series; fewer than 10 are all trained on, with the end of each and single values withheld."""
    many = len(series) >= FEWEST_TO_SPLIT
    made = (_split_by_series if many else _split_by_time)(series, seed)
    train, validation, tasks, rule, sizes = made
    empty = ~np.isfinite(train.values).any(0)
    if empty.any():
        name = series.features[int(np.argmax(empty))]
        raise InputError(
            f"{section['path']}, column '{name}' has no observed value in the series trained on ({rule}); "
            "leave it out with --values, or choose another --seed"
        )
    data = {**section, "splits": sizes, "split_rule": rule, "split_seed": seed}
    return Study(data, train, validation, answerable(tasks), period, rule, float(series.times.min()))


def weather_study(*, period: float) -> Study:
    """The embedded weather: impute what was dropped, forecast the third day; always the same split."""
    weather = load_weather()
    train, validation, test = weather.split(seed=0)
    last_day = {"time": WEATHER_FORECAST_FROM - 0.5}
    pair = test.visible.hold_out_after(**last_day)
    tasks = [
        Task("imputation", (train.visible, train.withheld), (test.visible, test.withheld)),
        Task(
            "forecast",
            train.visible.hold_out_after(**last_day),
            pair,
            np.full(len(test.visible), WEATHER_FORECAST_FROM),
        ),
    ]
    rule = (
        "windows of three days split 70/15/15, the three airports together; imputation of the values dropped "
        "at random, forecast of the third day from the first two"
    )
    data = {
        **describe(weather.visible, EMBEDDED, None),
        "splits": _sizes(train=train.visible, validation=validation.visible, test=test.visible),
        "split_rule": rule,
        "split_seed": 0,
    }
    return Study(data, train.visible, validation.visible, tasks, period, rule, 0.0, UNITS)


def study_of_run(run: Path) -> Study:
    """The study a run was made for, its data read again; `InputError` if they are gone or have changed."""
    series = series_of_fit(run)
    config = read_config(run)
    section, period = config["data"], config["model"]["period"]
    if section["path"] == EMBEDDED:
        return weather_study(period=period)
    return study_of(series, section, seed=section["split_seed"], period=period)


Parts = tuple[IrregularSeries, "IrregularSeries | None", list[Task], str, dict[str, Any]]


def _split_by_series(series: IrregularSeries, seed: int) -> Parts:
    train, validation, test = series.split(FRACTIONS, seed=seed)
    tasks = [
        imputation(train, test, fraction=IMPUTED, seed=seed),
        forecast(train, test, fraction=FORECAST),
    ]
    rule = (
        "series split 80/10/10 at random; of the test series 30 % of the values withheld for imputation, "
        "the last third of each one's span for the forecast"
    )
    return train, validation, tasks, rule, _sizes(train=train, validation=validation, test=test)


def _split_by_time(series: IrregularSeries, seed: int) -> Parts:
    early, late = series.hold_out_after(fraction=LAST)
    visible, single = early.hold_out_values(SINGLE, seed=seed)
    # The baselines learn how far off they are by the same questions, asked of what is left.
    earlier = visible.hold_out_after(fraction=1 - (1 - LAST) ** 2)
    tasks = [
        Task("imputation", visible.hold_out_values(SINGLE, seed=seed + 1), (visible, single)),
        Task("forecast", earlier, (visible, late), forecast_starts(series, fraction=LAST)),
    ]
    rule = (
        f"fewer than {FEWEST_TO_SPLIT} series, so all are trained on, without validation; withheld from "
        "training: the last 20 % of each one's span for the forecast, 10 % of the values before for "
        "imputation"
    )
    return visible, None, tasks, rule, _sizes(train=series, validation=None, test=None)


def _sizes(**parts: IrregularSeries | None) -> dict[str, Any]:
    """{part: {series: how many, names: which}}."""
    sizes: dict[str, Any] = {}
    for name, part in parts.items():
        count = 0 if part is None else len(part)
        sizes[name] = {"series": count}
        if part is not None and count <= NAMES_KEPT:
            sizes[name]["names"] = [str(x) for x in part.names]
    return sizes
