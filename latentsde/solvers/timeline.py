"""Timeline: a grid's steps as the methods take them, with the noise of each, made a block at a time.

It can be walked in both directions as often as an adjoint likes: times come from the grid and the noise is a
function of time, so every walk gives the same numbers, and what it holds at once does not grow with the
number of steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from ..brownian import levy_areas
from .grid import StepGrid
from .methods import Step
from .state import State, Value, each, parts_of

# The most steps whose noise is there at once, and the most numbers in it: few enough that a hundred steps of
# a large state need no less memory than a million. Work done on whole blocks has more of them.
_BLOCK_STEPS = 128
_BLOCK_NUMBERS = 2**18
_LONG_BLOCK_NUMBERS = 2**22
# The most numbers of W whose terms are made at once: what is made of them stays in the cache.
_TERMS_NUMBERS = 2**15


class Timeline:
    """The steps of `grid` for states like `y0` under `path` (None for an ODE).

    Args:
        levy_area: what the method needs of the path besides W (see `Method`).
        long_blocks: as many steps in a block as fit into memory of a bounded size, for work on whole blocks.
        chunk: steps that are taken together: a block holds whole chunks.
        ts: the requested times, where gradients with respect to them are asked for.
        on_device: lengths as tensors, so that no number has to come to the host.
        terms, fractions: what a method makes of the noise of a block of steps, `Method.terms_of_noise`, and
            where in a step it evaluates f and g.
    """

    def __init__(
        self,
        grid: StepGrid,
        y0: Value,
        path: Any,
        *,
        levy_area: str | None = None,
        long_blocks: bool = False,
        chunk: int = 1,
        ts: Tensor | None = None,
        on_device: bool = False,
        terms: Callable[[Step], Any] | None = None,
        fractions: tuple[float, ...] = (),
    ) -> None:
        self.grid, self.path, self.levy_area = grid, path, levy_area
        self.like = y0[0] if isinstance(y0, State) else y0
        self._parts = [part.dim() for part in (y0 if isinstance(y0, State) else (y0,))]
        self._tuple = isinstance(y0, State)
        width = max(1, sum(part.shape.numel() for part in (y0 if isinstance(y0, State) else (y0,))))
        if long_blocks:
            self.block_steps = max(1, _LONG_BLOCK_NUMBERS // width)
        else:
            self.block_steps = max(8, min(_BLOCK_STEPS, _BLOCK_NUMBERS // width))
        self.block_steps = chunk * max(1, self.block_steps // chunk)
        self._exact: Tensor | None = None
        if ts is not None:
            self._exact = _differentiable(grid.points, ts).to(self.like.device)
        self._stops = None if grid.stops is None else grid.stops.to(self.like.device)
        self._times: Any = None
        self._on_device, self._make_terms, self._fractions = on_device, terms, fractions

    @property
    def steps(self) -> int:
        return self.grid.steps

    @property
    def own_lengths(self) -> bool:
        """Whether a step has a length for each sample, shaped to multiply y."""
        return self.grid.per_sample or self._stops is not None

    def inputs(self) -> list[Tensor]:
        """The tensors with gradients that the steps depend on: the requested times, where asked for."""
        return [] if self._exact is None else [self._exact]

    def times(self) -> list[Tensor]:
        """The very tensors that f and g will be given at all points of the grid, from here on."""
        if self._times is None:
            self._times = _beside(self._points(0, self.steps + 1), self._parts[0]).unbind(0)
        return list(self._times)

    def time(self, k: int) -> Any:
        """The time of point k, as f and g take it."""
        if self._times is not None:
            return self._times[k]
        return _beside(self._points(k, k + 1), self._parts[0])[0]

    @property
    def first(self) -> Any:
        """The time of the first point."""
        return self.time(0)

    def blocks(self, *, backwards: bool = False) -> Iterator[tuple[int, int]]:
        """(start, stop) of the blocks of steps, in their order or against it."""
        return _blocks(self.steps, self.block_steps, backwards)

    def block(self, start: int, stop: int) -> list[Step]:
        """The steps start .. stop - 1."""
        if stop <= start:
            return []
        stacked = self.stacked(start, stop)
        t, _, h, length, W, H, A, *_ = stacked
        times = self._times_between(t, stop - start)
        t = self._times[start : stop + 1] if self._times else t.unbind(0)
        if self._as_numbers:
            h = self.grid.points[start : stop + 1].diff(dim=0).tolist()
            length = [abs(number) for number in h]
        count = stop - start
        columns = [x if isinstance(x, list) else _rows(x, count) for x in (h, length, W, H, A)]
        return list(map(Step, t, t[1:], *columns, self._terms_of(stacked, count), times))

    def stacked(self, start: int, stop: int) -> Step:
        """The same steps with a leading axis of steps in everything, t0 the times of all their ends."""
        points = self.grid.points[start : stop + 1]
        noise = self._noise(points)
        t = _beside(self._points(start, stop + 1), self._parts[0])
        exact = points if self._exact is None else self._exact[start : stop + 1]
        steps = exact.diff(dim=0).to(self.like.device, self.like.dtype)
        if self._stops is not None:
            going = torch.arange(start, stop, device=steps.device).unsqueeze(1) < self._stops
            steps = torch.where(going, steps.view(len(steps), -1), 0.0)
            noise = [None if x is None else each(lambda v: _only(going, v), x) for x in noise]
        W, H, A = noise
        if steps.dim() == 1:
            return Step(t, None, steps, None if W is None else steps.abs(), W, H, A)
        h: Any = [_beside(steps, dim) for dim in self._parts]
        length = None if W is None else each(lambda w: _beside(steps.abs(), w.dim() - 1), W)
        return Step(t, None, State(h) if self._tuple else h[0], length, W, H, A)

    def _points(self, start: int, stop: int) -> Tensor:
        """The times of some points as f and g are given them; none are held beside the grid."""
        points = self.grid.points if self._exact is None else self._exact
        return points[start:stop].to(self.like.device, self.like.dtype)

    def _times_between(self, t: Tensor, count: int) -> list[Any]:
        """The times at the method's fractions of each of `count` steps."""
        if not self._fractions:
            return [None] * count
        columns = [torch.lerp(t[:-1], t[1:], fraction).unbind(0) for fraction in self._fractions]
        return [dict(zip(self._fractions, row, strict=True)) for row in zip(*columns, strict=True)]

    def _terms_of(self, stacked: Step, count: int) -> list[Any]:
        """What the method makes of the noise, for each of `count` steps; None leaves it to the step."""
        numbers = sum(part[0].numel() for part in parts_of(stacked.W)) if stacked.W is not None else 0
        size = _TERMS_NUMBERS // max(1, numbers)
        # Of so many numbers the operations are not dear, but the way to memory and back.
        if self._make_terms is None or stacked.W is None or size < 4:
            return [None] * count
        length = stacked.length
        if not self.own_lengths:
            length = each(lambda w: length.view(-1, *(1,) * (w.dim() - 1)), stacked.W)
        rows: list[Any] = []
        for k in range(0, count, size):
            own = (
                None if x is None else each(lambda v, k=k: v[k : k + size], x)
                for x in (length, stacked.W, stacked.H, stacked.A)
            )
            terms = self._make_terms(Step(None, None, None, *own))
            if terms is None:
                return [None] * count
            rows.extend(zip(*(_rows(x, min(size, count - k)) for x in terms), strict=True))
        return rows

    def walk(self) -> Iterator[Step]:
        """All steps in their order."""
        for start, stop in self.blocks():
            yield from self.block(start, stop)

    @property
    def _as_numbers(self) -> bool:
        """Whether a step's length is a Python number, which costs an operation less than a tensor."""
        return not (self.own_lengths or self._on_device or self._exact is not None)

    def _noise(self, points: Tensor) -> Any:
        if self.path is None:
            return None, None, None
        if not isinstance(self.path, tuple):
            return self._noise_of(self.path, points)
        parts = [(None, None, None) if part is None else self._noise_of(part, points) for part in self.path]
        W, H, A = (State(column) for column in zip(*parts, strict=True))
        return W, H if self.levy_area else None, A if self.levy_area in ("davie", "foster") else None

    def _noise_of(self, path: Any, points: Tensor) -> tuple[Any, Any, Any]:
        dtype = self.like.dtype
        increments = path.increments(points)
        W = increments.W.to(dtype)
        if self.levy_area is None:
            return W, None, None
        H = increments.H.to(dtype)
        if self.levy_area == "space-time":
            return W, H, None
        # A path may have areas of its own: in its answer, or on request.
        A, areas = getattr(increments, "A", None), getattr(path, "areas", None)
        if A is None and areas is not None:
            A = areas(points, self.levy_area)
        elif A is None:
            A = levy_areas(W, H, points, self.levy_area, seed=path.seed, ids=path.ids)
        return W, H, A.to(dtype)


