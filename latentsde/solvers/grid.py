"""StepGrid: every time the solver will stand at, made once. Times are read from it and never accumulated."""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor


@dataclass(frozen=True)
class StepGrid:
    """The points of all steps and where the requested times are among them.

    Attributes:
        points: float64 (steps + 1,) for all samples, or (steps + 1, batch); a sample whose grid is shorter
            than the longest one stands still at its last time.
        outputs: int64 (times,) or (times, batch), the index in `points` of every requested time: each is a
            step point.
        stops: int64 (batch,), the index in `points` where each sample stops: its later steps have no length
            and no noise, at the times of all. None where no sample stops before the last point.
    """

    points: Tensor
    outputs: Tensor
    stops: Tensor | None = None

    @property
    def steps(self) -> int:
        return len(self.points) - 1

    @property
    def per_sample(self) -> bool:
        return self.points.dim() == 2


def read_times(ts: object, batch: int | None) -> Tensor:
    """`ts` as float64 (times,) or (times, batch), checked: finite, at least two, in one direction."""
    times = ts.detach() if isinstance(ts, Tensor) else torch.as_tensor(ts, dtype=torch.float64)
    times = times.to("cpu", torch.float64)
    if times.dim() not in (1, 2) or len(times) < 2:
        raise ValueError(
            f"ts must be at least two times, (times,) or (times, batch), got shape {tuple(times.shape)}"
        )
    if times.dim() == 2 and times.shape[1] != batch:
        raise ValueError(
            f"ts of shape {tuple(times.shape)} gives each sample its own times; y0 has {batch} samples"
        )
    if times.dim() == 1 and _in_order(times.tolist()):
        return times
    if not bool(times.isfinite().all()):
        raise ValueError("ts has a time that is not finite")
    gaps = times.diff(dim=0)
    shared = times.dim() == 1
    ascending = (gaps > 0).all() if shared else (gaps >= 0).all()
    descending = (gaps < 0).all() if shared else (gaps <= 0).all()
    if not bool(ascending | descending):
        # The direction is that of the whole, or of the first sample that has one.
        whole = (times[-1] - times[0]).reshape(-1)
        forwards = bool((whole[whole != 0][:1] > 0).all())
        against = gaps < 0 if forwards else gaps > 0
        wrong = against | (gaps == 0) if shared else against
        place = int(wrong.reshape(len(gaps), -1).any(1).nonzero()[0]) + 1
        raise ValueError(f"ts must be increasing or decreasing throughout; look at ts[{place}]")
    return times


def _in_order(numbers: list[float]) -> bool:
    """Whether they are finite, and each is larger than the one before it, or each is smaller."""
    if not (math.isfinite(numbers[0]) and math.isfinite(numbers[-1])):
        return False
    return all(a < b for a, b in pairwise(numbers)) or all(a > b for a, b in pairwise(numbers))


def equal_steps(times: Tensor, dt: float) -> StepGrid:
    """Every interval of `times` cut into the fewest equal steps of at most `dt`; a repeated time makes no
    step.
    """
    if times.dim() == 1:
        return _shared_steps(times.tolist(), dt)
    single = (times.to(torch.float32) == times).all(0)
    rounding = (_ROUNDING * times.abs().amax(0) * single).clamp_max(1e-3 * dt)
    gaps = times.diff(dim=0)
    counts = torch.ceil((gaps.abs() * _SLACK - rounding) / dt).to(torch.int64)
    counts = torch.where(gaps == 0, 0, counts.clamp_min(1))
    ends = counts.cumsum(0)
    starts = torch.cat([torch.zeros_like(ends[:1]), ends])
    steps = int(ends[-1].max())
    index = torch.arange(steps, dtype=torch.int64).expand(times.shape[1], steps).contiguous()
    interval = torch.searchsorted(ends.t().contiguous(), index, right=True).t()
    done = interval == len(gaps)
    interval = interval.clamp_max(len(gaps) - 1)
    offset = (index.t() - starts.gather(0, interval)).to(torch.float64)
    size = gaps.gather(0, interval) / counts.gather(0, interval).clamp_min(1)
    points = torch.where(done, times[-1], times.gather(0, interval) + offset * size)
    return StepGrid(torch.cat([points, times[-1:]]), starts)


# The slack keeps an interval of n dt, up to rounding, at n steps. Times that are float32 numbers come with
# float32's: of linspace(0, 1, 11) some gaps are 0.1 and a few 1e-8.
_SLACK = 1.0 - 1e-9
_ROUNDING = 4 * torch.finfo(torch.float32).eps


def _shared_steps(times: list[float], dt: float) -> StepGrid:
    """`equal_steps` of one grid for all samples, in numbers: there are few times, and tensors cost more."""
    single = array("f", times).tolist() == times
    rounding = min(_ROUNDING * max(abs(times[0]), abs(times[-1])), 1e-3 * dt) if single else 0.0
    points: list[float] = []
    outputs = [0]
    for start, end in pairwise(times):
        gap = end - start
        count = max(1, math.ceil((abs(gap) * _SLACK - rounding) / dt)) if gap else 0
        points.extend(start + k * (gap / count) for k in range(count))
        outputs.append(len(points))
    points.append(times[-1])
    return StepGrid(torch.tensor(points, dtype=torch.float64), torch.tensor(outputs))


def given_steps(times: Tensor, grid: Tensor, rounding: float) -> StepGrid:
    """The points of `grid` in the direction of `times`, and every requested time; points nearer than
    `rounding` are one.
    """
    if times.dim() == 2:
        raise ValueError(
            "a given grid serves one grid for all samples; with ts of shape (times, batch) use dt"
        )
    descending = bool(times[-1] < times[0])
    ordered = times.flip(0) if descending else times
    inside = torch.unique(grid[(grid > ordered[0]) & (grid < ordered[-1])])
    # A point that is a requested time, or the point before it, up to rounding is not a second one a rounding
    # error away.
    near = rounding * ordered[[0, -1]].abs().max()
    above = torch.searchsorted(ordered, inside)
    apart = torch.minimum(ordered[above] - inside, inside - ordered[above - 1]) > near
    inside = inside[apart]
    apart = torch.diff(inside, prepend=ordered[:1]) > near
    points = torch.cat([inside[apart], times]).sort().values
    outputs = torch.searchsorted(points, times)
    if descending:
        points, outputs = points.flip(0), len(points) - 1 - outputs
    return StepGrid(points, outputs)
