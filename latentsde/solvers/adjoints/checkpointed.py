"""The checkpointed adjoint: states are kept at the ends of segments, and the steps between are taken again.

With segments of √L of L steps the memory is O(√L) and the cost one more forward pass: 4 units for 3 (Griewank
& Walther 2008, chapter 12). Gradients are those of the direct adjoint, second derivatives too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..march import Problem, Trajectory, march
from ..state import like, parts_of
from ..timeline import Part, Timeline
from .base import Adjoint, nothing_to_differentiate
from .captured import captured_inputs
from .sweep import rebuilt, tensors_of


@dataclass(frozen=True)
class Checkpointed(Adjoint):
    """Exact gradients with the memory of √L steps.

    Args:
        segment: steps between the states that are kept; by default the root of their number.
        inputs: tensors that f or g depend on and the SDE does not hold.
    """

    segment: int | None = None
    inputs: Sequence[Tensor] = ()
    name = "checkpointed"

    def __post_init__(self) -> None:
        if self.segment is not None and self.segment < 1:
            raise ValueError(f"a segment must be at least one step, got {self.segment}")

    def solve(self, problem: Problem) -> Trajectory:
        steps = problem.timeline.steps
        inputs = captured_inputs(problem, self.inputs) if torch.is_grad_enabled() else []
        given = [*parts_of(problem.y0), *tensors_of(problem.carry), *problem.timeline.inputs()]
        if steps == 0 or nothing_to_differentiate([*given, *inputs]):
            return march(problem)
        inputs = [*inputs, *problem.timeline.inputs()]
        segment = self.segment or math.ceil(math.sqrt(steps))
        problem.equation.forget()
        y, carry, total = problem.y0, problem.start(), None
        states: list[Any] = [y]
        totals: list[Tensor] | None = None
        whole = problem.timeline
        assert isinstance(whole, Timeline)
        for start in range(0, steps, segment):
            stop = min(start + segment, steps)
            timeline = Part(whole, start, stop)
            part = replace(problem, timeline=timeline, wanted=problem.wanted[start : stop + 1])
            run = _Segment(part, y, carry)
            trajectory = run.unpacked(_Checkpoint.apply(run, *parts_of(y), *tensors_of(carry), *inputs))
            y, carry = trajectory.end, trajectory.carry
            states.extend(trajectory.states)
            if trajectory.totals is not None:
                sums = [s if total is None else total + s for s in trajectory.totals]
                totals = [*(totals or [torch.zeros_like(sums[0])]), *sums[:-1]]
                total = sums[-1]
        return Trajectory(states, totals, y, total, carry)


class _Segment:
    """Some steps as a function of plain tensors."""

    def __init__(self, problem: Problem, y: Any, carry: Any) -> None:
        self.problem, self.y, self.carry = problem, y, carry
        self.count, self.count_carry = len(parts_of(y)), len(tensors_of(carry))
        self.end: Trajectory | None = None

    def __call__(self, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """(the states after the first, the end, the functional's totals, the carry) from (y, carry)."""
        count = self.count
        y = like(self.y, list(tensors[:count]))
        carry = rebuilt(self.carry, list(tensors[count : count + self.count_carry]))
        trajectory = march(replace(self.problem, y0=y, carry=carry))
        self.end = trajectory
        states = [x for state in (*trajectory.states[1:], trajectory.end) for x in parts_of(state)]
        totals: list[Any] = []
        if trajectory.totals is not None:
            totals = [*trajectory.totals[1:], trajectory.total]
        return (*states, *totals, *tensors_of(trajectory.carry))

    def again(self, tensors: Sequence[Tensor]) -> tuple[list[Tensor], tuple[Tensor, ...]]:
        """The call once more on a tape that starts here: (what it starts from and the inputs, its result)."""
        count = self.count + self.count_carry
        with torch.enable_grad():
            start = [x.detach().requires_grad_(x.is_floating_point()) for x in tensors[:count]]
            outputs = self(start)
        self.end = None
        return [*start, *tensors[count:]], outputs

    def unpacked(self, flat: Sequence[Tensor]) -> Trajectory:
        """The trajectory of what a call returned, the totals with the one at the end, its start left out."""
        known = self.end
        assert known is not None
        kept = len(known.states)  # without the start, with the end
        states = [like(self.y, list(flat[k * self.count : (k + 1) * self.count])) for k in range(kept)]
        rest = list(flat[kept * self.count :])
        totals = None
        if known.totals is not None:
            totals, rest = rest[: len(known.totals)], rest[len(known.totals) :]
        # The graph of the recomputation must not be kept alive by this object.
        carry = rebuilt(known.carry, rest)
        self.end = None
        return Trajectory(states[:-1], totals, states[-1], None, carry)


class _Checkpoint(torch.autograd.Function):
    """A segment that keeps its start alone, and is taken again, on a tape, when gradients are asked for."""

    @staticmethod
    def forward(ctx: Any, run: _Segment, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.run = run
        ctx.save_for_backward(*tensors)
        # Not the tensors that came in: an output is a tensor of its own.
        return tuple(x.clone() if any(x is t for t in tensors) else x for x in run(tensors))

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> Any:
        run, saved = ctx.run, ctx.saved_tensors
        if torch.is_grad_enabled():
            return (None, *_Product.apply(run, len(cotangents), *cotangents, *saved))
        leaves, outputs = run.again(saved)
        return (None, *_pulled(outputs, cotangents, leaves))


class _Product(torch.autograd.Function):
    """The gradients of a segment as a function with derivatives of its own: (cotangents, tensors) -> theirs.

    It takes the segment on leaves. On the tensors that came in, a gradient would not end there: what they
    were computed from are inputs of this segment as well.
    """

    @staticmethod
    def forward(ctx: Any, run: _Segment, count: int, *tensors: Tensor) -> Any:
        ctx.run, ctx.count = run, count
        ctx.save_for_backward(*tensors)
        leaves, outputs = run.again(tensors[count:])
        return tuple(_pulled(outputs, tensors[:count], leaves))

    @staticmethod
    def backward(ctx: Any, *cotangents: Any) -> Any:
        if torch.is_grad_enabled():
            raise RuntimeError(
                'adjoint="checkpointed" has no third derivatives; for them solve with adjoint="direct"'
            )
        saved = ctx.saved_tensors
        of_outputs = [x.detach().requires_grad_() for x in saved[: ctx.count]]
        leaves, outputs = ctx.run.again(saved[ctx.count :])
        products = _pulled(outputs, of_outputs, leaves, create_graph=True)
        pairs = [(p, c) for p, c in zip(products, cotangents, strict=True) if p is not None and c is not None]
        found = _pulled([p for p, _ in pairs], [c for _, c in pairs], [*of_outputs, *leaves])
        return (None, None, *found)


def _pulled(
    outputs: Sequence[Tensor], cotangents: Sequence[Tensor], wrt: Sequence[Tensor], create_graph: bool = False
) -> list[Tensor | None]:
    """The cotangents of `wrt`, None for those that the outputs do not depend on."""
    pairs = [(o, c) for o, c in zip(outputs, cotangents, strict=True) if o.requires_grad]
    wanted = [k for k, x in enumerate(wrt) if x.requires_grad]
    gradients: list[Tensor | None] = [None] * len(wrt)
    if pairs and wanted:
        found = torch.autograd.grad(
            [o for o, _ in pairs],
            [wrt[k] for k in wanted],
            [c for _, c in pairs],
            retain_graph=True,  # what lies before the segment is not its own
            create_graph=create_graph,
            allow_unused=True,
        )
        for k, gradient in zip(wanted, found, strict=True):
            gradients[k] = gradient
    return gradients
