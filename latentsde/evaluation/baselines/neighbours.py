"""For each row and feature: which rows of the same series hold the neighbouring observed values.

All of them without a loop over series or rows, so that thousands of series cost a few array passes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from latentsde.data import IrregularSeries

Rows = NDArray[np.int64]


def previous_observed(series: IrregularSeries) -> Rows:
    """Row of the last observed value at or before each entry, (R, F); -1 where there is none."""
    rows = np.arange(series.n_rows)[:, None]
    last = np.maximum.accumulate(np.where(np.isfinite(series.values), rows, -1), axis=0)
    first_row = series.offsets[:-1][series.series_of_rows]
    return np.where(last >= first_row[:, None], last, -1)


def next_observed(series: IrregularSeries) -> Rows:
    """Row of the first observed value at or after each entry, (R, F); -1 where there is none."""
    n_rows = series.n_rows
    rows = np.arange(n_rows)[:, None]
    marked = np.where(np.isfinite(series.values), rows, n_rows)
    following = np.minimum.accumulate(marked[::-1], axis=0)[::-1]
    end_row = series.offsets[1:][series.series_of_rows]
    return np.where(following < end_row[:, None], following, -1)


def observed_near(series: IrregularSeries, feature: int, rows: Rows, shift: float, tolerance: float) -> Rows:
    """Row of the observed value of `feature` nearest to each row's time minus `shift`, in the same series.

    rows: (Q,). Returns (Q,); -1 where none lies within `tolerance`.
    """
    observed = np.flatnonzero(np.isfinite(series.values[:, feature]))
    if not len(observed) or not len(rows):
        return np.full(len(rows), -1)
    # Rounding must not decide: 0.3 - 0.2 is not 0.1.
    tolerance += 1e-9 * (abs(shift) + tolerance)
    owner = series.series_of_rows
    elapsed = series.times - series.times[series.offsets[:-1][owner]]
    # One sorted axis for all series: each starts where no time of another, nor its tolerance, can reach.
    stride = 2 * (elapsed.max() + tolerance) + 1
    position = owner * stride + elapsed
    wanted = owner[rows] * stride + np.maximum(elapsed[rows] - shift, -2 * tolerance)
    after = np.searchsorted(position[observed], wanted)
    best, best_distance = np.full(len(rows), -1), np.full(len(rows), np.inf)
    for candidate in (after - 1, after):
        found = observed[np.clip(candidate, 0, len(observed) - 1)]
        distance = np.abs(series.times[found] - (series.times[rows] - shift))
        better = (owner[found] == owner[rows]) & (distance <= tolerance) & (distance < best_distance)
        best, best_distance = np.where(better, found, best), np.where(better, distance, best_distance)
    return best
