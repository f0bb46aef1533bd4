"""How much is measured: the full plan, and the quick one."""

from __future__ import annotations

from dataclasses import dataclass

from latentsde.benchmarks.solver.plan import LARGE, Size


@dataclass(frozen=True)
class Plan:
    """What `latentsde bench adjoint-memory` measures.

    Attributes:
        size: of the problem, that of `latentsde bench solver`.
        steps: of the solves, increasing; the last against the first is what the bars are about.
        share: of the free memory that a solve may be expected to take; beyond it the solve is left out.
        device: "cpu" or "cuda".
        quick: whether this is a shortened plan, whose numbers are rough.
    """

    size: Size = LARGE
    steps: tuple[int, ...] = (100, 300, 1_000, 3_000, 10_000)
    share: float = 0.5
    device: str = "cpu"
    quick: bool = False


FULL = Plan()
QUICK = Plan(size=Size(256, 16, 64), steps=(100, 300, 1_000), quick=True)
