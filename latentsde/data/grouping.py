"""Rows of a long table into series: sorted by time inside each, no time twice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from latentsde.data.reading import Table
from latentsde.data.times import Times, elapsed
from latentsde.errors import InputError, quote

ORIGINS = ("common", "series")


@dataclass(frozen=True)
class Grouping:
    """`order` (R,) sorts the rows; `offsets` (S+1,), `times` (R,), `origins` (S,) are of sorted rows."""

    order: np.ndarray
    offsets: np.ndarray
    times: np.ndarray
    origins: np.ndarray


def group(
    table: Table, id: str, codes: np.ndarray, names: np.ndarray, times: Times, unit: str | None, origin: str
) -> Grouping:
    """Sort rows by series (`codes` (R,) into `names`) and time. `InputError` at a time twice in a series."""
    moments = times.moments
    order = np.arange(len(codes))
    steps = np.diff(codes)
    if not np.all((steps > 0) | ((steps == 0) & (moments[1:] >= moments[:-1]))):
        order = np.lexsort((moments, codes))
    lengths = np.bincount(codes, minlength=len(names))
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    moments, codes = moments[order], codes[order]
    if origin == "series":
        origins = moments[offsets[:-1]]
    elif times.dated:
        origins = np.full(len(names), moments.min())
    else:
        origins = np.zeros(len(names))
    relative = elapsed(moments, origins[codes], unit)
    repeated = (codes[1:] == codes[:-1]) & (relative[1:] <= relative[:-1])
    if repeated.any():
        # The first in the file, not in the sorted order, is the one a user looks for.
        pairs = np.flatnonzero(repeated)
        pair = pairs[np.argmin(np.maximum(order[pairs], order[pairs + 1]))]
        first, second = sorted((int(order[pair]), int(order[pair + 1])))
        moment = moments[pair + 1]
        shown = f"{moment:.15g}" if not times.dated else np.datetime_as_string(moment, unit="auto")
        raise InputError(
            f"{table.source}, {table.line(first)} and {table.line(second)}: "
            f"series {quote(names[codes[pair]])} (column '{id}') has the time {shown} twice; "
            "merge the two rows or remove one"
        )
    return Grouping(order, offsets, relative, origins)


def ends_of_follow_up(
    moments: Times,
    name: str,
    grouping: Grouping,
    times: Times,
    names: np.ndarray,
    unit: str | None,
    source: str,
) -> np.ndarray:
    """(S,) the ends in the column of `moments` (rows,), since the origins; `InputError` where it changes
    within a series or comes before a row.
    """
    if moments.dated != times.dated:
        raise InputError(f"{source}, column '{name}': write the ends of follow-up like the times")
    sorted_moments = moments.moments[grouping.order]
    ends = sorted_moments[grouping.offsets[:-1]]
    owner = np.repeat(np.arange(len(names)), np.diff(grouping.offsets))
    if (sorted_moments != ends[owner]).any():
        who = names[owner[np.argmax(sorted_moments != ends[owner])]]
        raise InputError(
            f"{source}, column '{name}' changes within series {quote(who)}; give one end of follow-up for "
            "each series"
        )
    since = elapsed(ends, grouping.origins, unit)
    early = since < grouping.times[grouping.offsets[1:] - 1]
    if early.any():
        raise InputError(
            f"{source}, column '{name}': follow-up of series {quote(names[np.argmax(early)])} ends before "
            "its last row; correct one of them"
        )
    return since


def one_per_series(
    values: np.ndarray, offsets: np.ndarray, names: np.ndarray, column: str, source: str
) -> np.ndarray:
    """The one number (S,) that a static column (R,) has in each series, NaN where all its rows miss it."""
    lowest = np.fmin.reduceat(values, offsets[:-1])
    highest = np.fmax.reduceat(values, offsets[:-1])
    varying = lowest < highest
    if varying.any():
        raise InputError(
            f"{source}, static column '{column}' changes within series {quote(names[np.argmax(varying)])}; "
            "give one value for each series, or use the column as a value"
        )
    return lowest
