"""The memory that a piece of work takes at its peak, above what the process held before it.

On the CPU this is resident memory, as the system counts it. It means allocations only where the allocator
gives back what is freed: glibc otherwise keeps it for later, and how much differs from run to run.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable
from pathlib import Path

import torch

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1  # of mallopt
# Blocks from this size on come from the system and go back to it when they are freed. It is below the size of
# one state of the benchmark: what lies in the heap leaves holes there, which are resident and differ by
# several MB from run to run.
_FIXED = 32 * 1024
# As far as glibc raises it by itself, for work that is timed: a system call for each tensor costs three
# times the time.
_RAISED = 32 * 2**20


def peak_above(work: Callable[[], object], device: str = "cpu") -> float:
    """Run `work`; the MB it took at its peak above the level before. Blocks below 32 kB are counted as far
    as the heap grew by them.
    """
    gc.collect()
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        level = torch.cuda.memory_allocated()
        work()
        torch.cuda.synchronize()
        return (torch.cuda.max_memory_allocated() - level) / 2**20
    _give_back_at(_FIXED)
    if not _CLEAR.exists():
        level_mb = _most_resident()
        work()
        return _most_resident() - level_mb
    _CLEAR.write_text("5")  # the peak is what is resident now
    level_mb = _status("VmHWM")
    try:
        work()
        return _status("VmHWM") - level_mb
    finally:
        _give_back_at(_RAISED)


def available_mb(device: str = "cpu") -> float | None:
    """Memory that could still be taken; None where the system does not tell."""
    if device == "cuda":
        return torch.cuda.mem_get_info()[0] / 2**20
    listing = Path("/proc/meminfo")
    if not listing.exists():
        return None
    free = int(listing.read_text().split("MemAvailable:")[1].split()[0]) / 1024
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if limit.exists() and used.exists() and (text := limit.read_text().strip()) != "max":
        free = min(free, (int(text) - int(used.read_text())) / 2**20)
    return free


def _status(name: str) -> float:
    return int(_STATUS.read_text().split(f"{name}:")[1].split()[0]) / 1024


def _most_resident() -> float:
    """Since the process began: a level that was higher before hides a part of the work's peak."""
    import resource

    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _give_back_at(threshold: int) -> None:
    """What is free goes back now, and blocks from `threshold` bytes on as soon as they are freed."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim"):  # glibc
        libc.mallopt(_MMAP_THRESHOLD, threshold)
        libc.mallopt(_TRIM_THRESHOLD, threshold)
        libc.malloc_trim(0)
