"""The value one period earlier: yesterday at the same hour, when the period is a day."""

from __future__ import annotations

import numpy as np

from latentsde.data import IrregularSeries
from latentsde.evaluation.baselines.baseline import Array, positive_period
from latentsde.evaluation.baselines.last_observation import LastObservation
from latentsde.evaluation.baselines.neighbours import observed_near


class SameHourYesterday(LastObservation):
    """The visible value nearest to t - k period, for the smallest k = 1, 2, ... that has one in reach.

    Only the past is looked at, in imputation too. Without such a value: the last observation, and before the
    first the feature's training mean.

    period, tolerance: in the series' time unit; tolerance by default half the median step between training
    rows, at most a quarter of the period. InputError for a period that is not a positive number.
    """

    name = "same_hour_yesterday"

    def __init__(self, period: float, *, tolerance: float | None = None) -> None:
        self.period = positive_period(period)
        self.tolerance = tolerance

    def learn(self, observed: IrregularSeries) -> None:
        super().learn(observed)
        if self.tolerance is not None:
            self._reach = self.tolerance
            return
        steps = np.diff(observed.times)
        steps = np.delete(steps, observed.offsets[1:-1] - 1)  # from one series to the next is no step
        self._reach = min(float(np.median(steps)) / 2, self.period / 4) if len(steps) else 0.0

    def point(self, visible: IrregularSeries) -> Array:
        point = super().point(visible)
        first, last = visible.times[visible.offsets[:-1]], visible.times[visible.offsets[1:] - 1]
        start = first[visible.series_of_rows]
        for f in range(len(visible.features)):
            open_rows = np.arange(visible.n_rows)
            for k in range(1, int((last - first).max(initial=0.0) / self.period + 1) + 1):
                shift = k * self.period
                # Rows that would look before their series began find nothing, now or later.
                earliest = start[open_rows] - self._reach - 1e-6 * self.period
                open_rows = open_rows[visible.times[open_rows] - shift >= earliest]
                found = observed_near(visible, f, open_rows, shift, self._reach)
                hit = found >= 0
                point[open_rows[hit], f] = visible.values[found[hit], f]
                open_rows = open_rows[~hit]
                if not len(open_rows):
                    break
        return point
