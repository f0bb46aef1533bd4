"""`latentsde bench brownian`: measure the plan, print the table, write it as JSON and as a figure."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from latentsde.benchmarks import output
from latentsde.benchmarks.brownian import table
from latentsde.benchmarks.brownian.cases import groups
from latentsde.benchmarks.brownian.comparison import Comparison, compare
from latentsde.benchmarks.brownian.figure import draw
from latentsde.benchmarks.brownian.memory import Growth, growths
from latentsde.benchmarks.brownian.plan import FULL, Plan
from latentsde.benchmarks.output import Circumstances, check_directory
from latentsde.benchmarks.timing import torch_threads
from latentsde.files import write_json
from latentsde.plotting import save

NAME = "brownian"


def run(
    plan: Plan = FULL, *, threads: int = 2, out: Path | None = None, say: Callable[[str], None] = output.say
) -> dict[str, Any]:
    """Measure everything in `plan` with `threads` threads; the result, as `OUT/brownian.json` holds it.

    Each line of the table goes to `say` when it is known. Without `out` nothing is written. Raises
    `InputError` where `out` cannot be a directory.
    """
    if out is not None:
        check_directory(out)
    circumstances = Circumstances(threads)
    say(_introduction(plan, circumstances))
    found, absent = _compare_all(plan, threads, say)
    grown = _grow_all(plan, threads, say)
    result = circumstances.as_json(NAME, plan) | {
        "comparisons": [comparison.as_json() for comparison in found],
        "memory": [growth.as_json() for growth in grown],
        "not_measured": absent,
    }
    seconds = result["duration_seconds"]
    say(f"\n{table.verdict(found, grown)}, in {seconds:.0f} s{' (quick)' if plan.quick else ''}")
    if out is not None:
        written = [write_json(out / f"{NAME}.json", result), save(draw(found, grown), out / f"{NAME}.png")]
        say("written: " + ", ".join(map(str, written)))
    return result


def _compare_all(
    plan: Plan, threads: int, say: Callable[[str], None]
) -> tuple[list[Comparison], dict[str, str]]:
    """All comparisons, and the peers that are not there with the remedy."""
    found: list[Comparison] = []
    absent: dict[str, str] = {}
    title = None
    with torch_threads(threads):
        for group in groups(plan):
            if group.title != title:
                title = group.title
                say(table.heading(title))
            rows = [] if group.absent else compare(group, plan)
            if group.absent:
                absent[group.title] = group.absent
            found += rows
            for line in table.lines(group, rows):
                say(line)
    return found, absent


def _grow_all(plan: Plan, threads: int, say: Callable[[str], None]) -> list[Growth]:
    say(table.memory_heading(plan.memory.shape))
    grown = []
    for growth in growths(plan.memory, threads):
        grown.append(growth)
        say(table.memory_line(growth))
    return grown


def _introduction(plan: Plan, circumstances: Circumstances) -> str:
    implementation = circumstances.machine["implementation"]
    lines = circumstances.introduction(f"Brownian paths, implementation: {implementation}")
    lines += [
        "ours, peer: time of one increment, medians; faster: the median of the rounds' ratios peer / ours,",
        f"at most {plan.rounds} rounds, every contender once in each; steps: of one run, cut where the whole "
        f"sweep would take more than {plan.limit:g} s",
    ]
    if plan.quick:
        lines.append("quick: few rounds, short sweeps, the larger shapes left out; the numbers are rough")
    return "\n".join(lines)
