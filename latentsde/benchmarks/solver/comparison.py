"""What a measurement found: the ratio of a case, and whether it meets its bar."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

from latentsde.benchmarks.solver.cases import Case
from latentsde.benchmarks.solver.plan import Plan
from latentsde.benchmarks.timing import Clock, Timing, interleave


@dataclass(frozen=True)
class Comparison:
    """A case and the two timings of it, from the same rounds: seconds of one solve.

    `first` is how long the very first call of ours took, where it compiles.
    """

    case: Case
    ours: Timing | None = None
    peer: Timing | None = None
    first: float | None = None

    @property
    def ratio(self) -> float | None:
        """The median of the rounds' ratios, in the direction that the case's title names."""
        if self.ours is None or self.peer is None:
            return None
        if self.case.ours_above:
            return self.peer.times_faster(self.ours)
        return self.ours.times_faster(self.peer)

    @property
    def required(self) -> str:
        """The bar as the table shows it; empty where there is none."""
        return "" if self.case.bar is None else str(self.case.bar)

    @property
    def met(self) -> bool | None:
        """Whether the bar is met; None without one, and where nothing was measured."""
        ratio = self.ratio
        return None if self.case.bar is None or ratio is None else self.case.bar.met(ratio)

    @property
    def note(self) -> str:
        """What else there is to say: why nothing was measured, or how long compiling took."""
        if self.case.absent:
            return self.case.absent
        return "" if self.first is None else f"first call, which compiles: {self.first:.0f} s"

    def row(self) -> dict[str, Any]:
        """A line of the CSV; times in seconds of one solve."""
        return {
            "comparison": self.case.title,
            "case": self.case.what,
            "size": str(self.case.size),
            "ours_seconds": None if self.ours is None else self.ours.median,
            "peer_seconds": None if self.peer is None else self.peer.median,
            "ratio": self.ratio,
            "required": self.required,
            "met": self.met,
            "rounds": 0 if self.ours is None else len(self.ours.seconds),
            "note": self.note,
        }

    def as_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        return self.row() | {
            "rounds_seconds": {
                "ours": [] if self.ours is None else list(self.ours.seconds),
                "peer": [] if self.peer is None else list(self.peer.seconds),
            }
        }


def compare(case: Case, plan: Plan, clock: Clock = time.perf_counter) -> Comparison:
    """Measure a case, its two contenders once in each round; nothing for an absent one."""
    if case.ours is None or case.peer is None:
        return Comparison(case)
    ours, peer = case.ours(), case.peer()
    first = None
    if case.first:
        begin = clock()
        ours.prepare(1)()
        first = clock() - begin
    pair = [replace(peer, name="peer"), replace(ours, name="ours")]
    found = interleave(pair, rounds=plan.rounds, limit=plan.budget, budget=plan.budget, clock=clock)
    return Comparison(case, found["ours"], found["peer"], first)
