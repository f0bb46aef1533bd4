"""A data set of many irregular, partly observed, multivariate time series."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from latentsde.data.classes import read_classes
from latentsde.data.columns import Levels, feature_names, read_features, read_ids, read_static
from latentsde.data.grouping import ORIGINS, ends_of_follow_up, group, one_per_series
from latentsde.data.limits import format_limits
from latentsde.data.partition import after_mask, random_mask, split_by_label
from latentsde.data.reading import Table, read_table
from latentsde.data.roles import Roles
from latentsde.data.times import read_times, restored
from latentsde.errors import InputError

Categories = Sequence[str] | Mapping[str, Sequence[str]]
"""Names of value columns that hold classes, or {column: names of its classes}."""


@dataclass(frozen=True, eq=False)
class IrregularSeries:
    """S series in flat columns: the R rows of all series one after the other.

    Made by `from_frame` or `from_file`, which check what they are given; the arrays are not to be changed in
    place.
    """

    names: np.ndarray
    """(S,) text: the ids, in order of first appearance."""
    offsets: np.ndarray
    """(S+1,) int64: series s has the rows offsets[s]:offsets[s+1], one or more, times strictly increasing."""
    times: np.ndarray
    """(R,) float64: in `time_unit` since the origin."""
    values: np.ndarray
    """(R, F) float64: in the units they came in, NaN where not observed."""
    static: np.ndarray
    """(S, C) float64: constant covariates, NaN where missing."""
    features: tuple[str, ...]
    static_names: tuple[str, ...]
    id_column: str
    time_column: str
    time_unit: str | None
    """Of ISO 8601 times: s, min, h, D or W. Of numeric times: a label, or None."""
    origin: str
    """Where times begin. "common": at 0, or the earliest of all dates; "series": at each one's first row."""
    origins: np.ndarray
    """(S,) what to add back: float64 numbers, or datetime64[ns] for dates."""
    static_levels: tuple[Levels | None, ...] = ()
    """(C,) of a static column of text, the two texts that stand for 0 and 1."""
    zoned: bool = False
    """Whether dates came with a time zone; `origins` are then UTC."""
    feature_levels: tuple[tuple[str, ...] | None, ...] = ()
    """(F,) of a feature of classes, the names of the classes 0, 1, ...; empty where no feature has any."""
    limits: np.ndarray | None = None
    """(R, F, 2) float64: the ends of the interval of a value that is known by its limits alone ("<0.3"),
    infinite where it is open, NaN for all other values; None where there are none. `values` then holds the
    finite end, or the middle."""
    ends: np.ndarray | None = None
    """(S,) float64: until when each series was followed, in the unit of `times`; None where that is not known
    and the last row is the end."""

    @classmethod
    def from_frame(
        cls,
        df: pd.DataFrame,
        *,
        id: str,
        time: str,
        values: Sequence[str] | None = None,
        static: Sequence[str] = (),
        time_unit: str | None = None,
        origin: str | None = None,
        static_levels: Mapping[str, Levels] | None = None,
        categories: Categories = (),
        follow_up: str | None = None,
        to_fit: bool = True,
    ) -> IrregularSeries:
        """Series from a long frame: one row for each series and time, in any order, NaN where not observed.

        `values=None` takes every column of numbers that is neither id, time nor static. Times are numbers, or
        ISO 8601 text or datetimes, which need `time_unit` (s, min, h, D, W). `origin=None` is "common" for
        numbers and "series" for dates. Static columns are constant within a series: numbers, or two texts (0
        and 1 in alphabetical order, or as in `static_levels`). A value may be known by its limits alone:
        "<0.3", ">40" or "5-10". `categories` names value columns of classes, texts or whole numbers, or gives
        the names of their classes, by default the column's own in order. `follow_up` names a column
        of times, constant within a series: until when it was followed. `to_fit=False` drops the demands of
        training only, for data to predict from: more than one row, and an observed value in every feature.
        Raises `InputError` naming row (position in the frame), column and remedy.
        """
        frame = df.set_axis(df.columns.map(str), axis=1).reset_index(drop=True)
        roles = Roles.of(id, time, values, static, follow_up)
        roles.check(list(frame.columns), "the frame")
        return cls._from_table(
            Table(frame), roles, time_unit, origin, static_levels or {}, categories, to_fit
        )

    @classmethod
    def from_file(
        cls,
        path: str | Path,
        *,
        id: str,
        time: str,
        values: Sequence[str] | None = None,
        static: Sequence[str] = (),
        time_unit: str | None = None,
        origin: str | None = None,
        static_levels: Mapping[str, Levels] | None = None,
        categories: Categories = (),
        follow_up: str | None = None,
        to_fit: bool = True,
    ) -> IrregularSeries:
        """As `from_frame`, from CSV (`.csv`, `.csv.gz`) or Parquet. Errors name the line; 1 is the header."""
        roles = Roles.of(id, time, values, static, follow_up)
        return cls._from_table(
            read_table(path, roles), roles, time_unit, origin, static_levels or {}, categories, to_fit
        )

    @classmethod
    def _from_table(
        cls,
        table: Table,
        roles: Roles,
        time_unit: str | None,
        origin: str | None,
        levels: Mapping[str, Levels],
        categories: Categories,
        to_fit: bool,
    ) -> IrregularSeries:
        if origin is not None and origin not in ORIGINS:
            raise InputError(f"the origin '{origin}' is not known; choose one of {', '.join(ORIGINS)}")
        rows = len(table.frame)
        if rows == 0:
            raise InputError(f"{table.source} has no rows; give a table with data")
        if rows == 1 and to_fit:
            raise InputError(f"{table.source} has only one row; give at least two observations")
        categories = (categories,) if isinstance(categories, str) else categories
        features = feature_names(table, roles, tuple(categories))
        codes, names = read_ids(table, roles.id)
        times = read_times(table, roles.time, time_unit)
        known = categories if isinstance(categories, Mapping) else {}
        classes = {
            name: read_classes(table, name, known.get(name), to_fit=to_fit)
            for name in features
            if name in categories
        }
        values, limits = read_features(
            table, features, {name: codes for name, (codes, _) in classes.items()}, to_fit=to_fit
        )
        origin = origin or ("series" if times.dated else "common")
        grouping = group(table, roles.id, codes, names, times, time_unit, origin)
        static = np.empty((len(names), len(roles.static)))
        static_levels = []
        for position, name in enumerate(roles.static):
            column, found = read_static(table, name, levels)
            static[:, position] = one_per_series(
                column[grouping.order], grouping.offsets, names, name, table.source
            )
            static_levels.append(found)
        ends = None
        if roles.follow_up is not None:
            moments = read_times(table, roles.follow_up, time_unit)
            ends = ends_of_follow_up(
                moments, roles.follow_up, grouping, times, names, time_unit, table.source
            )
        return cls(
            names=names,
            offsets=grouping.offsets,
            times=grouping.times,
            values=values[grouping.order],
            static=static,
            features=features,
            static_names=roles.static,
            id_column=roles.id,
            time_column=roles.time,
            time_unit=time_unit,
            origin=origin,
            origins=grouping.origins,
            static_levels=tuple(static_levels),
            zoned=times.zoned,
            feature_levels=tuple(classes[n][1] if n in classes else None for n in features)
            if classes
            else (),
            limits=None if limits is None else limits[grouping.order],
            ends=ends,
        )

    def __len__(self) -> int:
        return len(self.names)

    @property
    def n_rows(self) -> int:
        return len(self.times)

    @cached_property
    def n_observed(self) -> int:
        """How many single values are observed."""
        return int(np.isfinite(self.values).sum())

    @cached_property
    def lengths(self) -> np.ndarray:
        """(S,) rows of each series."""
        return np.diff(self.offsets)

    @cached_property
    def series_of_rows(self) -> np.ndarray:
        """(R,) the series each row belongs to."""
        return np.repeat(np.arange(len(self)), self.lengths)

    @cached_property
    def observed_rows(self) -> tuple[np.ndarray, np.ndarray]:
        """The rows with an observed value, and (S+1,) where those of each series begin and end among them."""
        observed = np.isfinite(self.values).any(axis=1)
        before = np.concatenate([[0], np.cumsum(observed)]).astype(np.int64)
        return np.flatnonzero(observed), before[self.offsets]

    @cached_property
    def noise_ids(self) -> np.ndarray:
        """(S,) int64 >= 0: the identity of each series' noise, a hash of its name alone."""
        digests = (hashlib.sha256(str(name).encode()).digest()[:8] for name in self.names)
        return np.array([int.from_bytes(digest, "big") >> 1 for digest in digests], dtype=np.int64)

    @property
    def levels(self) -> dict[str, tuple[str, ...]]:
        """{feature: names of its classes} of the features that have any."""
        named = zip(self.features, self.feature_levels, strict=True) if self.feature_levels else ()
        return {name: levels for name, levels in named if levels is not None}

    def rows(self, s: int) -> slice:
        """The rows of series s."""
        return slice(int(self.offsets[s]), int(self.offsets[s + 1]))

    def with_values(self, values: np.ndarray) -> IrregularSeries:
        """The same rows with other values (R, F)."""
        return replace(self, values=values)

    def select(self, indices: Sequence[int] | np.ndarray) -> IrregularSeries:
        """The series at `indices` (n,), in that order."""
        indices = np.asarray(indices, dtype=np.int64).reshape(-1)
        lengths = self.lengths[indices]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        rows = np.arange(offsets[-1]) + np.repeat(self.offsets[indices] - offsets[:-1], lengths)
        return replace(
            self,
            names=self.names[indices],
            offsets=offsets,
            times=self.times[rows],
            values=self.values[rows],
            limits=None if self.limits is None else self.limits[rows],
            static=self.static[indices],
            origins=self.origins[indices],
            ends=None if self.ends is None else self.ends[indices],
        )

    def split(
        self, fractions: Sequence[float] = (0.7, 0.15, 0.15), *, seed: int, groups: np.ndarray | None = None
    ) -> tuple[IrregularSeries, ...]:
        """One part for each fraction (train, validation, test); `groups` (S,) labels series to keep together.

        The parts depend on the names (or labels) and the seed, not on the order of the series.
        """
        labels = self.names if groups is None else np.asarray(groups)
        if len(labels) != len(self):
            raise InputError(
                f"there are {len(labels)} group labels for {len(self)} series; give one label for each series"
            )
        return tuple(self.select(part) for part in split_by_label(labels, fractions, seed))

    def hold_out_values(self, fraction: float, *, seed: int) -> tuple[IrregularSeries, IrregularSeries]:
        """(visible, withheld), rows aligned: each single value is withheld with probability `fraction`."""
        return self._divide(random_mask(self.values.shape, fraction, seed))

    def hold_out_after(
        self, *, time: float | None = None, fraction: float | None = None
    ) -> tuple[IrregularSeries, IrregularSeries]:
        """(visible, withheld), rows aligned: values later than `time`, or in the last part of each series.

        `time` is as in `times`; `fraction` is of each series' own span from its first to its last row. What
        is visible was not followed beyond it.
        """
        withheld = after_mask(self.times, self.offsets, time, fraction)
        before, after = self._divide(withheld[:, None])
        if self.ends is None:
            return before, after
        # The first withheld row is the first moment of which nothing is said.
        cut = np.minimum.reduceat(np.where(withheld, self.times, np.inf), self.offsets[:-1])
        known = np.minimum(self.ends, cut if time is None else time)
        return replace(before, ends=known), after

    def _divide(self, withheld: np.ndarray) -> tuple[IrregularSeries, IrregularSeries]:
        return (
            self.with_values(np.where(withheld, np.nan, self.values)),
            self.with_values(np.where(withheld, self.values, np.nan)),
        )

    def original_times(self, series: np.ndarray, times: np.ndarray) -> np.ndarray:
        """`times` (n,) of the series at indices `series` (n,) as they came: numbers or datetime64[ns]."""
        return restored(times, self.origins[series], self.time_unit)

    def to_frame(self) -> pd.DataFrame:
        """The long frame, sorted by series and time: id (text), time (UTC where zoned), features, static."""
        series = self.series_of_rows
        moments = pd.Series(self.original_times(series, self.times))
        columns: dict[str, object] = {
            self.id_column: pd.Series(self.names[series], dtype=object),
            self.time_column: moments.dt.tz_localize("UTC") if self.zoned else moments,
        }
        columns.update({name: self._column(position) for position, name in enumerate(self.features)})
        for position, (name, levels) in enumerate(zip(self.static_names, self.static_levels, strict=True)):
            numbers = pd.Series(self.static[series, position])
            columns[name] = numbers if levels is None else numbers.map({0.0: levels[0], 1.0: levels[1]})
        return pd.DataFrame(columns)

    def _column(self, feature: int) -> object:
        """The values (R,) of a feature as the table had them: numbers, names of classes, limits."""
        values = self.values[:, feature]
        levels = self.levels.get(self.features[feature])
        if levels is not None:
            return pd.Series([levels[int(v)] if np.isfinite(v) else None for v in values], dtype=object)
        if self.limits is None or np.isnan(self.limits[:, feature]).all():
            return values
        column = pd.Series(values, dtype=object)
        for row in np.flatnonzero(np.isfinite(values) & ~np.isnan(self.limits[:, feature, 0])):
            column[row] = format_limits(*self.limits[row, feature])
        return column
