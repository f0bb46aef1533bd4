"""The C++ kernel's trees and cells answer as the plain PyTorch reference, to roundings, at any ticks.

On every instruction set of this processor. A rounding is one of the interval's own deviation, sqrt(b - a).
"""

from __future__ import annotations

from collections.abc import Iterator

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import example, given, settings
from torch import Tensor

from latentsde import VirtualBrownianTree
from latentsde.brownian import AlignedPath, Increments
from latentsde.brownian.cells import cell_increments
from latentsde.brownian.descent import TIME_BITS, tree_increments

_cpu = pytest.importorskip(
    "latentsde.brownian.kernels._cpu",
    reason="the C++ kernel is not built: there was no compiler when latentsde was installed",
)

DOUBLE, SINGLE = torch.float64, torch.float32
EPS, EPS_SINGLE = 2.0**-52, 2.0**-23
LEAF = 2.0**-30


@pytest.fixture(scope="module", params=_cpu.instruction_sets(), autouse=True)
def instruction_set(request: pytest.FixtureRequest) -> Iterator[None]:
    before = _cpu.instruction_set()
    _cpu.use_instruction_set(request.param)
    yield
    _cpu.use_instruction_set(before)


SPAN = 2**TIME_BITS
LEAF_TICKS = 2 ** (TIME_BITS - 30)
anywhere = st.integers(0, SPAN)
on_a_level = st.integers(0, 30).flatmap(
    lambda level: st.integers(0, 2**level).map(lambda k: k * SPAN >> level)
)
by_a_leafs_end = st.tuples(st.integers(1, 2**30 - 1), st.integers(-2, 2)).map(
    lambda x: x[0] * LEAF_TICKS + x[1]
)
tick = st.one_of(anywhere, on_a_level, by_a_leafs_end, st.just(0), st.just(SPAN))
in_a_leaf = st.tuples(st.integers(0, 2**30 - 1), st.integers(0, LEAF_TICKS), st.integers(0, LEAF_TICKS)).map(
    lambda x: (x[0] * LEAF_TICKS + x[1], x[0] * LEAF_TICKS + x[2])
)
nearby = st.tuples(st.integers(0, SPAN - 2**20), st.integers(1, 2**20)).map(lambda x: (x[0], x[0] + x[1]))
interval = st.one_of(st.tuples(tick, tick), in_a_leaf, nearby, tick.map(lambda t: (t, t)))
sample_ids = st.lists(
    st.one_of(st.integers(0, 40), st.integers(-(2**63), 2**63 - 1)), min_size=1, max_size=5, unique=True
)
channels = st.integers(1, 9)
seeds = st.integers(0, 2**64 - 1)


def make_tree(
    ids: list[int], width: int, seed: int, dtype: torch.dtype = DOUBLE, area: str | None = "space-time"
) -> VirtualBrownianTree:
    return VirtualBrownianTree(
        0, 1, (len(ids), width), seed=seed, ids=torch.tensor(ids), levy_area=area, dtype=dtype
    )


def assert_near(
    found: Increments, expected: Increments, scale: Tensor, scale_h: Tensor, units: float, eps: float
) -> None:
    assert found.H is not None and expected.H is not None
    assert ((found.W.double() - expected.W).abs() <= units * eps * scale).all()
    assert ((found.H.double() - expected.H).abs() <= units * eps * scale_h).all()


