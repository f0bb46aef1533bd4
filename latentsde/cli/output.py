"""The CSV files that the commands write."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from latentsde.data import IrregularSeries
from latentsde.errors import InputError
from latentsde.files import write_whole

ENDINGS = (".csv", ".csv.gz")


def check_output(path: Path, *, inputs: Sequence[Path | None]) -> None:
    """Raise `InputError` unless a table may be written to `path`, which is none of the files read."""
    if not path.name.lower().endswith(ENDINGS):
        raise InputError(f"--out {path} is not named like a CSV; give a name that ends in .csv or .csv.gz")
    if path.is_dir():
        raise InputError(f"--out {path} is a directory; give the name of a file in it")
    for other in inputs:
        if other is not None and path.exists() and other.exists() and path.samefile(other):
            raise InputError(f"--out {path} would overwrite its own input; choose another name")
    blocking = next(parent for parent in path.absolute().parents if parent.exists())
    if not blocking.is_dir():
        raise InputError(f"--out {path} cannot be made: {blocking} is not a directory; choose another name")


def write_table(frame: pd.DataFrame, path: Path, series: IrregularSeries) -> None:
    """Write the frame whole or not at all; dates as ISO 8601, with UTC's Z where the data had time zones."""
    column = frame[series.time_column]
    if series.origins.dtype.kind == "M":
        frame = frame.assign(**{series.time_column: _iso(column.to_numpy("datetime64[ns]"), series.zoned)})
    write_whole(path, lambda temporary: frame.to_csv(temporary, index=False))


def _iso(moments: np.ndarray, zoned: bool) -> np.ndarray:
    """ISO 8601 text (n,), as precise as the most precise of them needs."""
    for unit in ("s", "ms", "us", "ns"):
        if (moments.astype(f"datetime64[{unit}]") == moments).all():
            break
    text = np.datetime_as_string(moments, unit=unit)
    return np.char.add(text, "Z") if zoned else text
