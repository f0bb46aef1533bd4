"""Commands run in this process, and tables to run them on."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from latentsde.cli import main

QUICK = ("--steps", "4", "--samples", "20", "--latent", "2", "--hidden", "8")


@dataclass(frozen=True)
class Ending:
    code: int
    out: str
    err: str


def latentsde(*arguments: object) -> Ending:
    """Run a command line; what it printed and its exit code."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(argument) for argument in arguments])
    return Ending(code, out.getvalue(), err.getvalue())


def refused(ending: Ending) -> str:
    """The one sentence of a command that met bad input."""
    assert ending.code == 2, ending
    assert ending.err.startswith("error: ") and ending.err.endswith("\n"), ending
    assert ending.err.count("\n") == 1 and "Traceback" not in ending.err, ending
    return ending.err


def visits(series: int = 12, rows: int = 7, seed: int = 0) -> pd.DataFrame:
    """Irregular series of two features, a third of the values missing, with a number and a text as static."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "patient": np.repeat([f"p{s}" for s in range(series)], rows),
            "day": np.concatenate([rng.exponential(1.0, rows).cumsum().round(3) for _ in range(series)]),
            "pulse": rng.normal(70, 8, series * rows).round(1),
            "visits": rng.poisson(3.0, series * rows).astype(float),
            "age": np.repeat(rng.integers(20, 90, series), rows),
            "sex": np.repeat(np.resize(["f", "m"], series), rows),
        }
    )
    for name in ("pulse", "visits"):
        frame.loc[rng.random(len(frame)) < 0.3, name] = np.nan
    return frame


def write(frame: pd.DataFrame, path: Path) -> Path:
    frame.to_csv(path, index=False)
    return path
