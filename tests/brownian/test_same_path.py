"""A path is a function of (seed, id, channel, time): the same bits whatever the order, batch and threads."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from latentsde import VirtualBrownianTree
from latentsde.brownian import STREAM_VERSION, AlignedPath, Increments, derive_seed, standard_normal
from latentsde.brownian.path import Path

pytestmark = pytest.mark.usefixtures("implementation")

DOUBLE = torch.float64
GRID = [0.0, 0.1, 0.125, 0.3, 0.30000001, 0.5, 0.75, 1.0]


def tree(
    shape: tuple[int, ...], ids: Tensor | None = None, dtype: torch.dtype = DOUBLE
) -> VirtualBrownianTree:
    return VirtualBrownianTree(0, 1, shape, seed=42, ids=ids, levy_area="space-time", dtype=dtype)


def aligned(shape: tuple[int, ...], ids: Tensor | None = None, dtype: torch.dtype = DOUBLE) -> AlignedPath:
    return tree(shape, ids, dtype).aligned(GRID)


Make = Callable[..., Path]
both = pytest.mark.parametrize("make", [tree, aligned])


def assert_same(first: Increments, second: Increments) -> None:
    assert first.H is not None and second.H is not None
    assert torch.equal(first.W, second.W)
    assert torch.equal(first.H, second.H)


POINT = st.sampled_from(GRID)


@both
@settings(max_examples=25)
@given(
    queries=st.lists(st.tuples(POINT, POINT), min_size=1, max_size=8), order=st.randoms(use_true_random=False)
)
def test_same_path_for_any_order_of_queries(
    make: Make, queries: list[tuple[float, float]], order: object
) -> None:
    p = make((3, 2))
    first = {query: p.increment(*query) for query in queries}
    shuffled = list(queries)
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    for query in shuffled:
        assert_same(p.increment(*query), first[query])
        assert_same(make((3, 2)).increment(*query), first[query])


@both
def test_same_path_for_many_intervals_at_once_and_one_by_one(make: Make) -> None:
    p = make((4, 3))
    w, h = p.increments(torch.tensor(GRID, dtype=DOUBLE))
    assert h is not None
    for k in range(len(GRID) - 1):
        assert_same(p.increment(GRID[k], GRID[k + 1]), Increments(w[k], h[k]))


@both
def test_same_path_forwards_and_backwards(make: Make) -> None:
    p = make((4, 3))
    up = p.increments(torch.tensor(GRID, dtype=DOUBLE))
    down = p.increments(torch.tensor(GRID[::-1], dtype=DOUBLE))
    assert up.H is not None and down.H is not None
    assert_same(up, Increments(-down.W.flip(0), down.H.flip(0)))


@both
@settings(max_examples=25)
@given(
    names=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=9),
    times=st.lists(POINT, min_size=2, max_size=4),
    cut=st.integers(0, 9),
)
def test_same_path_for_any_batch_split(make: Make, names: list[int], times: list[float], cut: int) -> None:
    # Samples come in any company, some of which stops elsewhere.
    ids, t = torch.tensor(names), torch.tensor(times, dtype=DOUBLE)
    w, h = make((len(names), 2), ids).increments(t)
    assert h is not None
    for part in (slice(0, cut), slice(cut, None)):
        if len(ids[part]):
            assert_same(
                make((len(ids[part]), 2), ids[part]).increments(t), Increments(w[:, part], h[:, part])
            )


@both
def test_same_path_for_any_batch_split_of_many_samples(make: Make) -> None:
    # Enough numbers that torch splits loops over lanes, blocks and threads; odd sizes leave remainders in
    # each.
    t = torch.tensor(GRID, dtype=DOUBLE)
    w, h = make((4099, 5)).increments(t)
    assert h is not None
    for low, high in ((0, 1), (1, 4099), (17, 1018), (4098, 4099)):
        part = make((high - low, 5), torch.arange(low, high)).increments(t)
        assert_same(part, Increments(w[:, low:high], h[:, low:high]))


@both
@settings(max_examples=25)
@given(times=st.lists(st.tuples(POINT, POINT, POINT), min_size=2, max_size=5))
def test_same_path_for_times_of_each_sample(make: Make, times: list[tuple[float, ...]]) -> None:
    t = torch.tensor(times, dtype=DOUBLE)
    p = make((3, 2))
    w, h = p.increments(t)
    assert h is not None
    for sample in range(3):
        alone = make((1, 2), torch.tensor([sample])).increments(t[:, sample])
        assert_same(alone, Increments(w[:, sample : sample + 1], h[:, sample : sample + 1]))
    assert_same(p.increment(t[0], t[1]), Increments(w[0], h[0]))


@both
def test_same_path_for_one_interval_of_all_or_of_each(make: Make) -> None:
    p = make((5, 2))
    shared = p.increment(0.1, 0.75)
    assert_same(
        shared, p.increment(torch.full((5,), 0.1, dtype=DOUBLE), torch.full((5,), 0.75, dtype=DOUBLE))
    )
    assert_same(shared, p.increment(0.1, torch.full((5,), 0.75, dtype=DOUBLE)))
    assert_same(shared, p.increment(torch.tensor(0.1, dtype=DOUBLE), torch.tensor([0.75], dtype=DOUBLE)))


@pytest.fixture
def restored_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@both
def test_same_path_for_any_number_of_threads(make: Make, restored_threads: None) -> None:
    answers = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        answers.append(make((1_001, 3)).increments(torch.tensor([0.0, 0.1, 0.5, 1.0], dtype=DOUBLE)))
    assert_same(*answers)


@both
def test_same_path_in_float32_and_float64_to_rounding(make: Make) -> None:
    t = torch.tensor(GRID, dtype=DOUBLE)
    wide, single = make((100, 3)).increments(t), make((100, 3), dtype=torch.float32).increments(t)
    assert wide.H is not None and single.H is not None
    assert single.W.dtype == single.H.dtype == torch.float32
    # The kernels compute float32 answers in float32: a few roundings of the increment's own size.
    scale = t.diff().sqrt().view(-1, 1, 1)
    for ours, exact in zip(single, wide, strict=True):
        assert ours is not None and exact is not None
        assert ((ours.double() - exact).abs() / scale).max() < 16 * torch.finfo(torch.float32).eps


@both
def test_same_path_with_and_without_area(make: Make) -> None:
    plain = VirtualBrownianTree(0, 1, (6,), seed=42, dtype=DOUBLE)
    p: Path = plain.aligned(GRID) if make is aligned else plain
    answer = p.increment(0.1, 0.75)
    assert answer.H is None
    assert torch.equal(answer.W, make((6,)).increment(0.1, 0.75).W)
    assert torch.equal(answer.W, p(0.1, 0.75))


@both
def test_same_path_for_any_shape_of_the_same_channels(make: Make) -> None:
    flat = make((4, 6)).increment(0.1, 0.75)
    shaped = make((4, 2, 3)).increment(0.1, 0.75)
    assert shaped.W.shape == (4, 2, 3)
    assert shaped.H is not None
    assert_same(flat, Increments(shaped.W.flatten(1), shaped.H.flatten(1)))
    # The first channels of a wider sample are those of a narrower one.
    assert torch.equal(make((4, 2)).increment(0.1, 0.75).W, flat.W[:, :2])


@both
def test_same_path_after_pickling_and_copying(make: Make) -> None:
    p = make((3, 2), torch.tensor([5, 2**40, -7]))
    before = p.increment(0.1, 0.75)
    for again in (pickle.loads(pickle.dumps(p)), copy.deepcopy(p)):
        assert_same(again.increment(0.1, 0.75), before)
        assert again.shape == p.shape and again.seed == p.seed


@both
def test_seeds_ids_and_spans_name_different_paths(make: Make) -> None:
    p = make((2, 2))
    answer = p.increment(0.1, 0.75).W
    for other in (
        VirtualBrownianTree(0, 1, (2, 2), seed=43, dtype=DOUBLE),
        VirtualBrownianTree(0, 1, (2, 2), seed=42, ids=torch.tensor([2, 3]), dtype=DOUBLE),
    ):
        changed: Path = other.aligned(GRID) if make is aligned else other
        assert (changed(0.1, 0.75) != answer).all()
    assert torch.equal(
        VirtualBrownianTree(0, 1, (2, 2), seed=42 + 2**64, dtype=DOUBLE)(0.1, 0.75),
        tree((2, 2)).increment(0.1, 0.75).W,
    )


def test_a_path_stays_what_it_is_from_version_to_version() -> None:
    # These numbers change only together with STREAM_VERSION: a saved run then names a path that no longer
    # exists.
    assert STREAM_VERSION == 2
    p = VirtualBrownianTree(
        0, 2, (2, 2), seed=2024, ids=torch.tensor([3, 2**33]), levy_area="space-time", dtype=DOUBLE
    )
    w, h = p.increment(0.5, 1.3)
    assert h is not None
    up, down = p.aligned([0.0, 0.5, 1.3])(0.5, 1.3), p.aligned([1.3, 0.5, 0.0])(1.3, 0.5)
    found = torch.stack([w, h, up, down, standard_normal((2, 2), seed=2024, dtype=DOUBLE)])
    torch.testing.assert_close(found, torch.tensor(RECORDED, dtype=DOUBLE), rtol=1e-12, atol=0.0)
    assert derive_seed(2024, 1, -2) == RECORDED_SEED


RECORDED = [
    [[-1.6494754520539245, 2.2457792440892885], [-0.002184614311585462, 0.9380644312680627]],
    [[0.2804286619049908, 0.02424914947241655], [-0.2405867533436243, 0.1092888591857706]],
    [[-0.13104504385304774, -1.8138664641328741], [0.553690953189993, 0.7099622282120864]],
    [[0.24460918810385313, -0.6799561872866724], [2.1489283527570016, -0.3243974250135749]],
    [[-1.2572941859103037, 0.3744648158848087], [1.3088406584918368, 1.388090128899056]],
]
RECORDED_SEED = 3032443679134275187


def test_no_global_generator_is_read_or_set() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = tree((10, 3)).increment(0.1, 0.75).W
    aligned((10, 3)).increments(torch.tensor(GRID, dtype=DOUBLE))
    standard_normal((10, 3), seed=derive_seed(1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(tree((10, 3)).increment(0.1, 0.75).W, first)
