"""The backsolve adjoint: the states are solved back from the end, on the same path, beside the cotangents.

Li, Wong, Chen & Duvenaud 2020, "Scalable gradients for stochastic differential equations": with a the loss's
derivative with respect to y, read in the Stratonovich calculus and backwards in time,

    dy = f dt + g ∘ dW,     da = -a ∂f/∂y dt - a ∂g/∂y ∘ dW,     dθ = -a ∂f/∂θ dt - a ∂g/∂θ ∘ dW.

The memory does not grow with the number of steps; the gradient's error falls with the step. Three ways back:

- A method made of slopes alone, in the Stratonovich calculus, for additive noise or for an ODE, solves this
  equation itself: an evaluation and a product for each of its own, 4 units for 3 (`AdjointEquation`).
- Euler with Itô noise: the state at the step's start is y1 less the slope at the predictor y1 - g(y1) W,
  which is Itô's correction without a derivative; the cotangent goes back by the slope's product there. A
  functional is taken at the predictor as well, of the same evaluation, for additive noise too.
- Any other: the step's start is the inverse step's end, or a fixed point of the step itself, and the product
  of the step from there is taken.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..choice import choose
from ..equation import Equation
from ..march import Functional, Problem, Trajectory, march
from ..methods import METHODS, Method, ReversiblePair, Step
from ..methods.runge_kutta import FirstSameAsLast
from ..state import State, Value, add_scaled, each, like, parts_of, with_gradient
from .base import Adjoint, nothing_to_differentiate
from .captured import captured_inputs
from .sweep import Sweep, solve_and_sweep
from .tape import Evaluation, Tape


@dataclass(frozen=True)
class Backsolve(Adjoint):
    """Gradients in constant memory whose error falls with the step.

    Args:
        method: what goes back; by default the method that went there.
        inputs: tensors that f or g depend on and the SDE does not hold.

    What a method carries beside y is a function of y in the equation that is solved back: y0's gradient has
    all of it, and that of a carry which was given is None.
    """

    method: str | None = None
    inputs: Sequence[Tensor] = ()
    name = "backsolve"
    differentiates_times = False

    def check(self, equation: Equation, method: Method, name: str) -> None:
        if self.method is None:
            return
        _, back = choose(self.method, equation)
        needed, there = back.levy_area_for(equation), method.levy_area_for(equation)
        if needed not in (None, there) and (needed != "space-time" or there is None):
            raise ValueError(
                f"the way back by {self.method!r} needs Lévy areas that the way there by {name!r} does not "
                "ask of the path: take one method for both, or another for the way back"
            )

    def solve(self, problem: Problem) -> Trajectory:
        inputs = captured_inputs(problem, self.inputs) if torch.is_grad_enabled() else []
        if nothing_to_differentiate([*parts_of(problem.y0), *inputs]):
            return march(problem)
        method = _method_back(problem.method) if self.method is None else METHODS[self.method]

        def make(problem: Problem, tape: Tape, y: Value, carry: Any) -> Sweep:
            return way_back(problem, method)(problem, tape, y, method)

        return solve_and_sweep(problem, inputs, make, self.name)


def _method_back(method: Method) -> Method:
    """The method that went there, or what a reversible one comes from: its second state is not known here."""
    if isinstance(method, ReversiblePair):
        return method.base
    return METHODS["heun"] if method.reversible else method


def way_back(problem: Problem, method: Method) -> Any:
    """The sweep for a method on an equation."""
    equation = problem.equation
    corrected = equation.has_noise and not equation.is_additive and equation.calculus == "ito"
    # Slopes that are summed up first and then multiplied by each sample's own length: gradients of inputs are
    # sums over samples and cannot be.
    own = isinstance(method, FirstSameAsLast) and problem.timeline.own_lengths
    if method is METHODS["euler"] and (
        corrected or (equation.has_noise and hasattr(equation.sde, "functional"))
    ):
        return EulerSweep
    return AdjointSweep if method.slopes_only and not corrected and not own else InverseSweep


class BacksolveSweep(Sweep):
    """A sweep whose states are solved for, and made exact again wherever one was kept."""

    def __init__(self, problem: Problem, tape: Tape, y: Value, method: Method) -> None:
        super().__init__(problem, tape, y, None)
        self.method = method

    def restore(self, y: Value) -> None:
        self.y = y

    def receive_carry(self, cotangents: Any) -> None:
        raise RuntimeError(
            'adjoint="backsolve" has no gradient of the carry of a solve, and the loss depends on it: take '
            'the same adjoint for the solve that goes on from there, or "direct" for both'
        )


class AdjointSweep(BacksolveSweep):
    """The adjoint equation, solved by the method itself."""

    def __init__(self, problem: Problem, tape: Tape, y: Value, method: Method) -> None:
        super().__init__(problem, tape, y, method)
        self.adjoint = AdjointEquation(problem.equation, tape)

    def back(self, step: Step, weight: Tensor | None) -> None:
        state = State((self.y, self.cotangent, Weighted()))
        carry = self.method.start(self.adjoint, step.t1, state)
        (y, cotangent, gradients), _ = self.method.advance(self.adjoint, step.reversed(), state, carry)
        self.y, self.cotangent = y, cotangent
        for scale, terms in gradients.terms:
            self.tape.add(terms, scale)
        self.receive_functional(step, weight)


class Weighted:
    """A weighted sum of gradients with respect to the inputs, summed up only when the step is done: nothing
    in the step depends on it.
    """

    def __init__(self, terms: tuple[tuple[float, Sequence[Tensor | None]], ...] = ()) -> None:
        self.terms = terms

    def __add__(self, other: Weighted) -> Weighted:
        return Weighted(self.terms + other.terms)

    def __sub__(self, other: Weighted) -> Weighted:
        return self + other * -1.0

    def __mul__(self, factor: float) -> Weighted:
        return Weighted(tuple((factor * scale, terms) for scale, terms in self.terms))

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> Weighted:
        return self * (1.0 / divisor)


class AdjointEquation(Equation):
    """The equation of (y, a, θ) above, for methods that ask for slopes alone."""

    def __init__(self, equation: Equation, tape: Tape) -> None:
        self.forward, self.tape = equation, tape
        self.sde, self.has_noise = equation.sde, equation.has_noise
        self.noise_type, self.calculus = equation.noise_type, equation.calculus
        self.is_additive, self.is_diagonal = equation.is_additive, equation.is_diagonal

    def slope(self, t: Any, y: Any, h: Any, W: Any) -> Any:
        evaluation, own, inputs = self._evaluated(t, y, h, W)
        return State((evaluation.slope(h, W), each(torch.neg, own), Weighted(((-1.0, inputs),))))

    def push(self, base: Any, t: Any, y: Any, h: Any, W: Any, share: float = 1.0) -> Any:
        evaluation, own, inputs = self._evaluated(t, y, h, W)
        state, cotangent, gradients = base
        pushed = evaluation.push(state, h, W, share)
        return State((pushed, add_scaled(cotangent, own, -share), gradients + Weighted(((-share, inputs),))))

    def _evaluated(self, t: Any, y: Any, h: Any, W: Any) -> tuple[Evaluation, Value, Any]:
        """f and g at the state in y, and the slope's product with the cotangent there, and for the inputs."""
        state, cotangent, _ = y
        evaluation = Evaluation(self.forward, t, state)
        own, inputs = evaluation.products(self.tape, *evaluation.cotangents(cotangent, h, W))
        return evaluation, own, inputs


