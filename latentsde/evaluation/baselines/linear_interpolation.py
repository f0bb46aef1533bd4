"""The straight line between the neighbouring observations."""

from __future__ import annotations

import numpy as np

from latentsde.data import IrregularSeries
from latentsde.evaluation.baselines.baseline import Array, PointBaseline
from latentsde.evaluation.baselines.neighbours import next_observed, previous_observed


class LinearInterpolation(PointBaseline):
    """Linear in time between the visible values of the series; the first and the last value are held outside.

    A forecast is therefore flat and equal to the last observation: a line drawn on through the last two
    values leaves the data's range within hours. A series without a visible value gets the feature's training
    mean.
    """

    name = "linear_interpolation"

    def point(self, visible: IrregularSeries) -> Array:
        left, right = previous_observed(visible), next_observed(visible)
        left, right = np.where(left >= 0, left, right), np.where(right >= 0, right, left)
        start, stop = np.maximum(left, 0), np.maximum(right, 0)
        width = visible.times[stop] - visible.times[start]
        # Width 0: the value itself is visible, or only one side has any.
        share = (visible.times[:, None] - visible.times[start]) / np.where(width > 0, width, np.inf)
        before = np.take_along_axis(visible.values, start, axis=0)
        after = np.take_along_axis(visible.values, stop, axis=0)
        return np.where(left >= 0, before + share * (after - before), self.mean)
