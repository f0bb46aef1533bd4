"""Columns of a table into arrays of numbers, with the first offending row named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_datetime64_any_dtype, is_numeric_dtype, is_timedelta64_dtype

from latentsde.data.limits import representative, text_limits
from latentsde.data.reading import MISSING, NAMELESS, Table
from latentsde.data.roles import Roles
from latentsde.errors import InputError, quote

Levels = tuple[str, str]
"""The two texts of a two-valued static column; the first is 0, the second 1."""


def plain_numbers(column: pd.Series) -> np.ndarray | None:
    """The column as float64, NaN for missing; None when its type is not numeric. Booleans are numbers."""
    if is_bool_dtype(column.dtype) or (is_numeric_dtype(column.dtype) and column.dtype.kind != "c"):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    return None


def as_text(column: pd.Series) -> pd.Series:
    """Text without surrounding blanks, missing values as None whatever way the column wrote them."""
    text = column.astype(object)
    text = text.where(text.isna(), text.astype(str).str.strip())
    return text.where(~(text.isna() | text.isin(MISSING)), None)


def text_to_numbers(text: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of a text column, NaN where there is none, and which rows hold text that is not a number."""
    truth = text.map({"True": "1", "TRUE": "1", "true": "1", "False": "0", "FALSE": "0", "false": "0"})
    numbers = pd.to_numeric(text.where(truth.isna(), truth), errors="coerce").to_numpy(
        np.float64, na_value=np.nan
    )
    return numbers, np.isnan(numbers) & text.notna().to_numpy()


def feature_names(table: Table, roles: Roles, categories: Sequence[str] = ()) -> tuple[str, ...]:
    """The value columns: those named, else every column of numbers that plays no other part, and the
    `categories`.

    A text column counts as numbers with a fault, not as text, when at least half of its entries are numbers
    or limits of numbers.
    """
    _check_categories(table, roles, categories)
    if roles.values is not None:
        return roles.values
    names = []
    for name in table.frame.columns:
        if name in roles.named or name.startswith(NAMELESS):
            continue
        column = table.frame[name]
        if name in categories or plain_numbers(column) is not None:
            names.append(name)
        elif not is_datetime64_any_dtype(column.dtype) and not is_timedelta64_dtype(column.dtype):
            text = as_text(column)
            numbers, wrong = text_to_numbers(text)
            limited = np.isfinite(representative(text_limits(text, wrong)))
            if np.isfinite(numbers).sum() + limited.sum() >= max(1, wrong.sum() - limited.sum()):
                names.append(name)
    if not names:
        raise InputError(
            f"{table.source} has no column of numbers besides '{roles.id}' and '{roles.time}'"
            f"{' and the static ones' if roles.static else ''}; add at least one value column"
        )
    return tuple(names)


def _check_categories(table: Table, roles: Roles, categories: Sequence[str]) -> None:
    for name in categories:
        if name not in table.frame.columns:
            raise InputError(f"{table.source} has no column '{name}' to be categorical; check its name")
        if name in (roles.id, roles.time, *roles.static) or name not in (roles.values or categories):
            raise InputError(
                f"column '{name}' is to be categorical but is not among the values; name it with --values "
                "(values= in Python)"
            )


def read_features(
    table: Table, names: Sequence[str], classes: Mapping[str, np.ndarray], *, to_fit: bool
) -> tuple[np.ndarray, np.ndarray | None]:
    """Values (R, F) float64, NaN where not observed, and (R, F, 2) the limits of those that are known by them
    alone, NaN elsewhere; None where there are none.

    `classes` are columns already read. `to_fit` asks for an observed value in every feature.
    """
    values = np.empty((len(table.frame), len(names)))
    limits = None
    remedy = "leave the field empty if the value is missing"
    for position, name in enumerate(names):
        if name in classes:
            values[:, position] = classes[name]
            continue
        values[:, position], ends = read_limited(table, name, remedy)
        if ends is not None:
            if limits is None:
                limits = np.full((*values.shape, 2), np.nan)
            limits[:, position] = ends
    if to_fit and not np.isfinite(values).any():
        raise InputError(
            f"{table.source} has no observed value in {_listed(names)}; name columns that hold values"
        )
    for position, name in enumerate(names):
        if to_fit and np.isnan(values[:, position]).all():
            raise InputError(
                f"{table.source}, column '{name}' has no observed value; leave it out by naming the others "
                "with --values (values= in Python)"
            )
    return values, limits