def tree_scales(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """What a rounding of W and of H is measured by, (..., 1) for ticks (...).

    The deviation of an interval longer than a leaf. Parts of leaves are differences of numbers of a leaf's
    size, and so are their areas, which H divides by the length.
    """
    length = ((high - low).abs().double() / SPAN).unsqueeze(-1)
    scale = length.clamp_min(LEAF).sqrt()
    scale[length == 0] = 0.0
    return scale, scale * (LEAF / length.clamp_min(2.0**-TIME_BITS)).clamp_min(1.0)


TREE_UNITS = 24
"""Roundings of `tree_scales` that the kernel in float64 may differ from the reference, 5e-15; 9 were seen."""


@settings(max_examples=40)
@given(st.lists(interval, min_size=1, max_size=6), sample_ids, channels, seeds)
@example([(0, SPAN), (SPAN, 0), (0, 0), (SPAN, SPAN), (0, 1), (SPAN - 1, SPAN), (0, LEAF_TICKS)], [3], 4, 1)
def test_a_trees_increments_are_those_of_the_reference(
    intervals: list[tuple[int, int]], ids: list[int], width: int, seed: int
) -> None:
    ends = torch.tensor(intervals)
    low, high = ends.min(1).values, ends.max(1).values
    w, h = tree_increments(low, high, torch.tensor(ids), seed=seed, channels=width)
    scale, scale_h = tree_scales(low, high)
    path = make_tree(ids, width, seed)
    for k, (start, end) in enumerate(intervals):
        expected = Increments(w[k] if start <= end else -w[k], h[k])
        found = path.increment(start / SPAN, end / SPAN)
        assert_near(found, expected, scale[k], scale_h[k], TREE_UNITS, EPS)


@settings(max_examples=25)
@given(st.lists(tick, min_size=2, max_size=12), sample_ids, channels, seeds)
def test_a_trees_increments_over_times_of_each_sample_are_those_of_the_reference(
    ticks: list[int], ids: list[int], width: int, seed: int
) -> None:
    # Every sample starts at another one of the ticks.
    own = torch.stack([torch.tensor(ticks).roll(-k) for k in range(len(ids))], 1)
    low, high = torch.minimum(own[:-1], own[1:]), torch.maximum(own[:-1], own[1:])
    w, h = tree_increments(low, high, torch.tensor(ids), seed=seed, channels=width)
    sign = torch.where(own[1:] < own[:-1], -1.0, 1.0).double().unsqueeze(-1)
    found = make_tree(ids, width, seed).increments(own.double() / SPAN)
    assert_near(found, Increments(w * sign, h), *tree_scales(low, high), TREE_UNITS, EPS)


SINGLE_UNITS = 16
"""Roundings of an interval's deviation that float32 answers may differ from float64 ones; 7 were seen."""


@settings(max_examples=40)
@given(st.one_of(st.tuples(tick, tick), nearby), sample_ids, channels, seeds)
def test_float32_increments_of_a_tree_keep_their_precision_on_short_intervals(
    ends: tuple[int, int], ids: list[int], width: int, seed: int
) -> None:
    start, end = ends
    if abs(end - start) <= 2 * LEAF_TICKS:
        end = start + 2 * LEAF_TICKS + 1 if start < SPAN // 2 else start - 2 * LEAF_TICKS - 1
    scale = torch.tensor(abs(end - start) / SPAN).double().sqrt()
    exact, single = (
        make_tree(ids, width, seed, x).increment(start / SPAN, end / SPAN) for x in (DOUBLE, SINGLE)
    )
    assert single.W.dtype == SINGLE
    assert_near(single, exact, scale, scale, SINGLE_UNITS, EPS_SINGLE)


grids = st.lists(st.integers(-(2**20), 2**20), min_size=2, max_size=12, unique=True).map(sorted)
CELL_UNITS = 24
"""The same for runs of cells, in either precision; 9 were seen."""


@settings(max_examples=30)
@given(grids, st.booleans(), st.booleans(), st.booleans(), sample_ids, channels, seeds, st.data())
def test_increments_of_cells_are_those_of_the_reference(
    points: list[int],
    descending: bool,
    own_grids: bool,
    own_times: bool,
    ids: list[int],
    width: int,
    seed: int,
    data: st.DataObject,
) -> None:
    samples = len(ids)
    grid = torch.tensor(points[::-1] if descending else points, dtype=DOUBLE) / 1000.0
    if own_grids:
        grid = grid.unsqueeze(1) * torch.linspace(0.5, 2.0, samples, dtype=DOUBLE)
    columns = samples if own_times or own_grids else 1
    row = st.lists(st.integers(0, len(points) - 1), min_size=columns, max_size=columns)
    index = torch.tensor(data.draw(st.lists(row, min_size=2, max_size=6)))
    times = (grid if own_grids else grid.unsqueeze(1).expand(-1, columns)).gather(0, index)
    path = AlignedPath(
        (samples, width), grid, seed=seed, ids=torch.tensor(ids), levy_area="space-time", dtype=DOUBLE
    )
    first, cells = torch.minimum(index[:-1], index[1:]), index.diff(dim=0).abs()
    w, h = cell_increments(
        first, cells, grid.view(len(grid), -1), torch.tensor(ids), seed=seed, channels=width
    )
    sign = torch.where(index.diff(dim=0) < 0, -1.0, 1.0).double().unsqueeze(-1)
    scale = times.diff(dim=0).abs().sqrt().unsqueeze(-1)
    times = times if own_times or own_grids else times.squeeze(1)
    found = path.increments(times)
    assert_near(found, Increments(w * sign, h), scale, scale, CELL_UNITS, EPS)
    single = AlignedPath((samples, width), grid, seed=seed, ids=torch.tensor(ids), levy_area="space-time")
    assert_near(single.increments(times), Increments(w * sign, h), scale, scale, CELL_UNITS, EPS_SINGLE)
