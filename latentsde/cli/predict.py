"""`latentsde predict`: the predictive distribution of new observations, or posterior sample paths."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from latentsde.cli.options import (
    MOST_SAMPLES,
    NewData,
    PredictionFile,
    RunDirectory,
    Samples,
    Seed,
    Threads,
    whole,
)


def predict(
    run: RunDirectory,
    times: Annotated[
        str,
        typer.Option(
            "--times",
            metavar="START:STOP:STEP|FILE.csv",
            help="Before, between or after the observations. A grid, STOP included, in the data's unit since "
            "the origin: for numbers the times as they are, for dates since each series' first row, unless "
            "the fit was told --origin. Or a CSV: one column of times for all series, or id and time.",
            show_default=False,
        ),
    ],
    out: PredictionFile,
    data: NewData = None,
    paths: Annotated[
        int | None,
        typer.Option(
            "--paths",
            parser=whole(1, MOST_SAMPLES),
            metavar="INT",
            help="Write so many posterior sample paths a series instead, without observation noise.",
        ),
    ] = None,
    samples: Samples = 200,
    seed: Seed = 0,
    threads: Threads = 1,
) -> None:
    """Predict new observations of every feature at any times, in original units.

    Columns: the id, the time, feature, mean, std, q05, q50, q95. A categorical feature has a row for each
    class, feature=class, whose mean is its probability. Without --data every series of the fit is
    predicted from all its observations. With --paths: the id, path, the time, one column for each feature.

    \b
    Example:
      latentsde predict runs/visits --times 0:3650:30 --out forecast.csv
      latentsde predict runs/visits --data new.csv --times when.csv --paths 20 --out paths.csv
    """
    import torch

    from latentsde.cli.output import check_output, write_table
    from latentsde.cli.source import series_of_file, series_of_fit
    from latentsde.cli.steps import check_query
    from latentsde.cli.times import asked_times
    from latentsde.models import load

    check_output(out, inputs=[data, Path(times)])
    torch.set_num_threads(threads)
    fitted = load(run)
    series = series_of_fit(run) if data is None else series_of_file(run, data)
    chosen, asked = asked_times(times, series)
    check_query(asked, fitted.model.config)
    if paths is None:
        frame = fitted.predict(chosen, asked, samples=samples, seed=seed)
    else:
        frame = fitted.paths(chosen, asked, samples=paths, seed=seed)
    write_table(frame, out, chosen)
    print(f"{len(chosen)} series, {len(frame)} rows: {out}")
