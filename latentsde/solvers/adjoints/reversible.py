"""The reversible adjoint: methods whose steps can be undone exactly are undone, each step differentiated on
the way.

Kidger, Foster, Li & Lyons 2021, "Efficient and accurate gradients for neural SDEs"; McCallum & Foster 2024,
"Efficient, accurate and stable gradients for neural ODEs". Constant memory, and the gradient of the steps to
rounding.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..equation import Equation
from ..march import Problem, Trajectory, march
from ..methods import Method, ReversiblePair, Step
from ..state import Value, add_scaled, between, each, like, parts_of, with_gradient
from .base import Adjoint, nothing_to_differentiate
from .captured import captured_inputs
from .sweep import Sweep, solve_and_sweep, tensors_of
from .tape import Evaluation, Tape

_LOST = 1e-2  # of the state's size


@dataclass(frozen=True)
class Reversible(Adjoint):
    """Exact gradients in constant memory, for the reversible methods.

    Args:
        inputs: tensors that f or g depend on and the SDE does not hold.
    """

    inputs: Sequence[Tensor] = ()
    name = "reversible"
    differentiates_times = False

    def check(self, equation: Equation, method: Method, name: str) -> None:
        if not method.reversible:
            raise ValueError(
                f'adjoint="reversible" needs a method that can be undone, and {name!r} cannot: take '
                f'method="reversible_heun", or wrap it: method=ReversiblePair("{name}") '
                "(latentsde.solvers.ReversiblePair)"
            )

    def solve(self, problem: Problem) -> Trajectory:
        inputs = captured_inputs(problem, self.inputs) if torch.is_grad_enabled() else []
        given = tensors_of(problem.carry)
        if nothing_to_differentiate([*parts_of(problem.y0), *given, *inputs]):
            return march(problem)
        sweep = PairSweep if isinstance(problem.method, ReversiblePair) else HeunSweep
        return solve_and_sweep(problem, inputs, sweep, self.name)


class ExactSweep(Sweep):
    """A sweep that should arrive where the solve began."""

    def __init__(self, problem: Problem, tape: Tape, y: Value, carry: Any) -> None:
        super().__init__(problem, tape, y, carry)
        self.end = y

    def arrive(self, y0: Value) -> None:
        starts, ends = parts_of(y0), parts_of(self.end)
        distance: Any = sum((a - b).square().sum() for a, b in zip(parts_of(self.y), starts, strict=True))
        size: Any = sum(x.square().sum() for x in (*starts, *ends))
        # One number for the host in a backward pass; written so that nan is too much.
        error = float((distance / size.clamp_min(1e-30)).sqrt())
        if not error <= _LOST:
            warnings.warn(
                f'adjoint="reversible" came back {error:.1g} of the state\'s size away from y0 after '
                f"{self.problem.timeline.steps} steps in {starts[0].dtype}: its gradients are as wrong. Take "
                "fewer steps, float64, reversible_heun, a ReversiblePair of coupling 1 or another adjoint",
                RuntimeWarning,
                stacklevel=2,
            )


class PairSweep(ExactSweep):
    """Undoes `ReversiblePair`: y1 = y0 + (1 - λ)(z0 - y0) + Ψ(z0), z1 = z0 - Ψ'(y1)."""

    def __init__(self, problem: Problem, tape: Tape, y: Value, carry: Any) -> None:
        super().__init__(problem, tape, y, carry)
        self.z: Any = carry
        self.z_cotangent: Any = each(torch.zeros_like, carry)
        assert isinstance(problem.method, ReversiblePair)
        self.pair = problem.method

    def receive_carry(self, cotangents: Any) -> None:
        self.z_cotangent = cotangents

    def back(self, step: Step, weight: Tensor | None) -> None:
        pair = self.pair
        undone, product = self._increment(step.reversed(), self.y, self.z_cotangent * -1.0)
        self.z = self.z + undone
        self.cotangent = self.cotangent + product
        done, product = self._increment(step, self.z, self.cotangent)
        self.y = pair.start_of(step, self.y, self.z, done)
        pulled = self.cotangent * pair.pull(step)
        self.z_cotangent = self.z_cotangent + pulled + product
        self.cotangent = self.cotangent - pulled
        self.receive_functional(step, weight)

    def _increment(self, step: Step, at: Value, cotangent: Value) -> tuple[Value, Value]:
        """The increment of a step from `at`, and its product with the cotangent (of the inputs too)."""
        with torch.enable_grad():
            leaf = with_gradient(at)
            increment = self.pair.increment(self.problem.equation, step, leaf)
        own = self.tape.pull(parts_of(increment), parts_of(cotangent), parts_of(leaf))
        return each(torch.Tensor.detach, increment), like(leaf, own)

    def finish(self) -> tuple[Value, list[Tensor | None]]:
        if self.problem.carry is not None:
            return self.cotangent, [*parts_of(self.z_cotangent)]
        return self.cotangent + self.z_cotangent, []  # z starts where y does


