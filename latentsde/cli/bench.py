"""`latentsde bench`: speed and memory on this machine, beside the peers that are installed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from latentsde.cli.options import Device, whole
from latentsde.errors import quote

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


Rounds = Annotated[
    int | None,
    typer.Option(
        "--rounds",
        parser=whole(1, 10_000),
        metavar="INT",
        help="At most; every contender runs once in each. Without it as many as the plan has.",
        show_default=False,
    ),
]
Threads = Annotated[
    int,
    typer.Option(
        "--threads", parser=whole(1, 1024), metavar="INT", help="Of torch; jax has no such setting."
    ),
]
Out = Annotated[
    Path,
    typer.Option("--out", metavar="DIR", help="Directory for the results, named after the benchmark."),
]
Quick = Annotated[
    bool, typer.Option("--quick", help="A minute or two: few rounds, small sizes, rough numbers.")
]
OUT = Path("runs/bench")


def _sizes(text: str) -> str:
    """Checked here, read where torch may be imported."""
    for part in text.split(","):
        numbers = part.split("x")
        if len(numbers) != 3 or not all(n.isdecimal() and n.isascii() and int(n) > 0 for n in numbers):
            raise typer.BadParameter(
                f"{quote(part)} is not a size; write samples x channels x hidden like 32x4x32,256x4x64"
            )
    return text


@bench.command(short_help="Brownian paths: torch.randn, torchsde, diffrax.")
def brownian(rounds: Rounds = None, threads: Threads = 2, out: Out = OUT, quick: Quick = False) -> None:
    """Time and memory of Brownian paths beside torch.randn, torchsde and diffrax, about ten minutes.

    Prints a table with the time of one increment, how many times faster than the peer it is, what is
    required and whether it is met. Peers that are not installed are left out and named.

    \b
    Example:
      latentsde bench brownian
      latentsde bench brownian --quick --threads 1 --out runs/one-thread
    """
    from latentsde.benchmarks.brownian.plan import FULL, QUICK
    from latentsde.benchmarks.brownian.run import run

    plan = QUICK if quick else FULL
    run(plan if rounds is None else replace(plan, rounds=rounds), threads=threads, out=out)


@bench.command(short_help="Solves and gradients: bare networks, hand-written loops, torchsde.")
def solver(
    rounds: Rounds = None,
    threads: Threads = 2,
    sizes: Annotated[
        str | None,
        typer.Option(
            "--sizes",
            parser=_sizes,
            metavar="BxDxH,...",
            help="Samples, channels and hidden width, the smallest first. Default: "
            "32x4x32,256x4x64,1024x16x128, with --quick the first.",
            show_default=False,
        ),
    ] = None,
    out: Out = OUT,
    quick: Quick = False,
) -> None:
    """Time of solve beside what it cannot be faster than, and beside torchsde and diffrax; 15 minutes.

    Prints a table with the times of one solve, their ratio, the bar and whether it is met: every method
    against the bare evaluations of f and g that it makes, every adjoint against a hand-written loop and
    against torchsde's adjoint, compiled against eager. Peers that are not installed are named.

    \b
    Example:
      latentsde bench solver
      latentsde bench solver --quick --sizes 32x4x32,256x4x64
    """
    from latentsde.benchmarks.solver.plan import FULL, QUICK, Size
    from latentsde.benchmarks.solver.run import run

    changed: dict[str, Any] = {} if rounds is None else {"rounds": rounds}
    if sizes is not None:
        changed["sizes"] = tuple(map(Size.read, sizes.split(",")))
    run(replace(QUICK if quick else FULL, **changed), threads=threads, out=out)


@bench.command("adjoint-memory", short_help="Memory of gradients against the number of steps: torchsde.")
def adjoint_memory(
    threads: Threads = 2,
    device: Device = "cpu",
    out: Out = OUT,
    quick: Quick = False,
) -> None:
    """Peak memory and time of a forward and backward solve against its number of steps, 15 minutes.

    Every point is a process of its own. Memory is what malloc has given out, on cuda what torch has
    allocated there. What would not fit into the free memory is predicted from the points before it, and
    left out.

    \b
    Example:
      latentsde bench adjoint-memory
      latentsde bench adjoint-memory --quick --out runs/rough
    """
    from latentsde.benchmarks.adjoint_memory.plan import FULL, QUICK
    from latentsde.benchmarks.adjoint_memory.run import run
    from latentsde.devices import check_device

    check_device(device)
    run(replace(QUICK if quick else FULL, device=device), threads=threads, out=out)
