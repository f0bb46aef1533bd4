"""The checkpointed adjoint: states are kept at the ends of segments, and the steps between are taken again.

With segments of √L of L steps the memory is O(√L) and the cost one more forward pass: 4 units for 3 (Griewank
& Walther 2008, chapter 12). Gradients are those of the direct adjoint, second derivatives too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

from ..march import Problem, Trajectory, march
from ..timeline import Part
from .base import Adjoint


@dataclass(frozen=True)
class Checkpointed(Adjoint):
    """Exact gradients with the memory of √L steps.

    Args:
        segment: steps between the states that are kept; by default the root of their number.
    """

    segment: int | None = None
    name = "checkpointed"

    def __post_init__(self) -> None:
        if self.segment is not None and self.segment < 1:
            raise ValueError(f"a segment must be at least one step, got {self.segment}")

    def solve(self, problem: Problem) -> Trajectory:
        steps = problem.timeline.steps
        if not torch.is_grad_enabled() or steps == 0:
            return march(problem)
        problem.equation.forget()
        segment = self.segment or math.ceil(math.sqrt(steps))
        y, carry = problem.y0, problem.start()
        states: list[Any] = [y]
        totals: Any = None
        total: Any = None
        for start in range(0, steps, segment):
            stop = min(start + segment, steps)
            part = replace(
                problem,
                timeline=Part(problem.timeline, start, stop),
                wanted=problem.wanted[start : stop + 1],
            )

            def run(y: Any, carry: Any, part: Problem = part) -> Any:
                trajectory = march(replace(part, y0=y, carry=carry))
                end, kept = trajectory.end, trajectory.states[1:]
                return end, kept, trajectory.total, trajectory.totals, trajectory.carry

            y, kept, sum_, sums, carry = checkpoint(run, y, carry, use_reentrant=False)
            states.extend(kept)
            if sums is not None:
                totals = [sums[0]] if totals is None else totals
                totals.extend(s if total is None else total + s for s in sums[1:])
                total = sum_ if total is None else total + sum_
        return Trajectory(states, totals, carry, y, total)
