"""The generator under every path: its published vectors, its normals, its seeds."""

from __future__ import annotations

import itertools
import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given

from latentsde import VirtualBrownianTree
from latentsde.brownian import derive_seed, standard_normal
from latentsde.brownian.normals import box_muller, normals
from latentsde.brownian.philox import KIND_H, KIND_W, key_of, philox4x32
from tests.brownian.random123 import KNOWN_ANSWERS
from tests.significance import FALSE_ALARM, bound, correlation_z, normality

ONES = 0xFFFFFFFF
MASK64 = 2**64 - 1


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN_ANSWERS)
def test_known_answers_of_random123(
    counter: tuple[int, ...], key: tuple[int, int], words: tuple[int, ...]
) -> None:
    c0, c1, c2, c3 = (torch.tensor(word) for word in counter)
    assert tuple(int(word) for word in philox4x32((c0, c1, c2, c3), key)) == words


def philox_in_integers(counter: list[int], key: list[int]) -> list[int]:
    """Philox4x32-10 written down a second time, in Python's own integers."""
    for _ in range(10):
        left, right = counter[0] * 0xD2511F53, counter[2] * 0xCD9E8D57
        counter = [
            right >> 32 ^ counter[1] ^ key[0],
            right & ONES,
            left >> 32 ^ counter[3] ^ key[1],
            left & ONES,
        ]
        key = [(key[0] + 0x9E3779B9) & ONES, (key[1] + 0xBB67AE85) & ONES]
    return counter


WORD = st.integers(0, ONES)


@given(st.lists(WORD, min_size=4, max_size=4), st.lists(WORD, min_size=2, max_size=2))
def test_words_are_those_of_exact_integers(counter: list[int], key: list[int]) -> None:
    # int64 products wrap into the sign bit, which no published vector needs to hit.
    c0, c1, c2, c3 = (torch.tensor(word) for word in counter)
    words = philox4x32((c0, c1, c2, c3), (key[0], key[1]))
    assert [int(word) for word in words] == philox_in_integers(counter, key)


@given(st.integers(-(2**70), 2**70))
def test_any_integer_is_a_seed_modulo_2_to_the_64(seed: int) -> None:
    low, high = key_of(seed)
    assert (high << 32 | low) == seed & MASK64
    assert key_of(seed + 2**64) == (low, high)


def test_box_muller_is_the_transform_of_half_open_words() -> None:
    first, second = box_muller(torch.tensor([0, 2**31, ONES]), torch.tensor([0, 2**30, ONES]))
    uniforms = [(word + 0.5) / 2**32 for word in (0, 2**31, ONES)]
    angles = [2 * math.pi * (word + 0.5) / 2**32 for word in (0, 2**30, ONES)]
    radii = [math.sqrt(-2 * math.log(u)) for u in uniforms]
    expected_first = [r * math.cos(a) for r, a in zip(radii, angles, strict=True)]
    expected_second = [r * math.sin(a) for r, a in zip(radii, angles, strict=True)]
    torch.testing.assert_close(
        first, torch.tensor(expected_first, dtype=torch.float64), rtol=1e-9, atol=1e-12
    )
    torch.testing.assert_close(
        second, torch.tensor(expected_second, dtype=torch.float64), rtol=1e-9, atol=1e-12
    )
    assert torch.isfinite(first).all() and first.abs().max() > 6.5  # the tail of 32 bits, not of 24


def test_the_normals_of_a_counter_are_normal_and_independent() -> None:
    # Four channels are one counter's words, the kinds are two counters; false alarm: 9 FALSE_ALARM.
    ids, node = torch.arange(500_000), torch.tensor(1)
    draws = torch.cat([normals(node, ids, 4, kind, 11) for kind in (KIND_W, KIND_H)], 1)
    for column in draws.t():
        assert normality(column) > FALSE_ALARM
    columns = torch.cat([draws, draws.square()], 1)
    crossed = correlation_z(columns, columns).fill_diagonal_(0.0)
    assert crossed.abs().max() < bound(16 * 15 // 2)


def test_standard_normal_is_normal_and_independent_over_samples_and_channels() -> None:
    # False alarm: 2 FALSE_ALARM.
    draws = standard_normal((50_000, 10), seed=3, dtype=torch.float64)
    assert normality(draws) > FALSE_ALARM
    between = correlation_z(draws, draws).fill_diagonal_(0.0)
    along = correlation_z(draws[:-1], draws[1:])
    assert torch.cat([between, along]).abs().max() < bound(145)


@given(st.lists(st.integers(0, 2**62), min_size=1, max_size=6), st.integers(1, 4))
def test_standard_normal_of_a_sample_is_the_same_in_any_batch(names: list[int], channels: int) -> None:
    ids = torch.tensor(names)
    together = standard_normal((len(names), channels, 2), seed=5, ids=ids)
    for row, name in enumerate(names):
        assert torch.equal(
            standard_normal((1, channels, 2), seed=5, ids=torch.tensor([name]))[0], together[row]
        )


def test_standard_normal_is_the_same_numbers_in_both_precisions_to_rounding() -> None:
    wide = standard_normal((100, 7), seed=1, dtype=torch.float64)
    single = standard_normal((100, 7), seed=1)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), wide, rtol=2.4e-7, atol=2.4e-7)


def test_standard_normal_shares_no_draw_with_a_path_of_the_same_seed() -> None:
    # With one counter for both, z0 and W(t1) would be one number for whoever uses a seed twice.
    # False alarm: FALSE_ALARM.
    normals = standard_normal((20_000, 1), seed=7, dtype=torch.float64)
    tree = VirtualBrownianTree(0, 1, (20_000, 1), seed=7, dtype=torch.float64)
    times = [0.0, 0.25, 0.5, 1.0]
    grid = tree.aligned(times)
    columns = torch.stack(
        [p(a, b) for p in (tree, grid) for a, b in itertools.pairwise(times)] + [tree(0, 1)], 1
    )
    assert correlation_z(normals, columns.squeeze(-1)).abs().max() < bound(7)


def test_derived_seeds_are_distinct_for_every_tuple_of_labels() -> None:
    # False alarm: the chance of two equal ones among 2,000 of 63 bits, 2e-13.
    labels = [(a, b) for a in range(-5, 20) for b in range(30)]
    seeds = [derive_seed(seed, *label) for seed in (0, 1) for label in labels]
    seeds += [derive_seed(0, a) for a in range(300)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)


@given(st.integers(-(2**64), 2**64), st.integers(-(2**62), 2**62), st.integers(-(2**62), 2**62))
def test_derived_seeds_depend_on_the_order_of_labels_and_on_nothing_else(seed: int, a: int, b: int) -> None:
    assert derive_seed(seed, a, b) == derive_seed(seed, a, b)
    if a != b:
        assert derive_seed(seed, a, b) != derive_seed(seed, b, a)
    assert derive_seed(seed, a) != derive_seed(seed, a, 0)


def test_streams_of_derived_seeds_are_independent() -> None:
    # False alarm: FALSE_ALARM.
    streams = torch.stack(
        [standard_normal((50_000,), seed=derive_seed(9, k), dtype=torch.float64) for k in range(8)], 1
    )
    assert correlation_z(streams, streams).fill_diagonal_(0.0).abs().max() < bound(28)
