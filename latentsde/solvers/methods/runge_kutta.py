"""Explicit Runge-Kutta methods from their tableaus, and the sums all of them are made of."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from ..equation import Equation
from ..state import Value, add_scaled
from .base import Method, Step

Row = tuple[float, ...]


def at(step: Step, fraction: float) -> Any:
    """The time at a fraction of the step; the very tensors t0 and t1 at its ends."""
    if fraction in (0.0, 1.0):
        return step.t1 if fraction else step.t0
    known = None if step.times is None else step.times.get(fraction)
    return torch.lerp(step.t0, step.t1, fraction) if known is None else known


def combine(base: Value, weights: Row, slopes: list[Value]) -> Value:
    """base + Σ weight · slope, weights of 0 left out; a weight may have the step's length in it."""
    for weight, slope in zip(weights, slopes, strict=False):
        if type(weight) is float and isinstance(base, Tensor):
            base = torch.add(base, slope, alpha=weight) if weight else base  # type: ignore[arg-type]
        elif type(weight) is not float or weight:
            base = add_scaled(base, slope, weight)
    return base


def along(base: Value, weights: Row, slopes: list[Value], h: Any) -> Value:
    """base + h Σ weight · slope: a number goes into the weights, a tensor multiplies their sum once."""
    if type(h) is float:
        return combine(base, tuple([weight * h for weight in weights]), slopes)
    return base + combine(slopes[0] * weights[0], weights[1:], slopes[1:]) * h


def _inner(nodes: Row) -> Row:
    return tuple(sorted(set(nodes) - {0.0, 1.0}))


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

    def __init_subclass__(cls) -> None:
        cls.fractions = _inner(cls.nodes)

    def advance(self, sde: Equation, step: Step, y0: Value, carry: Any) -> tuple[Value, Any]:
        h, W = step.h, step.W
        # Of an ODE the slopes are f itself, with the length in their weights, where it is a number.
        rates = W is None and type(h) is float
        unit, length = (1.0, h) if rates else (h, 1.0)
        slopes = [sde.slope(step.t0, y0, unit, W)]
        for node, row in zip(self.nodes[1:-1], self.rows, strict=False):
            slopes.append(sde.slope(at(step, node), along(y0, row, slopes, length), unit, W))
        last = along(y0, self.rows[-1], slopes, length)
        y1 = along(y0, self.weights[:-1], slopes, length)
        return sde.push(y1, at(step, self.nodes[-1]), last, h, W, self.weights[-1]), None


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

    def __init_subclass__(cls) -> None:
        cls.fractions = _inner(cls.nodes)

    def start(self, sde: Equation, t0: Any, y0: Value) -> Any:
        return sde.slope(t0, y0, 1.0, None)

    def advance(self, sde: Equation, step: Step, y0: Value, carry: Any) -> tuple[Value, Any]:
        y1, slopes = self._stages(sde, step, y0, carry)
        return y1, slopes[-1]

    def advance_with_error(
        self, sde: Equation, step: Step, y0: Value, carry: Any
    ) -> tuple[Value, Any, Value]:
        y1, slopes = self._stages(sde, step, y0, carry)
        zero = slopes[0] * 0.0
        return y1, slopes[-1], along(zero, self.error_weights, slopes, step.h)

    def _stages(self, sde: Equation, step: Step, y0: Value, carry: Any) -> tuple[Value, list[Value]]:
        slopes, y = [carry], y0
        for node, row in zip(self.nodes[1:], self.rows, strict=True):
            y = along(y0, row, slopes, step.h)
            slopes.append(sde.slope(at(step, node), y, 1.0, None))
        return y, slopes
