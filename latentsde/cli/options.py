"""Options that several commands share, and the checks of their values."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Annotated

import typer

from latentsde.errors import InputError, quote

LARGEST_SEED = 2**63 - 1
MOST_SAMPLES = 100_000


def positive(text: str) -> float:
    """A finite number above 0."""
    try:
        number = float(text)
    except ValueError:
        raise typer.BadParameter(f"'{text}' is not a number.") from None
    if not (math.isfinite(number) and number > 0):
        raise typer.BadParameter(f"{text} is not in the range x>0.")
    return number


def column_list(text: str, option: str) -> list[str]:
    """Names separated by commas, as in a line of CSV: a name with a comma in it stands in quotation marks."""
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
Seed = Annotated[
    int,
    typer.Option(
        "--seed", metavar="INT", min=0, max=LARGEST_SEED, help="Fixes everything random.", show_default=True
    ),
]
Threads = Annotated[
    int,
    typer.Option(
        "--threads",
        metavar="INT",
        min=1,
        max=1024,
        help="Of torch on the CPU; the networks are small, more rarely help.",
    ),
]
Device = Annotated[str, typer.Option("--device", metavar="cpu|cuda", help="Where to train.")]
Samples = Annotated[
    int,
    typer.Option(
        "--samples",
        metavar="INT",
        min=2,
        max=MOST_SAMPLES,
        help="Sample paths a series behind every distribution.",
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
