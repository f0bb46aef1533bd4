"""The specification of docs/brownian.md, fast: C++ for the CPU, Triton for CUDA; and which of them are here.

Both are optional. Without them `latentsde.brownian` computes the same paths by plain PyTorch.
"""

from __future__ import annotations

import functools
import warnings
from types import ModuleType


@functools.cache
def cpu() -> ModuleType | None:
    """The compiled module, or None with one warning where it was not built."""
    try:
        from . import _cpu
    except ImportError as error:
        warnings.warn(
            f"latentsde's compiled Brownian kernel is not there ({error}): paths on the CPU are computed by "
            "plain PyTorch, fifty to a thousand times slower. Install a C++17 compiler, then run: "
            "pip install --force-reinstall --no-deps --no-cache-dir latentsde",
            RuntimeWarning,
            stacklevel=2,
        )
        return None
    return _cpu


@functools.cache
def gpu() -> ModuleType | None:
    """The Triton kernels, or None with one warning where Triton is not installed."""
    try:
        from . import cuda as kernels
    except ImportError as error:
        warnings.warn(
            f"Triton is not there ({error}): Brownian paths on CUDA devices are computed by plain PyTorch, "
            "slower. Install it with: pip install triton",
            RuntimeWarning,
            stacklevel=2,
        )
        return None
    return kernels


def implementation() -> str:
    """What computes paths on this CPU: "C++ (avx512)", "C++ (avx2)", "C++ (baseline)" or "PyTorch"."""
    kernel = cpu()
    return "PyTorch" if kernel is None else f"C++ ({kernel.instruction_set()})"
