"""Going back over a solve without having kept it: what the backsolve and the reversible adjoint share.

A sweep stands at a point of the grid with the state there and the loss's derivative with respect to it. Its
`back` goes one step towards the start. Between the steps the derivatives of the outputs are received. The
functional's sum is differentiated as it stands, whatever takes the states back.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from ..march import Functional, Problem, Trajectory, march
from ..methods import Step
from ..state import State, Value, each, like, parts_of, with_gradient
from .tape import Tape


class Sweep(ABC):
    """The state `y` and its cotangent at one point of the grid."""

    def __init__(self, problem: Problem, tape: Tape, y: Value, carry: Any) -> None:
        self.problem, self.tape = problem, tape
        self.y: Any = y
        self.cotangent: Any = each(torch.zeros_like, y)

    def receive(self, cotangent: Value) -> None:
        """Add what the loss depends on the state here by."""
        self.cotangent = self.cotangent + cotangent

    def restore(self, y: Value) -> None:  # noqa: B027 - of no use to exact sweeps
        """The state here is known exactly."""

    @abstractmethod
    def receive_carry(self, cotangents: Any) -> None:
        """What the loss depends on the carry at the end by, of the carry's form."""

    def arrive(self, y0: Value) -> None:  # noqa: B027 - most have nothing to compare
        """At the start, which is known: how well the way back was kept to."""

    @abstractmethod
    def back(self, step: Step, weight: Tensor | None) -> None:
        """From the end of the step to its start; `weight` (batch,) is what the loss depends on the functional
        over the step by, None without one.
        """

    def receive_functional(self, step: Step, weight: Tensor | None) -> None:
        """Add what the loss depends on the functional over the step by, at its start, where this stands."""
        if weight is None:
            return
        with torch.enable_grad():
            leaf = with_gradient(self.y)
            total = Functional(self.problem.equation.sde, leaf).over(step, leaf)
        self.receive(like(leaf, self.tape.pull([total], [weight], parts_of(leaf))))

    def finish(self) -> tuple[Value, list[Tensor | None]]:
        """At the start: the cotangents of y0, and of the tensors of a carry that was given."""
        return self.cotangent, []


MakeSweep = Callable[[Problem, Tape, Value, Any], Sweep]


def solve_and_sweep(problem: Problem, inputs: list[Tensor], make_sweep: MakeSweep, name: str) -> Trajectory:
    """`march`, whose gradients are taken by a sweep back instead of from kept steps."""
    factor = getattr(problem.equation.sde, "correlation_factor", None)
    if factor is not None and factor.requires_grad:
        raise ValueError(
            f'adjoint="{name}" takes the path as given and has no gradient of a correlation_factor: '
            'take "direct" or "checkpointed", or multiply it into g'
        )
    given = [] if problem.carry is None else tensors_of(problem.carry)
    run = _Run(problem, make_sweep, name, len(parts_of(problem.y0)), len(given))
    flat = _Swept.apply(run, *parts_of(problem.y0), *given, *inputs)
    states = [part.unbind(0) for part in flat[: run.count]]
    kept = [like(problem.y0, list(row)) for row in zip(*states, strict=True)]
    kept[0] = problem.y0
    rest = list(flat[run.count :])
    totals = list(rest.pop(0).unbind(0)) if run.has_functional else None
    total = None if totals is None else totals[-1]
    return Trajectory(kept, totals, kept[-1], total, rebuilt(run.carry, rest))


class _Run:
    """What the two directions of one solve share besides tensors."""

    def __init__(
        self, problem: Problem, make_sweep: MakeSweep, name: str, count: int, count_carry: int
    ) -> None:
        self.problem, self.make_sweep, self.name = problem, make_sweep, name
        self.count, self.count_carry = count, count_carry
        self.has_functional = hasattr(problem.equation.sde, "functional")
        self.carry: Any = None