class EulerSweep(BacksolveSweep):
    """Euler's steps of an Itô equation, from their ends."""

    def __init__(self, problem: Problem, tape: Tape, y: Value, method: Method) -> None:
        super().__init__(problem, tape, y, method)
        self.diffusion: Any = None

    def back(self, step: Step, weight: Tensor | None) -> None:
        equation = self.problem.equation
        # For the predictor the step after this one has left a diffusion, at a state as near as it needs.
        if self.diffusion is None:
            self.diffusion = equation.g(step.t1, self.y)
        start = equation.add_noise(self.y, self.diffusion, step.W, -1.0)
        evaluation = Evaluation(equation, step.t0, start, None if weight is None else step)
        self.diffusion = each(torch.Tensor.detach, evaluation.diffusion)
        cotangents = evaluation.cotangents(self.cotangent, step.h, step.W)
        own, inputs = evaluation.products(self.tape, *cotangents, weight)
        self.tape.add(inputs)
        self.y = evaluation.push(self.y, step.h, step.W, -1.0)
        self.cotangent = self.cotangent + own


class InverseSweep(BacksolveSweep):
    """Any method: the step's start is looked for, and the step from there is differentiated."""

    def back(self, step: Step, weight: Tensor | None) -> None:
        equation, method = self.problem.equation, self.method
        if method is not self.problem.method:
            step = step._replace(terms=None)  # they are the other method's
        with torch.no_grad():
            self.y = self._start(step)
        with torch.enable_grad():
            leaf = with_gradient(self.y)
            functional = Functional(equation.sde, leaf)
            if weight is not None:
                functional.watch(step.t0, leaf)
            carry = method.start(equation, step.t0, leaf)
            end, _ = method.advance(equation, step, leaf, carry)
            outputs, cotangents = parts_of(end), parts_of(self.cotangent)
            if weight is not None:
                outputs, cotangents = [*outputs, functional.over(step, leaf)], [*cotangents, weight]
        self.cotangent = like(leaf, self.tape.pull(outputs, cotangents, parts_of(leaf)))

    def _start(self, step: Step) -> Any:
        equation, method = self.problem.equation, self.method
        end: Any = self.y
        if method.undoes or equation.is_additive or not equation.has_noise:
            undone = step.reversed()
            return method.advance(equation, undone, end, method.start(equation, step.t1, end))[0]
        # Each round of y0 <- y0 - (step(y0) - y1) takes the error down by a root of the step; to leave a
        # strong order p after all steps it has to be of order p + 1/2 in each, and of p + 1 in the mean, and
        # the mean is gone after an even number of rounds.
        known = method.order.strong if equation.noise_type == "general" else method.order.strong_commutative
        start: Any = end
        for _ in range(2 * math.ceil(known or 1.5)):
            reached = method.advance(equation, step, start, method.start(equation, step.t0, start))[0]
            start = start - (reached - end)
        return start
