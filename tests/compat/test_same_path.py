"""A path is a function of (entropy, sample, time): neither batch, order of queries nor dtype changes it."""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from latentsde import VirtualBrownianTree
from latentsde.compat.torchsde import BaseBrownian, BrownianInterval, BrownianPath, BrownianTree

LEVELS = ["none", "space-time", "davie", "foster"]


def interval(size: tuple[int, ...] = (3, 2), level: str = "foster", **more: Any) -> BrownianInterval:
    return BrownianInterval(0.0, 1.0, size, **{"entropy": 6, "levy_area_approximation": level, **more})


def parts(bm: BrownianInterval, ta: float, tb: float) -> list[Tensor]:
    return [part for part in bm(ta, tb, return_U=True, return_A=True) if part is not None]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("rest", [(), (2,), (4, 3)])
def test_same_samples_in_any_batch(level: str, rest: tuple[int, ...]) -> None:
    few, many = interval((2, *rest), level), interval((5, *rest), level)
    for small, large in zip(parts(few, 0.2, 0.7), parts(many, 0.2, 0.7), strict=True):
        assert torch.equal(small, large[:2])


@pytest.mark.parametrize("level", LEVELS)
def test_both_precisions_are_one_path(level: str) -> None:
    single, double = interval(level=level), interval(level=level, dtype=torch.float64)
    for low, high in zip(parts(single, 0.2, 0.7), parts(double, 0.2, 0.7), strict=True):
        assert high.dtype == torch.float64
        torch.testing.assert_close(low.double(), high, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_half_precision_path_is_the_single_one_rounded(dtype: torch.dtype) -> None:
    for half, single in zip(parts(interval(dtype=dtype), 0.2, 0.7), parts(interval(), 0.2, 0.7), strict=True):
        assert torch.equal(half, single.to(dtype))


def test_the_levy_area_asked_for_does_not_move_the_path() -> None:
    answers = [interval(level=level)(0.2, 0.7) for level in LEVELS]
    assert all(torch.equal(answers[0], other) for other in answers[1:])


def test_same_answers_in_any_order_of_queries() -> None:
    times = [(k / 7, (k + 2) / 7) for k in range(6)]
    first = {query: parts(interval(), *query) for query in times}
    bm = interval()
    shuffled = times * 2
    random.Random(0).shuffle(shuffled)
    for query in shuffled:
        assert all(torch.equal(a, b) for a, b in zip(parts(bm, *query), first[query], strict=True))


def test_it_is_the_path_of_the_core_with_that_seed() -> None:
    tree = VirtualBrownianTree(-1.0, 3.0, (4, 2), seed=2**63 + 5)
    bm = BrownianInterval(-1.0, 3.0, (4, 2), entropy=2**63 + 5)
    assert torch.equal(bm(-0.3, 2.2), tree(-0.3, 2.2))
    assert torch.equal(bm(1.0), tree(-1.0, 1.0))


def test_each_entropy_has_its_own_path() -> None:
    entropies = [0, 1, 2**64, 2**64 + 1, 2**80, [0], [1, 2], [2, 1], [1, 2, 0]]
    answers = {tuple(interval((2,), "none", entropy=e)(0.1, 0.8).tolist()) for e in entropies}
    assert len(answers) == len(entropies)


@pytest.mark.parametrize("same", [np.int64(6), torch.tensor(6), np.uint32(6)])
def test_an_integer_of_any_kind_is_that_entropy(same: Any) -> None:
    bm = interval(entropy=same)
    assert bm.entropy == 6 and type(bm.entropy) is int
    assert torch.equal(bm(0.1, 0.8), interval()(0.1, 0.8))
    assert torch.equal(interval(entropy=np.array([1, 2]))(0.1, 0.8), interval(entropy=(1, 2))(0.1, 0.8))


@pytest.mark.parametrize("level", LEVELS)
def test_going_back_is_the_inverse(level: str) -> None:
    bm = interval(level=level, dtype=torch.float64)
    there, back = parts(bm, 0.2, 0.7), parts(bm, 0.7, 0.2)
    assert torch.equal(back[0], -there[0])
    if level != "none":  # ∫ from b to a of W(s) - W(b)
        torch.testing.assert_close(back[1], -there[1] + 0.5 * there[0], rtol=0.0, atol=1e-15)
    if len(there) > 2:
        assert torch.equal(back[2], -there[2])


def test_increments_and_integrals_of_two_intervals_make_those_of_their_union() -> None:
    bm = interval((50, 2), dtype=torch.float64)
    for a, b, c in [(0.0, 0.5, 1.0), (0.1, 0.35, 0.8), (0.3, 0.3 + 1e-6, 0.9)]:
        (w1, u1, _), (w2, u2, _), (w, u, _) = (parts(bm, *ends) for ends in ((a, b), (b, c), (a, c)))
        torch.testing.assert_close(w1 + w2, w, rtol=0.0, atol=1e-14)
        torch.testing.assert_close(u1 + u2 + (c - b) * w1, u, rtol=0.0, atol=1e-13)


@pytest.mark.parametrize("given", ["w0", "w0 and w1"])
def test_a_tree_starts_and_ends_where_it_is_told(given: str) -> None:
    w0, w1 = torch.full((3,), 2.0), torch.tensor([3.0, 1e-3, -500.0])
    tree = BrownianTree(torch.tensor(1.0), w0, 3.0, w1 if "w1" in given else None, entropy=5)
    assert torch.equal(tree(1.0), w0)
    torch.testing.assert_close(tree(2.5), w0 + tree(1.0, 2.5))
    if "w1" in given:
        torch.testing.assert_close(tree(3.0), w1, rtol=1e-6, atol=1e-6)
    assert torch.equal(BrownianTree(1.0, w0, entropy=5)(2.0), BrownianTree(1.0, w0, 2.0, entropy=5)(2.0))
    assert tree.entropy == 5


def ulp_outside(t: float, towards: float, dtype: torch.dtype) -> Tensor:
    return torch.nextafter(torch.tensor(t, dtype=dtype), torch.tensor(towards, dtype=dtype))


@pytest.mark.parametrize(("t0", "t1"), [(0.0, 1.0), (-1.0, 0.0), (0.1, 0.7), (1000.0, 1001.0)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("pinned", [False, True])
def test_times_one_rounding_outside_are_the_ends_and_no_cause_for_a_warning(
    t0: float, t1: float, dtype: torch.dtype, pinned: bool
) -> None:
    bm = BrownianInterval(t0, t1, (3,), entropy=1, W=torch.ones(3) if pinned else None)
    low, high = ulp_outside(t0, -math.inf, dtype), ulp_outside(t1, math.inf, dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        whole = bm(t0, t1)
        assert torch.equal(bm(low, high), whole) and torch.equal(bm(float(low), float(high)), whole)
        assert torch.equal(bm(high), whole)
        assert (bm(high, t1) == 0).all() and (bm(low, t0) == 0).all()


def makers() -> list[Callable[[], BaseBrownian]]:
    zero = torch.zeros(3)
    return [
        lambda: BrownianInterval(0.0, 1.0, (3,), entropy=1),
        lambda: BrownianTree(0.0, zero, entropy=1),
    ]


@pytest.mark.parametrize("make", makers())
@pytest.mark.parametrize(
    ("query", "taken"), [((0.5, 1.5), (0.5, 1.0)), ((-0.1, 0.5), (0.0, 0.5)), ((0.5, math.inf), (0.5, 1.0))]
)
def test_times_farther_outside_are_the_ends_with_a_warning(
    make: Callable[[], BaseBrownian], query: tuple[float, float], taken: tuple[float, float]
) -> None:
    bm = make()
    with pytest.warns(UserWarning, match=r"outside the Brownian motion's interval \[0.0, 1.0\]"):
        answer = bm(*query)
    assert isinstance(answer, Tensor)
    inside = bm(*taken)
    assert isinstance(inside, Tensor) and torch.equal(answer, inside)


def test_a_path_before_its_start_is_at_its_start_with_a_warning() -> None:
    path = BrownianPath(1.0, torch.zeros(3))
    with pytest.warns(UserWarning, match=r"outside the Brownian motion's interval \[1.0, inf\]"):
        answer = path(0.5, 2.5)
    assert isinstance(answer, Tensor)
    inside = path(1.0, 2.5)
    assert isinstance(inside, Tensor) and torch.equal(answer, inside)


@pytest.mark.parametrize("query", [(math.nan, 0.5), (0.5, math.nan)])
def test_no_number_is_no_time(query: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="got nan"):
        interval()(*query)
