"""`latentsde bench solver`: measure the plan, print the table, write it as CSV, as JSON and as a figure."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from latentsde.benchmarks import output
from latentsde.benchmarks.output import Circumstances, check_directory, write_csv
from latentsde.benchmarks.solver import table
from latentsde.benchmarks.solver.cases import cases
from latentsde.benchmarks.solver.comparison import Comparison, compare
from latentsde.benchmarks.solver.figure import draw
from latentsde.benchmarks.solver.plan import FULL, Plan
from latentsde.benchmarks.timing import torch_threads
from latentsde.files import write_json
from latentsde.plotting import save

NAME = "solver"


def run(
    plan: Plan = FULL, *, threads: int = 2, out: Path | None = None, say: Callable[[str], None] = output.say
) -> dict[str, Any]:
    """Measure everything in `plan` with `threads` threads; the result, as `OUT/solver.json` holds it.

    Each line of the table goes to `say` when it is known. Without `out` nothing is written. Raises
    `InputError` where `out` cannot be a directory.
    """
    if out is not None:
        check_directory(out)
    circumstances = Circumstances(threads)
    say(_introduction(plan, circumstances))
    found = []
    title = None
    with torch_threads(threads):
        for case in cases(plan):
            if case.title != title:
                title = case.title
                say(table.heading(title))
            found.append(compare(case, plan))
            say(table.row(found[-1]))
    result = circumstances.as_json(NAME, plan) | {"comparisons": [one.as_json() for one in found]}
    say(f"\n{table.verdict(found)}, in {circumstances.seconds:.0f} s{' (quick)' if plan.quick else ''}")
    if out is not None:
        say("written: " + ", ".join(map(str, _write(out, result, found))))
    return result


def _write(out: Path, result: dict[str, Any], found: list[Comparison]) -> list[Path]:
    written = [
        write_csv(out / f"{NAME}.csv", [one.row() for one in found]),
        write_json(out / f"{NAME}.json", result),
    ]
    if any(one.ratio is not None for one in found):
        written.append(save(draw(found), out / f"{NAME}.png"))
    return written


def _introduction(plan: Plan, circumstances: Circumstances) -> str:
    lines = [
        *circumstances.introduction(f"dy = f dt + g dW in {plan.steps} steps, float32"),
        "f: a network with two hidden tanh layers; g_i = sigmoid(a_i y_i + b_i), elementwise",
        "size: samples x channels x hidden; ours, peer: time of one solve, medians",
        f"ratio: the median of the rounds' ratios, as the heading says, at most {plan.rounds} rounds",
        "ours draws its noise from a seed within that time; hand-written loops have theirs beforehand",
    ]
    if plan.quick:
        lines.append("quick: few rounds, the smallest size, nothing compiled; the numbers are rough")
    return "\n".join(lines)
