"""What the experiments with seeds share: options, resuming, and where tables and figures are written.

`--out DIR` holds NAME.json with the results of every finished seed, NAME.md with the table and NAME.png with
the figure. A seed that NAME.json holds is not run again, so a run that was killed loses at most the seed it
was at. `--page PAGE` puts the table between the marks of a page, the figure into ../figures beside it and the
results next to it.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from experiments.results import circumstances, publish, write_table
from latentsde.benchmarks.output import check_directory, say
from latentsde.benchmarks.timing import torch_threads
from latentsde.files import write_json


@dataclass(frozen=True)
class Experiment:
    """An experiment, and what `run` needs of it.

    Attributes:
        name: of its files.
        plan: a frozen dataclass of numbers: all that the results depend on besides the seed.
        one: (plan, seed) -> the results of a seed as plain values, the figure's data among them.
        table: (plan, results of the seeds, each with its "seed") -> the lines of a markdown table, with the
            published figures.
        draw: (plan, results) -> the figure.
    """

    name: str
    plan: Any
    one: Callable[[Any, int], dict[str, Any]]
    table: Callable[[Any, list[dict[str, Any]]], list[str]]
    draw: Callable[[Any, list[dict[str, Any]]], Figure]


def finished(path: Path, plan: Any) -> dict[str, Any]:
    """The seeds that a file of results holds; SystemExit where they were made by another plan."""
    if not path.exists():
        return {}
    content = json.loads(path.read_text(encoding="utf-8"))
    if content["plan"] != json.loads(json.dumps(asdict(plan))):
        raise SystemExit(f"{path} holds the results of another plan: {content['plan']}; choose another --out")
    found: dict[str, Any] = content["seeds"]
    return found


def run(
    experiment: Experiment, seeds: Sequence[int], out: Path | None, page: Path | None = None
) -> list[dict[str, Any]]:
    """The results of the seeds, in their order: run, or read from `out`; the table is printed."""
    place = out / f"{experiment.name}.json" if out is not None else None
    if out is not None:
        check_directory(out)
    known = finished(place, experiment.plan) if place is not None else {}
    for seed in seeds:
        if str(seed) in known:
            say(f"seed {seed}: found in {place}, not run again")
            continue
        begin = time.perf_counter()
        with torch_threads(1):
            result = experiment.one(experiment.plan, seed)
        known[str(seed)] = {
            "seed": seed,
            "duration_seconds": round(time.perf_counter() - begin, 1),
            **circumstances(),
            "result": result,
        }
        if place is not None:
            write_json(
                place, {"experiment": experiment.name, "plan": asdict(experiment.plan), "seeds": known}
            )
    rows = [known[str(seed)] for seed in seeds]
    results = [row["result"] for row in rows]
    named = [{"seed": row["seed"], **row["result"]} for row in rows]
    lines = [*experiment.table(experiment.plan, named), "", as_sentence(experiment.plan, rows)]
    for line in lines:
        say(line)
    figure = experiment.draw(experiment.plan, results)
    seeds_by_number = {row["seed"]: row for row in rows}
    content = {"experiment": experiment.name, "plan": asdict(experiment.plan), "seeds": seeds_by_number}
    if out is not None:
        write_table(lines, figure, out, experiment.name)
    if page is not None:
        publish(lines, figure, content, page, experiment.name)
    if out is None and page is None:
        say("Neither numbers nor figure are kept without --out.")
    return results


def as_sentence(plan: Any, rows: Sequence[dict[str, Any]]) -> str:
    """Plan, seeds, machine and durations as a sentence."""
    last = rows[-1]
    numbers = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in asdict(plan).items())
    durations = ", ".join(f"{row['duration_seconds']:.0f}" for row in rows)
    return (
        f"Plan: {numbers}. Seeds {', '.join(str(row['seed']) for row in rows)}; {last['machine']['cpu']}, "
        f"one thread; torch {last['versions']['torch']}; {durations} s."
    )


def options(description: str, plan: type) -> tuple[Any, list[int], Path | None, Path | None]:
    """(plan, seeds, out, page) of the command line: an option for every number of the plan."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--out", type=Path, help="directory for results, table and figure; resumed from")
    parser.add_argument("--page", type=Path, help="markdown page to put the table into")
    for entry in fields(plan):
        default: Any = entry.default
        kind = type(default[0]) if isinstance(default, tuple) else type(default)
        many = {"nargs": "+"} if isinstance(default, tuple) else {}
        parser.add_argument(f"--{entry.name.replace('_', '-')}", type=kind, default=default, **many)
    asked = vars(parser.parse_args())
    seeds, out, page = asked.pop("seeds"), asked.pop("out"), asked.pop("page")
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in asked.items()}
    return plan(**values), seeds, out, page
