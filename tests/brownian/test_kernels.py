"""The C++ kernel computes what docs/brownian.md specifies, on every instruction set of this processor.

The reference is the plain PyTorch of `latentsde.brownian`: words to the bit, normals and increments to the bounds
stated at each test. What the kernel remembers and how it is threaded: test_kernel_state.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from torch import Tensor

from latentsde import VirtualBrownianTree
from latentsde.brownian import AlignedPath, Increments
from latentsde.brownian.cells import cell_increments
from latentsde.brownian.descent import TIME_BITS, tree_increments
from latentsde.brownian.drawing import draw_normals
from latentsde.brownian.normals import normals
from latentsde.brownian.philox import CELL_DOMAIN, KIND_H, KIND_W, TREE_DOMAIN, key_of, philox4x32

_cpu = pytest.importorskip(
    "latentsde.brownian.kernels._cpu",
    reason="the C++ kernel is not built: there was no compiler when latentsde was installed",
)

DOUBLE, SINGLE = torch.float64, torch.float32
EPS, EPS_SINGLE = 2.0**-52, 2.0**-23
LEAF = 2.0**-30
ONES = 0xFFFFFFFF


@contextmanager
def using(name: str) -> Iterator[None]:
    """That instruction set; paths that were made before may hold numbers of another one."""
    before = _cpu.instruction_set()
    _cpu.use_instruction_set(name)
    try:
        yield
    finally:
        _cpu.use_instruction_set(before)


@pytest.fixture(scope="module", params=_cpu.instruction_sets())
def instruction_set(request: pytest.FixtureRequest) -> Iterator[str]:
    with using(request.param):
        yield request.param


everywhere = pytest.mark.usefixtures("instruction_set")


# ---- Words ----------------------------------------------------------------------------------------------------------


def words(counters: Tensor, seed: int) -> Tensor:
    """The kernel's words (4, n) of counters (4, n), all int64."""
    narrow = counters.to(torch.uint32).contiguous()
    out = torch.empty_like(narrow)
    _cpu.words(narrow.data_ptr(), narrow.shape[1], seed, out.data_ptr())
    return out.to(torch.int64)


