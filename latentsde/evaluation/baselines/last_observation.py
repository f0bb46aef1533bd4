"""The last observation carried forward."""

from __future__ import annotations

import numpy as np

from latentsde.data import IrregularSeries
from latentsde.evaluation.baselines.baseline import Array, PointBaseline
from latentsde.evaluation.baselines.neighbours import previous_observed


class LastObservation(PointBaseline):
    """The series' last visible value of the feature; before the first, the feature's training mean."""

    name = "last_observation"

    def point(self, visible: IrregularSeries) -> Array:
        last = previous_observed(visible)
        carried = np.take_along_axis(visible.values, np.maximum(last, 0), axis=0)
        return np.where(last >= 0, carried, self.mean)
