"""A BrownianPath goes on for ever, with one law and one value at each time.

Statistical, with fixed seeds; false-alarm rate of every test FALSE_ALARM = 1e-5.
"""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from latentsde.compat.torchsde import BrownianInterval, BrownianPath, BrownianTree
from tests.significance import FALSE_ALARM, bound, correlation_z, normality, variance_z

DOUBLE = torch.float64
START = 2.0
# In one window, at its ends, over one, two and many of them.
PARTS = [
    (0.2, 0.9),
    (0.0, 1.0),
    (1.0, 2.0),
    (0.5, 1.5),
    (1.5, 6.0),
    (3.0, 4.0),
    (0.25, 100.0),
    (700.0, 1030.0),
]


def endless(samples: int = 20_000, seed: int = 8) -> BrownianInterval:
    return BrownianInterval(
        START, math.inf, (samples,), DOUBLE, entropy=seed, levy_area_approximation="space-time"
    )


@pytest.mark.parametrize("part", PARTS)
def test_increments_and_areas_have_their_law_across_the_windows(part: tuple[float, float]) -> None:
    length = part[1] - part[0]
    w, u = endless()(START + part[0], START + part[1], return_U=True)
    h = u / length - 0.5 * w
    assert normality(w / length**0.5) > FALSE_ALARM / 5
    assert normality(h / (length / 12.0) ** 0.5) > FALSE_ALARM / 5
    assert abs(float(variance_z(w, length))) < bound(5)
    assert abs(float(variance_z(h, length / 12.0))) < bound(5)
    assert abs(float(correlation_z(w.unsqueeze(1), h.unsqueeze(1)))) < bound(5)


def test_increments_of_different_windows_are_independent() -> None:
    times = [0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 8.0, 20.0]
    bm = endless()
    draws = torch.stack([bm(START + a, START + b) for a, b in itertools.pairwise(times)], dim=1)
    z = correlation_z(draws, draws).triu(1)
    assert float(z.abs().max()) < bound(21)


def test_parts_make_the_whole() -> None:
    bm = endless(10)
    times = [START + t for t in (0.3, 1.0, 1.7, 4.0, 90.0)]
    total = integral = torch.zeros(10, dtype=DOUBLE)
    for a, b in itertools.pairwise(times):
        w, u = bm(a, b, return_U=True)
        integral = integral + u + (b - a) * total
        total = total + w
    w, u = bm(times[0], times[-1], return_U=True)
    torch.testing.assert_close(total, w, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(integral, u, rtol=1e-13, atol=1e-12)
    assert torch.equal(bm(times[-1], times[0]), -w)


def test_a_value_does_not_depend_on_what_was_asked_before() -> None:
    queries = [(START + a, START + b) for a, b in PARTS]
    forwards, backwards = endless(5), endless(5)
    first = [forwards(*query) for query in queries]
    second = [backwards(*query) for query in reversed(queries)]
    assert all(torch.equal(a, b) for a, b in zip(first, reversed(second), strict=True))


def test_values_are_the_start_and_the_increments() -> None:
    w0 = torch.tensor([1.0, -2.0, 3.0], dtype=DOUBLE)
    path = BrownianPath(START, w0)
    assert torch.equal(path(START), w0)
    for time in (START + 0.4, START + 1.0, START + 33.3, 1e6):
        torch.testing.assert_close(path(time), w0 + path(START, time))
        torch.testing.assert_close(path(time) + path(time, time + 5.0), path(time + 5.0))
    assert (path(START + 0.4) != w0).all() and (path(1e6) != path(1e6 + 1.0)).all()


def test_the_first_window_is_the_tree_of_the_same_entropy() -> None:
    path = BrownianPath(0.0, torch.zeros(3, 2))
    assert isinstance(path.entropy, int)
    tree = BrownianTree(0.0, torch.zeros(3, 2), entropy=path.entropy)
    assert torch.equal(path(0.2, 0.9), tree(0.2, 0.9))


def test_each_path_is_its_own() -> None:
    one, other = (BrownianPath(0.0, torch.zeros(3)) for _ in range(2))
    assert one.entropy != other.entropy and (one(5.0) != other(5.0)).all()


def test_infinity_is_no_time() -> None:
    with pytest.raises(ValueError, match="finite times"):
        BrownianPath(0.0, torch.zeros(3))(math.inf)
