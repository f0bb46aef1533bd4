"""sdeint: torchsde's signature on `latentsde.solve`."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from ...solvers import PID, Adjoint, Solution, StepTooSmall, solve
from .arguments import number
from .base import BaseBrownian
from .entropy import fresh
from .methods import adaptive_method
from .problem import CALLER, Problem, check_constant, warn_of_unused
from .types import Scalar, Vector


def sdeint(
    sde: Any,
    y0: Tensor,
    ts: Vector,
    bm: BaseBrownian | None = None,
    method: str | None = None,
    dt: Scalar = 1e-3,
    adaptive: bool = False,
    rtol: Scalar = 1e-5,
    atol: Scalar = 1e-4,
    dt_min: Scalar = 1e-5,
    options: dict[str, Any] | None = None,
    names: dict[str, str] | None = None,
    logqp: bool = False,
    extra: bool = False,
    extra_solver_state: Sequence[Tensor] | None = None,
    **unused_kwargs: Any,
) -> Any:
    """Solve dy = f dt + g dW from y0 at ts[0] through every time of ts.

    Args:
        sde: an object with `noise_type`, `sde_type`, f(t, y) and g(t, y); in their place or beside them
            f_and_g(t, y), g_prod(t, y, v), f_and_g_prod(t, y, v).
        y0: (batch, ...); torchsde takes (batch, d) only.
        ts: at least two times, increasing or decreasing.
        bm: the noise, torchsde's or ours, of y0's shape for diagonal noise (with `logqp` one channel more)
            and (batch, m) for other; without one a path is drawn from a fresh seed.
        method: one of `settings.METHODS`, or a name that `latentsde.solvers.METHODS` has besides; by default
            srk for Itô SDEs, euler where their noise is general, midpoint for Stratonovich ones.
        dt: the step, or the first one with `adaptive`.
        adaptive, rtol, atol, dt_min: steps from an error estimate, its tolerances, the smallest step.
        options: {"grad_free": True} for Milstein's method without derivatives.
        names: what the SDE calls its functions, such as {"drift": "forward"}.
        logqp: the log-ratio to the SDE with the drift h, summed over each interval of ts, as well.
        extra, extra_solver_state: give and take what reversible Heun carries beside y: (f, g, z).

    Returns:
        ys (times, *y0.shape); (ys, log-ratios (times - 1, batch)) with `logqp`; and the solver's state as one
        more item with `extra`.

    Raises:
        ValueError: arguments that do not fit one another.
    """
    warn_of_unused("sdeint", unused_kwargs)
    check_constant(ts=ts, dt=dt, rtol=rtol, atol=atol, dt_min=dt_min)
    problem = Problem(sde, y0, ts, bm, method, options, names, logqp, adaptive)
    solution = solved(problem, extra_solver_state, dt, rtol, atol, dt_min, "direct")
    return problem.answer(solution, extra)


def solved(
    problem: Problem,
    extra_solver_state: Sequence[Tensor] | None,
    dt: Scalar,
    rtol: Scalar,
    atol: Scalar,
    dt_min: Scalar,
    adjoint: str | Adjoint,
) -> Solution:
    """The problem's solution, with steps of dt or adaptive ones."""
    first = number("dt", dt)
    given: dict[str, Any] = {
        "path": problem.path,
        "carry": problem.carry(extra_solver_state),
        "adjoint": adjoint,
    }
    what = problem.fields, problem.y0, problem.times
    if not problem.adaptive:
        return solve(*what, method=problem.use.ours, dt=first, **given)
    given["method"] = adaptive_method(problem.method, problem.use)
    if problem.path is None:
        given["seed"] = fresh()  # the path is the same one if it has to be gone over again
    controller = PID(rtol=number("rtol", rtol), atol=number("atol", atol), dt0=first)
    shortest = number("dt_min", dt_min)
    try:
        return solve(*what, controller=replace(controller, dt_min=shortest), **given)
    except StepTooSmall as stopped:
        warnings.warn(
            f"the tolerance asks for steps shorter than dt_min = {shortest:g} at t = {stopped.time:.6g}; "
            "they are taken",
            stacklevel=CALLER,
        )
        return solve(*what, controller=controller, **given)
