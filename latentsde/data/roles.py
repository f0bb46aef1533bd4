"""Which column of a table plays which part: id, time, values, static, end of follow-up."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from latentsde.errors import InputError, quote


@dataclass(frozen=True)
class Roles:
    """The columns a user asked for by name; `values=None` leaves the choice of the features to the data."""

    id: str
    time: str
    values: tuple[str, ...] | None = None
    static: tuple[str, ...] = ()
    follow_up: str | None = None

    @classmethod
    def of(
        cls,
        id: str,
        time: str,
        values: Sequence[str] | None,
        static: Sequence[str],
        follow_up: str | None = None,
    ) -> Roles:
        """Roles from what the user passed. A lone string counts as one column's name."""
        return cls(str(id), str(time), None if values is None else _names(values), _names(static), follow_up)

    @property
    def named(self) -> tuple[str, ...]:
        """Every column asked for by name."""
        last = () if self.follow_up is None else (self.follow_up,)
        return (self.id, self.time, *(self.values or ()), *self.static, *last)

    def check(self, available: Sequence[str], source: str) -> None:
        """Raise `InputError` unless every column asked for exists once and plays one part."""
        parts = Counter(self.named)
        for name in self.named:
            if parts[name] > 1:
                raise InputError(
                    f"column '{name}' is named {parts[name]} times among id, time, values, static and "
                    "follow-up; "
                    "give each column one part"
                )
        if self.values is not None and not self.values:
            raise InputError(
                "no value columns are named; give at least one with --values (values= in Python)"
            )
        present = Counter(available)
        for name in self.named:
            if name not in present:
                raise InputError(f"{source} has no column '{name}'; {_alternatives(name, available)}")
            if present[name] > 1:
                raise InputError(
                    f"{source} has {present[name]} columns called '{name}'; rename them so that each name "
                    "is unique"
                )


def _names(columns: Sequence[str]) -> tuple[str, ...]:
    return (columns,) if isinstance(columns, str) else tuple(str(name) for name in columns)


def _alternatives(name: str, available: Sequence[str]) -> str:
    if len(available) == 1:
        for separator, word in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
            if separator in available[0]:
                return f"its columns seem to be separated by {word}; save it with commas"
    lower = {column.lower().strip(): column for column in available}
    near = [lower[match] for match in difflib.get_close_matches(name.lower().strip(), list(lower), n=3)]
    if near:
        return "did you mean " + " or ".join(quote(match) for match in near) + "?"
    shown = ", ".join(quote(column) for column in available[:12])
    return f"it has {shown}" + (f" and {len(available) - 12} more" if len(available) > 12 else "")
