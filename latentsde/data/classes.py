"""Columns of classes: texts or whole numbers that stand for themselves, numbered from 0."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from latentsde.data.columns import as_text, plain_numbers, text_to_numbers
from latentsde.data.reading import Table
from latentsde.errors import InputError, quote

MOST = 200
_REMEDY = "leave the field empty if it is missing"


def read_classes(
    table: Table, name: str, levels: Sequence[str] | None, *, to_fit: bool
) -> tuple[np.ndarray, tuple[str, ...]]:
    """A column as numbers (rows,) of its classes, NaN for missing, and the classes' names.

    `levels` fixes the names, so that a new file is read as the one before; else they are the column's:
    numbers in their order, texts alphabetically. Raises `InputError` at a number that is not whole, at a
    class that is not among `levels`, and, `to_fit`, where there is one class or more than 200.
    """
    column = table.frame[name]
    numbers = plain_numbers(column)
    text = as_text(column)
    if levels is not None and len(set(levels)) < len(levels):
        raise InputError(f"the classes of '{name}' are named twice: {', '.join(levels)}; name each once")
    if numbers is None:
        numbers, wrong = text_to_numbers(text)
        # Classes whose names only look like numbers, such as '01', are known by their names.
        named = levels is not None and set(text[text.notna()]) <= set(levels)
        numeric = not (wrong.any() or named)
    else:
        numeric = True
    if numeric:
        fraction = np.isfinite(numbers) & (numbers != np.round(numbers)) | np.isinf(numbers)
        if fraction.any():
            row = int(np.argmax(fraction))
            raise InputError(
                f"{table.place(row)}, column '{name}': {numbers[row]:g} is no class; classes are whole "
                f"numbers or texts; correct it, or {_REMEDY}"
            )
        seen = np.isfinite(numbers)
        texts = np.array(
            [str(int(n)) if known else "" for n, known in zip(numbers, seen, strict=True)], object
        )
        found = [str(int(n)) for n in np.unique(numbers[seen])]
    else:
        seen = text.notna().to_numpy()
        texts = text.to_numpy(object)
        found = sorted(set(texts[seen]))
    if levels is None:
        if to_fit and not 2 <= len(found) <= MOST:
            raise InputError(
                f"{table.source}, column '{name}' holds {len(found)} class{'es' * (len(found) != 1)}; a "
                f"categorical column has 2 to {MOST}, choose another likelihood or leave it out"
            )
        levels = found
    position = {level: number for number, level in enumerate(levels)}
    strange = seen & ~np.isin(texts.astype(str), list(position))
    if strange.any():
        row = int(np.argmax(strange))
        raise InputError(
            f"{table.place(row)}, column '{name}': {quote(texts[row])} is none of the classes known "
            f"({', '.join(quote(level) for level in levels[:8])}); correct it, or {_REMEDY}"
        )
    codes = [float(position[t]) if known else np.nan for t, known in zip(texts, seen, strict=True)]
    return np.array(codes, dtype=np.float64), tuple(levels)
