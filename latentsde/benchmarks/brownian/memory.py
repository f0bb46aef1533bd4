"""Peak memory of long sweeps, each in a fresh process, so that nothing an earlier one took is counted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from latentsde.benchmarks.brownian.cases import BLOCK, CALL
from latentsde.benchmarks.brownian.plan import MemoryPlan
from latentsde.benchmarks.brownian.sweep_process import Peaks, Sweep
from latentsde.benchmarks.installed import missing

ALLOWED = 5.0
"""MB that a long sweep may take above a short one."""

PATTERNS = (("tree", "calls"), ("tree", "blocks"), ("aligned", "calls"), ("aligned", "blocks"))
HOW = {"calls": CALL, "blocks": BLOCK}
FEW_PATTERNS = (PATTERNS[0], PATTERNS[3])
PEER = "torchsde.BrownianInterval"


class SweepFailed(RuntimeError):
    """The process of a sweep ended with an error, which the message holds."""


@dataclass(frozen=True)
class Growth:
    """Peak resident memory of a long sweep beside a short one's, in MB.

    Attributes:
        what: the pattern.
        steps: that the short and the long sweep were to have.
        short: (steps, MB) at the end of the short sweep.
        peaks: (steps, MB) along the long sweep, its end last: how far it came within its time.
        required: whether at most `ALLOWED` is allowed.
    """

    what: str
    steps: tuple[int, int]
    short: tuple[int, float]
    peaks: Peaks
    seconds: float
    required: bool = True

    @property
    def grown(self) -> float:
        return self.peaks[-1][1] - self.short[1]

    @property
    def complete(self) -> bool:
        return (self.short[0], self.peaks[-1][0]) == self.steps

    @property
    def met(self) -> bool | None:
        """Whether the requirement is met; None without one, and for a sweep cut off."""
        return self.grown <= ALLOWED if self.required and self.complete else None

    def as_json(self) -> dict[str, Any]:
        """All of it as plain values; memory in MB."""
        return {
            "case": self.what,
            "steps": self.steps[1],
            "steps_done": self.peaks[-1][0],
            "short_steps": self.short[0],
            "short_peak_mb": self.short[1],
            "long_peak_mb": self.peaks[-1][1],
            "grown_mb": self.grown,
            "required_mb": ALLOWED if self.required else None,
            "met": self.met,
            "seconds": self.seconds,
            "peaks": [list(peak) for peak in self.peaks],
        }


def growths(plan: MemoryPlan, threads: int) -> Iterator[Growth]:
    """Every pattern of the plan forwards, then backwards, then the peer."""
    patterns = PATTERNS if plan.every_pattern else FEW_PATTERNS
    cut_off = set()
    for kind, asked in patterns:
        sweep = Sweep(kind, asked, plan.shape, plan.long, False, threads, plan.seconds)
        growth = _growth(sweep, plan.short, f"{kind}, {HOW[asked]}")
        if not growth.complete:
            cut_off.add((kind, asked))
        yield growth
    # A sweep that was too slow forwards tells nothing more backwards.
    for kind, asked in patterns if plan.long_back else ():
        if (kind, asked) not in cut_off:
            sweep = Sweep(kind, asked, plan.shape, plan.long_back, True, threads, plan.seconds)
            yield _growth(sweep, plan.short_back, f"{kind}, {HOW[asked]}, backwards")
    if plan.peer_seconds and not missing("torchsde"):
        sweep = Sweep("torchsde", "calls", plan.shape, plan.long, False, threads, plan.peer_seconds)
        # Nothing is required of it: what was measured is not lost where it fails.
        with suppress(SweepFailed):
            yield _growth(sweep, plan.short, PEER, required=False)


def _growth(sweep: Sweep, short: int, what: str, required: bool = True) -> Growth:
    peaks, seconds = _in_a_process(sweep, short)
    brief = peaks[-1]
    if brief[0] == short:
        peaks, seconds = _in_a_process(sweep, sweep.grid)
    return Growth(what, (short, sweep.grid), brief, peaks, seconds, required)


def _in_a_process(sweep: Sweep, steps: int) -> tuple[Peaks, float]:
    command = [sys.executable, "-m", "latentsde.benchmarks.brownian.sweep_process", sweep.as_argument(steps)]
    # glibc keeps freed blocks of megabytes for later, or does not, from one run to the next; with its
    # threshold fixed it gives them back, and the peak is that of what was alive.
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": str(2**20)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise SweepFailed(f"a sweep of {sweep} ended with code {done.returncode}: {done.stderr.strip()}")
    answer = json.loads(done.stdout.splitlines()[-1])
    return [(int(at), float(mb)) for at, mb in answer["peaks"]], float(answer["seconds"])
