"""Milstein without derivatives: Euler plus the iterated integrals, the derivative along g by a difference.

Kloeden & Platen 1992, section 11.1; Rößler 2010. Strong order 1.0 for commutative noise. For Stratonovich
equations the iterated integrals sum to half the derivative of g along g W, applied to W. For Itô equations
the integral of channels j and k is (W_j W_k - δ_jk |h|) / 2, with the derivative along each column of g;
diagonal noise is read as g_i depending on y_i alone. One evaluation of g more, in the Itô reading of
commutative noise one for each channel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..equation import Equation
from ..state import State, Value, add_scaled, each
from .base import ANY_NOISE, BOTH, Method, Order, Step

Change = Callable[[Value], Value]


class Milstein(Method):
    calculus = BOTH
    noise = ANY_NOISE - {"general"}
    order = Order(strong_commutative=1.0, strong_additive=1.0, ode=1)
    undoes = True

    def advance(self, sde: Equation, step: Step, y0: Value, carry: Any) -> tuple[Value, Any]:
        if step.W is None:
            return sde.push(y0, step.t0, y0, step.h, None), None
        y1 = add_scaled(y0, sde.f(step.t0, y0), step.h)
        if sde.is_additive:
            return sde.add_noise(y1, sde.g(step.t0, y0), step.W), None
        diffusion, change = self._diffusion(sde, step.t0, y0)
        if sde.calculus == "stratonovich":
            kick = sde.apply(diffusion, step.W)
            return sde.add_noise(y1 + kick, change(kick), step.W, 0.5), None
        y1 = sde.add_noise(y1, diffusion, step.W)
        root, own = self.terms(sde, step)
        if sde.is_diagonal:
            return sde.add_noise(y1, change(diffusion * root), own), None
        for direction, iterated in _columns(step, diffusion, root):
            y1 = sde.add_noise(y1, change(direction), iterated)
        return y1, None

    def terms_of_noise(self, sde: Equation, step: Step) -> Any:
        """The root of the length, and of diagonal noise the iterated integrals over it, (W² - length) / 2."""
        if sde.is_additive or sde.calculus == "stratonovich":
            return None
        # The difference is taken in the direction of W: its error of order h^1.5 then has no mean, also in a
        # step that undoes one, where W² - length has.
        root = each(torch.copysign, roots(step), step.W)
        if not sde.is_diagonal:
            return root, None
        return root, each(lambda w, r, length: (w * w - length) / (r * 2.0), step.W, root, lengths(step))

    def _diffusion(self, sde: Equation, t0: Any, y0: Value) -> tuple[Value, Change]:
        """g, and how much it changes along a direction of the state, to first order in it."""
        diffusion = sde.g(t0, y0)
        return diffusion, lambda direction: sde.g(t0, y0 + direction) - diffusion


def lengths(step: Step) -> Any:
    """The step's length, one for each component of a tuple state."""
    if isinstance(step.W, tuple) and not isinstance(step.length, tuple):
        return (step.length,) * len(step.W)
    return step.length


def roots(step: Step) -> Any:
    """The root of the step's length, of W's shape.

    Over a zero step what it divides is 0: any root but 0 makes the quotient 0 instead of 0/0.
    """
    if isinstance(step.length, float):
        root = abs(step.length) ** 0.5 or 1.0
        return each(lambda w: torch.full_like(w, root), step.W)
    return each(
        lambda w, length: torch.where(length == 0, 1.0, length.abs().sqrt()).expand_as(w),
        step.W,
        lengths(step),
    )


def _columns(step: Step, diffusion: Any, root: Any) -> Any:
    """For each channel: root times its column of g, as a direction of the state, and the iterated integrals
    of all channels with it, over root.
    """
    if not isinstance(diffusion, tuple):
        for channel in range(diffusion.shape[-1]):
            w = step.W[:, channel : channel + 1]
            r = root[:, channel : channel + 1]
            yield _column(diffusion, r, channel), _iterated(step.W, w, r, step.length, channel)
        return
    for part, columns in enumerate(diffusion):
        for channel in range(0 if columns is None else columns.shape[-1]):
            w = step.W[part][:, channel : channel + 1]
            r = root[part][:, channel : channel + 1]
            length = lengths(step)[part]
            direction: list[Any] = [None] * len(diffusion)
            direction[part] = _column(columns, r, channel)
            iterated = list(each(lambda other, w=w, r=r: other * w / (r * 2.0), step.W))
            iterated[part] = _iterated(step.W[part], w, r, length, channel)
            yield State(direction), State(iterated)


def _column(diffusion: Tensor, root: Tensor, channel: int) -> Tensor:
    column = diffusion[..., channel]
    return column * root.view(-1, *(1,) * (column.dim() - 1))


def _iterated(W: Tensor, w: Tensor, root: Tensor, length: Any, channel: int) -> Tensor:
    own = torch.zeros_like(W)
    own[:, channel] = 1.0
    return (W * w - own * length) / (root * 2.0)
