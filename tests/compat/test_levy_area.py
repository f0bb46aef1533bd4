"""The approximated Lévy areas have the conditional moments of the true ones, given (W, H).

The truth is simulated: areas of finely drawn polygons. Statistical, with fixed seeds; false-alarm rate of
every test FALSE_ALARM = 1e-5.
"""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch
import torchsde as theirs  # type: ignore[import-untyped, unused-ignore]
from scipy import stats  # type: ignore[import-untyped, unused-ignore]
from torch import Tensor

import latentsde.compat.torchsde as ours
from tests.significance import FALSE_ALARM, bound, correlation_z, normality

DOUBLE = torch.float64
SAMPLES = 60_000
TA, TB = 0.2, 0.7
LENGTH = TB - TA
Draw = tuple[Tensor, Tensor, Tensor]  # (W, H, A): (samples, m), (samples, m), (samples, m, m)


@functools.cache
def approximated(package: Any, level: str, m: int = 2, samples: int = SAMPLES) -> Draw:
    bm = package.BrownianInterval(0.0, 1.0, (samples, m), DOUBLE, entropy=11, levy_area_approximation=level)
    w, u, a = bm(TA, TB, return_U=True, return_A=True)
    return w, u / LENGTH - 0.5 * w, a


@functools.cache
def true_pairs(pieces: int = 250) -> tuple[Tensor, ...]:
    """(W_1, W_2, H_1, H_2, A_12), (samples,) each, of paths of so many independent pieces."""
    generator = torch.Generator().manual_seed(5)
    step = LENGTH / pieces
    w, u = torch.zeros(2, SAMPLES, dtype=DOUBLE), torch.zeros(2, SAMPLES, dtype=DOUBLE)
    a = torch.zeros(SAMPLES, dtype=DOUBLE)
    for _ in range(pieces):
        dw = torch.randn(2, SAMPLES, generator=generator, dtype=DOUBLE) * step**0.5
        u += step * (w + 0.5 * dw)
        a += 0.5 * (w[0] * dw[1] - w[1] * dw[0])
        w += dw
    h = u / LENGTH - 0.5 * w
    return w[0], w[1], h[0], h[1], a


def first_pair(draw: Draw) -> tuple[Tensor, ...]:
    w, h, a = draw
    return w[:, 0], w[:, 1], h[:, 0], h[:, 1], a[:, 0, 1]


def figures(pair: tuple[Tensor, ...], *, by_area: bool) -> Tensor:
    """Samples of what has a mean fixed by the conditional mean and variance of A: (samples, figures).

    With `by_area` those as well that tell whether the variance depends on H.
    """
    w1, w2, h1, h2, a = pair
    rest = a - (h1 * w2 - w1 * h2)
    square = 12.0 * (h1 * h1 + h2 * h2) / LENGTH
    plain = [a * a, a, a * h1 * w2, a * w1 * h2, rest, rest * w1, rest * h1 * w2, rest * rest]
    dependent = [rest * rest * square, rest * rest * square * square] if by_area else []
    return torch.stack([*plain, *dependent], dim=1)


def two_sample_z(first: Tensor, second: Tensor) -> Tensor:
    """z of the difference of the means of independent samples (draws, figures)."""
    deviation = (first.var(0) / len(first) + second.var(0) / len(second)).sqrt()
    return (first.mean(0) - second.mean(0)) / deviation


@pytest.mark.parametrize("level", ["davie", "foster"])
def test_moments_given_the_increment_and_the_area_are_the_true_ones(level: str) -> None:
    by_area = level == "foster"
    mine, truth = (
        figures(pair, by_area=by_area) for pair in (first_pair(approximated(ours, level)), true_pairs())
    )
    assert float(two_sample_z(mine, truth).abs().max()) < bound(mine.shape[1])


