"""The application: its commands, and the function behind the script `latentsde`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from latentsde.cli import bench, bnn, demo, endings, fit, predict, report, sample
from latentsde.version import __version__

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _show_version(asked: bool) -> None:
    if asked:
        print(f"latentsde {__version__}")
        raise typer.Exit()


@app.callback(invoke_without_command=True)
def overview(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Latent stochastic differential equations for irregular, partly missing time series.

    \b
    latentsde demo                                              embedded real data, no arguments needed
    latentsde fit DATA.csv --id patient --time day --out RUN    your own
    latentsde predict RUN --times 0:365:30 --out forecast.csv
    """
    if context.invoked_subcommand is None:
        print(context.get_help())


for command, does in (
    (demo.demo, "Fit the embedded weather, from data to report."),
    (fit.fit, "Fit your own table of series."),
    (predict.predict, "Predict at any times, with uncertainty."),
    (sample.sample, "Draw new series from the fitted prior."),
    (report.report, "Score, draw and report a run again."),
):
    app.command(short_help=does)(command)
app.add_typer(bnn.bnn, name="bnn", short_help="SDE Bayesian networks on images.")
app.add_typer(bench.bench, name="bench", short_help="Measure speed and memory beside the peers.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line, by default the process' own; the exit code of `latentsde.cli.endings`."""
    return endings.run(typer.main.get_command(app), arguments)
