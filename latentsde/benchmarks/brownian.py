"""`latentsde bench brownian`: measure the plan, print the table, write it as JSON and as a figure."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from latentsde.benchmarks import machine, table
from latentsde.benchmarks.cases import groups
from latentsde.benchmarks.comparison import Comparison, compare
from latentsde.benchmarks.figure import draw
from latentsde.benchmarks.memory import Growth, growths
from latentsde.benchmarks.plan import FULL, Plan
from latentsde.benchmarks.timing import torch_threads
from latentsde.errors import InputError
from latentsde.files import write_json
from latentsde.plotting import save

NAME = "brownian"


def _print(line: str) -> None:
    print(line, flush=True)


def run(
    plan: Plan = FULL, *, threads: int = 2, out: Path | None = None, say: Callable[[str], None] = _print
) -> dict[str, Any]:
    """Measure everything in `plan` with `threads` threads; the result, as `OUT/brownian.json` holds it.

    Each line of the table goes to `say` when it is known. Without `out` nothing is written. Raises
    `InputError` where `out` cannot be a directory.
    """
    if out is not None:
        _check_directory(out)
    begin = time.perf_counter()
    about = machine.describe()
    versions = machine.versions()
    say(_introduction(plan, threads, about, versions))
    found, absent = _compare_all(plan, threads, say)
    grown = _grow_all(plan, threads, say)
    seconds = round(time.perf_counter() - begin, 1)
    result = {
        "benchmark": NAME,
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "duration_seconds": seconds,
        "threads": threads,
        "machine": about,
        "versions": versions,
        "plan": asdict(plan),
        "comparisons": [comparison.as_json() for comparison in found],
        "memory": [growth.as_json() for growth in grown],
        "not_measured": absent,
    }
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


def _introduction(plan: Plan, threads: int, about: dict[str, Any], versions: dict[str, str | None]) -> str:
    names = ", ".join(f"{name} {number}" for name, number in versions.items() if number)
    cores = about["cores"]
    lines = [
        f"Brownian paths, implementation: {about['implementation']}; {names}",
        f"{about['cpu']}, {cores} cores; {threads} threads for torch, jax uses what there is",
        "ours, peer: time of one increment, medians; faster: the median of the rounds' ratios peer / ours,",
        f"at most {plan.rounds} rounds, every contender once in each; steps: of one run, cut where the whole "
        f"sweep would take more than {plan.limit:g} s",
    ]
    if plan.quick:
        lines.append("quick: few rounds, short sweeps, the larger shapes left out; the numbers are rough")
    return "\n".join(lines)


def _check_directory(out: Path) -> None:
    """Before anything is measured: minutes later is too late to find out."""
    blocking = next(place for place in (out, *out.absolute().parents) if place.exists())
    if not blocking.is_dir():
        raise InputError(f"--out {out} cannot be made: {blocking} is not a directory; choose another name")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {out} cannot be made ({error.strerror}); choose another name") from None
