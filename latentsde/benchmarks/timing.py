"""Interleaved measurement: every round runs each contender once, and ratios are taken within rounds.

What else a machine does comes and goes over seconds. Two contenders timed in the same round met nearly the
same machine, so the median of the rounds' ratios moves far less than the ratio of two separate medians.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

Clock = Callable[[], float]


def seconds_with_gradient(loss: Callable[[], Tensor], parameters: Iterable[Tensor]) -> float:
    """Of one evaluation of `loss` and its gradient; gradients of before are dropped, untimed."""
    for parameter in parameters:
        parameter.grad = None
    start = time.perf_counter()
    loss().backward()
    return time.perf_counter() - start


@dataclass(frozen=True)
class Contender:
    """One way of doing a piece of work of `full` steps.

    Attributes:
        name: unique among the contenders of one measurement.
        full: steps of the whole pattern.
        prepare: the number of steps -> the function that does them. Making it is not timed, so that a fresh
            path can be made for each run.
        increments: made by each step; what is measured is seconds per increment.
        whole: whether it is never cut, because the cost of a step depends on how many there are.
    """

    name: str
    full: int
    prepare: Callable[[int], Callable[[], object]]
    increments: int = 1
    whole: bool = False


@dataclass(frozen=True)
class Timing:
    """Seconds per increment of each round, over `steps` of a pattern of `full` steps."""

    name: str
    steps: int
    full: int
    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return median(self.seconds)

    def times_faster(self, peer: Timing) -> float:
        """The median of the rounds' ratios of the peer's time to this one's: 2 is twice as fast."""
        return median(theirs / ours for ours, theirs in zip(self.seconds, peer.seconds, strict=True))


def interleave(
    contenders: Sequence[Contender],
    *,
    rounds: int,
    limit: float,
    budget: float,
    clock: Clock = time.perf_counter,
) -> dict[str, Timing]:
    """Time every contender once in each of at most `rounds` rounds, in the order given.

    `limit` is how many seconds one run may take: a slower pattern is cut to a power of two of its steps.
    `budget` is how many seconds all of it may take: rounds that would not end within it are left out, except
    the first. The garbage collector is off while the clock runs.
    """
    begin = clock()
    with _no_garbage_collection():
        steps = {contender.name: fitting_steps(contender, limit, clock) for contender in contenders}
        seconds: dict[str, list[float]] = {contender.name: [] for contender in contenders}
        first = clock()
        for done in range(rounds):
            if done and clock() - begin + (clock() - first) / done > budget:
                break
            gc.collect()
            for contender in contenders:
                taken = _run(contender, steps[contender.name], clock)
                seconds[contender.name].append(taken / (steps[contender.name] * contender.increments))
    return {
        contender.name: Timing(
            contender.name, steps[contender.name], contender.full, tuple(seconds[contender.name])
        )
        for contender in contenders
    }


def fitting_steps(contender: Contender, limit: float, clock: Clock) -> int:
    """The steps of one run: all of them, or the power of two that takes about `limit` seconds. Warms up."""
    _run(contender, 1, clock)
    if contender.whole:
        return contender.full
    steps, taken = 1, _run(contender, 1, clock)
    # The first steps of a sweep cost more than the later ones, so a short run does not tell what a long one
    # takes.
    while steps < contender.full and taken < limit / 8:
        steps = min(4 * steps, contender.full)
        taken = _run(contender, steps, clock)
    affordable = limit * steps / max(taken, 1e-9)
    if affordable >= contender.full:
        return contender.full
    # Powers of two begin and end at nodes of a dyadic grid, as the whole sweep does.
    return 1 << max(0, int(affordable).bit_length() - 1)


def _run(contender: Contender, steps: int, clock: Clock) -> float:
    work = contender.prepare(steps)
    start = clock()
    work()
    return clock() - start


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """`count` threads for torch within the block."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Off for the block, in which `gc.collect` looks only at what was made there, and so is quick."""
    enabled = gc.isenabled()
    gc.disable()
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        if enabled:
            gc.enable()
