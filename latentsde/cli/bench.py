"""`latentsde bench`: speed and memory on this machine, beside the peers that are installed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from latentsde.cli.options import whole

bench = typer.Typer(rich_markup_mode=None)


@bench.callback(invoke_without_command=True)
def overview(context: typer.Context) -> None:
    """Measure speed and memory on this machine, always beside a peer in the same run.

    \b
    Example:
      latentsde bench brownian --quick
    """
    if context.invoked_subcommand is None:
        print(context.get_help())


@bench.command(short_help="Brownian paths: torch.randn, torchsde, diffrax.")
def brownian(
    rounds: Annotated[
        int | None,
        typer.Option(
            "--rounds",
            parser=whole(1, 10_000),
            metavar="INT",
            help="At most; every contender runs once in each. Default: 9, with --quick 3.",
            show_default=False,
        ),
    ] = None,
    threads: Annotated[
        int,
        typer.Option(
            "--threads", parser=whole(1, 1024), metavar="INT", help="Of torch; jax has no such setting."
        ),
    ] = 2,
    out: Annotated[
        Path,
        typer.Option(
            "--out", metavar="DIR", help="Directory for brownian.json and brownian.png; they are replaced."
        ),
    ] = Path("runs/bench"),
    quick: Annotated[
        bool, typer.Option("--quick", help="About 20 seconds: few rounds, short sweeps, rough numbers.")
    ] = False,
) -> None:
    """Time and memory of Brownian paths beside torch.randn, torchsde and diffrax, about ten minutes.

    Prints a table with the time of one increment, how many times faster than the peer it is, what is
    required and whether it is met. Peers that are not installed are left out and named.

    \b
    Example:
      latentsde bench brownian
      latentsde bench brownian --quick --threads 1 --out runs/one-thread
    """
    from dataclasses import replace

    from latentsde.benchmarks.brownian.plan import FULL, QUICK
    from latentsde.benchmarks.brownian.run import run

    plan = QUICK if quick else FULL
    run(plan if rounds is None else replace(plan, rounds=rounds), threads=threads, out=out)
