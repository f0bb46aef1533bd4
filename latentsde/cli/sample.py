"""`latentsde sample`: new series from the prior."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from latentsde.cli.options import NewData, PredictionFile, RunDirectory, Seed, Threads, whole


def sample(
    run: RunDirectory,
    times: Annotated[
        str,
        typer.Option(
            "--times",
            metavar="START:STOP:STEP|FILE.csv",
            help="A grid, STOP included, in the data's unit since the origin; or a CSV with one column.",
            show_default=False,
        ),
    ],
    out: PredictionFile,
    n: Annotated[
        int, typer.Option("--n", parser=whole(1, 10**6), metavar="INT", help="How many series.")
    ] = 10,
    data: NewData = None,
    seed: Seed = 0,
    threads: Threads = 1,
) -> None:
    """Draw new series from the fitted prior, observation noise included: what such data look like to it.

    Columns: the id, the time, one column for each feature. Static covariates (and origins of dates) are those
    of series of the fit, or of --data, drawn at random.

    \b
    Example:
      latentsde sample runs/demo --n 100 --times 0:71:1 --out invented.csv
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
    _, asked = asked_times(times, series.select([0]))
    check_query(asked, fitted.model.config)
    frame = fitted.sample(series, asked[0].tolist(), n=n, seed=seed)
    write_table(frame, out, series)
    print(f"{n} series, {len(frame)} rows: {out}")
