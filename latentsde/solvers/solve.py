"""solve: from an equation, a start and times to a path, its gradients and its costs."""

from __future__ import annotations

import secrets
from typing import Any

import torch
from torch import Tensor

from ..brownian import AlignedPath, derive_seed
from .adjoints import ADJOINTS, Adjoint
from .choice import choose
from .controllers import ConstantStep, Controller
from .equation import Equation
from .finite import check_finite
from .grid import StepGrid, read_times
from .march import Problem, is_vectorized
from .methods import Method
from .solution import Solution, Stats
from .state import State, Value, each
from .timeline import Timeline


def solve(
    sde: Any,
    y0: Any,
    ts: Any,
    *,
    method: str | Method | None = None,
    dt: float | None = None,
    controller: Controller | None = None,
    path: Any = None,
    seed: int | None = None,
    adjoint: str | Adjoint = "direct",
    carry: Any = None,
) -> Solution:
    """Solve dy = f dt + g dW, or dy = f dt for an object without g, from y0 at ts[0] through every time of
    ts.

    Args:
        sde: see `SDE`.
        y0: (batch, ...), any shape, or a tuple of tensors (f and g then take and return tuples; None in g's
            is no noise there).
        ts: at least two times, increasing or decreasing: (times,) for all samples, or (times, batch) for each
            its own, padded by repeating its last time. Every one of them is a step point. Of an ODE, ts that
            asks for a gradient gets one.
        method: a name in `METHODS`, or a `Method`; by default one that fits the noise, named in
            `stats.method`.
        dt: the largest step, positive in both directions of time. Or a `controller`, which makes the steps
            itself.
        path: the noise, of y's shape for diagonal noise, (batch, 1) for scalar, (batch, m) for additive,
            commutative and general; a matching tuple for a tuple state. Without it one is made, aligned to
            the steps, from `seed`, or from a fresh seed that `stats.seed` records.
        adjoint: how gradients are taken: "direct" and "checkpointed" are exact and keep all steps or a root
            of them; "reversible" is exact and "backsolve" approximate, in constant memory. Or an `Adjoint`.
        carry: what the method carries besides y, to go on from where another solve ended
            (`solution.carry`).

    Raises:
        ValueError: a method that does not fit, shapes that do not match, ts that is not monotone, neither dt
            nor controller.
        NotFinite: f, g or the state became infinite or not a number; it says where and when.
    """
    y0 = State(y0) if isinstance(y0, tuple) else y0
    _check(y0, dt, controller)
    first = y0[0] if isinstance(y0, State) else y0
    equation = Equation(sde)
    name, chosen = choose(method, equation, areas=_has_areas(path))
    differentiated = _adjoint(adjoint)
    differentiated.check(equation, chosen, name)
    times = read_times(ts, first.shape[0] if first.dim() else None)
    wrt_times = _differentiable_times(ts, equation, differentiated)
    grid = (controller or ConstantStep(dt)).grid(times)  # type: ignore[arg-type]

    seed, path = _noise(equation, chosen, grid, y0, path, seed)
    timeline = Timeline(
        grid, y0, path, levy_area=chosen.levy_area_for(equation), long_blocks=is_vectorized(sde), ts=wrt_times
    )
    if hasattr(sde, "prepare"):
        sde.prepare(timeline.times())
    problem = Problem(equation, chosen, timeline, y0, carry, _wanted_points(grid))
    trajectory = differentiated.solve(problem)
    check_finite(problem, trajectory)

    stats = Stats(
        steps=grid.steps,
        rejected=0,
        drift_evaluations=equation.drift_evaluations,
        diffusion_evaluations=equation.diffusion_evaluations,
        method=name,
        seed=seed,
    )
    rank = torch.tensor(problem.wanted).cumsum(0)[grid.outputs] - 1
    ys = each(lambda *parts: _pick(torch.stack(parts), rank), *trajectory.states)
    total = None if trajectory.totals is None else _pick(torch.stack(trajectory.totals), rank)
    return Solution(
        ts=times,
        ys=tuple(ys) if isinstance(ys, State) else ys,
        stats=stats,
        functional=total,
        carry=trajectory.carry,
    )


