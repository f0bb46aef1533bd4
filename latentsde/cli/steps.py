"""How many solver steps a question costs: what would never end is refused before it begins."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from latentsde.data import IrregularSeries
from latentsde.errors import InputError
from latentsde.models import SeriesConfig

MOST_STEPS = 100_000  # from the start of the data to the last time
MOST_IN_A_STEP = 4000  # times asked for; the solver's path tells 4096 points of a step apart


def check_fit(series: IrregularSeries, config: SeriesConfig) -> None:
    """Raise `InputError` where the data span too many steps of `config.dt`."""
    latest = float(series.times.max())
    if series.ends is not None and config.observation_times != "given":
        latest = max(latest, float(series.ends.max()))
    span = latest - config.start
    if span > MOST_STEPS * config.dt:
        raise InputError(
            f"the times span {span:g}, more than {MOST_STEPS:,} solver steps of {config.dt:g}; give "
            f"--dt {1.1 * span / MOST_STEPS:.2g} or more, or --origin series where series begin far apart"
        )


def check_query(asked: Sequence[np.ndarray], config: SeriesConfig) -> None:
    """Raise `InputError` where the times to predict are too far away, or too near to each other."""
    for times in {id(part): part for part in asked}.values():
        steps = (times - config.start) / config.dt
        far = np.abs(steps) > MOST_STEPS
        if far.any():
            raise InputError(
                f"--times: {times[int(np.argmax(far))]:g} is more than {MOST_STEPS:,} solver steps of "
                f"{config.dt:g} from {config.start:g}, where the data begin; ask for nearer times"
            )
        if np.unique(np.floor(steps), return_counts=True)[1].max(initial=0) > MOST_IN_A_STEP:
            raise InputError(
                f"--times has more than {MOST_IN_A_STEP:,} times in one solver step of {config.dt:g}; "
                "take a larger step"
            )
