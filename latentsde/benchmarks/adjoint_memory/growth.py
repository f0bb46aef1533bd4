"""How a contender's memory and time grow with its steps: a process for each point."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from latentsde.benchmarks.adjoint_memory.contenders import Contender
from latentsde.benchmarks.adjoint_memory.meter import available_mb
from latentsde.benchmarks.adjoint_memory.plan import Plan
from latentsde.benchmarks.adjoint_memory.process import Solve

ALLOWED = 1.05
"""Peak memory at the most steps over that at the fewest, where it must not grow."""


class SolveFailed(RuntimeError):
    """The process of a solve ended with an error, which the message holds."""


@dataclass(frozen=True)
class Point:
    """A solve of `steps` steps: its peak in MB and its time, or the peak it would have had."""

    steps: int
    mb: float | None = None
    seconds: float | None = None
    predicted_mb: float | None = None


@dataclass(frozen=True)
class Growth:
    """A contender's points, and why there are none, or no more, in `note`."""

    contender: Contender
    points: tuple[Point, ...]
    note: str = ""

    @property
    def measured(self) -> list[tuple[int, float]]:
        """(steps, MB) of what was measured."""
        return [(point.steps, point.mb) for point in self.points if point.mb is not None]

    @property
    def grown(self) -> float | None:
        """The peak at the most steps that were measured over that at the fewest."""
        found = self.measured
        return found[-1][1] / found[0][1] if len(found) > 1 else None

    @property
    def power(self) -> float | None:
        """p of memory ~ steps^p between the fewest and the most steps that were measured."""
        found, grown = self.measured, self.grown
        if grown is None or grown <= 0.0:
            return None
        return math.log(grown) / math.log(found[-1][0] / found[0][0])

    @property
    def met(self) -> bool | None:
        """Whether memory that must not grow does not; None where nothing is required, or not all of it was
        measured.
        """
        complete = self.points and all(point.mb is not None for point in self.points)
        if not (self.contender.constant and complete) or self.grown is None:
            return None
        return self.grown <= ALLOWED

    def rows(self) -> list[dict[str, Any]]:
        """Its lines of the CSV."""
        about = {"contender": self.contender.name, "method": self.contender.method}
        return [about | asdict(point) for point in self.points]

    def as_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        return asdict(self) | {
            "grown": self.grown,
            "power": self.power,
            "required_grown": ALLOWED if self.contender.constant else None,
            "met": self.met,
        }


Measure = Callable[[Solve], tuple[float, float]]


def grow(contender: Contender, plan: Plan, threads: int, measure: Measure | None = None) -> Growth:
    """Measure a contender at every number of steps that fits; a solve that fails ends it with the reason."""
    absent = contender.missing(plan.device)
    if absent:
        return Growth(contender, (), absent)
    points: list[Point] = []
    note = ""
    for steps in plan.steps:
        expected = predicted_mb(points, steps)
        room = available_mb(plan.device)
        if expected is not None and room is not None and expected > plan.share * room:
            points.append(Point(steps, predicted_mb=expected))
            continue
        solve = Solve(contender.name, str(plan.size), steps, threads, plan.device)
        try:
            mb, seconds = (measure or in_a_process)(solve)
        except SolveFailed as error:
            note = f"{steps:,} steps: {error}"
            break
        points.append(Point(steps, mb, seconds))
    left_out = [f"{point.steps:,}" for point in points if point.predicted_mb is not None]
    if left_out:
        note = f"{', '.join(left_out)} steps left out: more than {plan.share:.0%} of the free memory"
    return Growth(contender, tuple(points), note)


def predicted_mb(points: Sequence[Point], steps: int) -> float | None:
    """The peak on the line through the last two points that were measured; None without two."""
    found = [(point.steps, point.mb) for point in points if point.mb is not None]
    if len(found) < 2:
        return None
    (before, low), (last, high) = found[-2:]
    return high + (high - low) / (last - before) * (steps - last)


def in_a_process(solve: Solve) -> tuple[float, float]:
    """(MB, seconds) of a solve, by a process of its own."""
    command = [sys.executable, "-m", "latentsde.benchmarks.adjoint_memory.process", json.dumps(asdict(solve))]
    # Python's own objects from malloc as well, where the meter sees them: a list of all steps would be one.
    environment = os.environ | {"PYTHONMALLOC": "malloc"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"ended with code {done.returncode}"])[-1]
        raise SolveFailed(last)
    answer = json.loads(done.stdout.splitlines()[-1])
    return float(answer["mb"]), float(answer["seconds"])
