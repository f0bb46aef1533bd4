"""How much memory this process may still take."""

from __future__ import annotations

from pathlib import Path

from .errors import InputError

_LISTING = Path("/proc/meminfo")
_STATISTICS = Path("/sys/fs/cgroup/memory.stat")
_LIMIT, _USED = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")


def free_bytes() -> int | None:
    """Of the machine or of the container, whichever is less; None where the system does not tell."""
    if not _LISTING.exists():
        return None
    free = int(_LISTING.read_text().split("MemAvailable:")[1].split()[0]) * 1024
    if _LIMIT.exists() and _USED.exists() and (text := _LIMIT.read_text().strip()) != "max":
        free = min(free, int(text) - int(_USED.read_text()) + _reclaimable())
    return free


def _reclaimable() -> int:
    """What the container's use counts of files that were read, and the kernel gives back when asked."""
    if not _STATISTICS.exists():
        return 0
    counts = dict(line.split() for line in _STATISTICS.read_text().splitlines())
    return int(counts.get("inactive_file", 0))


def check_room(needed: int, what: str, remedy: str) -> None:
    """InputError, before anything is allocated, where `needed` bytes are more than there are."""
    free = free_bytes()
    if free is not None and needed > free:
        raise InputError(
            f"{what} would take {needed / 2**30:.1f} GiB and {free / 2**30:.1f} GiB are free; {remedy}"
        )
