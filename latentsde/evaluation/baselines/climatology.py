"""What is usual at this phase of the period: the mean of each hour of the day."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from latentsde.data import IrregularSeries
from latentsde.data.times import NANOSECONDS
from latentsde.evaluation.baselines.baseline import Array, PointBaseline, positive_period

# An empty phase has the feature's mean, a sparse one is drawn towards it as if by so many values more.
_PRIOR_VALUES = 5
_FEWEST_PHASES, _MOST_PHASES = 4, 48


class Climatology(PointBaseline):
    """Mean over the training series of each feature at each phase; the series' own values are not used.

    The phase is floor(time mod period) for a period of 4 to 48 time units, such as hours of the day, and a
    24th of the period for any other. Time is the clock's where the series carry ISO 8601 times, otherwise as
    given. Without a period the prediction is the feature's mean.

    period: in the series' time unit, or None. InputError for a period that is not a positive number.
    """

    name = "climatology"

    def __init__(self, period: float | None) -> None:
        self.period = None if period is None else positive_period(period)

    def learn(self, observed: IrregularSeries) -> None:
        super().learn(observed)
        phase = self._phase(observed)
        seen = np.isfinite(observed.values)
        total = np.tile(_PRIOR_VALUES * self.mean, (self._phases, 1))
        count = np.full_like(total, _PRIOR_VALUES)
        np.add.at(total, phase, np.where(seen, observed.values, 0.0))
        np.add.at(count, phase, seen)
        self._usual = total / count

    def point(self, visible: IrregularSeries) -> Array:
        return self._usual[self._phase(visible)]

    @property
    def _phases(self) -> int:
        if self.period is None:
            return 1
        return int(np.ceil(self.period)) if _FEWEST_PHASES <= self.period <= _MOST_PHASES else 24

    def _phase(self, series: IrregularSeries) -> NDArray[np.int64]:
        if self.period is None:
            return np.zeros(series.n_rows, dtype=np.int64)
        whole_units = _FEWEST_PHASES <= self.period <= _MOST_PHASES
        width = 1.0 if whole_units else self.period / self._phases
        # A time a rounding error short of the hour belongs to that hour.
        phase = np.floor((clock_time(series) + 1e-9 * self.period) % self.period / width).astype(np.int64)
        return np.minimum(phase, self._phases - 1)


def clock_time(series: IrregularSeries) -> Array:
    """Times (R,) with each series' origin added back, in the time unit; ISO 8601 times count from 1970."""
    origins = series.origins
    if origins.dtype.kind == "M":
        assert series.time_unit is not None
        origins = origins.astype("datetime64[ns]").astype(np.int64) / NANOSECONDS[series.time_unit]
    return series.times + origins[series.series_of_rows]
