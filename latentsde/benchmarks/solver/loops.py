"""What ours is held against: the bare evaluations of f and g, and the loops one would write by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Loop = Callable[[Any, Tensor, Tensor, float, Tensor], Tensor]
"""(sde, y0, times, h, increments of shape (steps, *y0.shape)) -> y at the end."""


def bare(sde: Any, y: Tensor, drifts: int, diffusions: int, *, products: bool = False) -> None:
    """So many evaluations of f and of g at one state, without gradients; with `products` of g each time with
    its derivative along itself, g_i'(y_i) g_i(y_i).
    """
    t = torch.zeros(())
    with torch.no_grad():
        for _ in range(drifts):
            sde.f(t, y)
        for _ in range(diffusions):
            if products:
                _along_itself(sde, t, y)
            else:
                sde.g(t, y)


def _along_itself(sde: Any, t: Tensor, y: Tensor) -> None:
    with torch.enable_grad():
        leaf = y.detach().requires_grad_()
        diffusion = sde.g(t, leaf)
    torch.autograd.grad(diffusion, leaf, diffusion.detach())


def euler(sde: Any, y: Tensor, times: Tensor, h: float, dW: Tensor) -> Tensor:
    for t, w in zip(times.unbind(0), dW.unbind(0), strict=False):
        y = y + sde.f(t, y) * h + sde.g(t, y) * w
    return y


def heun(sde: Any, y: Tensor, times: Tensor, h: float, dW: Tensor) -> Tensor:
    points = times.unbind(0)
    for k, w in enumerate(dW.unbind(0)):
        slope = sde.f(points[k], y) * h + sde.g(points[k], y) * w
        z = y + slope
        y = y + 0.5 * (slope + sde.f(points[k + 1], z) * h + sde.g(points[k + 1], z) * w)
    return y


def midpoint(sde: Any, y: Tensor, times: Tensor, h: float, dW: Tensor) -> Tensor:
    half = 0.5 * h
    for t, w in zip(times.unbind(0), dW.unbind(0), strict=False):
        z = y + sde.f(t, y) * half + sde.g(t, y) * (0.5 * w)
        y = y + sde.f(t + half, z) * h + sde.g(t + half, z) * w
    return y


def reversible_heun(sde: Any, y: Tensor, times: Tensor, h: float, dW: Tensor) -> Tensor:
    points = times.unbind(0)
    z, drift, diffusion = y, sde.f(points[0], y), sde.g(points[0], y)
    for k, w in enumerate(dW.unbind(0)):
        slope = drift * h + diffusion * w
        z = 2.0 * y - z + slope
        drift, diffusion = sde.f(points[k + 1], z), sde.g(points[k + 1], z)
        y = y + 0.5 * (slope + drift * h + diffusion * w)
    return y


LOOPS: dict[str, Loop] = {
    "euler": euler,
    "heun": heun,
    "midpoint": midpoint,
    "reversible_heun": reversible_heun,
}


def run(method: str, sde: Any, y0: Tensor, steps: int, dW: Tensor) -> Tensor:
    """The hand-written loop of a method over the unit interval."""
    return LOOPS[method](sde, y0, torch.linspace(0.0, 1.0, steps + 1), 1.0 / steps, dW)


def noise(size: tuple[int, ...], steps: int) -> Tensor:
    """Increments over `steps` equal steps of the unit interval."""
    generator = torch.Generator().manual_seed(2)
    return torch.randn(steps, *size, generator=generator) * steps**-0.5
