"""`latentsde bench adjoint-memory`: measure the plan, print the tables, write CSV, JSON and a figure."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from latentsde.benchmarks import output
from latentsde.benchmarks.adjoint_memory import table
from latentsde.benchmarks.adjoint_memory.contenders import CONTENDERS
from latentsde.benchmarks.adjoint_memory.figure import draw
from latentsde.benchmarks.adjoint_memory.growth import Growth, Measure, grow
from latentsde.benchmarks.adjoint_memory.meter import how
from latentsde.benchmarks.adjoint_memory.plan import FULL, Plan
from latentsde.benchmarks.output import Circumstances, check_directory, write_csv
from latentsde.files import write_json
from latentsde.plotting import save

NAME = "adjoint_memory"


def run(
    plan: Plan = FULL,
    *,
    threads: int = 2,
    out: Path | None = None,
    say: Callable[[str], None] = output.say,
    measure: Measure | None = None,
) -> dict[str, Any]:
    """Measure everything in `plan` with `threads` threads; the result, as `OUT/adjoint_memory.json` holds
    it.

    Each line of the table goes to `say` when it is known. Without `out` nothing is written. `measure` takes
    the place of a process for each point. Raises `InputError` where `out` cannot be a directory.
    """
    if out is not None:
        check_directory(out)
    circumstances = Circumstances(threads)
    say(_introduction(plan, circumstances))
    say(table.memory_heading(plan))
    found = []
    for contender in CONTENDERS:
        found.append(grow(contender, plan, threads, measure))
        say(table.memory_row(found[-1]))
    say(table.time_heading(plan))
    for growth in found:
        say(table.time_row(growth))
    result = circumstances.as_json(NAME, plan) | {"growths": [growth.as_json() for growth in found]}
    say(f"\n{table.verdict(found)}, in {circumstances.seconds:.0f} s{' (quick)' if plan.quick else ''}")
    if out is not None:
        say("written: " + ", ".join(map(str, _write(out, plan, result, found))))
    return result


def _write(out: Path, plan: Plan, result: dict[str, Any], found: list[Growth]) -> list[Path]:
    written = [
        write_csv(out / f"{NAME}.csv", [row for growth in found for row in growth.rows()]),
        write_json(out / f"{NAME}.json", result),
    ]
    if any(growth.measured for growth in found):
        written.append(save(draw(found, plan), out / f"{NAME}.png"))
    return written


def _introduction(plan: Plan, circumstances: Circumstances) -> str:
    lines = [
        *circumstances.introduction(f"gradients of dy = f dt + g dW on {plan.device}, float32"),
        "the problem of `latentsde bench solver`; columns: steps; every point is a process of its own,",
        f"its memory ({how(plan.device)}) of one solve, its time of another; [ ] is predicted, and left out",
    ]
    if plan.quick:
        lines.append("quick: a smaller problem, few steps")
    return "\n".join(lines)