class HeunSweep(ExactSweep):
    """Undoes `reversible_heun`, with one evaluation and one product a step.

    With s = f h + g W at (t, z), the step is z1 = 2 y0 - z0 + s0, y1 = y0 + (s0 + s1)/2. An evaluation at z1
    is shared by this step, as s1, and the next, as s0; both have left their cotangents when it is pulled.
    """

    def __init__(self, problem: Problem, tape: Tape, y: Value, carry: Any) -> None:
        super().__init__(problem, tape, y, carry)
        self.z: Any = carry[0]
        self.z_cotangent: Any = each(torch.zeros_like, self.z)
        self.evaluation: Evaluation | None = None
        self.of_drift: Any = None
        self.of_diffusion: Any = None

    def receive_carry(self, cotangents: Any) -> None:
        self.z_cotangent, self.of_drift, self.of_diffusion = cotangents

    def back(self, step: Step, weight: Tensor | None) -> None:
        equation, h, W = self.problem.equation, step.h, step.W
        at_end = self.evaluation or Evaluation(equation, step.t1, self.z)
        half = self.cotangent * 0.5
        self._add(at_end, half, h, W)
        self._pull(at_end)
        slope1 = at_end.slope(h, W)
        self.z = between(self.z, self.y, 2.0) - slope1
        self.evaluation = at_start = Evaluation(equation, step.t0, self.z)
        self.y = at_start.push(add_scaled(self.y, slope1, -0.5), h, W, -0.5)
        of_slope = half + self.z_cotangent
        self.cotangent = add_scaled(self.cotangent, self.z_cotangent, 2.0)
        self.z_cotangent = each(torch.neg, self.z_cotangent)
        self._add(at_start, of_slope, h, W)
        self.receive_functional(step, weight)

    def _add(self, evaluation: Evaluation, of_slope: Any, h: Any, W: Any) -> None:
        """What a step leaves with an evaluation by the cotangent of its slope."""
        if self.of_drift is None:
            self.of_drift, self.of_diffusion = evaluation.cotangents(of_slope, h, W)
            return
        self.of_drift = add_scaled(self.of_drift, of_slope, h)
        if W is not None:
            self.of_diffusion = self.of_diffusion + self.problem.equation.transposed(of_slope, W)

    def _pull(self, evaluation: Evaluation) -> None:
        """Both steps that use it have left their cotangents: pull it."""
        own, inputs = evaluation.products(self.tape, self.of_drift, self.of_diffusion)
        self.tape.add(inputs)
        self.z_cotangent = self.z_cotangent + own
        self.of_drift = self.of_diffusion = None

    def finish(self) -> tuple[Value, list[Tensor | None]]:
        if self.problem.carry is not None:
            return self.cotangent, [*tensors_of((self.z_cotangent, self.of_drift, self.of_diffusion))]
        if self.evaluation is not None:
            self._pull(self.evaluation)
        return self.cotangent + self.z_cotangent, []
