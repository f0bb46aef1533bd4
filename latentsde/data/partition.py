"""Who is trained on and what is withheld: index sets and masks, drawn from explicit seeds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from latentsde.errors import InputError


def split_by_label(labels: np.ndarray, fractions: Sequence[float], seed: int) -> list[np.ndarray]:
    """Indices (ascending) of one part for each fraction; equal labels (S,) stay together.

    The parts depend on the set of labels and the seed, not on the order or the number of the series that
    carry them. Fractions below a sum of 1 leave the rest out. A part with a fraction above 0 gets at least
    one label.
    """
    shares = np.asarray(fractions, dtype=np.float64)
    if not np.isfinite(shares).all() or (shares < 0).any() or not 0 < shares.sum() <= 1 + 1e-9:
        raise InputError(
            f"the fractions {tuple(fractions)} of the split must be 0 or more and add up to at most 1"
        )
    groups, codes = np.unique(labels, return_inverse=True)
    needed = int((shares > 0).sum())
    if len(groups) < needed:
        raise InputError(
            f"{len(groups)} series (or groups of series) cannot be split into {needed} parts; give more "
            "series or fewer parts"
        )
    counts = np.diff(np.rint(np.cumsum(shares) * len(groups)).astype(np.int64), prepend=0)
    for part in np.flatnonzero((shares > 0) & (counts == 0)):
        if counts.sum() == len(groups):
            counts[np.argmax(counts)] -= 1
        counts[part] += 1
    shuffled = np.random.default_rng(seed).permutation(len(groups))
    parts = np.split(shuffled, np.cumsum(counts))[: len(counts)]
    return [np.flatnonzero(np.isin(codes.reshape(-1), part)) for part in parts]


def random_mask(shape: tuple[int, ...], fraction: float, seed: int) -> np.ndarray:
    """A mask with each entry True with probability `fraction`, independently."""
    if not 0 < fraction < 1:
        raise InputError(f"the fraction of values to withhold is {fraction}; choose one between 0 and 1")
    return np.random.default_rng(seed).random(shape) < fraction


def after_mask(
    times: np.ndarray, offsets: np.ndarray, time: float | None, fraction: float | None
) -> np.ndarray:
    """Rows (R,) later than `time`, or in the last `fraction` of each series' span from first to last row."""
    if (time is None) == (fraction is None):
        raise InputError("give either the time or the fraction from which on values are withheld, not both")
    if time is not None:
        if not np.isfinite(time):
            raise InputError(f"the time {time} from which on values are withheld must be a finite number")
        return times > time
    assert fraction is not None
    if not 0 < fraction < 1:
        raise InputError(f"the fraction of each series to withhold is {fraction}; choose one between 0 and 1")
    first, last = times[offsets[:-1]], times[offsets[1:] - 1]
    return times > np.repeat(first + (1 - fraction) * (last - first), np.diff(offsets))
