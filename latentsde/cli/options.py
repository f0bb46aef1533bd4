"""Options that several commands share, and the checks of their values."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from latentsde.errors import InputError, quote

LARGEST_SEED = 2**63 - 1
MOST_SAMPLES = 100_000


def positive(text: str | float) -> float:
    """A finite number above 0."""
    try:
        number = float(text)
    except ValueError:
        raise typer.BadParameter(f"{quote(text)} is not a number") from None
    if not (math.isfinite(number) and number > 0):
        raise typer.BadParameter(f"{text} is out of range; give a number above 0")
    return number


def whole(low: int, high: int) -> Callable[[str | int], int]:
    """A parser of whole numbers from `low` to `high`."""

    def parse(text: str | int) -> int:
        try:
            number = int(text)
        except ValueError:
            raise typer.BadParameter(f"{quote(text)} is not a whole number") from None
        if not low <= number <= high:
            raise typer.BadParameter(f"{text} is out of range; give a whole number from {low} to {high}")
        return number

    return parse


def column_list(text: str, option: str) -> list[str]:
    """Names separated by commas, as in a line of CSV: a name with a comma stands in quotation marks."""
    names = [name.strip() for name in next(csv.reader([text], skipinitialspace=True), [])]
    if not names or "" in names:
        raise InputError(f"{option} {quote(text)} has an empty name; write it like a,b,c")
    return names


RunDirectory = Annotated[
    Path, typer.Argument(metavar="RUN", help="Directory that a fit or the demo wrote.", show_default=False)
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Continue the run in --out; without effect if it is finished.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the run in --out.")]
Steps = Annotated[
    int, typer.Option("--steps", parser=whole(1, 10**9), metavar="INT", help="Training steps, 1 or more.")
]
Seed = Annotated[
    int,
    typer.Option(
        "--seed", parser=whole(0, LARGEST_SEED), metavar="INT", help="Fixes everything random, 0 or more."
    ),
]
Threads = Annotated[
    int,
    typer.Option(
        "--threads",
        parser=whole(1, 1024),
        metavar="INT",
        help="Of torch on the CPU: 1 is right for small networks, and where others need the cores.",
    ),
]
Device = Annotated[str, typer.Option("--device", metavar="cpu|cuda", help="Where to compute.")]
Samples = Annotated[
    int,
    typer.Option(
        "--samples",
        parser=whole(2, MOST_SAMPLES),
        metavar="INT",
        help=f"Sample paths a series behind every distribution, 2 to {MOST_SAMPLES}.",
    ),
]
PredictionFile = Annotated[
    Path,
    typer.Option(
        "--out",
        metavar="FILE.csv",
        help="CSV to write (.csv or .csv.gz); replaced if it exists, its directory is made if not.",
        show_default=False,
    ),
]
NewData = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="NEW.csv",
        help="Other series, with the columns of the fit's; without it those of the fit.",
        show_default=False,
    ),
]
