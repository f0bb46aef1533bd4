"""What a measurement was made on and with: machine, versions, implementation."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from latentsde.brownian import STREAM_VERSION, implementation
from latentsde.version import __version__

PEERS = ("torchsde", "jax", "diffrax")


def versions() -> dict[str, str | None]:
    """Versions of this package, of torch and of the peers; None for a peer that is not installed."""
    return {"latentsde": __version__, "torch": torch.__version__} | {name: _version(name) for name in PEERS}


def describe() -> dict[str, Any]:
    """The machine and the implementation as plain values."""
    return {
        "cpu": cpu_model(),
        "cores": usable_cores(),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch_instruction_set": torch.backends.cpu.get_cpu_capability(),
        "implementation": implementation(),
        "stream_version": STREAM_VERSION,
    }


def cpu_model() -> str:
    """The processor's name as the system knows it."""
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        for line in listing.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def usable_cores() -> int:
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
