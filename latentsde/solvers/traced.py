"""solve inside torch.compile: its grid is a constant of the graph, its noise one operator.

Whoever compiles a function that calls `solve` gives times, dt and seed as numbers; what is made of them, with
the checks that look at values, is made once while the graph is traced.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..brownian import Increments
from .choice import choose
from .controllers import ConstantStep
from .equation import Equation
from .grid import StepGrid, read_times
from .march import Problem, march
from .methods import Method
from .noise import check_path, has_areas
from .solution import Solution, Stats
from .state import State, each, parts_of
from .timeline import Timeline


def solve_in_graph(
    sde: Any, y0: Any, ts: Any, method: str | Method | None, dt: Any, path: Any, seed: Any, others: Any
) -> Solution:
    """`solve` with fixed steps and the direct adjoint.

    A state that is not finite is returned as it is: a graph cannot look at values.

    Raises:
        ValueError: what would not be a constant, or is not supported in a graph.
    """
    if isinstance(ts, Tensor) or dt is None:
        raise ValueError("inside torch.compile solve takes its times and dt as numbers")
    if others or getattr(sde, "correlation_factor", None) is not None:
        raise ValueError(
            "inside torch.compile solve takes fixed steps and the direct adjoint alone: no controller, "
            "event, dense output, carry, per-sample times, functional or correlation_factor"
        )
    y0 = State(y0) if isinstance(y0, tuple) else y0
    first = parts_of(y0)[0]
    equation = Equation(sde)
    name, chosen = choose(method, equation, areas=has_areas(path))
    numbers, outputs = _plan(tuple(float(t) for t in ts), float(dt))
    points = torch.tensor(numbers, dtype=torch.float64)
    wanted = [k in outputs for k in range(len(numbers))]
    grid = StepGrid(points, points)
    area = chosen.levy_area_for(equation)
    if equation.has_noise:
        if path is None and seed is None:
            raise ValueError("inside torch.compile solve needs a seed or a path: a fresh seed is no constant")
        if path is None and isinstance(y0, State):
            raise ValueError("inside torch.compile solve needs a path for a tuple state")
        shape = equation.noise_shape(points[0].to(first.device, first.dtype), y0)
        equation.forget()  # a graph cannot ask whether two tensors are one
        if path is None:
            path = _CellsOfGrid(shape, points, seed, area, first)
        else:
            check_path(path, shape, area)
    timeline = Timeline(grid, y0, path if equation.has_noise else None, levy_area=area, on_device=True)
    if hasattr(sde, "prepare"):
        sde.prepare(timeline.times())
    found = march(Problem(equation, chosen, timeline, y0, None, wanted))
    ys = each(lambda *parts: torch.stack(parts), *found.states)
    stats = Stats(
        steps=len(wanted) - 1,
        rejected=0,
        drift_evaluations=equation.drift_evaluations,
        diffusion_evaluations=equation.diffusion_evaluations,
        method=name,
        seed=seed if equation.has_noise else None,
    )
    return Solution(ts=points, ys=tuple(ys) if isinstance(ys, State) else ys, stats=stats)


class _CellsOfGrid:
    """`AlignedPath`, without the checks of values that a graph cannot make."""

    def __init__(
        self, shape: tuple[int, ...], points: Tensor, seed: int, levy_area: str | None, like: Tensor
    ) -> None:
        self.shape, self.points, self.seed, self.levy_area = shape, points, seed, levy_area
        self.dtype = like.dtype
        self.ids = torch.arange(shape[0] if shape else 1, dtype=torch.int64, device=like.device)

    def increments(self, times: Tensor) -> Increments:
        channels = 1
        for size in self.shape[1:]:
            channels *= size
        area = self.levy_area is not None
        w, h = torch.ops.latentsde.cell_increments(
            times, self.points, self.ids, self.seed, channels, area, self.dtype
        )
        shape = (len(times) - 1, *self.shape)
        return Increments(w.view(shape), h.view(shape) if area else None)


@torch.compiler.assume_constant_result
def _plan(ts: tuple[float, ...], dt: float) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """The points of the grid, and which of them the requested times are."""
    grid = ConstantStep(dt).grid(read_times(ts, None))
    return tuple(grid.points.tolist()), tuple(grid.outputs.tolist())
