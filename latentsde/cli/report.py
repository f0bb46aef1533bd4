"""`latentsde report`: score and draw a run again, and write its page."""

from __future__ import annotations

from typing import Annotated

import typer

from latentsde.cli.options import RunDirectory, Samples, Seed, Threads


def report(
    run: RunDirectory,
    page_only: Annotated[
        bool,
        typer.Option("--page-only", help="Keep metrics and figures as they are; the data are not needed."),
    ] = False,
    samples: Samples = 199,
    seed: Seed = 0,
    threads: Threads = 1,
) -> None:
    """Score a run on its withheld values, draw its figures, and write it all as one page, report.html.

    Where the data are gone or have changed, the page is written from the metrics and figures of the fit.

    \b
    Example:
      latentsde report runs/demo
    """
    import torch

    from latentsde.cli.pipeline import judge, print_scores
    from latentsde.cli.study import study_of_run
    from latentsde.errors import InputError
    from latentsde.evaluation.report import write_report
    from latentsde.models import load

    torch.set_num_threads(threads)
    fitted = load(run)
    study = None
    if not page_only:
        try:
            study = study_of_run(run)
        except InputError as error:
            if not (run / "metrics.json").exists():
                raise
            print(f"Metrics and figures stay those of the fit: {error}.")
    if study is None:
        write_report(run)
    else:
        judge(fitted.model, study, run, samples=samples, seed=seed)
    print_scores(run, study.units if study else None)
    print(f"Report: {run / 'report.html'}")
