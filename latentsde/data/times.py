"""Times of a table: plain numbers, or ISO 8601 dates counted in a unit since an origin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_datetime64_any_dtype, is_timedelta64_dtype

from latentsde.data.columns import as_text, plain_numbers, text_to_numbers
from latentsde.data.reading import Table
from latentsde.errors import InputError, quote

NANOSECONDS = {
    "s": 1_000_000_000,
    "min": 60_000_000_000,
    "h": 3_600_000_000_000,
    "D": 86_400_000_000_000,
    "W": 604_800_000_000_000,
}
"""The time units of ISO 8601 input: second, minute, hour, day, week."""

_ZONE = r"[T ].*(?:Z|z|[+-]\d\d(?::?\d\d)?)$"


@dataclass(frozen=True)
class Times:
    """`moments` (rows,): float64 numbers, or datetime64[ns] (UTC where the text had a time zone: `zoned`)."""

    moments: np.ndarray
    zoned: bool = False

    @property
    def dated(self) -> bool:
        return bool(self.moments.dtype.kind == "M")


def read_times(table: Table, name: str, time_unit: str | None) -> Times:
    """The time column, every entry finite; `InputError` at the first that is not or a date without unit."""
    column = table.frame[name]
    if is_bool_dtype(column.dtype) or is_timedelta64_dtype(column.dtype):
        raise InputError(f"{table.source}, column '{name}' is not a time; give numbers or ISO 8601 dates")
    numbers = plain_numbers(column)
    if numbers is None:
        dates = _parse_quickly(column)
        if dates is not None:
            return _dates(table, name, column, dates, time_unit)
        text = as_text(column)
        numbers, wrong = text_to_numbers(text)
        # Mostly text: dates, unless the numbers are years or compact dates among them.
        if wrong.sum() >= max(1, np.isfinite(numbers).sum()):
            return _dates(table, name, text, _parse_thoroughly(table, name, text), time_unit)
        if wrong.any():
            row = int(np.argmax(wrong))
            raise InputError(
                f"{table.place(row)}, column '{name}': {quote(text.iloc[row])} is not a time "
                "like the others, which are numbers; correct it"
            )
    unusable = ~np.isfinite(numbers)
    if unusable.any():
        row = int(np.argmax(unusable))
        kind = "missing" if np.isnan(numbers[row]) else "infinite"
        raise InputError(
            f"{table.place(row)}, column '{name}': the time is {kind}; give a finite time or remove the row"
        )
    return Times(numbers)


def _dates(table: Table, name: str, column: pd.Series, parsed: pd.Series, time_unit: str | None) -> Times:
    """Check the dates `parsed` from `column` (NaT where there is none) and bring them to UTC and
    nanoseconds.
    """
    zoned = getattr(parsed.dtype, "tz", None) is not None
    missing = parsed.isna().to_numpy()
    if missing.any():
        row = int(np.argmax(missing))
        entry = column.iloc[row]
        if pd.isna(entry):
            raise InputError(
                f"{table.place(row)}, column '{name}': the time is missing; give a time or remove the row"
            )
        raise InputError(
            f"{table.place(row)}, column '{name}': {quote(entry)} is neither a number nor an ISO 8601 time; "
            "write it like 2013-01-31 or 2013-01-31T18:00:00Z"
        )
    if time_unit is None:
        raise InputError(
            f"{table.source}, column '{name}' holds dates; say in which unit to count them with --time-unit "
            f"(time_unit= in Python): {', '.join(NANOSECONDS)}"
        )
    if time_unit not in NANOSECONDS:
        raise InputError(f"the time unit '{time_unit}' is not known; choose one of {', '.join(NANOSECONDS)}")
    outside = ((parsed.dt.year < 1678) | (parsed.dt.year > 2261)).to_numpy()
    if outside.any():
        row = int(np.argmax(outside))
        raise InputError(
            f"{table.place(row)}, column '{name}': {quote(column.iloc[row])} is outside the years "
            "1678 to 2261; give these times as numbers"
        )
    local = parsed.dt.tz_convert(None) if zoned else parsed
    moments = local.to_numpy().astype("datetime64[ns]")
    return Times(moments, zoned)


def _parse_quickly(column: pd.Series) -> pd.Series | None:
    """The column as dates when every entry is one, and the first does not look like a number; else None."""
    if is_datetime64_any_dtype(column.dtype):
        return column
    present = column.dropna()
    if present.empty or not np.isnan(pd.to_numeric(present.iloc[:1], errors="coerce").iloc[0]):
        return None
    try:
        parsed = pd.to_datetime(column, format="ISO8601")
    except (ValueError, OverflowError, TypeError):
        return None  # a fault, or several offsets from UTC
    return parsed if is_datetime64_any_dtype(parsed.dtype) else None


def _parse_thoroughly(table: Table, name: str, text: pd.Series) -> pd.Series:
    """Dates with NaT for what is none, in UTC where there are time zones; some with and some without are
    refused.
    """
    parsed = pd.to_datetime(text, format="ISO8601", utc=True, errors="coerce")
    with_zone = text.str.contains(_ZONE, regex=True, na=False).to_numpy().astype(bool)
    without_zone = parsed.notna().to_numpy() & ~with_zone
    if with_zone.any() and without_zone.any():
        row = int(np.argmax(without_zone))
        raise InputError(
            f"{table.place(row)}, column '{name}': {quote(text.iloc[row])} has no time zone "
            "where others have one; write all times with a zone or all without"
        )
    return parsed if with_zone.any() else parsed.dt.tz_localize(None)


def elapsed(moments: np.ndarray, origins: np.ndarray, time_unit: str | None) -> np.ndarray:
    """Time (float64) since `origins`, in `time_unit` for dates."""
    if moments.dtype.kind != "M":
        return moments - origins
    assert time_unit is not None
    return (moments - origins).astype(np.int64) / NANOSECONDS[time_unit]


def restored(times: np.ndarray, origins: np.ndarray, time_unit: str | None) -> np.ndarray:
    """The inverse of `elapsed`: float64 numbers or datetime64[ns].

    Past some weeks a float64 of nanoseconds is short of digits; there the roundest date within its error is
    taken, so that dates recorded to the second, millisecond or microsecond come back exactly.
    """
    if origins.dtype.kind != "M":
        return times + origins
    assert time_unit is not None
    scaled = np.asarray(times, dtype=np.float64) * NANOSECONDS[time_unit]
    exact = origins.astype("datetime64[ns]").astype(np.int64) + np.rint(scaled).astype(np.int64)
    error = np.abs(scaled) * 2.0**-51
    result = exact.copy()
    for grain in (1_000, 1_000_000, 1_000_000_000):
        rounded = (exact + grain // 2) // grain * grain
        result = np.where(np.abs(rounded - exact) <= error, rounded, result)
    return result.astype("datetime64[ns]")
