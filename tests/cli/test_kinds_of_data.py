"""Data of other shapes: dates, few series, one series, short ones, a rhythm."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from latentsde.cli.source import begin_with_period, describe
from latentsde.cli.study import study_of
from latentsde.data import IrregularSeries
from tests.cli.commands import QUICK, latentsde, visits, write


def dates(zone: str = "", series: int = 3, rows: int = 20, seed: int = 1) -> pd.DataFrame:
    """Series of a value and a count at irregular minutes, each beginning on another day at 7:30."""
    rng = np.random.default_rng(seed)
    parts = []
    for s in range(series):
        moments = pd.Timestamp(2020, 3, 1 + s, 7, 30) + pd.to_timedelta(
            np.r_[0, rng.integers(5, 600, rows - 1).cumsum()], unit="min"
        )
        parts.append(pd.DataFrame({"station": f"s{s}", "when": [f"{m.isoformat()}{zone}" for m in moments]}))
    frame = pd.concat(parts, ignore_index=True)
    return frame.assign(level=rng.normal(size=len(frame)).round(3), cars=rng.poisson(4.0, len(frame)))


def fit(frame: pd.DataFrame, folder: Path, *options: object) -> Path:
    """A quick fit of the frame; its run directory."""
    data = write(frame, folder / "data.csv")
    columns = ("--id", frame.columns[0], "--time", frame.columns[1])
    ending = latentsde("fit", data, *columns, "--out", folder / "run", *QUICK, *options)
    assert ending.code == 0, ending
    assert (folder / "run" / "report.html").exists()
    return folder / "run"


@pytest.mark.parametrize("zone", ["", "Z", "+02:00"])
def test_dates_come_back_as_dates_counted_from_each_series_first_row(zone: str, tmp_path: Path) -> None:
    run = fit(dates(zone), tmp_path, "--time-unit", "h", "--likelihood", "cars=poisson")
    out = tmp_path / "p.csv"
    assert latentsde("predict", run, "--times", "0:24:12", "--samples", 5, "--out", out).code == 0
    frame = pd.read_csv(out)
    shift = pd.Timedelta(hours=2 if zone == "+02:00" else 0)
    first = [pd.Timestamp(2020, 3, 1 + s, 7, 30) - shift for s in range(3)]
    expected = [f"{(m + pd.Timedelta(hours=12 * k)).isoformat()}" for m in first for k in range(3)]
    asked = frame[["station", "when"]].drop_duplicates()
    assert asked["when"].tolist() == [text + ("Z" if zone else "") for text in expected]
    # What is predicted at a date does not depend on the way it is asked for.
    again = tmp_path / "again.csv"
    file = write(asked, tmp_path / "asked.csv")
    assert latentsde("predict", run, "--times", file, "--samples", 5, "--out", again).code == 0
    assert again.read_text() == out.read_text()


def test_dates_with_a_common_origin_keep_that_of_the_fit_for_other_data(tmp_path: Path) -> None:
    frame = dates()
    run = fit(frame, tmp_path, "--time-unit", "D", "--origin", "common")
    later = write(frame[frame["station"] == "s2"], tmp_path / "later.csv")
    outs = [tmp_path / "all.csv", tmp_path / "one.csv"]
    options = ("--times", "3:4:1", "--samples", 20, "--out")
    assert latentsde("predict", run, *options, outs[0]).code == 0
    assert latentsde("predict", run, "--data", later, *options, outs[1]).code == 0
    everyone, alone = (pd.read_csv(out) for out in outs)
    expected = everyone[everyone["station"] == "s2"].reset_index(drop=True)
    assert alone["when"].tolist() == expected["when"].tolist()
    # The company decides nothing but the order of sums.
    assert np.allclose(alone["mean"], expected["mean"], rtol=1e-4)


def test_with_a_period_dated_series_begin_at_its_last_multiple() -> None:
    series = IrregularSeries.from_frame(dates(), id="station", time="when", time_unit="h")
    moved = begin_with_period(series, 24.0)
    assert [str(origin)[:16] for origin in moved.origins] == [f"2020-03-0{s}T00:00" for s in (1, 2, 3)]
    assert (moved.times[moved.offsets[:-1]] == 7.5).all()
    assert (moved.to_frame()["when"] == series.to_frame()["when"]).all()
    assert begin_with_period(series, None) is series


def test_one_series_is_fitted_and_scored(tmp_path: Path) -> None:
    run = fit(dates(series=1, rows=30), tmp_path, "--time-unit", "h", "--period", 24)
    config = json.loads((run / "config.json").read_text())
    assert "fewer than 10 series" in config["data"]["split_rule"]
    assert config["training"]["validation_series"] == 0
    metrics = json.loads((run / "metrics.json").read_text())
    assert {"same_hour_yesterday", "latent_sde"} <= set(metrics["forecast"])
    assert latentsde("report", run, "--samples", 20).code == 0


def test_series_of_one_row_are_fitted(tmp_path: Path) -> None:
    frame = visits(series=12, rows=1).fillna(70.0).drop(columns="sex")
    assert (fit(frame, tmp_path) / "metrics.json").exists()


def test_two_rows_are_enough(tmp_path: Path) -> None:
    ending = latentsde(
        "fit",
        write(pd.DataFrame({"id": ["a", "a"], "t": [0, 1], "x": [1.0, 2.0]}), tmp_path / "data.csv"),
        *("--id", "id", "--time", "t", "--out", tmp_path / "run"),
        *QUICK,
    )
    assert ending.code == 0, ending


def test_a_series_that_begins_before_all_trained_on_is_scored_and_predicted(tmp_path: Path) -> None:
    frame = visits(series=12).drop(columns=["age", "sex"])
    run = fit(frame, tmp_path)
    start = json.loads((run / "config.json").read_text())["model"]["start"]
    assert start == frame["day"].min()
    new = write(frame.assign(day=frame["day"] - 5.0), tmp_path / "new.csv")
    options = ("--times=-5:5:1", "--samples", 5, "--out", tmp_path / "p.csv")
    ending = latentsde("predict", run, "--data", new, *options)
    assert ending.code == 0, ending
    assert np.isfinite(pd.read_csv(tmp_path / "p.csv")["mean"]).all()


def test_parquet_is_read_like_csv(tmp_path: Path) -> None:
    data = tmp_path / "data.parquet"
    visits().to_parquet(data)
    columns = ("--id", "patient", "--time", "day", "--values", "pulse")
    assert latentsde("fit", data, *columns, "--out", tmp_path / "run", *QUICK).code == 0


@pytest.mark.parametrize("count", [1, 3, 9, 10, 25])
def test_nothing_that_is_scored_was_trained_on(count: int) -> None:
    frame = visits(series=count, rows=15).drop(columns=["age", "sex"])
    series = IrregularSeries.from_frame(frame, id="patient", time="day")
    study = study_of(series, describe(series, "data.csv", None), seed=0, period=None)
    assert [task.name for task in study.tasks] == ["imputation", "forecast"]
    trained = {
        (name, day, feature)
        for part in (study.train, study.validation)
        if part is not None
        for name, day, feature in observations(part)
    }
    for task in study.tasks:
        visible, withheld = (set(observations(part)) for part in task.test)
        assert withheld and visible
        assert not withheld & visible
        assert not withheld & trained
        # The baselines are fitted on no more than the model.
        fitted_on = set(observations(task.train[0])) | set(observations(task.train[1]))
        assert fitted_on <= trained


def observations(series: IrregularSeries) -> list[tuple[str, float, str]]:
    rows, features = np.nonzero(np.isfinite(series.values))
    names = series.names[series.series_of_rows[rows]]
    return [
        (str(n), float(t), series.features[f])
        for n, t, f in zip(names, series.times[rows], features, strict=True)
    ]
