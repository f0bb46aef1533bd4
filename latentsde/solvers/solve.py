"""The loop, and nothing else."""

from __future__ import annotations

import secrets
from typing import Any

import torch
from torch import Tensor

from ..brownian import AlignedPath, derive_seed
from .choice import choose
from .controllers import ConstantStep, Controller
from .grid import StepGrid, read_times
from .methods import Step
from .sde import Equation
from .solution import Solution, Stats
from .state import State, Value, each

# Increments drawn at once, in numbers: bounds the memory of the noise whatever the number of steps.
_NOISE_BLOCK = 2**22
_ADJOINTS = ("direct",)


def solve(
    sde: Any,
    y0: Any,
    ts: Any,
    *,
    method: str | None = None,
    dt: float | None = None,
    controller: Controller | None = None,
    path: Any = None,
    seed: int | None = None,
    adjoint: str = "direct",
) -> Solution:
    """Solve dy = f dt + g dW, or dy = f dt for an object without g, from y0 at ts[0] through every time of
    ts.

    Args:
        sde: see `SDE`.
        y0: (batch, ...), any shape, or a tuple of tensors (f and g then take and return tuples; None in g's
            is no noise there).
        ts: at least two times, increasing or decreasing: (times,) for all samples, or (times, batch) for each
            its own, padded by repeating its last time. Every one of them is a step point.
        method: a name in `METHODS`; by default one that fits the noise, named in `stats.method`.
        dt: the largest step, positive in both directions of time. Or a `controller`, which makes the steps
            itself.
        path: the noise, of y's shape for diagonal noise, (batch, 1) for scalar, (batch, m) for additive and
            general; a matching tuple for a tuple state. Without it one is made, aligned to the steps, from
            `seed`, or from a fresh seed that `stats.seed` records.
        adjoint: how gradients are taken; "direct" differentiates the steps.

    Raises:
        ValueError: a method that does not fit, shapes that do not match, ts that is not monotone, neither dt
            nor controller.
    """
    y0 = State(y0) if isinstance(y0, tuple) else y0
    first = y0[0] if isinstance(y0, State) else y0
    _check(y0, dt, controller, adjoint)
    equation = Equation(sde)
    name, chosen = choose(method, equation)
    times = read_times(ts, first.shape[0] if first.dim() else None)
    grid = (controller or ConstantStep(dt)).grid(times)  # type: ignore[arg-type]

    clock = _Clock(grid, y0)
    if hasattr(sde, "prepare"):
        sde.prepare(clock.t)
    noise: Any = None
    if equation.has_noise:
        noise_shape = equation.noise_shape(clock.t[0], y0)
        if path is None:
            seed = secrets.randbits(63) if seed is None else seed
            path = _own_path(noise_shape, grid, seed, first)
        else:
            seed = None
            _check_path(path, noise_shape)
        noise = path
    else:
        seed = None

    wanted = _wanted_points(grid)
    kept: list[Value] = [y0]
    functional = _Functional(sde) if hasattr(sde, "functional") else None
    carry = chosen.start(equation, clock.t[0], y0)
    y = y0
    width = sum(part.shape.numel() for part in (y0 if isinstance(y0, State) else (y0,)))
    block = max(1, _NOISE_BLOCK // max(1, width))
    for start in range(0, grid.steps, block):
        stop = min(start + block, grid.steps)
        dW = _increments(noise, grid.points[start : stop + 1], first.dtype)
        before: list[Value] = []
        for k in range(start, stop):
            before.append(y)
            W = None if dW is None else each(lambda w, i=k - start: w[i], dW)
            step = Step(clock.t[k], clock.t[k + 1], clock.h[k], clock.h_noise(k, W), W)
            y, carry = chosen.advance(equation, step, y, carry)
            if wanted[k + 1]:
                kept.append(y)
        if functional is not None:
            functional.add(clock, start, before, dW)
    stats = Stats(
        steps=grid.steps,
        rejected=0,
        drift_evaluations=equation.drift_evaluations,
        diffusion_evaluations=equation.diffusion_evaluations,
        method=name,
        seed=seed,
    )
    rank = torch.tensor(wanted).cumsum(0)[grid.outputs] - 1
    ys = each(lambda *parts: _pick(torch.stack(parts), rank), *kept)
    total = None if functional is None else functional.at(grid.outputs, first)
    return Solution(times, tuple(ys) if isinstance(ys, State) else ys, stats, total)


class _Clock:
    """The grid's times and steps as the methods take them: 0-d tensors and numbers, or shaped to broadcast
    over y.
    """

    def __init__(self, grid: StepGrid, y0: Value) -> None:
        first = y0[0] if isinstance(y0, State) else y0
        points = grid.points.to(first.device, first.dtype)
        self.steps = grid.points.diff(dim=0)
        self.per_sample = grid.per_sample
        if not grid.per_sample:
            self.t: Any = points.unbind(0)
            self.h: Any = self.steps.tolist()
            return
        self.t = _beside(points, first).unbind(0)
        self.steps = self.steps.to(first.device, first.dtype)
        parts = [_beside(self.steps, part).unbind(0) for part in (y0 if isinstance(y0, State) else (y0,))]
        self.h = [State(p) for p in zip(*parts, strict=True)] if isinstance(y0, State) else parts[0]

    def h_noise(self, k: int, W: Any) -> Any:
        """The length of step k, shaped to multiply W."""
        if not self.per_sample or W is None:
            return self.h[k]
        return each(lambda w: _beside(self.steps[k : k + 1], w)[0], W)


class _Functional:
    """Adds up an SDE's additive functional by the left-point rule, a step at a time or a block of steps at
    once.
    """

    def __init__(self, sde: Any) -> None:
        self.sde = sde
        self.vectorized = bool(getattr(sde, "functional_vectorized", False))
        self.parts: list[Tensor] = []

    def add(self, clock: _Clock, start: int, before: list[Value], dW: Any) -> None:
        steps = range(start, start + len(before))
        if not self.vectorized:
            for i, k in enumerate(steps):
                W = None if dW is None else each(lambda w, i=i: w[i], dW)
                self.parts.append(self.sde.functional(clock.t[k], before[i], clock.h[k], W).unsqueeze(0))
            return
        first = before[0][0] if isinstance(before[0], State) else before[0]
        axes = (1,) * first.dim()
        t = torch.stack(clock.t[start : start + len(before)])
        if clock.per_sample:
            h = torch.stack(
                [
                    part[0] if isinstance(part, State) else part
                    for part in clock.h[start : start + len(before)]
                ]
            )
        else:
            t = t.view(-1, *axes)
            h = torch.tensor(
                clock.h[start : start + len(before)], dtype=first.dtype, device=first.device
            ).view(-1, *axes)
        y = each(lambda *parts: torch.stack(parts), *before)
        self.parts.append(self.sde.functional(t, y, h, dW))

    def at(self, outputs: Tensor, first: Tensor) -> Tensor:
        if not self.parts:
            return first.new_zeros(len(outputs), first.shape[0])
        increments = torch.cat(self.parts)
        running = torch.cat([torch.zeros_like(increments[:1]), increments.cumsum(0)])
        return _pick(running, outputs)


def _beside(values: Tensor, y: Tensor) -> Tensor:
    """(n, batch) shaped (n, batch, 1, ...) to broadcast over y of shape (batch, ...)."""
    return values.view(*values.shape, *(1,) * (y.dim() - 1))


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
        # Of states only the points asked for are kept; of a functional's running sum, every step.
        return stacked if len(rank) == len(stacked) else stacked[rank]
    batch = stacked.shape[1]
    flat = (rank * batch + torch.arange(batch)).reshape(-1).to(stacked.device)
    return stacked.flatten(0, 1).index_select(0, flat).view(*rank.shape, *stacked.shape[2:])


def _increments(noise: Any, points: Tensor, dtype: torch.dtype) -> Any:
    if noise is None:
        return None
    if isinstance(noise, tuple):
        return State(None if part is None else part.increments(points).W.to(dtype) for part in noise)
    return noise.increments(points).W.to(dtype)


def _own_path(shape: Any, grid: StepGrid, seed: int, like: Tensor) -> Any:
    if isinstance(shape, tuple) and shape and not isinstance(shape[0], int):
        return tuple(
            None if part is None else _own_path(part, grid, derive_seed(seed, index), like)
            for index, part in enumerate(shape)
        )
    return AlignedPath(shape, grid.points, seed=seed, dtype=like.dtype, device=like.device)


def _check(y0: Value, dt: float | None, controller: Controller | None, adjoint: str) -> None:
    for part in y0 if isinstance(y0, State) else (y0,):
        if not isinstance(part, Tensor) or not part.dtype.is_floating_point:
            raise ValueError("y0 must be a floating-point tensor or a tuple of them")
    if adjoint not in _ADJOINTS:
        raise ValueError(f"adjoint must be one of {', '.join(map(repr, _ADJOINTS))}, got {adjoint!r}")
    if controller is None and dt is None:
        raise ValueError("solve needs a step: give dt, or a controller such as GivenGrid(times)")
    if controller is not None and dt is not None:
        raise ValueError("give dt or a controller, not both")


def _check_path(path: Any, shape: Any) -> None:
    given = (
        tuple(None if part is None else part.shape for part in path)
        if isinstance(path, tuple)
        else path.shape
    )
    if given != shape:
        raise ValueError(f"the path has shape {given}; this equation's noise needs {shape}")
