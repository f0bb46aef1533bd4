"""The path of a solve: the one that is given, checked, or one that is made."""

from __future__ import annotations

import secrets
from typing import Any

from torch import Tensor

from ..brownian import AlignedPath, CorrelatedPath, VirtualBrownianTree, derive_seed
from .equation import Equation
from .grid import StepGrid
from .methods import Method, ReversiblePair
from .methods.milstein import Milstein
from .state import State, Value


def noise_for(
    equation: Equation,
    method: Method,
    grid: StepGrid | None,
    times: Tensor,
    y0: Value,
    path: Any,
    seed: int | None,
) -> tuple[int | None, Any]:
    """The seed, None where it made nothing, and the path, None for an ODE.

    A path of our own has its nodes at the steps of `grid`, and is a tree over the whole of `times` where the
    steps are not known yet (grid is None) or other times will be asked for.
    """
    if not equation.has_noise:
        return None, None
    first = y0[0] if isinstance(y0, State) else y0
    t0 = times[0].to(first.device, first.dtype)
    t0 = t0.view(*t0.shape, *(1,) * (first.dim() - 1)) if times.dim() == 2 else t0
    shape = equation.noise_shape(t0, y0)
    levy_area = method.levy_area_for(equation)
    factor = getattr(equation.sde, "correlation_factor", None)
    if factor is not None or isinstance(path, CorrelatedPath):
        _check_correlated(equation, method)
    if factor is not None:
        shape = _independent_shape(shape, factor)
    if path is None:
        seed = secrets.randbits(63) if seed is None else seed
        path = _own_path(shape, grid, times, seed, first, levy_area)
    else:
        seed = None
        check_path(path, shape, levy_area)
    return seed, path if factor is None else CorrelatedPath(path, factor)


def has_areas(path: Any) -> bool:
    """Whether H can be had: from a path that is still to be made it can."""
    parts = path if isinstance(path, tuple) else (path,)
    return all(part is None or getattr(part, "levy_area", None) is not None for part in parts)


def _check_correlated(equation: Equation, method: Method) -> None:
    """The Itô integral of two channels has their covariation in it, which `Milstein` takes to be zero."""
    method = method.base if isinstance(method, ReversiblePair) else method
    if isinstance(method, Milstein) and (equation.noise_type, equation.calculus) == ("commutative", "ito"):
        raise ValueError(
            "Milstein's methods take the channels of commutative noise as independent: "
            "multiply the correlation factor into g, or take euler"
        )


def _independent_shape(shape: Any, factor: Tensor) -> tuple[int, ...]:
    """The shape of the path under a correlation factor (channels, m)."""
    if shape and not isinstance(shape[0], int):
        raise ValueError("a correlation_factor is for one tensor of state; mix the parts of a tuple in g")
    if factor.dim() != 2 or len(shape) < 2 or factor.shape[0] != shape[-1]:
        raise ValueError(
            f"correlation_factor must be ({shape[-1] if len(shape) > 1 else 'channels'}, m) for noise of "
            f"shape {shape}, got {tuple(factor.shape)}"
        )
    return (*shape[:-1], factor.shape[1])


def _own_path(
    shape: Any, grid: StepGrid | None, times: Tensor, seed: int, like: Tensor, levy_area: str | None
) -> Any:
    if isinstance(shape, tuple) and shape and not isinstance(shape[0], int):
        return tuple(
            None if part is None else _own_path(part, grid, times, derive_seed(seed, index), like, levy_area)
            for index, part in enumerate(shape)
        )
    area = None if levy_area is None else "space-time"
    if grid is not None:
        return AlignedPath(
            shape, grid.points, seed=seed, levy_area=area, dtype=like.dtype, device=like.device
        )
    t0, t1 = float(times.min()), float(times.max())
    t1 = t1 if t1 > t0 else t0 + 1.0
    return VirtualBrownianTree(t0, t1, shape, seed=seed, levy_area=area, dtype=like.dtype, device=like.device)


def check_path(path: Any, shape: Any, levy_area: str | None) -> None:
    """ValueError for a path of another shape than the noise's, or without the areas a method needs."""
    parts = path if isinstance(path, tuple) else (path,)
    given = tuple(None if part is None else tuple(part.shape) for part in parts)
    given = given if isinstance(path, tuple) else given[0]  # type: ignore[assignment]
    if given != shape:
        raise ValueError(f"the path has shape {given}; this equation's noise needs {shape}")
    for part in parts:
        if levy_area is not None and getattr(part, "levy_area", "unknown") is None:
            raise ValueError(
                'this method needs the space-time Lévy area of the path: make it with levy_area="space-time"'
            )