class Part:
    """Some consecutive steps of a timeline, as a timeline."""

    def __init__(self, whole: Timeline, start: int, stop: int) -> None:
        self.whole, self.start, self.steps = whole, start, stop - start

    @property
    def own_lengths(self) -> bool:
        """As of the whole."""
        return self.whole.own_lengths

    def inputs(self) -> list[Tensor]:
        """As of the whole."""
        return self.whole.inputs()

    @property
    def first(self) -> Any:
        """The time of the first point."""
        return self.whole.time(self.start)

    def blocks(self, *, backwards: bool = False) -> Iterator[tuple[int, int]]:
        """(start, stop) of the blocks of steps, counted from the first of these."""
        return _blocks(self.steps, self.whole.block_steps, backwards)

    def block(self, start: int, stop: int) -> list[Step]:
        """The steps start .. stop - 1 of these."""
        return self.whole.block(self.start + start, self.start + stop)

    def stacked(self, start: int, stop: int) -> Step:
        """The same with a leading axis of steps."""
        return self.whole.stacked(self.start + start, self.start + stop)


def _blocks(steps: int, size: int, backwards: bool) -> Iterator[tuple[int, int]]:
    starts = range(0, steps, size)
    return ((k, min(k + size, steps)) for k in (reversed(starts) if backwards else starts))


