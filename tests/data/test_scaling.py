"""Scaling is undone exactly enough, counts keep their scale, and nothing divides by zero."""

from __future__ import annotations

import json

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings

from latentsde.data import IrregularSeries, Scaler
from latentsde.errors import InputError


def series_of(**columns: list[float]) -> IrregularSeries:
    rows = len(next(iter(columns.values())))
    frame = pd.DataFrame({"id": [f"s{row}" for row in range(rows)], "time": 0.0, **columns})
    static = [name for name in columns if name.startswith("static")]
    return IrregularSeries.from_frame(frame, id="id", time="time", static=static)


@given(st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), min_size=3, max_size=20))
@settings(max_examples=100, deadline=None)
def test_scaling_is_undone_in_numpy_and_torch(values: list[float]) -> None:
    series = series_of(x=[1.0, 2.5, *values])
    scaler = Scaler.fit(series)
    back = scaler.unscale(scaler.scale(series.values))
    np.testing.assert_allclose(back, series.values, rtol=1e-12, atol=1e-9)
    tensor = torch.from_numpy(series.values)
    np.testing.assert_allclose(scaler.unscale(scaler.scale(tensor)).numpy(), back, rtol=1e-12, atol=1e-9)


def test_observed_values_get_mean_zero_and_deviation_one() -> None:
    series = series_of(x=[1.0, 3.0, np.nan, 8.0], y=[10.0, np.nan, np.nan, 30.0])
    scaled = Scaler.fit(series).scale(series.values)
    np.testing.assert_allclose(np.nanmean(scaled, axis=0), 0, atol=1e-15)
    np.testing.assert_allclose(np.nanstd(scaled, axis=0), 1, rtol=1e-15)
    np.testing.assert_array_equal(np.isnan(scaled), np.isnan(series.values))


def test_counts_keep_their_scale() -> None:
    series = series_of(x=[1.0, 3.0], n=[4.0, 9.0])
    scaler = Scaler.fit(series, kept={"n"})
    np.testing.assert_array_equal(scaler.scale(series.values)[:, 1], [4, 9])
    with pytest.raises(InputError, match="'m' is not a feature; the features are x, n"):
        Scaler.fit(series, kept={"m"})


def test_a_feature_without_spread_or_without_values_is_scaled_by_one() -> None:
    series = series_of(x=[0.1, 0.1, 0.1, 0.2], y=[1.0, 2.0, 3.0, 4.0])
    part = series.select([0, 1, 2]).with_values(np.array([[0.1, np.nan]] * 3))
    scaler = Scaler.fit(part)
    np.testing.assert_array_equal(scaler.std, [1, 1])
    np.testing.assert_allclose(scaler.mean, [0.1, 0], rtol=1e-15)


def test_a_missing_static_value_becomes_the_mean() -> None:
    series = series_of(x=[1.0, 2.0, 3.0], static_age=[40.0, np.nan, 60.0])
    scaled = Scaler.fit(series).scale_static(series.static)
    np.testing.assert_allclose(scaled[:, 0], [-1, 0, 1])


def test_a_scaler_survives_json() -> None:
    series = series_of(x=[1.0, 1 / 3], static_age=[40.0, 61.7])
    scaler = Scaler.fit(series)
    again = Scaler.from_json(json.loads(json.dumps(scaler.to_json())))
    assert again.features == scaler.features
    for name in ("mean", "std", "static_mean", "static_std"):
        np.testing.assert_array_equal(getattr(again, name), getattr(scaler, name))


def test_values_beyond_float64_arithmetic_are_refused() -> None:
    with pytest.raises(InputError, match="'x' are too large"):
        Scaler.fit(series_of(x=[1e300, -1e300]))


def test_single_precision_stays_single() -> None:
    scaler = Scaler.fit(series_of(x=[1.0, 3.0]))
    assert scaler.scale(torch.ones(4, 5, 1)).dtype == torch.float32
    assert scaler.unscale(torch.ones(4, 5, 1)).shape == (4, 5, 1)
