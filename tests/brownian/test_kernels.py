"""The C++ kernel computes what docs/brownian.md specifies, on every instruction set of this processor.

The reference is the plain PyTorch of `latentsde.brownian`: words to the bit, normals to the bounds stated at
each test. Increments: test_kernel_increments.py; what is remembered, and threads: test_kernel_state.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import Tensor

from latentsde import VirtualBrownianTree
from latentsde.brownian.drawing import draw_normals
from latentsde.brownian.normals import normals
from latentsde.brownian.philox import CELL_DOMAIN, KIND_H, KIND_W, TREE_DOMAIN, key_of, philox4x32
from tests.brownian.random123 import KNOWN_ANSWERS

_cpu = pytest.importorskip(
    "latentsde.brownian.kernels._cpu",
    reason="the C++ kernel is not built: there was no compiler when latentsde was installed",
)

DOUBLE, SINGLE = torch.float64, torch.float32
EPS = 2.0**-52
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


# ---- Words ---------------------------------------------------------------------------------------


def words(counters: Tensor, seed: int) -> Tensor:
    """The kernel's words (4, n) of counters (4, n), all int64."""
    narrow = counters.to(torch.uint32).contiguous()
    out = torch.empty_like(narrow)
    _cpu.words(narrow.data_ptr(), narrow.shape[1], seed, out.data_ptr())
    return out.to(torch.int64)


@everywhere
@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
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


# ---- Normals -------------------------------------------------------------------------------------

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
    """(4, n): radii at both ends and about powers of two and their roots; angles about eighths of a turn."""
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
    ids, node = (low | high << 32).contiguous(), node.contiguous()
    out = torch.empty(len(node), 4, dtype=dtype)
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


ROUNDINGS = 4
"""2^-52 of the number itself, near zeros of sine and cosine too; 1.9 were seen without fused multiply-add."""


@everywhere
def test_float64_normals_are_those_of_long_doubles_to_a_few_roundings() -> None:
    generator = torch.Generator().manual_seed(3)
    chance = torch.randint(0, 2**32, (4, 20_000), generator=generator)
    for wanted in (chance, extreme_words()):
        exact = exact_normals(wanted)
        error = np.abs(normals_of_words(wanted, DOUBLE).numpy() - exact) / np.abs(exact)
        assert error.max() < ROUNDINGS * EPS


@everywhere
def test_float64_normals_are_those_of_the_reference_to_its_own_roundings() -> None:
    # The reference rounds its angles, up to a whole turn, to 4e-16, which the radius multiplies.
    ids, node = torch.arange(250_000) - 100_000, torch.tensor([2**31 + 5])
    reference = normals(node.unsqueeze(1), ids.unsqueeze(0), 4, KIND_W, 12)
    assert (draw_normals(node, ids, 4, KIND_W, 12, DOUBLE) - reference).abs().max() < 5e-15


# ---- Instruction sets ----------------------------------------------------------------------------


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
                tree = VirtualBrownianTree(0, 1, (37, width), seed=8, levy_area="space-time", dtype=dtype)
                drawn += [x for x in tree.increments(times) if x is not None]
                drawn += [x for x in tree.aligned(grid).increments(times) if x is not None]
            answers.append(drawn)
    for avx2, avx512 in zip(*answers, strict=True):
        assert torch.equal(avx2, avx512)


def test_an_unknown_instruction_set_is_an_error_that_names_it() -> None:
    with pytest.raises(ValueError, match="'altivec'"):
        _cpu.use_instruction_set("altivec")
    assert _cpu.instruction_set() in _cpu.instruction_sets()
