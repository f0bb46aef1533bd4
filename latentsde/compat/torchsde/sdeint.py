"""sdeint: torchsde's signature on `latentsde.solve`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from ...solvers import PID, solve
from .arguments import number
from .base import BaseBrownian
from .methods import AdaptiveEuler
from .problem import Problem, check_constant, warn_of_unused
from .settings import METHODS
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
    solution = solve(
        problem.fields,
        problem.y0,
        problem.times,
        path=problem.path,
        carry=problem.carry(extra_solver_state),
        **steps(problem, dt, rtol, atol, dt_min),
    )
    return problem.answer(solution, extra)


def steps(problem: Problem, dt: Scalar, rtol: Scalar, atol: Scalar, dt_min: Scalar) -> dict[str, Any]:
    """The arguments of `solve` that say how it steps: the method, and dt or a controller."""
    first = number("dt", dt)
    if not problem.adaptive:
        return {"method": problem.use.ours, "dt": first}
    return {
        "method": AdaptiveEuler() if problem.method == METHODS.euler else problem.use.ours,
        "controller": PID(
            rtol=number("rtol", rtol), atol=number("atol", atol), dt0=first, dt_min=number("dt_min", dt_min)
        ),
    }
