"""`python -m latentsde.benchmarks.adjoint_memory.process JSON`: one solve here, its memory, then its time."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass

import torch

from latentsde.benchmarks.adjoint_memory.contenders import BY_NAME
from latentsde.benchmarks.adjoint_memory.meter import peak_above
from latentsde.benchmarks.solver.plan import Size

_WATCHED = 5_000  # steps
_WARM_UP = 5  # steps: whatever is made once, and not by every solve, is there before it is measured


@dataclass(frozen=True)
class Solve:
    """What one process measures."""

    contender: str
    size: str
    steps: int
    threads: int
    device: str = "cpu"


def carry_out(solve: Solve) -> tuple[float, float]:
    """(MB, seconds) of the solve: the run that nobody watches is the one that is timed."""
    contender, size = BY_NAME[solve.contender], Size.read(solve.size)
    # torchsde recurses as deep as its path is long; this is its authors' advice (torchsde issue 105).
    sys.setrecursionlimit(10**6)
    contender.prepare(size, _WARM_UP, solve.device)()
    watched = contender.prepare(size, solve.steps, solve.device)
    # As many steps in all for short solves: the meter looks now and then, and the longer the surer at a peak.
    times = max(1, _WATCHED // solve.steps)
    mb = peak_above(lambda: [watched() for _ in range(times)], solve.device)
    work = contender.prepare(size, solve.steps, solve.device)
    _wait(solve.device)
    begin = time.perf_counter()
    work()
    _wait(solve.device)
    return mb, time.perf_counter() - begin


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def main(argument: str) -> None:
    """Carry out the solve that the argument describes and print its figures as a line of JSON."""
    solve = Solve(**json.loads(argument))
    torch.set_num_threads(solve.threads)
    mb, seconds = carry_out(solve)
    print(json.dumps({"mb": mb, "seconds": seconds}))


if __name__ == "__main__":
    main(sys.argv[1])
