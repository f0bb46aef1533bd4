"""The Triton kernels: run by Triton's interpreter, compiled for three architectures; no GPU is needed.

They are held against the C++ kernels bit for bit where those are built and have fused multiply-add, and
against what does not depend on them: published words, normals in float64, sums of adjacent increments.
"""

from __future__ import annotations

import importlib.util
import math
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from torch import Tensor

from latentsde.brownian.philox import key_of, philox4x32
from tests.brownian.random123 import KNOWN_ANSWERS

from .triton_process import Compiled, Interpreted, compile_all, compile_probe, increments_of_paths, process

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="Triton is not installed (it is made for Linux only)"
)
ONES = 0xFFFFFFFF
SPAN_TICKS = 2**48
LEAF_TICKS = 2**18
KIND_H, CELL_DOMAIN = 1 << 29, 1 << 31
DTYPES = [torch.float32, torch.float64]
SEED = -(2**63) + 12345
WORD = st.integers(0, ONES)


@pytest.fixture(scope="module")
def triton() -> Iterator[Interpreted]:
    with process(TRITON_INTERPRET="1") as pool:
        yield Interpreted(pool)


@pytest.fixture(scope="module")
def cpp() -> ModuleType:
    """The C++ kernels, with fused multiply-add."""
    try:
        from latentsde.brownian.kernels import _cpu
    except ImportError:
        pytest.skip("the C++ kernels are not built")
    if platform.machine() in ("x86_64", "AMD64") and _cpu.instruction_sets()[-1] == "baseline":
        pytest.skip("this processor has no fused multiply-add")
    return _cpu


# ---- Words and normals ---------------------------------------------------------------------------


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN_ANSWERS)
def test_known_answers_of_random123(
    triton: Interpreted, counter: tuple[int, ...], key: tuple[int, int], words: tuple[int, ...]
) -> None:
    answer = triton.words(torch.tensor(counter).view(4, 1), key[0] | key[1] << 32)
    assert tuple(answer.flatten().tolist()) == words


@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(WORD, WORD, WORD, WORD), min_size=1, max_size=300), st.integers(-(2**64), 2**64))
def test_words_are_those_of_plain_pytorch(
    triton: Interpreted, counters: list[tuple[int, ...]], seed: int
) -> None:
    counter = torch.tensor(counters).t().contiguous()
    c0, c1, c2, c3 = counter
    expected = torch.stack(philox4x32((c0, c1, c2, c3), key_of(seed)))
    assert torch.equal(triton.words(counter, seed), expected)
    assert torch.equal(triton.words(counter.to(torch.int32), seed), expected)  # int32 of the same bits


