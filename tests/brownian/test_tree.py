"""VirtualBrownianTree answers consistently, at its borders too, and says what is wrong with a question."""

from __future__ import annotations

import math
import pickle

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import example, given, settings
from torch import Tensor

from latentsde import VirtualBrownianTree

pytestmark = pytest.mark.usefixtures("implementation")

DOUBLE = torch.float64
TIME = st.floats(0.0, 1.0)


def path(
    shape: tuple[int, ...] = (3, 2), t0: float = 0.0, t1: float = 1.0, dtype: torch.dtype = DOUBLE
) -> VirtualBrownianTree:
    return VirtualBrownianTree(t0, t1, shape, seed=6, levy_area="space-time", dtype=dtype)


@settings(max_examples=40)
@given(st.tuples(TIME, TIME, TIME).map(sorted))
@example([0.0, 0.5, 1.0])
@example([0.3, 0.3, 0.7])
@example([0.5 - 1e-12, 0.5, 0.5 + 1e-12])
def test_increments_and_areas_of_two_intervals_make_those_of_their_union(times: list[float]) -> None:
    a, b, c = times
    p = path()
    left, right, whole = p.increment(a, b), p.increment(b, c), p.increment(a, c)
    assert left.H is not None and right.H is not None and whole.H is not None
    torch.testing.assert_close(left.W + right.W, whole.W, rtol=0.0, atol=1e-14)
    # The areas between path and chord, and the triangle between the two chords and the joined one.
    triangle = 0.5 * ((c - b) * left.W - (b - a) * right.W)
    joined = (b - a) * left.H + (c - b) * right.H + triangle
    torch.testing.assert_close(joined, (c - a) * whole.H, rtol=0.0, atol=1e-13)


@settings(max_examples=40)
@given(TIME, TIME)
def test_going_back_negates_the_increment_and_keeps_the_area(a: float, b: float) -> None:
    there, back = path().increment(a, b), path().increment(b, a)
    assert there.H is not None and back.H is not None
    assert torch.equal(back.W, -there.W)
    assert torch.equal(back.H, there.H)


@given(TIME)
def test_an_interval_of_no_length_is_zero(t: float) -> None:
    answer = path().increment(t, t)
    assert answer.H is not None
    assert (answer.W == 0).all() and (answer.H == 0).all()


def test_samples_whose_interval_has_no_length_are_zero_beside_others() -> None:
    answer = path().increment(torch.tensor([0.2, 0.4, 1.0]), torch.tensor([0.2, 0.9, 1.0]))
    assert answer.H is not None
    for x in (answer.W, answer.H):
        assert (x[[0, 2]] == 0).all() and (x[1] != 0).all()


def test_increments_in_float32_add_up_to_float32_rounding() -> None:
    p = path((100, 4), dtype=torch.float32)
    grid = torch.linspace(0, 1, 101, dtype=DOUBLE)
    torch.testing.assert_close(p.increments(grid).W.sum(0), p(0, 1), rtol=0.0, atol=2e-6)


def ulp_outside(t: float, towards: float, dtype: torch.dtype) -> Tensor:
    return torch.nextafter(torch.tensor(t, dtype=dtype), torch.tensor(towards, dtype=dtype))


@pytest.mark.parametrize(("t0", "t1"), [(0.0, 1.0), (-1.0, 0.0), (0.1, 0.7), (1000.0, 1001.0), (-3e-5, 2e-5)])
@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
def test_times_one_rounding_outside_are_the_ends(t0: float, t1: float, dtype: torch.dtype) -> None:
    p = path(t0=t0, t1=t1)
    whole = p(t0, t1)
    low, high = ulp_outside(t0, -math.inf, dtype), ulp_outside(t1, math.inf, dtype)
    assert torch.equal(p(low, high), whole)
    assert torch.equal(p(float(low), float(high)), whole)
    assert (p(high, t1) == 0).all() and (p(low, t0) == 0).all()


