"""What the point baselines predict, and that the spread they state is the spread they have."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latentsde.data import IrregularSeries
from latentsde.errors import InputError
from latentsde.evaluation import BASELINES, baselines_for, score_baselines, score_normal
from latentsde.evaluation.baselines import (
    Climatology,
    LastObservation,
    LinearInterpolation,
    SameHourYesterday,
)
from latentsde.evaluation.baselines.spread import BINS, RESIDUALS_PER_BIN, ResidualSpread

NAN = np.nan


def make_series(times: list[np.ndarray], values: list[np.ndarray]) -> IrregularSeries:
    lengths = [len(t) for t in times]
    stacked = np.concatenate(values)
    return IrregularSeries(
        names=np.array([f"s{i}" for i in range(len(times))]),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        times=np.concatenate(times).astype(float),
        values=stacked,
        static=np.zeros((len(times), 0)),
        features=tuple("abcdefgh"[: stacked.shape[1]]),
        static_names=(),
        id_column="id",
        time_column="time",
        time_unit=None,
        origin="common",
        origins=np.zeros(len(times)),
    )


def column(times: list[float], values: list[float]) -> IrregularSeries:
    return make_series([np.array(times)], [np.array(values, dtype=float)[:, None]])


def rhythm(n_series: int, n_rows: int, n_features: int, seed: int = 0) -> IrregularSeries:
    """Stationary red noise of unit variance with a daily rhythm, half of the hours missing."""
    rng = np.random.default_rng(seed)
    hours = np.arange(2 * n_rows)
    paths = rng.normal(size=(n_series, len(hours), n_features))
    for hour in hours[1:]:
        paths[:, hour] = 0.9 * paths[:, hour - 1] + np.sqrt(1 - 0.9**2) * paths[:, hour]
    paths += 10 + 0.5 * np.sin(2 * np.pi * hours / 24)[:, None]
    kept = [np.sort(rng.choice(hours, n_rows, replace=False)) for _ in range(n_series)]
    return make_series(kept, [path[rows] for path, rows in zip(paths, kept, strict=True)])


def unseen(series: IrregularSeries) -> IrregularSeries:
    """The same rows with nothing observed: nothing withheld, or nothing visible."""
    return series.with_values(np.full_like(series.values, NAN))


def test_last_observation_carries_forward_within_its_own_series_only():
    visible = make_series(
        [np.arange(4.0), np.arange(3.0)],
        [
            np.array([[NAN, 1.0], [5.0, NAN], [NAN, NAN], [NAN, 2.0]]),
            np.array([[NAN, NAN], [7.0, NAN], [NAN, NAN]]),
        ],
    )
    baseline = LastObservation().fit(visible, unseen(visible))
    mean = [6.0, 1.5]
    own = [[mean[0], 1.0], [5.0, 1.0], [5.0, 1.0], [5.0, 2.0]]
    expected = [*own, mean, [7.0, mean[1]], [7.0, mean[1]]]
    np.testing.assert_array_equal(baseline.point(visible), expected)


def test_linear_interpolation_is_linear_in_time_and_holds_the_ends():
    visible = column([0, 1, 2, 5, 6], [NAN, 10.0, NAN, 18.0, NAN])
    baseline = LinearInterpolation().fit(visible, unseen(visible))
    np.testing.assert_allclose(baseline.point(visible)[:, 0], [10, 10, 12, 18, 18])
    empty = column([0, 1], [NAN, NAN])
    np.testing.assert_allclose(baseline.point(empty)[:, 0], [14, 14])


def test_linear_interpolation_equals_numpys_series_by_series():
    visible, withheld = rhythm(20, 12, 3).hold_out_values(0.7, seed=0)
    baseline = LinearInterpolation().fit(visible, withheld)
    point = baseline.point(visible)
    for s in range(len(visible)):
        rows = visible.rows(s)
        for f in range(3):
            times, values = visible.times[rows], visible.values[rows, f]
            seen = np.isfinite(values)
            line = np.interp(times, times[seen], values[seen]) if seen.any() else baseline.mean[f]
            np.testing.assert_allclose(point[rows, f], line)


def test_interpolation_of_a_forecast_is_the_last_observation():
    train, test = (rhythm(20, 40, 2, seed).hold_out_after(time=50.0) for seed in (0, 1))
    last = LastObservation().fit(*train).predict(*test)
    line = LinearInterpolation().fit(*train).predict(*test)
    asked = np.isfinite(test[1].values)
    np.testing.assert_array_equal(line.mean[asked], last.mean[asked])
    np.testing.assert_array_equal(line.std[asked], last.std[asked])


def test_same_hour_yesterday_takes_the_latest_day_that_was_observed():
    times = [0.0, 5, 23, 24.3, 29, 48, 53, 60]
    visible = column(times, [1.0, 2.0, 3.0, 4.0, NAN, NAN, NAN, NAN])
    baseline = SameHourYesterday(24, tolerance=0.5).fit(visible, unseen(visible))
    # t = 29: 5; t = 48: 24.3 is within half an hour of 24; t = 53: 29 is not visible, so 5; t = 60: nothing
    # at 36 or 12, so the last observation.
    np.testing.assert_array_equal(baseline.point(visible)[4:, 0], [2.0, 4.0, 2.0, 4.0])


def test_same_hour_yesterday_ignores_the_future_and_other_series():
    visible = make_series([np.array([0.0, 24.0])] * 2, [np.array([[9.0], [8.0]]), np.array([[NAN], [5.0]])])
    point = SameHourYesterday(24, tolerance=1).fit(visible, unseen(visible)).point(visible)
    mean = (9 + 8 + 5) / 3
    assert point[2, 0] == pytest.approx(mean)  # neither tomorrow's 5 nor the other series' 9
    assert point[3, 0] == 5.0  # nothing yesterday: the last observation


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 10_000), st.integers(1, 4), st.floats(0, 2), st.sampled_from([1.0, 2.5, 6.0]))
def test_same_hour_yesterday_equals_a_search_of_every_value(seed, n_series, tolerance, period):
    rng = np.random.default_rng(seed)
    times = [np.sort(rng.choice(60, rng.integers(1, 15), replace=False)) / 4.0 - 5 for _ in range(n_series)]
    values = [np.where(rng.random((len(t), 1)) < 0.5, rng.normal(size=(len(t), 1)), NAN) for t in times]
    visible = make_series(times, values)
    baseline = SameHourYesterday(period, tolerance=tolerance).fit(visible, unseen(visible))
    point, carried = baseline.point(visible), LastObservation.point(baseline, visible)
    for s in range(n_series):
        t, v = times[s], values[s][:, 0]
        seen = np.flatnonzero(np.isfinite(v))
        for i in range(len(t)):
            expected = {float(carried[visible.rows(s), 0][i])}
            for k in range(1, 20):
                distance = np.abs(t[seen] - (t[i] - k * period))
                if len(seen) and distance.min() <= tolerance:
                    expected = set(v[seen[np.isclose(distance, distance.min())]].tolist())  # ties: either
                    break
            assert point[visible.rows(s), 0][i] in expected


def test_climatology_is_the_mean_of_each_hour_and_the_overall_mean_where_there_is_none():
    series = make_series([np.arange(12.0)] * 400, [np.arange(12.0)[:, None]] * 400)
    baseline = Climatology(24).fit(series, unseen(series))
    asked = column([24.0, 29.5, 18.0], [NAN] * 3)
    np.testing.assert_allclose(baseline.point(asked)[:, 0], [0, 5, 5.5], atol=0.1)
    everywhere = Climatology(None).fit(series, unseen(series))
    np.testing.assert_allclose(everywhere.point(asked)[:, 0], 5.5)


def test_climatology_knows_the_hour_of_the_clock_when_series_start_at_any_time():
    starts = pd.date_range("2020-01-01 03:00", periods=40, freq="29h")
    rows = [
        {"id": f"s{i}", "time": moment, "x": float(moment.hour)}
        for i, start in enumerate(starts)
        for moment in pd.date_range(start, periods=24, freq="h")
    ]
    series = IrregularSeries.from_frame(pd.DataFrame(rows), id="id", time="time", time_unit="h")
    nothing = unseen(series)
    point = Climatology(24).fit(series, nothing).point(nothing)
    np.testing.assert_allclose(point, series.values, atol=1.5)  # shrunk by 5 of 45 values, at most 11.5 hours


def test_climatology_learns_from_withheld_training_values_too():
    visible, withheld = column([0, 1], [2.0, NAN]), column([0, 1], [NAN, 4.0])
    assert Climatology(None).fit(visible, withheld).point(visible)[0, 0] == 3.0


@pytest.mark.parametrize("period", [0.0, -24.0, NAN, np.inf])
def test_a_period_that_is_no_length_is_refused(period):
    for make in (SameHourYesterday, Climatology):
        with pytest.raises(InputError, match="period"):
            make(period)


@pytest.mark.parametrize("task", ["imputation", "forecast"])
def test_every_point_baseline_is_calibrated_on_fresh_series(task):
    # Errors are correlated within a series: 900 paths of which each is worth at least 2 values, so the
    # standard error is at most .007 and 5 of them are allowed: false alarm below 1e-5 for all together.
    def halves(seed):
        series = rhythm(300, 36, 3, seed)
        if task == "imputation":
            return series.hold_out_values(0.3, seed=seed)
        return series.hold_out_after(time=48.0)

    baselines = [b for b in baselines_for(24.0) if b.name != "gaussian_process"]
    for name, points in score_baselines(baselines, halves(1), halves(2)).items():
        scores = points.overall(np.ones(3))
        assert abs(scores.coverage90 - 0.9) < 0.035, name
        assert np.isfinite(scores.nll) and np.isfinite(scores.crps), name


def test_uncertainty_grows_with_the_time_since_the_last_observation():
    train, test = (rhythm(150, 40, 1, seed).hold_out_after(time=40.0) for seed in (0, 1))
    std = LastObservation().fit(*train).predict(*test).std[:, 0]
    asked = np.isfinite(test[1].values[:, 0])
    soon, late = asked & (test[0].times < 43), asked & (test[0].times > 48)
    assert std[soon].mean() < 0.7 * std[late].mean()


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.integers(0, 400), st.sampled_from([1, 3, 10, 1000]), st.integers(0, 1000))
def test_residual_bins_are_few_full_and_keep_equal_gaps_together(n, distinct, seed):
    rng = np.random.default_rng(seed)
    gap, error = rng.integers(1, distinct + 1, n).astype(float), rng.normal(size=n)
    spread = ResidualSpread.fit(error, gap, std=2.0)
    assert 1 <= len(spread.rms) <= BINS and len(spread.last_gaps) == len(spread.rms) - 1
    bin_of = np.searchsorted(spread.last_gaps, gap)
    if len(spread.rms) > 1:
        assert np.bincount(bin_of).min() >= RESIDUALS_PER_BIN
    for b in np.unique(bin_of):
        np.testing.assert_allclose(spread.at(gap[bin_of == b]), np.sqrt(np.mean(error[bin_of == b] ** 2)))
    # There were no errors without an earlier value: the feature's own spread.
    assert spread.at(np.array([np.inf]))[0] == 2.0


def test_too_little_to_learn_from_still_gives_finite_predictions():
    visible = make_series([np.arange(3.0), np.zeros(1)], [np.array([[5.0, NAN]] * 3), np.array([[NAN, NAN]])])
    nothing = unseen(visible)
    asked = visible.with_values(np.ones_like(visible.values))
    for baseline in baselines_for(24.0):
        prediction = baseline.fit(visible, nothing).predict(nothing, asked)
        assert np.isfinite(prediction.mean).all() and (prediction.std > 0).all(), baseline.name


def test_predictions_do_not_read_the_withheld_values():
    visible, withheld = rhythm(12, 30, 2).hold_out_values(0.3, seed=0)
    other = withheld.with_values(np.where(np.isfinite(withheld.values), 1e6, NAN))
    for baseline in baselines_for(24.0):
        baseline.fit(visible, withheld)
        first, second = baseline.predict(visible, withheld), baseline.predict(visible, other)
        np.testing.assert_array_equal(first.mean, second.mean)
        np.testing.assert_array_equal(first.std, second.std)


def test_predictions_do_not_depend_on_the_other_series_predicted():
    visible, withheld = rhythm(12, 30, 2).hold_out_values(0.3, seed=0)
    some = [7, 3]
    rows = np.concatenate([np.arange(visible.n_rows)[visible.rows(s)] for s in some])
    asked = np.isfinite(withheld.values[rows])
    for baseline in baselines_for(24.0):
        baseline.fit(visible, withheld)
        everything = baseline.predict(visible, withheld)
        part = baseline.predict(visible.select(some), withheld.select(some))
        np.testing.assert_array_equal(part.mean[asked], everything.mean[rows][asked])


def test_without_a_period_there_is_no_same_hour_yesterday():
    assert [b.name for b in baselines_for(24.0)] == list(BASELINES)
    assert "same_hour_yesterday" not in [b.name for b in baselines_for(None)]


def test_thousands_of_series_take_seconds():
    train = rhythm(1500, 100, 5).hold_out_values(0.3, seed=0)
    start = time.perf_counter()
    for baseline in baselines_for(24.0):
        if baseline.name != "gaussian_process":
            prediction = baseline.fit(*train).predict(*train)
            score_normal(prediction.mean, prediction.std, train[1].values)
    # About 2 s on one core of 2020; a loop over rows would take minutes.
    assert time.perf_counter() - start < 30
