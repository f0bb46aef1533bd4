"""What test_cuda.py lets Triton do, in processes of their own.

Whether a kernel is interpreted or compiled is settled for good by TRITON_INTERPRET when its module is
imported, and the interpreter leaves its marks on Triton. Nothing here imports Triton before the process has
its environment.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor


@contextmanager
def process(**environment: str) -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(1, get_context("spawn"), initializer=_begin, initargs=(environment,)) as pool:
        yield pool


def _begin(environment: dict[str, str]) -> None:
    assert "triton" not in sys.modules
    os.environ.update(environment)


class Interpreted:
    """The functions of the CUDA kernels, run by Triton's interpreter."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool

    def __getattr__(self, function: str) -> Any:
        if function.startswith("_"):
            raise AttributeError(function)
        return lambda *arguments: _tensors(self._pool.submit(_call, function, _arrays(arguments)).result())


def _call(function: str, arguments: Any) -> Any:
    from latentsde.brownian.kernels import cuda

    return _arrays(getattr(cuda, function)(*_tensors(arguments)))


def increments_of_paths(levy_area: str | None, dtype: torch.dtype) -> Any:
    """W and H of a tree and an aligned path that were made as for a CUDA device, by the interpreter."""
    from latentsde import VirtualBrownianTree
    from latentsde.brownian import kernels
    from latentsde.brownian.path import Path

    interpreted = "TRITON_INTERPRET" in os.environ
    if interpreted:
        Path._kernel = lambda self: None  # type: ignore[method-assign]
        Path._gpu_kernels = lambda self: kernels.gpu()  # type: ignore[method-assign]
    times = torch.tensor([0.5, 1.3, 1.3, 0.9, 2.0], dtype=torch.float64)
    own = torch.stack([times, times.flip(0)], 1)
    ids = torch.tensor([3, 2**33])
    tree = VirtualBrownianTree(0, 2, (2, 5), seed=2**63 + 9, ids=ids, levy_area=levy_area, dtype=dtype)
    aligned = tree.aligned(times.unique().flip(0))
    answers = [path.increments(asked) for path in (tree, aligned) for asked in (times, own)]
    return tuple(_arrays(part) for answer in answers for part in answer if part is not None)


# Tensors cross over as arrays: torch would send them as open files.
def _arrays(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_arrays(x) for x in value)
    return value.numpy() if isinstance(value, Tensor) else value


def _tensors(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_tensors(x) for x in value)
    return torch.from_numpy(value) if hasattr(value, "__array__") else value


class Compiled(NamedTuple):
    """One kernel as a launch would have it."""

    name: str
    fused: int  # multiply-adds in the PTX; a packed one counts as two
    fused_by_source: (
        int  # those that the optimised LLVM IR, where nothing is contracted yet, asks for by name
    )
    rounded_otherwise: list[str]  # instructions of the PTX that do not round to nearest even
    elf: bool
    fusion_allowed: bool
    registers: int | None  # None without cuobjdump
    stack: int | None
    cubin_bytes: int


class _Driver:
    """Stands for a device of an architecture: enough for launches to compile, not to run."""

    def __init__(self, architecture: int) -> None:
        self.architecture = architecture

    def get_current_device(self) -> int:
        return self.architecture  # Triton keeps its compiled kernels by device

    def get_current_stream(self, device: int) -> int:
        return 0

    def get_current_target(self) -> Any:
        from triton.backends.compiler import GPUTarget

        return GPUTarget("cuda", self.architecture, 32)


@contextmanager
def _compiling_only(architecture: int) -> Iterator[list[Any]]:
    """Launches compile their kernels for the architecture, put them into the list and run nothing."""
    from triton.runtime import driver
    from triton.runtime.jit import JITFunction

    kernels: list[Any] = []
    run = JITFunction.run

    def compile_only(self: Any, *arguments: Any, grid: Any, warmup: bool, **options: Any) -> None:
        kernels.append(run(self, *arguments, grid=grid, warmup=True, **options))

    driver.set_active(_Driver(architecture))
    JITFunction.run = compile_only
    try:
        yield kernels
    finally:
        JITFunction.run = run


def compile_all(architecture: int, dtype: torch.dtype) -> list[Compiled]:
    """Every kernel in the shapes that differ most, for sm_`architecture`."""
    from latentsde.brownian.kernels import cuda

    ids = torch.arange(40)
    ticks = torch.zeros(3, 40, dtype=torch.int64)
    flags = torch.zeros(3, 40, dtype=torch.bool)
    grid = torch.zeros(5, 40, dtype=torch.float64)
    with _compiling_only(architecture) as kernels:
        cuda.words(torch.zeros(4, 5, dtype=torch.int64), 0)
        cuda.normals(ticks, ids, 0, 2, 0, dtype)
        cuda.tree_increments(ticks[:, 0], ticks[:, 0], flags[:, 0], ids, 0, 1.0, 8, True, dtype)
        cuda.tree_increments(ticks, ticks, flags, ids, 0, 1.0, 3, False, dtype)
        cuda.cell_increments(ticks, ticks, ticks, grid, ids, 0, 3, True, dtype)
        cuda.cell_increments(ticks[:, :1], ticks[:, :1], ticks[:, :1], grid[:, :1], ids, 0, 8, False, dtype)
    return [_look_at(kernel) for kernel in kernels]


def compile_probe(architecture: int, allow_fusion: bool) -> Compiled:
    """x * y + z, compiled with the kernels' options or with fusion allowed."""
    from latentsde.brownian.kernels.cuda.launch import COMPILATION

    from .triton_probe import multiply_add

    options: dict[str, Any] = COMPILATION | ({"enable_fp_fusion": True} if allow_fusion else {})
    x = torch.zeros(128)
    with _compiling_only(architecture) as kernels:
        multiply_add[(1,)](x, x, x, x, LANES=128, **options)
    return _look_at(kernels[0])


def _look_at(kernel: Any) -> Compiled:
    llvm, ptx, cubin = (kernel.asm[stage] for stage in ("llir", "ptx", "cubin"))
    arithmetic = re.findall(r"\b(?:add|sub|mul|fma|div|sqrt|rcp|ex2|lg2|sin|cos)\.[\w.]*f(?:32|64)\w*", ptx)
    registers, stack = _resources(cubin)
    return Compiled(
        name=kernel.metadata.name,
        fused_by_source=sum(
            int(lanes or 1) for lanes in re.findall(r"@llvm\.fma\.(?:v(\d))?f\d\d\(.*!dbg", llvm)
        ),
        fused=sum(2 if name.endswith("x2") else 1 for name in arithmetic if name.startswith("fma.")),
        rounded_otherwise=sorted({name for name in arithmetic if ".rn." not in name or ".ftz" in name}),
        elf=cubin[:4] == b"\x7fELF",
        fusion_allowed=kernel.metadata.enable_fp_fusion,
        registers=registers,
        stack=stack,
        cubin_bytes=len(cubin),
    )


def _resources(cubin: bytes) -> tuple[int | None, int | None]:
    """Registers and bytes of stack of a thread, by cuobjdump where Triton brings it along."""
    import triton

    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    if not tool.exists():
        return None, None
    file = Path(os.environ["TRITON_CACHE_DIR"], "looked_at.cubin")
    file.write_bytes(cubin)
    usage = subprocess.run([tool, "-res-usage", file], check=True, capture_output=True, text=True)
    found = re.search(r"REG:(\d+) STACK:(\d+)", usage.stdout + usage.stderr)
    assert found is not None
    return int(found[1]), int(found[2])