def _beside(values: Tensor, dim: int) -> Tensor:
    """(n, batch) shaped (n, batch, 1, ...) to broadcast over a state of `dim` dimensions; (n,) stays."""
    return values.view(*values.shape, *(1,) * (dim - 1)) if values.dim() == 2 else values


def _only(going: Tensor, values: Tensor) -> Tensor:
    """(n, batch, ...) where `going`, (n, batch), and zero elsewhere."""
    return torch.where(_beside(going, values.dim() - 1), values, 0.0)


def _rows(value: Any, count: int) -> list[Any]:
    if value is None:
        return [None] * count
    if not isinstance(value, tuple):
        return list(value.unbind(0))
    return [State(row) for row in zip(*(_rows(part, count) for part in value), strict=True)]


def _differentiable(points: Tensor, ts: Tensor) -> Tensor:
    """The grid's points as functions of the requested times: each keeps its share of its interval."""
    if ts.dim() == 2:
        columns = zip(points.unbind(1), ts.unbind(1), strict=True)
        return torch.stack([_differentiable(*column) for column in columns], 1)
    exact = ts.to(torch.float64)
    fixed = exact.detach().cpu()
    sign = 1.0 if bool(fixed[-1] >= fixed[0]) else -1.0
    interval = torch.searchsorted(fixed * sign, points * sign, right=True) - 1
    interval = interval.clamp_max(len(fixed) - 2)
    gaps = fixed.diff()
    share = (points - fixed[interval]) / torch.where(gaps == 0, 1.0, gaps)[interval]
    return exact[interval] + share.to(exact.device) * exact.diff()[interval]
