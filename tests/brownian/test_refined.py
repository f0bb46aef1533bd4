"""RefinedPath: a Brownian path whatever points are asked for, and fixed at the multiples of its spacing."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from latentsde.brownian import RefinedPath

GRID = torch.tensor([0.0, 0.13, 0.5, 0.9, 1.3, 1.3, 2.05, 3.0], dtype=torch.float64)
DRAWS = 100_000


def refined(grid: object, *, samples: int = 5, seed: int = 0, spacing: float = 0.5) -> RefinedPath:
    return RefinedPath((samples, 2), grid, spacing=spacing, seed=seed, dtype=torch.float64)  # type: ignore[arg-type]


def test_increments_are_independent_normals_of_the_right_variance() -> None:
    """6 variances, 15 correlations of 100,000 draws, each within 5 standard errors: false alarm < 2e-5."""
    w = RefinedPath((DRAWS,), GRID, spacing=0.5, seed=3, dtype=torch.float64).increments(GRID).W
    length = GRID.diff()
    kept = length > 0
    assert (w[~kept] == 0).all()
    scaled = w[kept] / length[kept].sqrt().unsqueeze(1)
    covariance = scaled @ scaled.T / DRAWS
    error = torch.full_like(covariance, 1.0 / math.sqrt(DRAWS)) * (
        1.0 + (math.sqrt(2.0) - 1.0) * torch.eye(6)
    )
    assert ((covariance - torch.eye(6)).abs() < 5.0 * error).all()


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(0.0, 4.0), min_size=0, max_size=12))
def test_the_path_at_multiples_does_not_depend_on_other_points(extra: list[float]) -> None:
    multiples = torch.arange(9, dtype=torch.float64) * 0.5
    plain = refined(multiples).increments(multiples).W.cumsum(0)
    grid = torch.cat([multiples, torch.tensor(extra, dtype=torch.float64)]).sort().values
    path = refined(grid)
    again = torch.stack([path(0.0, float(t)) for t in multiples[1:]])
    torch.testing.assert_close(again, plain, rtol=0.0, atol=1e-12)


def test_a_sample_does_not_depend_on_the_others_grids() -> None:
    grids = torch.stack([GRID, GRID * 0.5, torch.full_like(GRID, 0.2)], dim=1)
    grids[0] = 0.0
    path = RefinedPath((3, 2), grids, spacing=0.5, seed=1, dtype=torch.float64)
    for k in range(3):
        own = RefinedPath(
            (1, 2), grids[:, k : k + 1], spacing=0.5, seed=1, ids=torch.tensor([k]), dtype=torch.float64
        )
        alone = own.increments(grids[:, k : k + 1]).W[:, 0]
        torch.testing.assert_close(path.increments(grids).W[:, k], alone, rtol=0.0, atol=1e-12)


@pytest.mark.parametrize("end", [0.0, 0.3, 0.5, 1.25, 1.5])
@pytest.mark.parametrize("descending", [False, True])
def test_a_sample_does_not_depend_on_its_padding(end: float, descending: bool) -> None:
    own = torch.tensor([0.0, 0.13, 0.2, end], dtype=torch.float64).sort().values
    own = own.flip(0) if descending else own
    plain = refined(own).increments(own).W
    for padding in (1, 2, 5):
        padded = torch.cat([own, own[-1:].expand(padding)])
        w = refined(padded).increments(padded).W
        assert torch.equal(w[:3], plain) and (w[3:] == 0).all()


def test_a_path_may_stand_at_its_beginning() -> None:
    grid = torch.zeros(3, dtype=torch.float64)
    assert (refined(grid).increments(grid).W == 0).all()


def test_backwards_is_the_same_path() -> None:
    forward, backward = refined(GRID), refined(GRID.flip(0))
    torch.testing.assert_close(backward(3.0, 0.9), -forward(0.9, 3.0), rtol=0.0, atol=1e-12)


def test_chunks_are_the_whole() -> None:
    path = refined(GRID)
    whole = path.increments(GRID).W
    parts = torch.cat([path.increments(GRID[:4]).W, path.increments(GRID[3:]).W])
    assert torch.equal(whole, parts)


@pytest.mark.parametrize(
    ("grid", "spacing", "message"),
    [([-1.0, 0.0], 0.5, "negative"), ([0.0, 1.0], 0.0, "positive"), ([0.0, 1.0], 1e-9, "larger spacing")],
)
def test_what_it_cannot_do_is_refused(grid: list[float], spacing: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        refined(grid, spacing=spacing)
