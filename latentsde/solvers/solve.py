"""solve: from an equation, a start and times to a path, its gradients and its costs."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..brownian import AlignedPath
from .adaptive import adapt
from .adjoints import ADJOINTS, Adjoint
from .choice import check_adaptive, choose
from .compiled import CompiledChunks
from .controllers import ConstantStep, Controller
from .dense import Dense
from .equation import Equation
from .events import Event, first_changes, frozen, stop, truncated
from .finite import check_finite
from .grid import StepGrid, read_times
from .march import Problem, Trajectory, is_vectorized
from .methods import Method
from .noise import has_areas, noise_for
from .pid import PID
from .solution import Solution, Stats
from .state import State, Value, each, parts_of
from .timeline import Timeline
from .traced import solve_in_graph


def solve(
    sde: Any,
    y0: Any,
    ts: Any,
    *,
    method: str | Method | None = None,
    dt: float | None = None,
    controller: Controller | PID | None = None,
    path: Any = None,
    seed: int | None = None,
    adjoint: str | Adjoint = "direct",
    event: Event | None = None,
    dense: bool = False,
    compile: bool | int = False,
    carry: Any = None,
) -> Solution:
    """Solve dy = f dt + g dW, or dy = f dt for an object without g, from y0 at ts[0] through every time of
    ts.

    Args:
        sde: see `SDE`.
        y0: (batch, ...), any shape, or a tuple of tensors (f and g then take and return tuples; None in g's
            is no noise there).
        ts: at least two times, increasing or decreasing: (times,) for all samples, or (times, batch) for each
            its own, padded by repeating its last time, where f and g are evaluated and must be finite. Every
            one of them is a step point. Of an ODE, ts that asks for a gradient gets one.
        method: a name in `METHODS`, or a `Method`; by default one that fits the noise, named in
            `stats.method`.
        dt: the largest step, positive in both directions of time. Or a `controller`: ConstantStep, GivenGrid,
            or PID for adaptive steps, whose accepted ones are what is differentiated.
        path: the noise, of y's shape for diagonal noise, (batch, 1) for scalar, (batch, m) for additive,
            commutative and general; a matching tuple for a tuple state. Without it one is made, aligned to
            the steps (adaptive or dense ones: a tree over all of ts), from `seed`, or from a fresh seed that
            `stats.seed` records.
        adjoint: how gradients are taken: "direct" and "checkpointed" are exact and keep all steps or a root
            of them; "reversible" is exact and "backsolve" approximate, in constant memory. Or an `Adjoint`.
        event: stops each sample where a condition changes its sign; see `solution.event`. It takes no steps
            after that one, and later states are that of the event.
        dense: keeps every step, for `solution.at(times)`.
        compile: takes steps in chunks (of 20, or of the number given) compiled by torch.compile: a one-time
            cost of tens of seconds for each shape, then a fraction of the time for small networks. Falls
            back to plain steps with one warning.
        carry: what the method carries besides y, to go on from where another solve ended
            (`solution.carry`).

    Raises:
        ValueError: a method that does not fit, shapes that do not match, ts that is not monotone, neither dt
            nor controller, times outside the path.
        StepTooSmall: adaptive steps cannot meet their tolerance.
        NotFinite: f, g or the state became infinite or not a number; it says where and when.
    """
    if torch.compiler.is_compiling():
        others = (controller, event, dense, carry, adjoint != "direct", hasattr(sde, "functional"))
        return solve_in_graph(sde, y0, ts, method, dt, path, seed, any(others))
    y0 = State(y0) if isinstance(y0, tuple) else y0
    _check(sde, y0, dt, controller, event)
    first = parts_of(y0)[0]
    equation = Equation(sde)
    name, chosen = choose(method, equation, areas=has_areas(path))
    differentiated = _adjoint(adjoint)
    differentiated.check(equation, chosen, name)
    times = read_times(ts, first.shape[0] if first.dim() else None)
    wrt_times = _differentiable_times(ts, equation, differentiated)
    taken = controller if controller is not None else ConstantStep(dt)  # type: ignore[arg-type]
    grid = None if isinstance(taken, PID) else taken.grid(times)
    seed, path = noise_for(equation, chosen, None if dense else grid, times, y0, path, seed)
    if grid is not None and seed is not None and isinstance(path, AlignedPath):
        grid = replace(grid, points=path.grid)  # the path's copy of them serves both

    rejected, found, crossed = 0, None, None
    if isinstance(taken, PID):
        check_adaptive(chosen, equation, name)
        adapted = adapt(taken, equation, chosen, y0, times, path, carry, event)
        grid, rejected, crossed = adapted.grid, adapted.rejected, adapted.crossed
        plain = not (dense or event or wrt_times is not None or hasattr(sde, "functional"))
        if plain and not adapted.differentiable:
            found = adapted.trajectory
    assert grid is not None
    chunk = 20 if compile is True else int(compile) or 1
    advance = CompiledChunks(equation, chosen, chunk) if compile else None
    terms = None
    if type(chosen).terms_of_noise is not Method.terms_of_noise:
        terms = functools.partial(chosen.terms_of_noise, equation)

    def on(grid: StepGrid) -> Problem:
        area, blocks = chosen.levy_area_for(equation), is_vectorized(sde)
        timeline = Timeline(
            grid,
            y0,
            path,
            levy_area=area,
            long_blocks=blocks,
            chunk=chunk,
            ts=wrt_times,
            terms=terms,
            fractions=chosen.fractions,
        )
        if hasattr(sde, "prepare"):
            sde.prepare(timeline.times())
        wanted = b"\1" * (grid.steps + 1) if dense else _wanted_points(grid)
        return Problem(equation, chosen, timeline, y0, carry, wanted, advance)

    problem = on(grid)
    if event is not None and grid.steps:
        crossed = crossed or first_changes(problem, grid, event)
        grid = truncated(grid, crossed.steps)
        problem = on(grid)
    if found is None:
        found = differentiated.solve(problem)
        check_finite(problem, found)
        ys, total = _at_outputs(found, problem.wanted, grid)
    else:
        ys, total = each(lambda *parts: torch.stack(parts), *found.states), None

    stopped = None
    if event is not None and crossed is not None:
        stopped = stop(problem, grid, event, crossed, each(lambda y: y[-2:], ys))
        ys = frozen(times, each(lambda y: y[:-2], ys), stopped)
    stats = Stats(
        steps=grid.steps,
        rejected=rejected,
        drift_evaluations=equation.drift_evaluations,
        diffusion_evaluations=equation.diffusion_evaluations,
        method=name,
        seed=seed,
    )
    at = None
    if dense:
        states = each(lambda *parts: torch.stack(parts), *found.states)
        states = states if stopped is None else frozen(grid.points, states, stopped)
        at = Dense(problem, grid, times, states, stopped)
    return Solution(
        ts=times,
        ys=tuple(ys) if isinstance(ys, State) else ys,
        stats=stats,
        functional=total,
        carry=found.carry,
        event=stopped,
        at=at,
    )


def _at_outputs(found: Trajectory, wanted: Sequence[int], grid: StepGrid) -> tuple[Value, Tensor | None]:
    """The states and the functional's totals at the grid's outputs."""
    if grid.outputs.dim() == 1 and found.totals is None and len(found.states) == len(grid.outputs):
        return each(lambda *parts: torch.stack(parts), *found.states), None  # no other points were kept
    rank = torch.tensor(list(wanted)).cumsum(0)[grid.outputs] - 1
    ys = each(lambda *parts: _pick(torch.stack(parts), rank), *found.states)
    return ys, None if found.totals is None else _pick(torch.stack(found.totals), rank)


def _check(sde: Any, y0: Value, dt: float | None, controller: Any, event: Event | None) -> None:
    for part in y0 if isinstance(y0, State) else (y0,):
        if not isinstance(part, Tensor) or not part.dtype.is_floating_point:
            raise ValueError("y0 must be a floating-point tensor or a tuple of them")
    if controller is None and dt is None:
        raise ValueError("solve needs a step: give dt, or a controller such as GivenGrid(times)")
    if controller is not None and dt is not None:
        raise ValueError("give dt or a controller, not both")
    if event is not None and hasattr(sde, "functional"):
        raise ValueError(
            "an event stops samples, and an SDE's functional does not stop with them: "
            "solve without one of them"
        )
    if event is not None and not parts_of(y0)[0].dim():
        raise ValueError("an event needs a batch of samples; give y0 of shape (batch, ...)")


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


def _wanted_points(grid: StepGrid) -> bytes:
    wanted = bytearray(grid.steps + 1)
    wanted[0] = 1
    for k in (grid.outputs.unique() if grid.outputs.dim() == 2 else grid.outputs).tolist():
        wanted[k] = 1
    return bytes(wanted)


def _pick(stacked: Tensor, rank: Tensor) -> Tensor:
    """Rows (times, ...) of `stacked` (kept, batch, ...) at `rank` (times,), or (times, batch) with a row for
    each sample.
    """
    if rank.dim() == 1:
        return stacked if len(rank) == len(stacked) else stacked[rank]
    batch = stacked.shape[1]
    flat = (rank * batch + torch.arange(batch)).reshape(-1).to(stacked.device)
    return stacked.flatten(0, 1).index_select(0, flat).view(*rank.shape, *stacked.shape[2:])