def _noise(
    equation: Equation, method: Method, grid: StepGrid, y0: Value, path: Any, seed: int | None
) -> tuple[int | None, Any]:
    """The seed, None where it made nothing, and the path, None for an ODE."""
    if not equation.has_noise:
        return None, None
    first = y0[0] if isinstance(y0, State) else y0
    t0 = grid.points[0].to(first.device, first.dtype)
    t0 = t0.view(*t0.shape, *(1,) * (first.dim() - 1)) if grid.per_sample else t0
    shape = equation.noise_shape(t0, y0)
    levy_area = method.levy_area_for(equation)
    if path is None:
        seed = secrets.randbits(63) if seed is None else seed
        return seed, _own_path(shape, grid, seed, first, levy_area)
    _check_path(path, shape, levy_area)
    return None, path


def _own_path(shape: Any, grid: StepGrid, seed: int, like: Tensor, levy_area: str | None) -> Any:
    if isinstance(shape, tuple) and shape and not isinstance(shape[0], int):
        return tuple(
            None if part is None else _own_path(part, grid, derive_seed(seed, index), like, levy_area)
            for index, part in enumerate(shape)
        )
    area = None if levy_area is None else "space-time"
    return AlignedPath(shape, grid.points, seed=seed, levy_area=area, dtype=like.dtype, device=like.device)


def _check(y0: Value, dt: float | None, controller: Controller | None) -> None:
    for part in y0 if isinstance(y0, State) else (y0,):
        if not isinstance(part, Tensor) or not part.dtype.is_floating_point:
            raise ValueError("y0 must be a floating-point tensor or a tuple of them")
    if controller is None and dt is None:
        raise ValueError("solve needs a step: give dt, or a controller such as GivenGrid(times)")
    if controller is not None and dt is not None:
        raise ValueError("give dt or a controller, not both")


def _adjoint(adjoint: Any) -> Adjoint:
    if isinstance(adjoint, Adjoint):
        return adjoint
    if not isinstance(adjoint, str) or adjoint not in ADJOINTS:
        raise ValueError(f"adjoint must be one of {', '.join(map(repr, ADJOINTS))}, got {adjoint!r}")
    return ADJOINTS[adjoint]


def _differentiable_times(ts: Any, equation: Equation, adjoint: Adjoint) -> Tensor | None:
    """ts where gradients with respect to it are asked for."""
    if not (isinstance(ts, Tensor) and ts.requires_grad and torch.is_grad_enabled()):
        return None
    if equation.has_noise:
        raise ValueError(
            "ts asks for a gradient, but the state of an SDE has no derivative with respect to time: "
            "detach ts; of ODEs there is one"
        )
    if not adjoint.differentiates_times:
        raise ValueError(
            f'ts asks for a gradient; adjoint="{adjoint.name}" has none with respect to times: '
            'take "direct" or "checkpointed", or detach ts'
        )
    return ts


def _check_path(path: Any, shape: Any, levy_area: str | None) -> None:
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


def _has_areas(path: Any) -> bool:
    """Whether H can be had: from a path that is still to be made it can."""
    parts = path if isinstance(path, tuple) else (path,)
    return all(part is None or getattr(part, "levy_area", None) is not None for part in parts)


def _wanted_points(grid: StepGrid) -> list[bool]:
    wanted = torch.zeros(grid.steps + 1, dtype=torch.bool)
    wanted[grid.outputs.reshape(-1)] = True
    wanted[0] = True
    return wanted.tolist()


def _pick(stacked: Tensor, rank: Tensor) -> Tensor:
    """Rows (times, ...) of `stacked` (kept, batch, ...) at `rank` (times,), or (times, batch) with a row for
    each sample.
    """
    if rank.dim() == 1:
        return stacked if len(rank) == len(stacked) else stacked[rank]
    batch = stacked.shape[1]
    flat = (rank * batch + torch.arange(batch)).reshape(-1).to(stacked.device)
    return stacked.flatten(0, 1).index_select(0, flat).view(*rank.shape, *stacked.shape[2:])