def read_numbers(table: Table, name: str, remedy: str) -> np.ndarray:
    """One column as float64, NaN for missing. Raises `InputError` at text and at infinite values."""
    return _read(table, name, remedy, limited=False)[0]


def read_limited(table: Table, name: str, remedy: str) -> tuple[np.ndarray, np.ndarray | None]:
    """As `read_numbers`, and (rows, 2) the limits where the column has texts such as "<0.3"; there the number
    is the finite limit, or the middle of two. None where no text is a limit.
    """
    return _read(table, name, remedy, limited=True)


def _read(table: Table, name: str, remedy: str, *, limited: bool) -> tuple[np.ndarray, np.ndarray | None]:
    column = table.frame[name]
    numbers, limits = plain_numbers(column), None
    if numbers is None:
        if is_datetime64_any_dtype(column.dtype) or is_timedelta64_dtype(column.dtype):
            raise InputError(
                f"{table.source}, column '{name}' holds times, not numbers; "
                "use it as the time or leave it out"
            )
        text = as_text(column)
        numbers, wrong = text_to_numbers(text)
        if limited and wrong.any():
            limits = text_limits(text, wrong)
            among = np.isfinite(representative(limits))
            numbers = np.where(among, representative(limits), numbers)
            wrong &= ~among
            limits = limits if among.any() else None
        if wrong.any():
            row = int(np.argmax(wrong))
            raise InputError(
                f"{table.place(row)}, column '{name}': {quote(text.iloc[row])} is not a number; "
                f"correct it, or {remedy}"
            )
    infinite = np.isinf(numbers)
    if infinite.any():
        row = int(np.argmax(infinite))
        raise InputError(
            f"{table.place(row)}, column '{name}': the value is infinite; correct it, or {remedy}"
        )
    return numbers, limits


def read_ids(table: Table, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Series of each row (rows,) int64 and the ids (series,) as text, in order of first appearance."""
    codes, uniques = pd.factorize(table.frame[name])
    names = np.array([str(unique) for unique in uniques], dtype=str)
    blank = codes < 0
    empty = [code for code, text in enumerate(names) if not text.strip()]
    if empty:
        blank |= np.isin(codes, empty)
    if blank.any():
        row = int(np.argmax(blank))
        raise InputError(
            f"{table.place(row)}, column '{name}': the id is empty; give every row the id of its series"
        )
    if len(set(names)) < len(names):  # 1 and "1" in one object column
        merged, texts = pd.factorize(names)
        return merged[codes].astype(np.int64), np.asarray(texts, dtype=str)
    return codes.astype(np.int64), names


def read_static(table: Table, name: str, levels: Mapping[str, Levels]) -> tuple[np.ndarray, Levels | None]:
    """A static column (rows,) as numbers, and the two texts that stand for 0 and 1 when it was text.

    `levels` fixes those texts, so that a new file is read as the one before; else they are the column's,
    alphabetically.
    """
    column = table.frame[name]
    remedy = "leave the field empty if it is missing"
    if plain_numbers(column) is not None and name not in levels:
        return read_numbers(table, name, remedy), None
    text = as_text(column)
    numbers, wrong = text_to_numbers(text)
    found = sorted(text.dropna().unique())
    if name in levels:
        known = levels[name]
        strange = text.notna().to_numpy() & ~text.isin(known).to_numpy()
        if strange.any():
            row = int(np.argmax(strange))
            raise InputError(
                f"{table.place(row)}, column '{name}': {quote(text.iloc[row])} is neither "
                f"{quote(known[0])} nor {quote(known[1])}, the two values known; correct it, or {remedy}"
            )
        found = list(known)
    elif not wrong.any() or np.isfinite(numbers).sum() > wrong.sum():
        return read_numbers(table, name, remedy), None
    if len(found) != 2:
        raise InputError(
            f"{table.source}, static column '{name}' holds {len(found)} different text"
            f"{'s' * (len(found) != 1)} ({_listed(found)}); give numbers, or one 0/1 column for each"
        )
    codes = text.map({found[0]: 0.0, found[1]: 1.0})
    return codes.to_numpy(np.float64, na_value=np.nan), (found[0], found[1])


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(quote(name) for name in names[:5])
    return shown + (" and more" if len(names) > 5 else "")
