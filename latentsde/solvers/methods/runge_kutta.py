"""Explicit Runge-Kutta methods from their tableaus, and the sums all of them are made of."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from ..equation import Equation
from ..state import Value
from .base import Method, Step

Row = tuple[float, ...]


def at(step: Step, fraction: float) -> Any:
    """The time at a fraction of the step; the very tensors t0 and t1 at its ends."""
    if fraction in (0.0, 1.0):
        return step.t1 if fraction else step.t0
    return torch.lerp(step.t0, step.t1, fraction)


def combine(base: Value, weights: Row, slopes: list[Value]) -> Value:
    """base + Σ weight · slope, weights of 0 left out."""
    for weight, slope in zip(weights, slopes, strict=False):
        if weight != 0.0:
            base = add_drift(base, slope, weight)
    return base


def add_drift(base: Value, drift: Value, h: Any) -> Value:
    """base + f h for a drift f that is there already."""
    if type(h) is float and isinstance(base, Tensor):
        return torch.add(base, drift, alpha=h)  # type: ignore[arg-type]
    return base + drift * h


def add_noise(sde: Equation, base: Value, diffusion: Value, W: Any) -> Value:
    """base + g W for a diffusion g that is there already."""
    if sde.is_diagonal and isinstance(base, Tensor):
        return torch.addcmul(base, diffusion, W)  # type: ignore[arg-type]
    return base + sde.apply(diffusion, W)


class RungeKutta(Method):
    """A tableau read along f h + g W, which is an ODE's method for Stratonovich equations too.

    Attributes:
        nodes: c, the fraction of the step at which each stage stands.
        rows: a, the weights of the slopes before each stage after the first.
        weights: b, of the slopes in the result.
    """

    nodes: ClassVar[Row]
    rows: ClassVar[tuple[Row, ...]]
    weights: ClassVar[Row]
    slopes_only = undoes = True

    def advance(self, sde: Equation, step: Step, y0: Value, carry: Any) -> tuple[Value, Any]:
        slopes = [sde.slope(step.t0, y0, step.h, step.W)]
        for node, row in zip(self.nodes[1:], self.rows, strict=True):
            slopes.append(sde.slope(at(step, node), combine(y0, row, slopes), step.h, step.W))
        return combine(y0, self.weights, slopes), None


class FirstSameAsLast(Method):
    """A tableau for ODEs whose last stage is the result: its slope is the first of the next step, carried
    there.

    Attributes:
        nodes, rows: as in `RungeKutta`; the last row is the result's.
        error_weights: of all slopes, in the difference to the embedded method of one order less.
    """

    calculus = frozenset({"ito", "stratonovich"})
    noise = frozenset({"none"})
    nodes: ClassVar[Row]
    rows: ClassVar[tuple[Row, ...]]
    error_weights: ClassVar[Row]
    slopes_only = undoes = embedded = True

    def start(self, sde: Equation, t0: Any, y0: Value) -> Any:
        return sde.slope(t0, y0, 1.0, None)

    def advance(self, sde: Equation, step: Step, y0: Value, carry: Any) -> tuple[Value, Any]:
        y1, slopes = self._stages(sde, step, y0, carry)
        return y1, slopes[-1]

    def advance_with_error(
        self, sde: Equation, step: Step, y0: Value, carry: Any
    ) -> tuple[Value, Any, Value]:
        y1, slopes = self._stages(sde, step, y0, carry)
        first, *others = self.error_weights
        return y1, slopes[-1], combine(slopes[0] * first, tuple(others), slopes[1:]) * step.h

    def _stages(self, sde: Equation, step: Step, y0: Value, carry: Any) -> tuple[Value, list[Value]]:
        slopes, y = [carry], y0
        for node, row in zip(self.nodes[1:], self.rows, strict=True):
            if type(step.h) is float:
                y = combine(y0, tuple(weight * step.h for weight in row), slopes)
            else:
                first, *others = row
                y = y0 + combine(slopes[0] * first, tuple(others), slopes[1:]) * step.h
            slopes.append(sde.slope(at(step, node), y, 1.0, None))
        return y, slopes