def test_a_wrong_variance_would_be_seen() -> None:
    truth = figures(true_pairs(), by_area=True)
    # Davie's does not know H, torchsde's foster has h²/50 where h²/20 is right, its davie h²/6 for h²/12.
    wrong = [approximated(ours, "davie"), approximated(theirs, "foster"), approximated(theirs, "davie")]
    for draw in wrong:
        z = two_sample_z(figures(first_pair(draw), by_area=True), truth)
        assert float(z.abs().max()) > 2.0 * bound(truth.shape[1])


def normals(draw: Draw, variance: float, slope: float) -> Tensor:
    """What A_12 has beside its conditional mean, over the deviation (variance + slope (H_1² + H_2²))^1/2."""
    w1, w2, h1, h2, a = first_pair(draw)
    return (a - (h1 * w2 - w1 * h2)) / (variance + slope * (h1 * h1 + h2 * h2)).sqrt()


@pytest.mark.parametrize(
    ("level", "variance", "their_variance", "slope"),
    [("davie", LENGTH**2 / 12, LENGTH**2 / 6, 0.0), ("foster", LENGTH**2 / 20, LENGTH**2 / 50, LENGTH / 5)],
)
def test_it_is_torchsdes_law_but_for_the_variance(
    level: str, variance: float, their_variance: float, slope: float
) -> None:
    mine, original = approximated(ours, level), approximated(theirs, level)
    first, second = normals(mine, variance, slope), normals(original, their_variance, slope)
    assert normality(first) > FALSE_ALARM / 4
    for one, other in [(first, second), (mine[0], original[0]), (mine[1], original[1])]:
        assert stats.ks_2samp(one.flatten().numpy(), other.flatten().numpy()).pvalue > FALSE_ALARM / 4


@pytest.mark.parametrize("level", ["davie", "foster"])
def test_areas_are_antisymmetric_and_their_pairs_independent(level: str) -> None:
    w, h, a = approximated(ours, level, m=3, samples=20_000)
    assert torch.equal(a, -a.transpose(-1, -2)) and (a.diagonal(dim1=-2, dim2=-1) == 0).all()
    mean = h.unsqueeze(-1) * w.unsqueeze(-2) - w.unsqueeze(-1) * h.unsqueeze(-2)
    rest = torch.stack([(a - mean)[:, i, j] for i, j in ((0, 1), (0, 2), (1, 2))], dim=1)
    columns = torch.cat([rest, w, h], dim=1)
    assert float(correlation_z(columns, columns).triu(1).abs().max()) < bound(36)


def test_areas_of_other_intervals_samples_and_entropies_have_their_own_noise() -> None:
    def rest(ta: float, tb: float, entropy: int = 1) -> Tensor:
        bm = ours.BrownianInterval(
            0.0, 1.0, (10_000, 2), DOUBLE, entropy=entropy, levy_area_approximation="davie"
        )
        w, u, a = bm(ta, tb, True, True)
        h = u / (tb - ta) - 0.5 * w
        return a[:, 0, 1] - (h[:, 0] * w[:, 1] - w[:, 0] * h[:, 1])

    first = rest(0.2, 0.7)
    others = [rest(0.2, 0.7 + 1e-12), rest(0.0, 0.7), rest(0.2, 0.7, 2), rest(0.7, 1.0), first.roll(1)]
    assert torch.equal(first, rest(0.2, 0.7))
    z = correlation_z(first.unsqueeze(1), torch.stack(others, dim=1))
    assert float(z.abs().max()) < bound(len(others))


@pytest.mark.parametrize("level", ["davie", "foster"])
def test_deeper_batches_have_an_area_for_each(level: str) -> None:
    bm = ours.BrownianInterval(0.0, 1.0, (2000, 4, 3), DOUBLE, entropy=1, levy_area_approximation=level)
    a = bm(TA, TB, return_A=True)[1]
    assert a.shape == (2000, 4, 3, 3)
    columns = a[:, :, [0, 0, 1], [1, 2, 2]].reshape(2000, 12)
    assert float(correlation_z(columns, columns).triu(1).abs().max()) < bound(66)
    assert torch.equal(a, -a.transpose(-1, -2))
