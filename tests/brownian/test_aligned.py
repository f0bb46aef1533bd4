"""AlignedPath: one draw a cell of the grid, which is part of the path's identity, and its padding is not."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given
from torch import Tensor

from latentsde import VirtualBrownianTree
from latentsde.brownian import AlignedPath

pytestmark = pytest.mark.usefixtures("implementation")

DOUBLE = torch.float64


def path(grid: Tensor | list[float], ids: list[int], channels: int = 2) -> AlignedPath:
    return AlignedPath(
        (len(ids), channels), grid, seed=4, ids=torch.tensor(ids), levy_area="space-time", dtype=DOUBLE
    )


grids = st.lists(st.floats(-5, 5), min_size=2, max_size=8, unique=True).map(sorted)


@given(grids, st.booleans(), st.data())
def test_random_access_agrees_with_the_sequence(
    grid: list[float], descending: bool, data: st.DataObject
) -> None:
    points = torch.tensor(grid[::-1] if descending else grid, dtype=DOUBLE)
    p = path(points, [0, 7])
    w, h = p.increments(points)
    assert h is not None
    first, last = sorted(data.draw(st.tuples(*[st.integers(0, len(grid) - 1)] * 2)))
    there, back = p.increment(points[first], points[last]), p.increment(points[last], points[first])
    assert there.H is not None and back.H is not None
    assert torch.equal(back.W, -there.W) and torch.equal(back.H, there.H)
    torch.testing.assert_close(there.W, w[first:last].sum(0), rtol=0.0, atol=1e-13)
    # ∫ of the path from the first point on, cell by cell.
    length = points.diff().abs().view(-1, 1, 1)[first:last]
    start = w[first:last].cumsum(0) - w[first:last]
    integral = (length * (start + 0.5 * w[first:last] + h[first:last])).sum(0)
    total = float(length.sum())
    torch.testing.assert_close(total * (there.H + 0.5 * there.W), integral, rtol=0.0, atol=1e-12)


def test_a_tree_gives_the_aligned_path_of_its_own_seed_and_samples() -> None:
    ids, grid = torch.tensor([5, 9]), [0.0, 0.3, 1.0]
    tree = VirtualBrownianTree(0, 1, (2, 3), seed=4, ids=ids, dtype=DOUBLE)
    assert torch.equal(tree.aligned(grid)(0.0, 0.3), path(grid, [5, 9], 3).increment(0.0, 0.3).W)


@given(
    st.lists(grids, min_size=1, max_size=4),
    st.integers(0, 3),
    st.booleans(),
)
def test_a_samples_path_does_not_depend_on_other_grids_or_on_padding(
    grids: list[list[float]], padding: int, descending: bool
) -> None:
    own = [torch.tensor(grid[::-1] if descending else grid, dtype=DOUBLE) for grid in grids]
    width = max(len(grid) for grid in own) + padding
    together = torch.stack([torch.cat([g, g[-1:].expand(width - len(g))]) for g in own], 1)
    w, h = path(together, list(range(len(own)))).increments(together)
    assert h is not None
    for sample, grid in enumerate(own):
        alone_w, alone_h = path(grid, [sample]).increments(grid)
        assert alone_h is not None
        steps = len(grid) - 1
        assert torch.equal(w[:steps, sample], alone_w[:, 0]) and torch.equal(h[:steps, sample], alone_h[:, 0])
        assert (w[steps:, sample] == 0).all() and (h[steps:, sample] == 0).all()


def test_repeated_times_inside_a_grid_are_cells_of_no_length() -> None:
    grid = torch.tensor([0.0, 0.5, 0.5, 1.0], dtype=DOUBLE)
    p = path(grid, [1])
    w, h = p.increments(grid)
    assert h is not None
    assert (w[1] == 0).all() and (h[1] == 0).all() and (w[0] != 0).all() and (w[2] != 0).all()
    torch.testing.assert_close(p(0.0, 1.0), w.sum(0), rtol=0.0, atol=1e-15)


def test_a_grid_of_one_point_has_no_increments() -> None:
    assert path([0.5], [0, 1]).increments(torch.tensor([0.5])).W.shape == (0, 2, 2)
    assert (path([0.5], [0, 1])(0.5, 0.5) == 0).all()


@pytest.mark.parametrize("time", [0.2, -0.1, 1.5, float("nan")])
def test_a_time_off_the_grid_is_an_error_that_names_it_and_the_remedy(time: float) -> None:
    with pytest.raises(ValueError, match="VirtualBrownianTree") as error:
        path([0.0, 0.1, 1.0], [0, 1])(0.0, time)
    assert repr(time) in str(error.value)


def test_a_time_of_another_samples_grid_is_an_error() -> None:
    p = path(torch.tensor([[0.0, 0.0], [0.5, 0.6], [1.0, 1.0]], dtype=DOUBLE), [0, 1])
    p(torch.tensor([0.0, 0.0], dtype=DOUBLE), torch.tensor([0.5, 0.6], dtype=DOUBLE))
    with pytest.raises(ValueError, match=r"0\.5 is not a point"):
        p(0.0, 0.5)


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ([0.0, 1.0, 0.5], "increasing or decreasing"),
        ([0.0, float("nan"), 0.5], "increasing or decreasing"),
        ([], "at least one time"),
        (torch.zeros(3, 5), r"\(times, 2\)"),
        (torch.zeros(3, 2, 1), r"\(times, batch\)"),
        (torch.tensor([[0.0, 1.0], [1.0, 0.0]]), "increasing or decreasing"),
    ],
)
def test_a_bad_grid_is_an_error(grid: Tensor | list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        path(grid, [0, 1])