@everywhere
@pytest.mark.parametrize(
    ("counter", "key", "answer"),
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((ONES,) * 4, (ONES,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
    ids=["zeros", "ones", "pi"],
)
@pytest.mark.parametrize("count", [1, 77])
def test_known_answers_of_random123(
    counter: tuple[int, ...], key: tuple[int, int], answer: tuple[int, ...], count: int
) -> None:
    found = words(torch.tensor(counter).unsqueeze(1).expand(4, count), key[0] | key[1] << 32)
    assert (found == torch.tensor(answer).unsqueeze(1)).all()


@everywhere
@pytest.mark.parametrize("seed", [0, 1, 2**32, 2**64 - 1, 0x299F31D0A4093822])
def test_words_are_those_of_the_reference(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed % 2**63)
    for count in (1, 31, 32, 33, 250_003):
        counters = torch.randint(0, 2**32, (4, count), generator=generator)
        c0, c1, c2, c3 = counters
        assert torch.equal(words(counters, seed), torch.stack(philox4x32((c0, c1, c2, c3), key_of(seed))))


# ---- Normals --------------------------------------------------------------------------------------------------------

ULPS, NEAR_ZERO = 2, 2.4e-7
"""The specification's bounds in float32: roundings where |z| >= 1, and the absolute error below."""


def worst_error(found: Tensor, reference: Tensor) -> tuple[int, float]:
    """Of float32 normals: the most units in the last place where |reference| >= 1, and the most elsewhere."""
    rounded = reference.to(SINGLE)
    units = (found.view(torch.int32) - rounded.view(torch.int32)).abs()
    large = reference.abs() >= 1
    below = (found.double() - reference).abs()
    return int(torch.where(large, units, 0).max()), float(torch.where(large, 0.0, below).max())


@everywhere
def test_float32_normals_are_within_the_specified_bounds_of_the_reference() -> None:
    # Ten million draws; what chance does not bring, the next test chooses.
    for part in range(10):
        kind = (TREE_DOMAIN | KIND_W, TREE_DOMAIN | KIND_H, CELL_DOMAIN | KIND_W)[part % 3]
        ids, node = torch.arange(250_000) * (2**34 + 1) + part, torch.tensor([3 * part])
        reference = normals(node.unsqueeze(1), ids.unsqueeze(0), 4, kind, 11)
        units, below = worst_error(draw_normals(node, ids, 4, kind, 11, SINGLE), reference)
        assert units <= ULPS and below <= NEAR_ZERO


def counters_of(wanted: Tensor, seed: int) -> Tensor:
    """The counters (4, n) whose words are `wanted` (4, n): a cipher can be undone."""
    inverse = [pow(multiplier, -1, 2**32) for multiplier in (0xD2511F53, 0xCD9E8D57)]
    c0, c1, c2, c3 = wanted
    for turn in reversed(range(10)):
        k0 = (key_of(seed)[0] + turn * 0x9E3779B9) & ONES
        k1 = (key_of(seed)[1] + turn * 0xBB67AE85) & ONES
        before_2, before_0 = c1 * inverse[1] & ONES, c3 * inverse[0] & ONES
        right, left = before_2 * 0xCD9E8D57, before_0 * 0xD2511F53
        c0, c1, c2, c3 = before_0, c0 ^ (right >> 32 & ONES) ^ k0, before_2, c2 ^ (left >> 32 & ONES) ^ k1
    return torch.stack([c0, c1, c2, c3])


def extreme_words() -> Tensor:
    """(4, n): radii from both ends of the uniforms and about every power of two, angles about every eighth turn."""
    places = [0, ONES, *(2**k for k in range(1, 32)), *(int(2 ** (k + 0.5)) for k in range(32))]
    first = sorted({word for place in places for word in range(place - 3, place + 4) if 0 <= word <= ONES})
    second = sorted({(k * 2**29 + near) & ONES for k in range(8) for near in (-2, -1, 0, 1)})
    pairs = torch.cartesian_prod(torch.tensor(first), torch.tensor(second))
    pairs = pairs[: len(pairs) // 2 * 2].view(-1, 4)
    return pairs.t().contiguous()


def normals_of_words(wanted: Tensor, dtype: torch.dtype) -> Tensor:
    """The kernel's normals (n, 4) of words (4, n), each asked for by the counter that makes them."""
    seed = 5
    node, domain, low, high = counters_of(wanted, seed)
    ids, node, out = (low | high << 32).contiguous(), node.contiguous(), torch.empty(len(node), 4, dtype=dtype)
    wide, size = dtype == DOUBLE, 4 * dtype.itemsize
    for k, word in enumerate(domain.tolist()):
        id_at, node_at, out_at = ids.data_ptr() + 8 * k, node.data_ptr() + 8 * k, out.data_ptr() + size * k
        _cpu.normals(seed, id_at, 1, 4, node_at, 1, False, word, out_at, wide, 1)
    return out


def exact_normals(wanted: Tensor) -> np.ndarray:
    """Long doubles (n, 4) of words (4, n), by angles of at most an eighth of a turn."""
    long = np.longdouble
    if np.finfo(long).nmant < 63:
        pytest.skip("long doubles of this platform are no more precise than doubles")
    columns = []
    pi = 4 * np.arctan(long(1))
    for first, second in ((wanted[0], wanted[1]), (wanted[2], wanted[3])):
        radius = np.sqrt(-2 * np.log((first.numpy().astype(long) + long(0.5)) * long(2) ** -32))
        quarter = (second + 2**29) >> 30
        rest = (second - (quarter << 30)).numpy().astype(long) + long(0.5)
        angle, turn = rest * long(2) ** -32 * 2 * pi, quarter.numpy() % 4
        cosine, sine = np.cos(angle), np.sin(angle)
        columns.append(radius * np.choose(turn, [cosine, -sine, -cosine, sine]))
        columns.append(radius * np.choose(turn, [sine, cosine, -sine, -cosine]))
    return np.stack(columns, 1)


@everywhere
def test_float32_normals_of_the_extreme_words_are_within_the_specified_bounds() -> None:
    wanted = extreme_words()
    exact = torch.from_numpy(exact_normals(wanted).astype(np.float64))
    assert exact.abs().max() > 6.75  # sqrt(-2 ln 2^-33): the end of the tail
    units, below = worst_error(normals_of_words(wanted, SINGLE), exact)
    assert units <= ULPS and below <= NEAR_ZERO


# Against long doubles; without fused multiply-add the polynomials' roundings add up.
ROUNDINGS = 8


@everywhere
def test_float64_normals_are_those_of_long_doubles_to_a_few_roundings() -> None:
    # Relative errors, zeros of sine and cosine included.
    generator = torch.Generator().manual_seed(3)
    chance = torch.randint(0, 2**32, (4, 20_000), generator=generator)
    for wanted in (chance, extreme_words()):
        exact = exact_normals(wanted)
        error = np.abs(normals_of_words(wanted, DOUBLE).numpy() - exact) / np.abs(exact)
        assert error.max() < ROUNDINGS * EPS


@everywhere
def test_float64_normals_are_those_of_the_reference_to_its_own_roundings() -> None:
    # The reference rounds its angles, up to a whole turn, to 4e-16: 6.8 times that at the end of the tail.
    ids, node = torch.arange(250_000) - 100_000, torch.tensor([2**31 + 5])
    reference = normals(node.unsqueeze(1), ids.unsqueeze(0), 4, KIND_W, 12)
    assert (draw_normals(node, ids, 4, KIND_W, 12, DOUBLE) - reference).abs().max() < 5e-15


# ---- Increments -----------------------------------------------------------------------------------------------------

SPAN = 2**TIME_BITS
LEAF_TICKS = 2 ** (TIME_BITS - 30)
anywhere = st.integers(0, SPAN)
on_a_level = st.integers(0, 30).flatmap(lambda level: st.integers(0, 2**level).map(lambda k: k * SPAN >> level))
by_a_leafs_end = st.tuples(st.integers(1, 2**30 - 1), st.integers(-2, 2)).map(lambda x: x[0] * LEAF_TICKS + x[1])
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


def of_one_row(increments: tuple[Tensor, Tensor | None]) -> Increments:
    w, h = increments
    assert h is not None
    return Increments(w[0], h[0])


def assert_near(
    found: Increments, expected: Increments, scale: Tensor, scale_h: Tensor, units: float, eps: float
) -> None:
    assert found.H is not None and expected.H is not None
    assert ((found.W.double() - expected.W).abs() <= units * eps * scale).all()
    assert ((found.H.double() - expected.H).abs() <= units * eps * scale_h).all()


def tree_scales(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """What a rounding of W and of H is measured by, (..., 1) for ticks (...).

    The deviation of an interval longer than a leaf. Ends inside leaves are differences of numbers of a leaf's size,
    and so are their areas, which H divides by the length.
    """
    length = ((high - low).abs().double() / SPAN).unsqueeze(-1)
    scale = length.clamp_min(LEAF).sqrt()
    scale[length == 0] = 0.0
    return scale, scale * (LEAF / length.clamp_min(2.0**-TIME_BITS)).clamp_min(1.0)


TREE_UNITS = 64
"""Roundings of `tree_scales` that the kernel in float64 may differ from the reference: 1.4e-14."""


@everywhere
@settings(max_examples=80)
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


@everywhere
@settings(max_examples=40)
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


SINGLE_UNITS = 24
"""Roundings of an interval's deviation that float32 answers may differ from float64 ones."""


@everywhere
@settings(max_examples=80)
@given(st.one_of(st.tuples(tick, tick), nearby), sample_ids, channels, seeds)
def test_float32_increments_of_a_tree_keep_their_precision_on_short_intervals(
    ends: tuple[int, int], ids: list[int], width: int, seed: int
) -> None:
    start, end = ends
    if abs(end - start) <= 2 * LEAF_TICKS:
        end = start + 2 * LEAF_TICKS + 1 if start < SPAN // 2 else start - 2 * LEAF_TICKS - 1
    scale = torch.tensor(abs(end - start) / SPAN).double().sqrt()
    exact, single = (make_tree(ids, width, seed, x).increment(start / SPAN, end / SPAN) for x in (DOUBLE, SINGLE))
    assert single.W.dtype == SINGLE
    assert_near(single, exact, scale, scale, SINGLE_UNITS, EPS_SINGLE)


grids = st.lists(st.integers(-(2**20), 2**20), min_size=2, max_size=12, unique=True).map(sorted)
CELL_UNITS = 64


@everywhere
@settings(max_examples=80)
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


# ---- Instruction sets -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [SINGLE, DOUBLE])
def test_instruction_sets_with_fused_multiply_add_give_the_same_bits(dtype: torch.dtype) -> None:
    if not {"avx2", "avx512"} <= set(_cpu.instruction_sets()):
        pytest.skip("this processor has not both AVX2 and AVX-512")
    times = torch.rand(300, generator=torch.Generator().manual_seed(1), dtype=DOUBLE)
    times[::7] = times[::7].mul(2**12).floor() / 2**12
    times[5::9] = times[4:-1:9][: len(times[5::9])] + 2.0**-40  # next to the one before, in its leaf
    grid = times.sort().values
    answers = []
    for name in ("avx2", "avx512"):
        with using(name):
            node, ids = torch.tensor([9]), torch.arange(250_000)
            drawn = [draw_normals(node, ids, 4, CELL_DOMAIN, 2, dtype)]
            for width in (1, 2, 7):
                tree = make_tree(list(range(37)), width, 8, dtype)
                drawn += [x for x in tree.increments(times) if x is not None]
                drawn += [x for x in tree.aligned(grid).increments(times) if x is not None]
            answers.append(drawn)
    for avx2, avx512 in zip(*answers, strict=True):
        assert torch.equal(avx2, avx512)


def test_an_unknown_instruction_set_is_an_error_that_names_it() -> None:
    with pytest.raises(ValueError, match="'altivec'"):
        _cpu.use_instruction_set("altivec")
    assert _cpu.instruction_set() in _cpu.instruction_sets()
