"""Where a run's series come from: read for the fit, described in config.json, read again for all the rest."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from latentsde.data import IrregularSeries, load_weather
from latentsde.data.times import NANOSECONDS
from latentsde.errors import InputError
from latentsde.models import read_config

EMBEDDED = "embedded: weather"
_NEEDED = (
    "path",
    "sha256",
    "id",
    "time",
    "values",
    "static",
    "static_levels",
    "time_unit",
    "dates",
    "origin",
)


def read_to_fit(
    path: Path,
    *,
    id: str,
    time: str,
    values: Sequence[str] | None,
    categories: Sequence[str],
    static: Sequence[str],
    follow_up: str | None,
    time_unit: str | None,
    origin: str | None,
    period: float | None,
) -> tuple[IrregularSeries, dict[str, Any]]:
    """The series of a file, and config.json's section `data`, by which `series_of_fit` reads them again."""
    series = IrregularSeries.from_file(
        path,
        id=id,
        time=time,
        values=values,
        static=static,
        time_unit=time_unit,
        origin=origin,
        categories=categories,
        follow_up=follow_up,
    )
    section = describe(series, str(path.absolute()), sha256(path)) | {"follow_up": follow_up}
    return begin_with_period(series, period), section


def describe(series: IrregularSeries, path: str, digest: str | None) -> dict[str, Any]:
    """What a reader of config.json wants to know of the data, and all that reading them again needs."""
    dated = series.origins.dtype.kind == "M"
    return {
        "path": path,
        "sha256": digest,
        "id": series.id_column,
        "time": series.time_column,
        "values": list(series.features),
        "categories": {name: list(levels) for name, levels in series.levels.items()},
        "static": list(series.static_names),
        "static_levels": {
            name: list(levels)
            for name, levels in zip(series.static_names, series.static_levels, strict=True)
            if levels is not None
        },
        "time_unit": series.time_unit,
        "dates": dated,
        "origin": series.origin,
        "origin_date": str(series.origins[0]) if dated and series.origin == "common" else None,
        "series": len(series),
        "rows": series.n_rows,
        "observed": series.n_observed,
        "missing_share": round(1.0 - series.n_observed / series.values.size, 6),
    }


def series_of_fit(run: Path) -> IrregularSeries:
    """The series the run was fitted to, all of them; `InputError` if the file is gone or not the same."""
    section, period = _section(run)
    if section["path"] == EMBEDDED:
        return load_weather().visible
    path = Path(section["path"])
    if not path.exists():
        raise InputError(f"{path}, the data of {run}, is not there any more; name a copy of it with --data")
    if sha256(path) != section["sha256"]:
        raise InputError(
            f"{path} has changed since {run} was fitted to it; name the data to predict from with --data"
        )
    return _read(path, section, period)


def series_of_file(run: Path, path: Path) -> IrregularSeries:
    """Other series for the run's model, from a file with the columns of the fit's."""
    section, period = _section(run)
    series = _read(path, section, period, follow_up=False)  # predictions do not ask for its end
    if (series.origins.dtype.kind == "M") != section["dates"]:
        kinds = ("dates", "numbers") if section["dates"] else ("numbers", "dates")
        raise InputError(
            f"{path}, column '{series.time_column}' holds {kinds[1]} where the data of {run} have "
            f"{kinds[0]}; write the times like those of the fit"
        )
    return series


def sha256(path: Path) -> str:
    """Of a file's content, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def begin_with_period(series: IrregularSeries, period: float | None) -> IrregularSeries:
    """With origin "series" and a period: times since the last multiple of the period before the first row.

    The model knows the rhythm by time modulo the period, so 0 has to be the same phase, such as midnight,
    everywhere.
    """
    if period is None or series.origin != "series":
        return series
    if series.origins.dtype.kind == "M":
        assert series.time_unit is not None
        length = round(period * NANOSECONDS[series.time_unit])
        since = series.origins.astype("datetime64[ns]").astype(np.int64) % length
        origins = series.origins - since.astype("timedelta64[ns]")
        shift = since / NANOSECONDS[series.time_unit]
    else:
        shift = np.mod(series.origins, period)
        origins = series.origins - shift
    ends = None if series.ends is None else series.ends + shift
    return replace(series, times=series.times + shift[series.series_of_rows], origins=origins, ends=ends)


def _section(run: Path) -> tuple[dict[str, Any], float | None]:
    """The `data` section and the period of a run made by these commands."""
    config = read_config(run)
    try:
        section, period = config["data"], config["model"]["period"]
        for key in _NEEDED:
            section[key]
    except (KeyError, TypeError):
        raise InputError(
            f"{run / 'config.json'} does not say how its data are read, as in a run made from Python; "
            "use it from there with latentsde.load, or fit again with --overwrite"
        ) from None
    return section, period


def _read(
    path: Path, section: dict[str, Any], period: float | None, *, follow_up: bool = True
) -> IrregularSeries:
    series = IrregularSeries.from_file(
        path,
        id=section["id"],
        time=section["time"],
        values=section["values"],
        static=section["static"],
        time_unit=section["time_unit"],
        origin=section["origin"],
        static_levels={name: (low, high) for name, (low, high) in section["static_levels"].items()},
        categories=section.get("categories", {}),
        follow_up=section.get("follow_up") if follow_up else None,
        to_fit=False,
    )
    if section.get("origin_date") is not None and series.origins.dtype.kind == "M":
        series = _count_from(series, np.datetime64(section["origin_date"], "ns"))
    return begin_with_period(series, period)


def _count_from(series: IrregularSeries, origin: np.datetime64) -> IrregularSeries:
    """The same series with their dates counted from another common origin: that of the fit."""
    assert series.time_unit is not None
    shift = (series.origins - origin).astype("timedelta64[ns]").astype(np.int64) / NANOSECONDS[
        series.time_unit
    ]
    times = series.times + shift[series.series_of_rows]
    ends = None if series.ends is None else series.ends + shift
    origins = np.full(len(series), origin, dtype="datetime64[ns]")
    return replace(series, times=times, origins=origins, ends=ends)
