"""How far a point forecast is from the truth, by the time since the last visible value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

BINS = 8
RESIDUALS_PER_BIN = 30
SMALLEST = 1e-3  # of the feature's standard deviation


@dataclass(frozen=True)
class ResidualSpread:
    """Root mean square error of one feature in quantile bins of the gap; a bias counts as spread."""

    last_gaps: Array  # (bins - 1,) the largest gap of each bin but the last
    rms: Array  # (bins,)
    rms_before: float  # where there is no earlier value: an infinite gap

    @classmethod
    def fit(cls, error: Array, gap: Array, *, std: float) -> ResidualSpread:
        """Up to BINS bins of at least RESIDUALS_PER_BIN errors each.

        error: (R,), NaN = not scored; gap: (R,), infinite = no earlier value; std: the feature's, in its
        unit, taken where there are too few errors to tell, and SMALLEST times std is the floor, so that a
        baseline that is exact in training keeps a finite likelihood.
        """
        scored = np.isfinite(error)

        def rms(errors: Array) -> float:
            return max(float(np.sqrt(np.mean(errors**2))), SMALLEST * std)

        before = error[scored & np.isinf(gap)]
        after = np.flatnonzero(scored & np.isfinite(gap))
        after = after[np.argsort(gap[after], kind="stable")]
        gaps, errors = gap[after], error[after]
        ends = _bin_ends(gaps)
        return cls(
            last_gaps=gaps[ends[:-1] - 1],
            rms=np.array([rms(part) if len(part) else std for part in np.split(errors, ends[:-1])]),
            rms_before=rms(before) if len(before) >= RESIDUALS_PER_BIN else std,
        )

    def at(self, gap: Array) -> Array:
        """The spread for each gap, (R,)."""
        return np.where(np.isinf(gap), self.rms_before, self.rms[np.searchsorted(self.last_gaps, gap)])


def _bin_ends(gaps: Array) -> NDArray[np.int64]:
    """Where each bin of the sorted gaps ends; equal gaps stay together."""
    size = max(RESIDUALS_PER_BIN, -(-len(gaps) // BINS))
    ends: list[int] = []
    end = 0
    while end < len(gaps):
        end = min(end + size, len(gaps))
        end = int(np.searchsorted(gaps, gaps[end - 1], side="right"))
        if len(gaps) - end < RESIDUALS_PER_BIN:
            end = len(gaps)
        ends.append(end)
    return np.array(ends, dtype=np.int64)
