"""The Lévy area of a path's intervals: antisymmetric, of sample and interval alone, with the right law."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from latentsde.brownian import LEVY_AREA_APPROXIMATIONS, VirtualBrownianTree, levy_areas
from tests.significance import bound, mean_z

DOUBLE = torch.float64


def areas(path: VirtualBrownianTree, times: Tensor, approximation: str = "foster") -> tuple[Tensor, ...]:
    """W, H and A over the intervals."""
    w, h = path.increments(times)
    assert h is not None
    return w, h, levy_areas(w, h, times, approximation, seed=path.seed, ids=path.ids)


def tree(samples: int, channels: int = 3, **options: object) -> VirtualBrownianTree:
    settings = {"seed": 4, "levy_area": "space-time", "dtype": DOUBLE, **options}
    return VirtualBrownianTree(0, 2, (samples, channels), **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("approximation", LEVY_AREA_APPROXIMATIONS)
def test_it_is_antisymmetric(approximation: str) -> None:
    _, _, a = areas(tree(50), torch.tensor([0.0, 0.1, 0.7, 2.0], dtype=DOUBLE), approximation)
    assert a.shape == (3, 50, 3, 3)
    assert torch.equal(a, -a.transpose(-1, -2)) and bool((a[..., 0, 1] != 0).all())


@pytest.mark.parametrize("approximation", LEVY_AREA_APPROXIMATIONS)
def test_its_law_given_the_path_is_the_stated_one(approximation: str) -> None:
    # A = H_i W_j - W_i H_j + a, E a = 0 and Var a = h²/20 + h/5 (H_i² + H_j²) or its mean, h²/12. Over all
    # paths Var A = h²/4, as the area of Brownian motion has. False alarm: 1e-5 in all.
    n, length = 40_000, 0.37
    w, h, a = areas(tree(n), torch.tensor([0.2, 0.2 + length], dtype=DOUBLE), approximation)
    w, h, a = w[0], h[0], a[0]
    figures = []
    for i, j in ((0, 1), (0, 2), (1, 2)):
        rest = a[:, i, j] - (h[:, i] * w[:, j] - w[:, i] * h[:, j])
        variance = torch.full((n,), length**2 / 12, dtype=DOUBLE)
        if approximation == "foster":
            variance = length**2 / 20 + length / 5 * (h[:, i] ** 2 + h[:, j] ** 2)
        z = rest / variance.sqrt()
        figures.append(float(mean_z(z.unsqueeze(1), 0.0, 1.0)))
        figures.append(float(mean_z(z.square().unsqueeze(1) - 1.0, 0.0, 2.0)))
        figures.append(float(mean_z((z * w[:, i]).unsqueeze(1), 0.0, length)))
        figures.append(float(mean_z((z * h[:, j]).unsqueeze(1), 0.0, length / 12)))
        square = (a[:, i, j] ** 2).unsqueeze(1)
        figures.append(float(mean_z(square - length**2 / 4, 0.0, float(square.var()))))
    assert max(map(abs, figures)) < bound(len(figures))


def test_areas_of_channels_and_of_intervals_are_uncorrelated() -> None:
    # False alarm: 1e-5.
    _, _, a = areas(tree(20_000), torch.tensor([0.0, 0.5, 1.0], dtype=DOUBLE))
    pairs = torch.stack([a[k][:, i, j] for k in (0, 1) for i, j in ((0, 1), (0, 2), (1, 2))], 1)
    z = torch.corrcoef(pairs.t()) * len(pairs) ** 0.5
    assert z.fill_diagonal_(0).abs().max() < 1.5 * bound(
        15
    )  # of products with heavier tails than normal ones


@pytest.mark.parametrize("approximation", LEVY_AREA_APPROXIMATIONS)
def test_a_sample_has_the_same_areas_in_any_batch_and_any_walk(approximation: str) -> None:
    times = torch.tensor([0.0, 0.25, 0.3, 1.0], dtype=DOUBLE)
    ids = torch.tensor([5, 2, 2**40, -7])
    _, _, together = areas(tree(4, ids=ids), times, approximation)
    for rows in ([2], [3, 0], [1, 0, 2, 3]):
        _, _, some = areas(tree(len(rows), ids=ids[rows]), times, approximation)
        assert torch.equal(some, together[:, rows])
    _, _, one = areas(tree(4, ids=ids), times[1:3], approximation)
    assert torch.equal(one[0], together[1])
    own = times.unsqueeze(1).expand(4, 4).contiguous()
    _, _, each = areas(tree(4, ids=ids), own, approximation)
    assert torch.equal(each, together)


@pytest.mark.parametrize("approximation", LEVY_AREA_APPROXIMATIONS)
def test_the_reversed_interval_has_the_other_sign(approximation: str) -> None:
    times = torch.tensor([0.0, 0.25, 0.3, 1.0], dtype=DOUBLE)
    w, h, there = areas(tree(10), times, approximation)
    v, k, back = areas(tree(10), times.flip(0), approximation)
    assert torch.equal(v.flip(0), -w) and torch.equal(k.flip(0), h)
    torch.testing.assert_close(back.flip(0), -there, rtol=1e-14, atol=1e-15)
    mixed = torch.stack([times[:2], times[:2].flip(0)], 1)
    _, _, a = areas(tree(2), mixed, approximation)
    _, _, forwards = areas(tree(2), times[:2], approximation)
    torch.testing.assert_close(a[0, 0], forwards[0, 0], rtol=1e-14, atol=1e-15)
    torch.testing.assert_close(a[0, 1], -forwards[0, 1], rtol=1e-14, atol=1e-15)


def test_seeds_samples_and_intervals_have_areas_of_their_own() -> None:
    times = torch.tensor([0.0, 0.25, 0.5], dtype=DOUBLE)

    def rest(path: VirtualBrownianTree) -> Tensor:
        w, h, a = areas(path, times, "davie")
        return a[..., 0, 1] - (h[..., 0] * w[..., 1] - w[..., 0] * h[..., 1])

    one, other = rest(tree(20)), rest(tree(20, seed=5))
    both = torch.cat([one.flatten(), other.flatten()])
    assert len(both.unique()) == len(both)


def test_an_interval_of_no_length_has_no_area() -> None:
    _, _, a = areas(tree(3), torch.tensor([0.5, 0.5, 0.75], dtype=DOUBLE))
    assert not a[0].any() and bool(a[1, :, 0, 1].all())


def test_float32_areas_are_the_rounded_ones() -> None:
    times = torch.tensor([0.0, 0.25, 1.0], dtype=DOUBLE)
    _, _, single = areas(tree(10, dtype=torch.float32), times)
    _, _, double = areas(tree(10), times)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), double, rtol=0.0, atol=1e-5)