def true_normals(nodes: Tensor, ids: Tensor, channels: int, domain_and_kind: int) -> Tensor:
    """The normals (n, batch, channels) of nodes (n, batch) by torch's float64 logarithm and sines."""
    group = torch.arange(-(-channels // 4)) | domain_and_kind
    name = ids.view(1, -1, 1)
    words = philox4x32((nodes.unsqueeze(-1), group, name & ONES, (name >> 32) & ONES), key_of(SEED))
    shape = torch.broadcast_shapes(*(word.shape for word in words))
    u = (torch.stack([word.expand(shape) for word in words], -1).double() + 0.5) * 2.0**-32
    radius = (-2.0 * torch.log(u[..., 0::2])).sqrt()
    turn = 2.0 * math.pi * u[..., 1::2]
    pairs = torch.stack([radius * torch.cos(turn), radius * torch.sin(turn)], -1)
    return pairs.reshape(*shape[:2], -1)[..., :channels]


def some_ids(batch: int) -> Tensor:
    """Names from all of int64: negative ones, ones beyond 2^32, and 0 and -1."""
    ids = torch.randint(-(2**63), 2**63 - 1, (batch,), generator=torch.Generator().manual_seed(batch))
    ids[: min(batch, 2)] = torch.tensor([0, -1])[: min(batch, 2)]
    return ids


def some_nodes(*shape: int) -> Tensor:
    return torch.randint(0, 2**32, shape, generator=torch.Generator().manual_seed(sum(shape)))


def test_float32_normals_keep_the_bound_of_the_specification(triton: Interpreted) -> None:
    nodes, ids = some_nodes(3, 8000), some_ids(8000)
    normals = triton.normals(nodes, ids, SEED, 4, KIND_H, torch.float32).double()
    truth = true_normals(nodes, ids, 4, KIND_H)
    ulp = 2.0 ** (truth.abs().log2().floor() - 23)
    error = (normals - truth).abs()
    large = truth.abs() >= 1.0
    assert (error / ulp)[large].max() <= 2.0
    assert error[~large].max() <= 2.4e-7
    assert truth.abs().max() > 4.0


def test_float64_normals_are_those_of_torch(triton: Interpreted) -> None:
    nodes, ids = some_nodes(2, 1000), some_ids(1000)
    normals = triton.normals(nodes, ids, SEED, 4, CELL_DOMAIN, torch.float64)
    assert (normals - true_normals(nodes, ids, 4, CELL_DOMAIN)).abs().max() < 1e-14


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("channels", [1, 3, 4, 5, 16])
def test_normals_are_those_of_the_cpp_kernels(
    triton: Interpreted, cpp: ModuleType, channels: int, dtype: torch.dtype
) -> None:
    ids, nodes = some_ids(150), some_nodes(2, 150)
    for some in (nodes, nodes[:, 0].contiguous()):
        expected = torch.empty(2, 150, channels, dtype=dtype)
        cpp.normals(
            SEED % 2**64, ids.data_ptr(), 150, channels, some.data_ptr(), 2, some.ndim == 2,
            CELL_DOMAIN | KIND_H, expected.data_ptr(), dtype == torch.float64, 1,
        )  # fmt: skip
        assert torch.equal(triton.normals(some, ids, SEED, channels, CELL_DOMAIN | KIND_H, dtype), expected)


# ---- Tree ----------------------------------------------------------------------------------------


class Intervals(NamedTuple):
    low: Tensor  # ticks (batch,): each sample its own
    high: Tensor
    backwards: Tensor
    ids: Tensor
    answers: dict[torch.dtype, tuple[Tensor, Tensor]]  # W and H (batch, 4) of a path of length 3


def cpp_tree(
    cpp: ModuleType, interval: tuple[int, int, bool], ids: Tensor, channels: int, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """W and H (batch, channels) of an interval in ticks, on a path of length 3."""
    w, h = (torch.empty(len(ids), channels, dtype=dtype) for _ in range(2))
    wide = dtype == torch.float64
    path = cpp.tree(SEED % 2**64, ids.data_ptr(), len(ids), channels, 0.0, 3.0, 0.0, wide)
    low, high, backwards = interval
    ends = (high, low) if backwards else (low, high)
    # The C++ asks for times, which it rounds to ticks again.
    path.increment(*(3.0 * tick / SPAN_TICKS for tick in ends), w.data_ptr(), h.data_ptr(), 1)
    return w, h


def adjacent_intervals() -> list[tuple[int, int, int]]:
    """Three times in order, many times over: anywhere, on nodes, in a leaf, in adjacent leaves, equal."""
    numbers = torch.Generator().manual_seed(3)

    def times(unit: int, first: int = 0, last: int = SPAN_TICKS) -> tuple[int, int, int]:
        drawn = torch.randint(first // unit, last // unit + 1, (3,), generator=numbers) * unit
        a, b, c = sorted(drawn.tolist())
        return a, b, c

    leaf = 123456789 * LEAF_TICKS
    return [
        *(times(1) for _ in range(12)),
        *(times(SPAN_TICKS >> level) for level in (1, 2, 3, 4, 5, 8, 13, 20, 29, 30)),
        *(times(1, leaf, leaf + LEAF_TICKS) for _ in range(6)),
        *(times(1, leaf - LEAF_TICKS, leaf + 2 * LEAF_TICKS) for _ in range(6)),
        (leaf, leaf + 1, leaf + LEAF_TICKS),
        (leaf, leaf + LEAF_TICKS, leaf + 2 * LEAF_TICKS),
        (leaf + 1, leaf + LEAF_TICKS, leaf + LEAF_TICKS + 7),
        (0, 0, SPAN_TICKS),
        (0, SPAN_TICKS, SPAN_TICKS),
        (0, 1, SPAN_TICKS),
        (0, SPAN_TICKS - 1, SPAN_TICKS),
        (5, 5, 5),
    ]


@pytest.fixture(scope="module")
def intervals(triton: Interpreted) -> Intervals:
    """[a, b], [b, c] and [a, c] for the same sample, in one program of the kernel."""
    triples = adjacent_intervals()
    low = torch.tensor([[a, b, a] for a, b, _ in triples]).flatten()
    high = torch.tensor([[b, c, c] for _, b, c in triples]).flatten()
    backwards = torch.arange(len(low)) % 5 < 2
    ids = some_ids(len(triples)).repeat_interleave(3)
    answers = {}
    for dtype in DTYPES:
        rows = (x.unsqueeze(0) for x in (low, high, backwards))
        w, h = triton.tree_increments(*rows, ids, SEED, 3.0, 4, True, dtype)
        answers[dtype] = w[0], h[0]
    return Intervals(low, high, backwards, ids, answers)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_tree_gives_each_sample_its_interval_as_the_cpp_kernels(
    intervals: Intervals, cpp: ModuleType, dtype: torch.dtype
) -> None:
    w, h = intervals.answers[dtype]
    for i in range(len(intervals.ids)):
        interval = tuple(x[i].item() for x in intervals[:3])
        expected = cpp_tree(cpp, interval, intervals.ids[i : i + 1].clone(), 4, dtype)  # type: ignore[arg-type]
        assert torch.equal(w[i], expected[0][0]), interval
        assert torch.equal(h[i], expected[1][0]), interval


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.float64, 2e-14)], ids=str)
def test_adjacent_increments_add_up(intervals: Intervals, dtype: torch.dtype, tolerance: float) -> None:
    w, h = (x.double() for x in intervals.answers[dtype])
    w = torch.where(intervals.backwards.unsqueeze(1), -w, w)
    length = (intervals.high - intervals.low).double().unsqueeze(1) * (3.0 / SPAN_TICKS)
    (w0, w1, w2), (h0, h1, h2) = (x.view(-1, 3, 4).unbind(1) for x in (w, h))
    l0, l1, l2 = length.view(-1, 3, 1).unbind(1)
    assert (w0 + w1 - w2).abs().max() < tolerance
    # Areas between path and chord add up with the triangle between the chords.
    assert (l0 * h0 + l1 * h1 + 0.5 * (l1 * w0 - l0 * w1) - l2 * h2).abs().max() < tolerance


def test_both_precisions_have_the_same_path(intervals: Intervals) -> None:
    for single, double in zip(*(intervals.answers[dtype] for dtype in DTYPES), strict=True):
        assert (single - double).abs().max() < 1e-6
        assert double.abs().max() > 1.0


def test_tree_gives_nothing_for_no_time(intervals: Intervals) -> None:
    empty = intervals.low == intervals.high
    assert empty.sum() >= 5
    for w, h in intervals.answers.values():
        assert not w[empty].any() and not h[empty].any()
        assert w[~empty].all() and h[~empty].all()


SIXTEENTH = SPAN_TICKS // 16
SHARED = [
    (0, SPAN_TICKS, True),
    (SIXTEENTH, 2 * SIXTEENTH, False),
    (3 * SIXTEENTH, 9 * SIXTEENTH, True),
    (7, 7, True),
]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("channels", [1, 3, 5, 16])
def test_tree_gives_all_samples_one_interval_as_the_cpp_kernels(
    triton: Interpreted, cpp: ModuleType, channels: int, dtype: torch.dtype
) -> None:
    # 70 samples of 5 channels are two programs, the second of which is not full.
    ids = some_ids(70 if channels == 5 else 9)
    low, high, backwards = (torch.tensor(x) for x in zip(*SHARED, strict=True))
    w, h = triton.tree_increments(low, high, backwards, ids, SEED, 3.0, channels, True, dtype)
    for row, interval in enumerate(SHARED):
        expected = cpp_tree(cpp, interval, ids, channels, dtype)
        assert torch.equal(w[row], expected[0]) and torch.equal(h[row], expected[1]), interval


def test_tree_gives_one_interval_off_the_nodes_as_the_cpp_kernels(
    triton: Interpreted, cpp: ModuleType
) -> None:
    ids = some_ids(9)
    inside = 77 * LEAF_TICKS
    for interval in ((SPAN_TICKS // 3, SPAN_TICKS // 7 * 5, True), (inside + 5, inside + 99, False)):
        low, high, backwards = (torch.tensor([x]) for x in interval)
        w, h = triton.tree_increments(low, high, backwards, ids, SEED, 3.0, 4, True, torch.float32)
        expected = cpp_tree(cpp, interval, ids, 4, torch.float32)
        assert torch.equal(w[0], expected[0]) and torch.equal(h[0], expected[1]), interval


def test_tree_gives_the_same_w_without_h_and_for_any_split_of_the_batch(triton: Interpreted) -> None:
    ids = some_ids(9)
    low, high, backwards = (torch.tensor(x)[:3] for x in zip(*SHARED, strict=True))
    w, _ = triton.tree_increments(low, high, backwards, ids, SEED, 3.0, 3, True, torch.float32)
    alone, none = triton.tree_increments(low, high, backwards, ids[4:6], SEED, 3.0, 3, False, torch.float32)
    assert none is None
    assert torch.equal(alone, w[:, 4:6])
    own = (x.unsqueeze(1).expand(3, 2) for x in (low, high, backwards))
    each, _ = triton.tree_increments(*own, ids[4:6], SEED, 3.0, 3, False, torch.float32)
    assert torch.equal(each, alone)


# ---- Cells ---------------------------------------------------------------------------------------


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_runs_of_cells_are_those_of_the_cpp_kernels(
    triton: Interpreted, cpp: ModuleType, data: st.DataObject
) -> None:
    points, batch = data.draw(st.integers(2, 5), "points"), data.draw(st.integers(1, 6), "batch")
    channels, dtype = data.draw(st.integers(1, 9), "channels"), data.draw(st.sampled_from(DTYPES), "dtype")
    columns, own = data.draw(st.sampled_from([1, batch]), "grids"), data.draw(st.booleans(), "own runs")
    descending, area = data.draw(st.booleans(), "descending"), data.draw(st.booleans(), "area")
    steps = st.lists(st.floats(0.01, 9.0), min_size=points * columns, max_size=points * columns)
    grid = torch.tensor(data.draw(steps), dtype=torch.float64).view(points, columns).cumsum(0)
    grid = -grid if descending else grid
    shape = (2, batch if own else 1)
    index = st.lists(st.integers(0, points - 1), min_size=math.prod(shape), max_size=math.prod(shape))
    start, stop = (torch.tensor(data.draw(index)).view(shape) for _ in range(2))
    ids = some_ids(batch)
    runs = torch.minimum(start, stop), (stop - start).abs(), torch.where(start <= stop, 1, -1)
    w, h = triton.cell_increments(*runs, grid, ids, SEED, channels, area, dtype)

    wide = dtype == torch.float64
    path = cpp.cells(
        SEED % 2**64, ids.data_ptr(), batch, channels, grid.data_ptr(), points, columns > 1, descending, wide
    )
    for row in range(2):
        width = max(columns, shape[1])
        ends = torch.stack([start[row], stop[row]]).expand(2, width)
        times = grid.expand(-1, width).gather(0, ends).contiguous()
        expected_w, expected_h = (torch.empty(batch, channels, dtype=dtype) for _ in range(2))
        address = expected_h.data_ptr() if area else 0
        path.increments(times.data_ptr(), 2, width > 1, expected_w.data_ptr(), address, 1)
        assert torch.equal(w[row], expected_w)
        assert torch.equal(h[row], expected_h) if area else h is None


def test_a_cell_is_its_normals_and_runs_add_up(triton: Interpreted) -> None:
    ids, dtype = some_ids(5), torch.float64
    grid = torch.tensor([[0.0], [0.5], [0.75], [3.0]], dtype=dtype)
    first, cells = torch.tensor([[0], [1], [2], [0], [1]]), torch.tensor([[1], [1], [1], [3], [0]])
    sign = torch.tensor([[1], [1], [1], [-1], [1]], dtype=torch.int8)
    w, h = triton.cell_increments(first.int(), cells, sign, grid, ids, SEED, 3, True, dtype)
    nodes = torch.arange(3).view(3, 1)
    length = grid.diff(dim=0).unsqueeze(-1)
    assert (w[:3] - length.sqrt() * true_normals(nodes, ids, 3, CELL_DOMAIN)).abs().max() < 1e-14
    kicks = (length / 12.0).sqrt() * true_normals(nodes, ids, 3, CELL_DOMAIN | KIND_H)
    assert (h[:3] - kicks).abs().max() < 1e-14
    assert (w[3] + w[:3].sum(0)).abs().max() < 1e-14
    # The integral of W from the run's start, less its chord.
    before = torch.cat([torch.zeros_like(w[:1]), w[:3].cumsum(0)[:-1]])
    integral = (length * (before + 0.5 * w[:3] + h[:3])).sum(0)
    assert (h[3] - (integral / 3.0 - 0.5 * w[:3].sum(0))).abs().max() < 1e-14
    assert not w[4].any() and not h[4].any()


def test_paths_ask_the_kernels_for_what_they_would_ask_the_cpp_ones(cpp: ModuleType) -> None:
    with process(TRITON_INTERPRET="1") as pool:
        for levy_area, dtype in ((None, torch.float32), ("space-time", torch.float64)):
            expected = increments_of_paths(levy_area, dtype)
            found = pool.submit(increments_of_paths, levy_area, dtype).result()
            assert len(found) == len(expected) == (4 if levy_area is None else 8)
            for ours, theirs in zip(found, expected, strict=True):
                assert (ours == theirs).all()


def test_nothing_asked_is_nothing_answered(triton: Interpreted) -> None:
    none, flags, ids = torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.bool), some_ids(3)
    grid = torch.zeros(1, 1, dtype=torch.float64)
    runs = none.view(0, 1)
    assert triton.words(none.view(0).expand(4, 0), 0).shape == (4, 0)
    assert triton.normals(none, ids, 0, 2, 0, torch.float32).shape == (0, 3, 2)
    w, _ = triton.tree_increments(none, none, flags, ids, 0, 1.0, 2, False, torch.float32)
    assert w.shape == (0, 3, 2)
    w, _ = triton.cell_increments(runs, runs, runs, grid, ids, 0, 2, False, torch.float32)
    assert w.shape == (0, 3, 2)


# ---- Compiled ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def compiler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessPoolExecutor]:
    cache = tmp_path_factory.mktemp("triton")
    with process(TRITON_INTERPRET="0", TRITON_CACHE_DIR=str(cache)) as pool:
        yield pool


COMPILED = [
    pytest.param(80, torch.float32),
    pytest.param(90, torch.float32),
    pytest.param(100, torch.float32),
    pytest.param(80, torch.float64),
    pytest.param(90, torch.float64, marks=pytest.mark.slow),
    pytest.param(100, torch.float64, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("architecture", "dtype"), COMPILED, ids=str)
def test_every_kernel_compiles_to_a_cubin_with_the_arithmetic_of_the_source(
    compiler: ProcessPoolExecutor, architecture: int, dtype: torch.dtype
) -> None:
    kernels: list[Compiled] = compiler.submit(compile_all, architecture, dtype).result()
    names = ["words", "normals", "tree", "tree", "cells", "cells"]
    assert [kernel.name for kernel in kernels] == [f"{name}_kernel" for name in names]
    for kernel in kernels:
        assert kernel.elf
        assert not kernel.fusion_allowed
        # Fewer, where a lane of a vector that nobody reads is dropped.
        assert kernel.fused <= kernel.fused_by_source
        assert kernel.fused or kernel.name == "words_kernel"
        assert kernel.rounded_otherwise == []
        if kernel.stack is not None and kernel.registers is not None:
            assert kernel.registers <= 200
            assert kernel.stack <= 32  # bytes: nothing to speak of is spilled


def test_the_options_of_the_launches_keep_product_and_sum_apart(compiler: ProcessPoolExecutor) -> None:
    apart, contracted = (compiler.submit(compile_probe, 80, allow).result() for allow in (False, True))
    assert (apart.fusion_allowed, apart.fused) == (False, 0)
    assert (contracted.fusion_allowed, contracted.fused, contracted.fused_by_source) == (True, 1, 0)


def test_without_triton_only_these_kernels_are_missing() -> None:
    program = """
import sys
sys.modules["triton"] = None  # an import of it fails
import latentsde.brownian
try:
    import latentsde.brownian.kernels.cuda
except ImportError:
    print("missing")
"""
    environment: dict[str, Any] = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
        cwd=Path(__file__).parent,
    )
    assert done.stdout.strip() == "missing"
