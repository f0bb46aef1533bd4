"""What the C++ kernel remembers of its last query, and its threads, change no bit of an answer."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor

from latentsde import VirtualBrownianTree
from latentsde.brownian import Increments, standard_normal
from latentsde.brownian.path import Path

_cpu = pytest.importorskip(
    "latentsde.brownian.kernels._cpu",
    reason="the C++ kernel is not built: there was no compiler when latentsde was installed",
)

DOUBLE, SINGLE = torch.float64, torch.float32
QUERIES = 200
LEAF = 2.0**-30


@pytest.fixture(scope="module", params=_cpu.instruction_sets(), autouse=True)
def instruction_set(request: pytest.FixtureRequest) -> Iterator[None]:
    before = _cpu.instruction_set()
    _cpu.use_instruction_set(request.param)
    yield
    _cpu.use_instruction_set(before)


def tree(
    shape: tuple[int, ...], area: str | None = "space-time", dtype: torch.dtype = DOUBLE
) -> VirtualBrownianTree:
    return VirtualBrownianTree(0, 1, shape, seed=21, levy_area=area, dtype=dtype)


def assert_same(found: Increments, expected: Increments) -> None:
    assert torch.equal(found.W, expected.W)
    assert (found.H is None) == (expected.H is None)
    if found.H is not None and expected.H is not None:
        assert torch.equal(found.H, expected.H)


# ---- What is kept --------------------------------------------------------------------------------

Query = tuple[float, float]


def forwards(draw: random.Random) -> list[Query]:
    return [(k / QUERIES, (k + 1) / QUERIES) for k in range(QUERIES)]


def backwards(draw: random.Random) -> list[Query]:
    return [(b, a) for a, b in reversed(forwards(draw))]


def dyadic_there_and_back(draw: random.Random) -> list[Query]:
    there = [(k / 64, (k + 1) / 64) for k in range(64)]
    return there + [(b, a) for a, b in reversed(there)]


def anywhere(draw: random.Random) -> list[Query]:
    return [(draw.random(), draw.random()) for _ in range(QUERIES)]


def to_and_fro(draw: random.Random) -> list[Query]:
    """Consecutive intervals of all sizes, some of no length, some rejected and halved as by step control."""
    queries, here = [], 0.5
    for _ in range(QUERIES):
        size = draw.choice([0.0, 2.0**-45, LEAF / 3, LEAF, 1e-7, 2.0**-12, 0.01, 0.3])
        there = min(max(here + draw.choice([-1, 1]) * size, 0.0), 1.0)
        queries.append((here, there))
        if draw.random() < 0.3:
            there = 0.5 * (here + there)
            queries.append((here, there))
        here = there
    return queries


walks = pytest.mark.parametrize("walk", [forwards, backwards, dyadic_there_and_back, anywhere, to_and_fro])
dtypes = pytest.mark.parametrize("dtype", [SINGLE, DOUBLE])
Walk = Callable[[random.Random], list[Query]]


@walks
@dtypes
@pytest.mark.parametrize("area", [None, "space-time"])
def test_a_path_answers_as_a_new_one_whatever_it_was_asked_before(
    walk: Walk, dtype: torch.dtype, area: str | None
) -> None:
    shape = (9, 6)  # 18 counters: a block that is not full, of groups that are not full
    asked = tree(shape, area, dtype)
    draw = random.Random(4)
    for a, b in walk(draw):
        expected = tree(shape, area, dtype).increment(a, b)
        assert_same(asked.increment(a, b), expected)
        if draw.random() < 0.2:  # a few intervals at once go by what is kept as well
            w, h = asked.increments(torch.tensor([b, a, b], dtype=DOUBLE))
            assert_same(Increments(w[1], None if h is None else h[1]), expected)


@walks
@dtypes
def test_queries_with_and_without_area_may_take_turns_on_one_object(walk: Walk, dtype: torch.dtype) -> None:
    # A query for W alone leaves nodes without H behind, which the next one may need.
    shape, wide = (5, 9), dtype == DOUBLE
    ids = torch.arange(shape[0])
    compiled = _cpu.tree(21, ids.data_ptr(), *shape, 0.0, 1.0, 0.0, wide)
    draw = random.Random(5)
    for a, b in walk(draw):
        w, h = torch.empty(shape, dtype=dtype), torch.empty(shape, dtype=dtype)
        with_area = draw.random() < 0.5
        compiled.increment(a, b, w.data_ptr(), h.data_ptr() if with_area else 0, 1)
        expected = tree(shape, "space-time", dtype).increment(a, b)
        assert_same(Increments(w, h if with_area else expected.H), expected)


@walks
@dtypes
def test_a_path_made_without_area_is_the_same_path(walk: Walk, dtype: torch.dtype) -> None:
    plain, full = tree((4, 3), None, dtype), tree((4, 3), "space-time", dtype)
    for a, b in walk(random.Random(6)):
        assert torch.equal(plain(a, b), full(a, b))


# ---- Threads -------------------------------------------------------------------------------------


@pytest.fixture
def set_threads() -> Iterator[Callable[[int], None]]:
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def one_large(dtype: torch.dtype) -> list[Tensor | None]:
    path = tree((1003, 130), "space-time", dtype)
    return [*path.increment(0.1, 0.3), *path.increment(0.3, 0.35)]


def one_small(dtype: torch.dtype) -> list[Tensor | None]:
    return list(tree((3, 2), "space-time", dtype).increment(0.1, 0.3))


def many_steps_of_few_samples(dtype: torch.dtype) -> list[Tensor | None]:
    # 32 counters, one block of the kernel: only the steps are there to be shared out.
    times = torch.rand(2_101, generator=torch.Generator().manual_seed(1), dtype=DOUBLE).sort().values
    path = tree((2, 64), "space-time", dtype)
    return [*path.increments(times), *path.aligned(times).increments(times)]


def some_steps_of_some_samples(dtype: torch.dtype) -> list[Tensor | None]:
    times = torch.linspace(1, 0, 102, dtype=DOUBLE)
    path = tree((61, 21), "space-time", dtype)
    own = times.unsqueeze(1) * torch.linspace(0.5, 1.0, 61, dtype=DOUBLE)
    answers = [path.increments(times), path.increments(own)]
    answers += [path.aligned(times).increments(times), path.aligned(own).increments(own)]
    return list(itertools.chain.from_iterable(answers))


def plain_normals(dtype: torch.dtype) -> list[Tensor | None]:
    return [standard_normal((100_003, 7), seed=3, dtype=dtype)]


@dtypes
@pytest.mark.parametrize(
    "ask", [one_large, one_small, many_steps_of_few_samples, some_steps_of_some_samples, plain_normals]
)
def test_any_number_of_threads_gives_the_same_bits(
    ask: Callable[[torch.dtype], list[Tensor | None]],
    dtype: torch.dtype,
    set_threads: Callable[[int], None],
) -> None:
    set_threads(1)
    alone = ask(dtype)
    for threads in (2, 5):
        set_threads(threads)
        for found, expected in zip(ask(dtype), alone, strict=True):
            assert found is not None and expected is not None
            assert torch.equal(found, expected)


@pytest.mark.parametrize("askers", [2, 4])
@pytest.mark.parametrize("aligned", [False, True])
def test_python_threads_may_ask_one_path_at_once(askers: int, aligned: bool) -> None:
    # Large enough that the kernel is at work for most of the time, without the interpreter's lock.
    times = torch.linspace(0, 1, 61, dtype=DOUBLE)
    shared: Path = tree((256, 8))
    if aligned:
        shared = tree((256, 8)).aligned(times)
    start = threading.Barrier(askers)
    expected = (
        tree((256, 8)).aligned(times).increments(times) if aligned else tree((256, 8)).increments(times)
    )

    def ask(number: int) -> bool:
        draw = random.Random(number)
        right = True
        start.wait(timeout=60)
        for _ in range(QUERIES):
            k = draw.randrange(60)
            if draw.random() < 0.7:
                w, h = shared.increment(float(times[k]), float(times[k + 1]))
            else:
                w, h = (x[0] for x in shared.increments(times[k : k + 2]) if x is not None)
            assert h is not None and expected.H is not None
            right = right and torch.equal(w, expected.W[k]) and torch.equal(h, expected.H[k])
        return right

    with ThreadPoolExecutor(askers) as pool:
        assert all(pool.map(ask, range(askers)))
