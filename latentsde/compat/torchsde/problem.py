"""Problem: the arguments of `sdeint`, checked, in the terms of `latentsde.solve`."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ...solvers import Solution
from .fields import ROLES, Fields, Functions
from .interval import BrownianInterval
from .log_ratio import WithLogRatio, with_integral, without_integral
from .methods import Use, default_method, use_of
from .queries import Queries
from .settings import LEVY_AREA_APPROXIMATIONS, METHOD_OPTIONS, METHODS, NOISE_TYPES

CALLER = 3
"""The `stacklevel` of whoever called sdeint or sdeint_adjoint, for warnings from here."""


class Problem:
    """What is solved, with what.

    Attributes:
        fields: the SDE as `solve` reads one.
        y0: the state, with the integral of `logqp` behind it.
        times: the requested ones.
        method, use: the method's name in torchsde, and what it is in `solve`.
        adaptive: whether the steps are.
        path: the noise, or None for one of its own.

    Raises:
        ValueError: arguments that are wrong in torchsde as well, and not right in `solve`.
        AttributeError: `logqp` for an SDE without drift, diffusion or prior drift.
    """

    def __init__(
        self,
        sde: Any,
        y0: Tensor,
        ts: Any,
        bm: Any,
        method: str | None,
        options: Mapping[str, Any] | None,
        names: Mapping[str, str] | None,
        logqp: bool,
        adaptive: bool,
    ) -> None:
        if unknown := sorted(set(names or {}) - set(ROLES)):
            warnings.warn(f"names has no use for {unknown}, only for {list(ROLES)}", stacklevel=CALLER)
        if unknown := sorted(key for key in options or {} if key not in METHOD_OPTIONS):
            warnings.warn(f"no method has the options {unknown}", stacklevel=CALLER)
        functions = Functions(sde, names)
        if not isinstance(y0, Tensor) or y0.dim() == 0:
            shown = "a number" if isinstance(y0, Tensor) else type(y0).__name__
            raise ValueError(f"y0 must be a tensor (batch, ...), got {shown}")
        self.method = default_method(functions.noise_type, functions.sde_type) if method is None else method
        self.adaptive = adaptive
        if adaptive and self.method == METHODS.euler and functions.noise_type != NOISE_TYPES.additive:
            warnings.warn(
                "adaptive steps of Euler's method need not converge to the solution where the noise is not "
                "additive; take srk or milstein",
                stacklevel=CALLER,
            )
        if (
            adaptive
            and self.method == METHODS.log_ode_midpoint
            and functions.noise_type == NOISE_TYPES.general
        ):
            warnings.warn(
                "adaptive steps of log_ode choose among the areas that are drawn for them, which changes the "
                "law, less at smaller tolerances; take midpoint, or fixed steps",
                stacklevel=CALLER,
            )
        self.use = use_of(self.method, functions.noise_type, functions.sde_type, options or {})
        self.times = _times(ts)
        self.path = None if bm is None else _path(bm, self.use, self.times)
        self.fields: Any = Fields(functions, _noise_size(functions.noise_type, bm), self.use.paired)
        self.y0, self._logqp, self._shape = y0, logqp, y0.shape
        if logqp:
            if functions.h is None:
                raise AttributeError("logqp=True needs a prior drift: h, or the one that names tells")
            self.fields = WithLogRatio(self.fields, functions.h, y0.shape, self.use.paired)
            self.y0 = with_integral(y0)

    def carry(self, extra_solver_state: Sequence[Tensor] | None) -> Any:
        """`extra_solver_state` as `solve` takes it; other methods than reversible Heun have none."""
        if extra_solver_state is None or self.method != METHODS.reversible_heun:
            return None
        f, g, z = extra_solver_state
        return z, f, g

    def answer(self, solution: Solution, extra: bool) -> Any:
        """What torchsde returns: ys, with the log-ratios for `logqp`, with the solver's state for `extra`."""
        parts: tuple[Any, ...] = (solution.ys,)
        if self._logqp:
            parts = without_integral(solution.ys, self._shape)
        if extra:
            state: tuple[Tensor, ...] = ()
            if self.method == METHODS.reversible_heun:
                z, f, g = solution.carry
                state = (f, g, z)
            parts = (*parts, state)
        return parts if len(parts) > 1 else parts[0]


def warn_of_unused(function: str, arguments: Mapping[str, Any]) -> None:
    if arguments:
        warnings.warn(f"{function} has no arguments {sorted(arguments)}", stacklevel=CALLER)


def check_constant(**arguments: Any) -> None:
    """ValueError where an argument requires a gradient that nobody would compute."""
    for name, value in arguments.items():
        if isinstance(value, Tensor) and value.requires_grad:
            raise ValueError(f"{name} must not require a gradient; detach it")


def _times(ts: Any) -> Tensor:
    if isinstance(ts, Tensor):
        return ts
    try:
        if isinstance(ts, (str, bytes)):
            raise TypeError
        return torch.as_tensor(ts, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"ts must be a tensor or a sequence of times, got {ts!r}") from None


def _noise_size(noise_type: str, bm: Any) -> int | None:
    if noise_type == NOISE_TYPES.scalar:
        return 1
    return bm.shape[-1] if bm is not None and len(bm.shape) else None


def _path(bm: Any, use: Use, times: Tensor) -> Any:
    area = getattr(bm, "levy_area_approximation", LEVY_AREA_APPROXIMATIONS.none)
    if area not in use.areas:
        raise ValueError(
            f"this method needs a Brownian motion with levy_area_approximation one of "
            f"{sorted(use.areas)}, got {area!r}"
        )
    if isinstance(bm, BrownianInterval) and not use.needs_area and (tree := bm.tree(times)) is not None:
        return tree
    return Queries(bm, use.needs_space_time or use.needs_area)
