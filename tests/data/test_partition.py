"""Splits and hold-outs: nothing lost, nothing twice, nothing leaked."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings

from latentsde.data import IrregularSeries
from latentsde.errors import InputError


def some_series(count: int, rows: int = 4, seed: int = 0) -> IrregularSeries:
    draw = np.random.default_rng(seed)
    values = draw.normal(size=(count * rows, 2))
    values[draw.random(values.shape) < 0.3] = np.nan
    values[0] = 1.0
    ids = [f"s{number}" for number in np.repeat(np.arange(count), rows)]
    times = np.tile(np.arange(rows), count) + draw.random(count * rows)
    frame = pd.DataFrame({"id": ids, "time": times, "x": values[:, 0], "y": values[:, 1]})
    return IrregularSeries.from_frame(frame, id="id", time="time")


@given(st.integers(3, 60), st.integers(0, 2**32))
@settings(max_examples=50, deadline=None)
def test_every_series_is_in_exactly_one_part(count: int, seed: int) -> None:
    parts = some_series(count).split(seed=seed)
    assert sorted(name for part in parts for name in part.names) == sorted(some_series(count).names)
    assert min(len(part) for part in parts) >= 1


@given(st.integers(0, 2**32))
@settings(max_examples=20, deadline=None)
def test_the_parts_do_not_depend_on_the_order_of_the_series(seed: int) -> None:
    series = some_series(20)
    turned = series.select(np.arange(20)[::-1])
    for part, other in zip(series.split(seed=seed), turned.split(seed=seed), strict=True):
        assert set(part.names) == set(other.names)


@given(st.lists(st.integers(0, 5), min_size=12, max_size=12), st.integers(0, 2**32))
@settings(max_examples=50, deadline=None)
def test_a_group_is_never_in_two_parts(labels: list[int], seed: int) -> None:
    series = some_series(12)
    groups = np.array([0, 1, 2, *labels[3:]])
    label_of = dict(zip(series.names, groups, strict=True))
    parts = series.split(seed=seed, groups=groups)
    seen = [{label_of[name] for name in part.names} for part in parts]
    assert sum(len(part) for part in seen) == len(set(groups))
    assert sum(len(part) for part in parts) == 12


def test_parts_have_the_sizes_asked_for() -> None:
    assert [len(part) for part in some_series(100).split(seed=1)] == [70, 15, 15]
    assert [len(part) for part in some_series(10).split((0.5, 0.2), seed=1)] == [5, 2]
    assert [len(part) for part in some_series(3).split((0.98, 0.01, 0.01), seed=1)] == [1, 1, 1]
    assert [len(part) for part in some_series(5).split((0.6, 0.0, 0.4), seed=1)] == [3, 0, 2]


def is_partition(series: IrregularSeries, visible: IrregularSeries, withheld: IrregularSeries) -> bool:
    seen, kept = np.isfinite(visible.values), np.isfinite(withheld.values)
    joined = np.where(seen, visible.values, withheld.values)
    return not (seen & kept).any() and np.array_equal(joined, series.values, equal_nan=True)


@given(st.floats(0.01, 0.99), st.integers(0, 2**32))
@settings(max_examples=50, deadline=None)
def test_hold_outs_of_values_partition_the_observed_ones(fraction: float, seed: int) -> None:
    series = some_series(10)
    visible, withheld = series.hold_out_values(fraction, seed=seed)
    assert is_partition(series, visible, withheld)
    np.testing.assert_array_equal(visible.times, withheld.times)
    np.testing.assert_array_equal(visible.offsets, withheld.offsets)


@given(st.floats(-1, 6) | st.none(), st.floats(0.01, 0.99))
@settings(max_examples=50, deadline=None)
def test_hold_outs_by_time_partition_the_observed_values(time: float | None, fraction: float) -> None:
    series = some_series(10)
    visible, withheld = series.hold_out_after(time=time, fraction=None if time is not None else fraction)
    assert is_partition(series, visible, withheld)
    for s in range(len(series)):
        rows = series.rows(s)
        own = series.times[rows]
        limit = time if time is not None else own[0] + (1 - fraction) * (own[-1] - own[0])
        assert np.isnan(visible.values[rows][own > limit]).all()
        assert np.isnan(withheld.values[rows][own <= limit]).all()


def test_about_the_fraction_of_values_is_withheld() -> None:
    # 56,000 values at 0.3: five standard deviations are 0.01, a false alarm for one seed in 2 million.
    series = some_series(1000, rows=40)
    _, withheld = series.hold_out_values(0.3, seed=5)
    assert abs(withheld.n_observed / series.n_observed - 0.3) < 0.01


def test_a_single_visit_is_never_withheld_by_fraction() -> None:
    series = some_series(3, rows=1)
    visible, _ = series.hold_out_after(fraction=0.5)
    assert visible.n_observed == series.n_observed


@pytest.mark.parametrize(
    "fractions",
    [(0.7, 0.7), (-0.1, 0.5), (float("nan"), 0.5), (0.0, 0.0)],
    ids=["over", "negative", "nan", "none"],
)
def test_impossible_fractions_are_refused(fractions: tuple[float, float]) -> None:
    with pytest.raises(InputError, match="add up to at most 1"):
        some_series(5).split(fractions, seed=0)


def test_options_out_of_range_are_refused() -> None:
    series = some_series(2)
    with pytest.raises(InputError, match="more series or fewer parts"):
        series.split(seed=0)
    with pytest.raises(InputError, match="1 group labels for 2 series"):
        series.split(seed=0, groups=np.array([1]))
    with pytest.raises(InputError, match="between 0 and 1"):
        series.hold_out_values(1.5, seed=0)
    with pytest.raises(InputError, match="not both"):
        series.hold_out_after()
    with pytest.raises(InputError, match="not both"):
        series.hold_out_after(time=1.0, fraction=0.5)
    with pytest.raises(InputError, match="between 0 and 1"):
        series.hold_out_after(fraction=1.0)
    with pytest.raises(InputError, match="finite"):
        series.hold_out_after(time=float("nan"))
