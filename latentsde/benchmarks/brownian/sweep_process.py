"""`python -m latentsde.benchmarks.brownian.sweep_process JSON`: one sweep here, then its peak memory."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from latentsde.benchmarks.brownian.peers import torchsde_interval
from latentsde.benchmarks.brownian.sweeps import NUMBERS_IN_A_BLOCK
from latentsde.brownian import VirtualBrownianTree

Peaks = list[tuple[int, float]]


@dataclass(frozen=True)
class Sweep:
    """A sweep over the first steps of a grid, or backwards over its last ones.

    Attributes:
        kind: "tree", "aligned" or "torchsde".
        asked: "calls" or "blocks".
        grid: steps of the grid, which is the same whether few or all of them are swept, so that its own
            memory is in both peaks.
        seconds: after which the sweep stops where it is.
    """

    kind: str
    asked: str
    shape: tuple[int, ...]
    grid: int
    backwards: bool
    threads: int
    seconds: float

    def as_argument(self, steps: int) -> str:
        return json.dumps(asdict(self) | {"steps": steps})


def peak_mb() -> float:
    """The most memory this process has been resident in, in MB."""
    status = Path("/proc/self/status")
    if status.exists():
        # A child's getrusage begins with the peak of the process that started it; this one does not.
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 1024
    import resource

    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def carry_out(sweep: Sweep, steps: int) -> Peaks:
    """Sweep `steps` steps; (steps done, peak in MB) at 1, 2 and 5 times the powers of ten and at the end."""
    # Nodes of the tree, and exact in float64, so that a time made from its number is the grid's point.
    unit = 2.0 ** -(sweep.grid - 1).bit_length()
    grid = torch.arange(sweep.grid + 1, dtype=torch.float64) * unit
    advance = _advance(sweep, grid, unit)
    size = 1
    if sweep.asked == "blocks":
        size = max(1, NUMBERS_IN_A_BLOCK // torch.Size(sweep.shape).numel())
    marks = [scale * 10**power for power in range(3, 9) for scale in (1, 2, 5)]
    peaks: Peaks = []
    end = time.perf_counter() + sweep.seconds
    done = 0
    while done < steps:
        stop = min(done + size, steps)
        advance(done, stop)
        done = stop
        late = time.perf_counter() > end
        if done >= marks[0] or done == steps or late:
            peaks.append((done, peak_mb()))
            marks = [mark for mark in marks if mark > done]
        if late:
            break
    return peaks


def _advance(sweep: Sweep, grid: torch.Tensor, unit: float) -> Callable[[int, int], object]:
    """Asks for steps `first` to `last` of the sweep, as numbered from where it begins."""
    path: Any
    if sweep.kind == "torchsde":
        # It recurses as deep as its grid is long; this is its authors' advice (torchsde issue 105).
        sys.setrecursionlimit(10**6)
        path = torchsde_interval(sweep.shape)()
    else:
        path = VirtualBrownianTree(0.0, 1.0, sweep.shape, seed=7)
        if sweep.kind == "aligned":
            path = path.aligned(grid)
        elif sweep.kind != "tree":
            raise ValueError(f"there is no path of the kind {sweep.kind!r}")
    if sweep.asked == "calls":
        if sweep.backwards:
            return lambda first, last: path((sweep.grid - first) * unit, (sweep.grid - last) * unit)
        return lambda first, last: path(first * unit, last * unit)
    if sweep.backwards:
        return lambda first, last: path.increments(grid[sweep.grid - last : sweep.grid - first + 1].flip(0))
    return lambda first, last: path.increments(grid[first : last + 1])


def main(argument: str) -> None:
    """Carry out the sweep that the argument describes and print its peaks as a line of JSON."""
    asked = json.loads(argument)
    steps = asked.pop("steps")
    sweep = Sweep(**asked | {"shape": tuple(asked["shape"])})
    torch.set_num_threads(sweep.threads)
    begin = time.perf_counter()
    peaks = carry_out(sweep, steps)
    print(json.dumps({"peaks": peaks, "seconds": time.perf_counter() - begin}))


if __name__ == "__main__":
    main(sys.argv[1])
