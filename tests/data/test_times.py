"""ISO 8601 times: counted in a unit since an origin, and given back as dates."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings

from latentsde.data import IrregularSeries


def dated(times: object, **options: object) -> IrregularSeries:
    frame = pd.DataFrame({"id": "a", "time": times, "x": 1.0})
    return IrregularSeries.from_frame(frame, id="id", time="time", **{"time_unit": "h", **options})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("unit", "expected"), [("s", 86400), ("min", 1440), ("h", 24), ("D", 1), ("W", 1 / 7)]
)
def test_dates_count_in_the_unit_since_the_series_first(unit: str, expected: float) -> None:
    series = dated(["2013-01-02", "2013-01-03"], time_unit=unit)
    np.testing.assert_allclose(series.times, [0, expected], rtol=1e-15)
    assert series.origin == "series"


def test_common_origin_of_dates_is_the_earliest_of_all() -> None:
    frame = pd.DataFrame({"id": list("ab"), "time": ["2013-01-02T06:00", "2013-01-02"], "x": 1.0})
    series = IrregularSeries.from_frame(frame, id="id", time="time", time_unit="h", origin="common")
    np.testing.assert_array_equal(series.times, [6, 0])
    assert (series.origins == np.datetime64("2013-01-02")).all()


def test_numbers_stay_as_they_are_and_the_unit_is_a_label() -> None:
    series = dated([3.5, 4.0], time_unit="years")
    np.testing.assert_array_equal(series.times, [3.5, 4.0])
    assert (series.origin, series.time_unit) == ("common", "years")


@pytest.mark.parametrize(
    "times",
    [
        ["2013-03-10T01:00-05:00", "2013-03-10T03:00-04:00"],
        ["2013-03-10T06:00Z", "2013-03-10T07:00Z"],
        pd.to_datetime(["2013-03-10T01:00", "2013-03-10T03:00"]).tz_localize("America/New_York"),
    ],
    ids=["offsets", "UTC", "datetimes"],
)
def test_time_zones_are_brought_to_utc(times: object) -> None:
    series = dated(times)
    np.testing.assert_array_equal(series.times, [0, 1])
    assert series.to_frame()["time"].iloc[0] == pd.Timestamp("2013-03-10T06:00Z")


def test_several_precisions_in_one_column() -> None:
    series = dated(["2013-01-01", "2013-01-01T01:30", "2013-01-01 02:00:00.5"])
    np.testing.assert_allclose(series.times, [0, 1.5, 2 + 0.5 / 3600], rtol=1e-15)
    assert not series.zoned


@given(
    st.lists(st.integers(0, 10**9), min_size=2, max_size=20, unique=True),
    st.sampled_from(["s", "min", "h", "D", "W"]),
    st.sampled_from(["s", "ms", "us"]),
)
@settings(max_examples=200, deadline=None)
def test_dates_to_the_second_milli_or_microsecond_come_back_exactly(
    counts: list[int], unit: str, precision: str
) -> None:
    moments = np.array("1990-01-01", dtype=f"datetime64[{precision}]") + np.array(sorted(counts)).astype(
        f"timedelta64[{precision}]"
    )
    back = dated(moments, time_unit=unit).to_frame()["time"].to_numpy()
    np.testing.assert_array_equal(back.astype("datetime64[ns]"), moments.astype("datetime64[ns]"))


@given(st.lists(st.integers(0, 20 * 86_400 * 10**9), min_size=2, max_size=20, unique=True))
@settings(max_examples=100, deadline=None)
def test_nanoseconds_come_back_exactly_within_three_weeks(counts: list[int]) -> None:
    moments = np.datetime64("2013-01-01", "ns") + np.array(sorted(counts)).astype("timedelta64[ns]")
    back = dated(moments).to_frame()["time"].to_numpy()
    np.testing.assert_array_equal(back.astype("datetime64[ns]"), moments)


def test_text_of_numbers_in_a_frame_is_numbers() -> None:
    np.testing.assert_array_equal(dated(["2013", "2014.5"]).times, [2013, 2014.5])
