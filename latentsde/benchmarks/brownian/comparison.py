"""What a measurement found: one comparison for each case, and whether it meets its requirement."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from latentsde.benchmarks.brownian.cases import ONE_CALL, Case, Group
from latentsde.benchmarks.brownian.plan import Plan
from latentsde.benchmarks.timing import Clock, Timing, interleave


@dataclass(frozen=True)
class Comparison:
    """A case and the two timings of it, from the same rounds."""

    title: str
    shape: tuple[int, ...]
    case: Case
    ours: Timing
    peer: Timing

    @property
    def faster(self) -> float:
        """The peer's time over ours, the median of the rounds' ratios."""
        return self.ours.times_faster(self.peer)

    @property
    def overhead(self) -> bool:
        """Whether this is about the time of one call, and the peer is there for information."""
        return self.title == ONE_CALL

    @property
    def required(self) -> str:
        """The requirement as the table shows it; empty where there is none."""
        if self.case.at_least is not None:
            return f">= {self.case.at_least:g}"
        return "" if self.case.at_most is None else f"<= {self.case.at_most * 1e6:g} µs"

    @property
    def met(self) -> bool | None:
        """Whether the requirement is met; None where there is none."""
        if self.case.at_least is not None:
            return self.faster >= self.case.at_least
        return None if self.case.at_most is None else self.ours.median <= self.case.at_most

    def as_json(self) -> dict[str, Any]:
        """All of it as plain values; times in seconds per increment."""
        return {
            "against": self.title,
            "case": self.case.what,
            "shape": list(self.shape),
            "ours_seconds": self.ours.median,
            "peer_seconds": self.peer.median,
            "times_faster": self.faster,
            "required_times_faster": self.case.at_least,
            "required_seconds": self.case.at_most,
            "met": self.met,
            "rounds": len(self.ours.seconds),
            "steps": {"ours": self.ours.steps, "ours_full": self.ours.full}
            | {"peer": self.peer.steps, "peer_full": self.peer.full},
            "rounds_seconds": {"ours": list(self.ours.seconds), "peer": list(self.peer.seconds)},
        }


def compare(group: Group, plan: Plan, clock: Clock = time.perf_counter) -> list[Comparison]:
    """Measure the cases of a group, each contender once in a round; nothing for an absent peer."""
    contenders = {c.name: c for case in group.cases for c in (case.peer, case.ours)}
    timings = interleave(
        list(contenders.values()), rounds=plan.rounds, limit=plan.limit, budget=plan.budget, clock=clock
    )
    return [
        Comparison(group.title, group.shape, case, timings[case.ours.name], timings[case.peer.name])
        for case in group.cases
    ]
