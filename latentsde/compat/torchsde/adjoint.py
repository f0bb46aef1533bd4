"""sdeint_adjoint: torchsde's signature on the adjoints of `latentsde.solve` that need constant memory."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from ...solvers.adjoints import Backsolve, Reversible
from .base import BaseBrownian
from .forward import solved
from .methods import adjoint_of
from .problem import CALLER, Problem, check_constant, warn_of_unused
from .settings import METHODS
from .types import Scalar, Vector


def sdeint_adjoint(
    sde: Any,
    y0: Tensor,
    ts: Vector,
    bm: BaseBrownian | None = None,
    method: str | None = None,
    adjoint_method: str | None = None,
    dt: Scalar = 1e-3,
    adaptive: bool = False,
    adjoint_adaptive: bool = False,
    rtol: Scalar = 1e-5,
    adjoint_rtol: Scalar = 1e-5,
    atol: Scalar = 1e-4,
    adjoint_atol: Scalar = 1e-4,
    dt_min: Scalar = 1e-5,
    options: dict[str, Any] | None = None,
    adjoint_options: dict[str, Any] | None = None,
    adjoint_params: Sequence[Tensor] | None = None,
    names: dict[str, str] | None = None,
    logqp: bool = False,
    extra: bool = False,
    extra_solver_state: Sequence[Tensor] | None = None,
    **unused_kwargs: Any,
) -> Any:
    """`sdeint` whose gradients come from solving backwards: memory does not grow with the number of steps.

    With method="reversible_heun" the steps are undone, and the gradient is that of the discretisation to
    rounding; with other methods the adjoint SDE is solved on the same path, and the gradient's error falls
    with dt.

    Args:
        sde, y0, ts, bm, method, dt, adaptive, rtol, atol, dt_min, options, names, logqp, extra,
            extra_solver_state: as of `sdeint`.
        adjoint_method: of the way back; by default one that fits.
        adjoint_adaptive, adjoint_rtol, adjoint_atol: no effect: the way back takes the steps of the way
            there, also where those were adaptive.
        adjoint_options: no effect.
        adjoint_params: tensors that get gradients besides the ones that the SDE holds as parameters or
            otherwise. Needed, possibly as (), for an SDE that is no module.

    Returns:
        As `sdeint`.

    Raises:
        ValueError: arguments that do not fit one another.
    """
    warn_of_unused("sdeint_adjoint", unused_kwargs)
    if adjoint_params is None and not isinstance(sde, nn.Module):
        raise ValueError(
            "sde is no torch.nn.Module, whose parameters would be known; give adjoint_params, () for none"
        )
    check_constant(ts=ts, dt=dt, rtol=rtol, atol=atol, dt_min=dt_min)
    check_constant(adjoint_rtol=adjoint_rtol, adjoint_atol=adjoint_atol)
    problem = Problem(sde, y0, ts, bm, method, options, names, logqp, adaptive)
    chosen = adjoint_of(problem.method, adjoint_method, problem.fields.noise_type, problem.fields.sde_type)
    inputs = [x for x in adjoint_params or () if x.requires_grad]
    adjoint: Any
    if chosen == METHODS.adjoint_reversible_heun:
        adjoint = Reversible(inputs=inputs)
    else:
        if problem.method == METHODS.reversible_heun:
            warnings.warn(
                f"method={problem.method!r} with adjoint_method={adjoint_method!r} has approximate "
                "gradients; leave adjoint_method out for exact ones",
                stacklevel=CALLER - 1,
            )
        adjoint = Backsolve(method=chosen, inputs=inputs)
    solution = solved(problem, extra_solver_state, dt, rtol, atol, dt_min, adjoint)
    return problem.answer(solution, extra)
