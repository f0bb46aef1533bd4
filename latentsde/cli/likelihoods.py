"""`--likelihood normal` or `--likelihood a=poisson,b=categorical`."""

from __future__ import annotations

from latentsde.cli.options import column_list
from latentsde.errors import InputError, quote
from latentsde.nn import FAMILIES, LIKELIHOODS


def parse_likelihoods(text: str) -> str | dict[str, str]:
    """One family for all features, or the families of those named; `InputError` for anything else."""
    parts = column_list(text, "--likelihood")
    if len(parts) == 1 and "=" not in parts[0]:
        return _family(parts[0])
    chosen: dict[str, str] = {}
    for part in parts:
        # A column's name may hold "=", a family's does not.
        name, _, family = (piece.strip() for piece in part.rpartition("="))
        if not name:
            raise InputError(
                f"--likelihood: {quote(part)} is not FEATURE=FAMILY; write 'normal' for all features, "
                "or 'a=poisson,b=student-t'"
            )
        if name in chosen:
            raise InputError(f"--likelihood names the feature {quote(name)} twice; give it one family")
        chosen[name] = _family(family)
    return chosen


def categories_of(likelihoods: str | dict[str, str], values: list[str] | None) -> list[str]:
    """The columns to be read as classes: texts, or whole numbers that stand for themselves."""
    if isinstance(likelihoods, str):
        return list(values or ()) if FAMILIES[likelihoods].classes else []
    return [name for name, family in likelihoods.items() if FAMILIES[family].classes]


def _family(name: str) -> str:
    if name not in LIKELIHOODS:
        raise InputError(f"--likelihood: {quote(name)} is not known; choose from {', '.join(LIKELIHOODS)}")
    return name