class _Swept(torch.autograd.Function):
    """(y0, given carry, inputs) -> (states at the wanted points, the functional's totals, carry)."""

    @staticmethod
    def forward(ctx: FunctionCtx, run: _Run, *tensors: Tensor) -> tuple[Tensor, ...]:
        problem = run.problem
        trajectory = march(problem)  # without a tape: inside a Function nothing is recorded
        run.carry = trajectory.carry
        columns = zip(*(parts_of(y) for y in trajectory.states), strict=True)
        states = [torch.stack(column) for column in columns]
        carry = [x.clone() for x in tensors_of(trajectory.carry)]
        inputs = tensors[run.count + run.count_carry :]
        # The last point is always a wanted one, so the states hold the end.
        ctx.save_for_backward(*carry, *states, *inputs)
        ctx.run = run  # type: ignore[attr-defined]
        ctx.set_materialize_grads(False)
        totals = [torch.stack(trajectory.totals)] if trajectory.totals is not None else []
        return (*states, *totals, *carry)

    @staticmethod
    def backward(ctx: Any, *cotangents: Any) -> Any:
        # create_graph alone is no wish for second derivatives: whoever takes them meets `_FirstOnly`.
        with torch.no_grad():
            gradients = _Swept.swept(ctx, cotangents)
        if not torch.is_grad_enabled():
            return (None, *gradients)
        given = [x for x in gradients if x is not None]
        marked = iter(_FirstOnly.apply(ctx.run.name, len(given), *given, *cotangents, *ctx.saved_tensors))
        return (None, *(None if x is None else next(marked) for x in gradients))

    @staticmethod
    def swept(ctx: Any, cotangents: Any) -> list[Tensor | None]:
        """The gradients of the tensors that came in."""
        run: _Run = ctx.run
        problem, count = run.problem, run.count
        saved = list(ctx.saved_tensors)
        carries = tensors_of(run.carry)
        carry, saved = saved[: len(carries)], saved[len(carries) :]
        states, inputs = saved[:count], saved[count:]
        tape = Tape(inputs)
        end = like(problem.y0, [s[-1] for s in states])
        sweep = run.make_sweep(problem, tape, end, rebuilt(run.carry, carry))
        of_states = [
            torch.zeros_like(s) if c is None else c for s, c in zip(states, cotangents, strict=False)
        ]
        rest = list(cotangents[count:])
        of_totals: Any = rest.pop(0) if run.has_functional else None
        if any(c is not None for c in rest):
            known = [torch.zeros_like(x) if c is None else c for x, c in zip(carry, rest, strict=True)]
            sweep.receive_carry(rebuilt(run.carry, known))

        kept = len(states[0])
        weight = None if of_totals is None else torch.zeros_like(of_totals[0])

        def back(start: int, stop: int) -> None:
            nonlocal kept, weight
            steps = problem.timeline.block(start, stop)
            for k in range(stop, start, -1):
                if problem.wanted[k]:
                    kept -= 1
                    sweep.receive(like(problem.y0, [c[kept] for c in of_states]))
                    sweep.restore(like(problem.y0, [s[kept] for s in states]))
                    if weight is not None:
                        weight = weight + of_totals[kept]
                sweep.back(steps[k - start - 1], weight)

        for start, stop in problem.timeline.blocks(backwards=True):
            # In a call of its own, so that a block's noise is gone before the next one's is drawn.
            back(start, stop)
        sweep.arrive(like(problem.y0, [s[0] for s in states]))
        sweep.receive(like(problem.y0, [c[0] for c in of_states]))
        start_cotangent, carry_cotangents = sweep.finish()
        # A sweep that does not know the carry has all of it in y0's: it is a function of y.
        given = carry_cotangents or [None] * run.count_carry
        return [*parts_of(start_cotangent), *given, *tape.gradients]


class _FirstOnly(torch.autograd.Function):
    """Gradients as they are, whose own gradients are an error."""

    @staticmethod
    def forward(ctx: Any, name: str, count: int, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.name = name
        return tuple(x.clone() for x in tensors[:count])

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> Any:
        raise RuntimeError(
            f'adjoint="{ctx.name}" has no second derivatives; for them solve with adjoint="direct"'
        )


def tensors_of(structure: Any) -> list[Tensor]:
    """The tensors in nested tuples."""
    if structure is None:
        return []
    if isinstance(structure, tuple):
        return [x for part in structure for x in tensors_of(part)]
    return [structure]


def rebuilt(structure: Any, tensors: list[Tensor]) -> Any:
    """Nested tuples of the same form with other tensors."""
    return _built(structure, iter(tensors))


def _built(part: Any, rest: Iterator[Tensor]) -> Any:
    # Not a function within `rebuilt`: one that calls itself is a cycle, and would hold the tensors until the
    # garbage collector comes.
    if part is None:
        return None
    if isinstance(part, tuple):
        return (State if isinstance(part, State) else tuple)(_built(x, rest) for x in part)
    return next(rest)
