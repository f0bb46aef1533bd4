"""A batch holds the observed rows of its series, and only padding depends on the company."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import torch
from hypothesis import given, settings

from latentsde.data import Batch, IrregularSeries, Scaler, collate


@st.composite
def ragged_series(draw: st.DrawFn) -> IrregularSeries:
    lengths = draw(st.lists(st.integers(1, 6), min_size=2, max_size=8))
    seed = draw(st.integers(0, 2**32))
    random = np.random.default_rng(seed)
    values = random.normal(size=(sum(lengths), 2))
    values[random.random(values.shape) < 0.6] = np.nan
    values[0] = 1.0
    frame = pd.DataFrame(
        {
            "id": np.repeat([f"s{number}" for number in range(len(lengths))], lengths),
            "time": np.concatenate([np.sort(random.random(length)) for length in lengths]),
            "x": values[:, 0],
            "y": values[:, 1],
            "c": np.repeat(random.normal(size=len(lengths)), lengths),
        }
    )
    return IrregularSeries.from_frame(frame, id="id", time="time", values=["x", "y"], static=["c"])


@given(ragged_series())
@settings(max_examples=100, deadline=None)
def test_a_batch_holds_exactly_the_observed_rows(series: IrregularSeries) -> None:
    scaler = Scaler.fit(series)
    batch = collate(series, range(len(series)), scaler)
    assert int(batch.mask.sum()) == series.n_observed
    assert batch.values.isfinite().all() and (batch.values[~batch.mask] == 0).all()
    for s in range(len(series)):
        times, values = series.times[series.rows(s)], series.values[series.rows(s)]
        observed = np.isfinite(values).any(axis=1)
        length = int(batch.lengths[s])
        assert length == observed.sum()
        np.testing.assert_array_equal(batch.times[s, :length], times[observed])
        last = times[observed][-1] if length else times[0]
        assert (batch.times[s, length:] == last).all()
        expected = np.nan_to_num(scaler.scale(values[observed])).astype(np.float32)
        np.testing.assert_array_equal(batch.values[s, :length], expected)


@given(ragged_series(), st.integers(1, 7))
@settings(max_examples=100, deadline=None)
def test_a_series_is_the_same_in_any_batch(series: IrregularSeries, size: int) -> None:
    scaler = Scaler.fit(series)
    whole = collate(series, range(len(series)), scaler)
    for start in range(0, len(series), size):
        indices = np.arange(start, min(start + size, len(series)))
        part = collate(series, indices, scaler)
        rows = part.times.shape[1]
        torch.testing.assert_close(part.ids, whole.ids[indices], rtol=0, atol=0)
        torch.testing.assert_close(part.times, whole.times[indices, :rows], rtol=0, atol=0)
        torch.testing.assert_close(part.values, whole.values[indices, :rows], rtol=0, atol=0)
        assert torch.equal(part.mask, whole.mask[indices, :rows]) and not whole.mask[indices, rows:].any()
        torch.testing.assert_close(part.static, whole.static[indices], rtol=0, atol=0)


def test_dtypes_and_shapes() -> None:
    frame = pd.DataFrame(
        {"id": list("aab"), "time": [0, 1, 0], "x": [1.0, np.nan, 3.0], "y": [1.0, 2.0, np.nan]}
    )
    series = IrregularSeries.from_frame(frame, id="id", time="time")
    batch = collate(series, [1, 0], Scaler.fit(series)).to("cpu")
    assert isinstance(batch, Batch) and len(batch) == 2
    assert (batch.times.dtype, batch.values.dtype, batch.mask.dtype) == (
        torch.float64,
        torch.float32,
        torch.bool,
    )
    assert (batch.ids.dtype, batch.lengths.tolist()) == (torch.int64, [1, 2])
    assert batch.values.shape == (2, 2, 2) and batch.static.shape == (2, 0)


def test_series_without_any_value_have_length_zero() -> None:
    frame = pd.DataFrame({"id": list("aabb"), "time": [5, 6, 7, 8], "x": [np.nan, np.nan, 1.0, 2.0]})
    series = IrregularSeries.from_frame(frame, id="id", time="time")
    scaler = Scaler.fit(series)
    alone = collate(series, [0], scaler)
    assert alone.lengths.tolist() == [0] and alone.times.tolist() == [[5.0]] and not alone.mask.any()
    blank = series.with_values(np.full_like(series.values, np.nan))
    assert collate(blank, [0, 1], scaler).times.tolist() == [[5.0], [7.0]]
