"""The memory that a piece of work takes at its peak, above what was taken before it.

On the CPU with glibc it is what the allocator has given out and not got back, asked for a thousand times a
second while the work runs. It repeats to 0.1 MB, where resident memory, which also counts what the allocator
keeps for later and pages of libraries, differs by several MB from run to run. A peak shorter than a
millisecond is seen only where the work repeats it, as a solver repeats its step.
"""

from __future__ import annotations

import ctypes
import gc
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from latentsde.memory import free_bytes

_MB = 2**20
_PAUSE = 1e-3  # seconds between two questions


def peak_above(work: Callable[[], object], device: str = "cpu") -> float:
    """Run `work`; the MB it took at its peak above the level before."""
    gc.collect()
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        level = torch.cuda.memory_allocated()
        work()
        torch.cuda.synchronize()
        return (torch.cuda.max_memory_allocated() - level) / _MB
    given_out = _glibc()
    if given_out is None:
        before = _most_resident()
        work()
        return _most_resident() - before
    level = given_out()
    with _sampled(given_out) as samples:
        work()
    return (max(samples) - level) / _MB


def how(device: str) -> str:
    """What `peak_above` looks at."""
    if device == "cuda":
        return "what torch.cuda has allocated"
    return "resident memory" if _glibc() is None else "what malloc has given out"


def available_mb(device: str = "cpu") -> float | None:
    """Memory that could still be taken; None where the system does not tell."""
    if device == "cuda":
        return torch.cuda.mem_get_info()[0] / _MB
    free = free_bytes()
    return None if free is None else free / _MB


@contextmanager
def _sampled(level: Callable[[], int]) -> Iterator[list[int]]:
    """The highest of the levels so far, as a list of one number, while the block runs and at its end."""
    highest, done = [level()], threading.Event()

    def watch() -> None:
        while not done.wait(_PAUSE):
            highest[0] = max(highest[0], level())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield highest
    finally:
        highest[0] = max(highest[0], level())
        done.set()
        watcher.join()


class _Mallinfo2(ctypes.Structure):
    """As in glibc's malloc.h: `hblkhd` bytes in blocks of their own, `uordblks` in the heaps."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    ]


def _glibc() -> Callable[[], int] | None:
    """The bytes that malloc has given out; None without glibc 2.33 or later."""
    if not sys.platform.startswith("linux"):
        return None
    mallinfo2: Any = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if mallinfo2 is None:
        return None
    mallinfo2.restype = _Mallinfo2

    def given_out() -> int:
        found = mallinfo2()
        return int(found.hblkhd + found.uordblks)

    return given_out


def _most_resident() -> float:
    """Since the process began: a level that was higher before hides a part of the work's peak."""
    import resource

    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
