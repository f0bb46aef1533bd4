"""`--times`: START:STOP:STEP, or a CSV file of times."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, DecimalException
from pathlib import Path

import numpy as np

from latentsde.data import IrregularSeries
from latentsde.data.columns import read_ids
from latentsde.data.reading import Table, read_table
from latentsde.data.roles import Roles
from latentsde.data.times import elapsed, read_times
from latentsde.errors import InputError, quote

MOST_TIMES = 1_000_000
_ON_THE_GRID = Decimal("1e-9")  # of a step: how far STOP may be from a multiple and still be meant
_NUMBER = r"\s*[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?\s*"
_RANGE = re.compile(rf"({_NUMBER}):({_NUMBER}):({_NUMBER})", re.ASCII)


def asked_times(text: str, series: IrregularSeries) -> tuple[IrregularSeries, list[np.ndarray]]:
    """What `--times` asks for: the series to predict and the increasing times of each.

    START:STOP:STEP and a file with one column ask for the same times of all series; a file with id and time
    columns for those of each series in it. `InputError` for anything else.
    """
    if _RANGE.fullmatch(text):
        return series, [parse_range(text)] * len(series)
    if not Path(text).suffix and not Path(text).exists():
        raise InputError(
            f"--times {quote(text)} is neither START:STOP:STEP in numbers, such as 0:48:0.5, nor a CSV file"
        )
    return read_times_file(Path(text), series)


def parse_range(text: str) -> np.ndarray:
    """START:STOP:STEP as times (n,) float64, STOP included when it is on the grid up to rounding.

    Counted in decimals: 0:1:0.1 gives exactly the numbers 0, 0.1, ..., 1 as one writes them.
    """
    match = _RANGE.fullmatch(text)
    if match is None:
        raise InputError(f"--times {quote(text)} is not START:STOP:STEP in numbers; write it like 0:48:0.5")
    start, stop, step = (Decimal(part.strip()) for part in match.groups())
    if step <= 0:
        raise InputError(f"--times {quote(text)}: the step is {step}; give one above 0")
    if stop < start:
        raise InputError(f"--times {quote(text)}: {stop} is before {start}; give the earlier time first")
    try:
        ratio = (stop - start) / step
        count = round(ratio) if ratio <= MOST_TIMES + 1 else MOST_TIMES + 1
    except DecimalException:
        count = MOST_TIMES + 1
    if count + 1 > MOST_TIMES:
        raise InputError(f"--times {quote(text)} asks for more than {MOST_TIMES:,} times; take a larger step")
    meant = abs(ratio - count) <= _ON_THE_GRID
    if not meant:
        count = int(ratio)
    times = np.array([float(start + step * k) for k in range(count + 1)])
    if meant:
        times[-1] = float(stop)
    if not np.isfinite(times).all() or (np.diff(times) <= 0).any():
        raise InputError(
            f"--times {quote(text)} has times that float64 cannot tell apart; take a larger step"
        )
    return times


@dataclass(frozen=True)
class _AnyColumns(Roles):
    """No column is asked for, so none is complained of: the times of all series need no ids."""

    @property
    def named(self) -> tuple[str, ...]:
        return ()


def read_times_file(path: Path, series: IrregularSeries) -> tuple[IrregularSeries, list[np.ndarray]]:
    """As `asked_times`, from a CSV: one column of times for all series, or the id and the time column.

    Times are written as in the data. Where those are dates, numbers count in the time unit since each series'
    origin.
    """
    table = read_table(path, _AnyColumns(id=series.id_column, time=series.time_column))
    header = list(table.frame.columns)
    if len(table.frame) == 0:
        raise InputError(f"{path} has no rows; give at least one time")
    if series.id_column in header and series.time_column in header:
        codes, names = read_ids(table, series.id_column)
        chosen = series.select(_positions(table, codes, names, series))
        moments = _moments(table, series.time_column, series)
        return chosen, [_since_origin(moments[codes == s], chosen, s) for s in range(len(chosen))]
    column = series.time_column if series.time_column in header else header[0]
    if (len(header) > 1 and column != series.time_column) or _is_number(column):
        raise InputError(
            f"{path}, line 1: the header must name the columns '{series.id_column}' and "
            f"'{series.time_column}', or one column of times"
        )
    moments = _moments(table, column, series)
    return series, [_since_origin(moments, series, s) for s in range(len(series))]


def _positions(table: Table, codes: np.ndarray, names: np.ndarray, series: IrregularSeries) -> np.ndarray:
    """(names,) the index in `series` of each name of the file."""
    index = {name: position for position, name in enumerate(series.names)}
    for code, name in enumerate(names):
        if name not in index:
            row = int(np.argmax(codes == code))
            raise InputError(
                f"{table.place(row)}, column '{series.id_column}': there is no series {quote(name)} to "
                "predict; correct it, or give its data with --data"
            )
    return np.array([index[name] for name in names], dtype=np.int64)


def _moments(table: Table, column: str, series: IrregularSeries) -> np.ndarray:
    times = read_times(table, column, series.time_unit)
    if times.dated and series.origins.dtype.kind != "M":
        raise InputError(
            f"{table.source}, column '{column}' holds dates where the data have numbers; give numbers"
        )
    return times.moments


def _since_origin(moments: np.ndarray, series: IrregularSeries, s: int) -> np.ndarray:
    """Times of series s, in its unit since its origin, increasing, each once."""
    dated = series.origins.dtype.kind == "M"
    if dated and moments.dtype.kind != "M":
        return np.unique(moments)
    return np.unique(elapsed(moments, series.origins[s], series.time_unit if dated else None))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