@pytest.mark.parametrize(
    ("t0", "t1", "outside"),
    [
        (0.0, 1.0, 1.0001),
        (0.0, 1.0, -0.0001),
        (0.0, 1.0, math.inf),
        (0.0, 1.0, math.nan),
        (1e9, 1e9 + 60.0, 1e9 + 61.0),  # seconds since 1970: a float32 rounding is more than a minute
        (1e9, 1e9 + 60.0, 1e9 - 1.0),
        (-5e-9, 5e-9, 6e-9),
    ],
)
def test_times_farther_outside_are_an_error_that_names_the_interval(
    t0: float, t1: float, outside: float
) -> None:
    p = path(t0=t0, t1=t1)
    for query in ((t0, outside), (outside, t0), (t0, torch.tensor([t0, outside, t1], dtype=DOUBLE))):
        with pytest.raises(ValueError) as error:
            p(*query)
        assert f"[{t0}, {t1}]" in str(error.value)
        assert repr(outside) in str(error.value)


@pytest.mark.parametrize("shape", [(), (4,), (4, 3), (2, 3, 4, 5), (0, 3), (3, 0)])
def test_any_shape(shape: tuple[int, ...]) -> None:
    p = path(shape)
    answer = p.increment(0.1, 0.6)
    assert answer.H is not None
    assert answer.W.shape == answer.H.shape == p(0.1, 0.6).shape == shape
    w, h = p.increments(torch.linspace(0, 1, 4))
    assert h is not None
    assert w.shape == h.shape == (3, *shape)


def test_one_number_is_the_first_sample_of_a_batch() -> None:
    assert torch.equal(path(())(0.1, 0.6), path((5,))(0.1, 0.6)[0])


def test_ends_of_the_path_may_be_tensors() -> None:
    p = VirtualBrownianTree(torch.tensor(0.0), torch.tensor(1.0), (3, 2), seed=6, dtype=DOUBLE)
    assert torch.equal(p(0.1, 0.6), path()(0.1, 0.6))


def test_nothing_is_kept_of_queries() -> None:
    p = path((2,))
    before = pickle.dumps(p)
    for k in range(30):
        p(k / 30, (k + 1) / 30)
    p.increments(torch.linspace(0, 1, 100))
    assert pickle.dumps(p) == before


def test_twenty_thousand_steps_need_no_recursion() -> None:
    # torchsde #105: T = 20 at dt = 1e-3 is a RecursionError there.
    p = path((1,), t1=20.0)
    grid = torch.arange(20_001, dtype=DOUBLE) * 1e-3
    torch.testing.assert_close(p.increments(grid).W.sum(0), p(0, 20), rtol=0.0, atol=1e-10)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"t0": 1.0}, "t0 < t1"),
        ({"t0": math.nan}, "t0 < t1"),
        ({"t1": math.inf}, "t0 < t1"),
        ({"levy_area": "full"}, "space-time"),
        ({"dtype": torch.int64}, "floating-point"),
        ({"ids": torch.arange(2)}, r"int64 of shape \(3,\)"),
        ({"ids": torch.zeros(3)}, r"int64 of shape \(3,\)"),
        ({"shape": (1, 2**31)}, "2\\^31 samples and channels"),
    ],
)
def test_bad_arguments_are_errors_that_say_what_is_wanted(options: dict[str, object], message: str) -> None:
    arguments = {"t0": 0.0, "t1": 1.0, "shape": (3, 2), "seed": 0} | options
    with pytest.raises(ValueError, match=message):
        VirtualBrownianTree(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("times", [torch.zeros(2), torch.zeros(3, 1), torch.zeros(1, 3)])
def test_times_of_another_shape_than_the_batch_are_an_error(times: Tensor) -> None:
    with pytest.raises(ValueError, match=r"shape \(3,\)"):
        path()(times, 1.0)
