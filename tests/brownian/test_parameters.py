"""A path is its parameters: they are checked, copied, and fixed; what surrounds it does not reach it."""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor

from latentsde import VirtualBrownianTree
from latentsde.brownian import AlignedPath, RefinedPath, standard_normal
from latentsde.brownian.path import Path

pytestmark = pytest.mark.usefixtures("implementation")

DOUBLE = torch.float64
GRID = [0.0, 0.25, 1.0]


def tree(shape: tuple[int, ...], **options: Any) -> Path:
    return VirtualBrownianTree(0, 1, shape, **{"seed": 3, **options})


def aligned(shape: tuple[int, ...], **options: Any) -> Path:
    return AlignedPath(shape, GRID, **{"seed": 3, **options})


both = pytest.mark.parametrize("make", [tree, aligned])


@both
@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0)])
@pytest.mark.parametrize("own_times", [False, True])
@pytest.mark.parametrize("area", [None, "space-time"])
def test_nothing_is_answered_for_no_samples_or_channels(
    make: Any, shape: tuple[int, ...], own_times: bool, area: str | None
) -> None:
    path = make(shape, levy_area=area)
    times = torch.tensor(GRID, dtype=DOUBLE)
    if own_times:
        times = times.unsqueeze(1).expand(3, shape[0])
    assert path.increments(times).W.shape == (2, *shape)
    assert path.increment(times[0], times[1]).W.shape == shape


@both
def test_a_default_device_of_torch_does_not_move_an_answer(make: Any) -> None:
    path, expected = make((3, 2)), make((3, 2))(0.0, 0.25)
    with torch.device("meta"):
        assert torch.equal(path(0.0, 0.25), expected)
        assert path.increments(torch.tensor(GRID, device="cpu")).W.device.type == "cpu"
        assert standard_normal((3, 2), seed=1, device="cpu").device.type == "cpu"


@both
def test_later_changes_of_the_ids_do_not_reach_the_path(make: Any) -> None:
    ids = torch.tensor([4, 5, 6])
    path, expected = make((3, 2), ids=ids), make((3, 2), ids=ids.clone())(0.0, 0.25)
    ids += 10
    for same in (path, copy.deepcopy(path), pickle.loads(pickle.dumps(path))):
        assert torch.equal(same(0.0, 0.25), expected)


def test_later_changes_of_the_grid_do_not_reach_the_path() -> None:
    grid = torch.tensor(GRID, dtype=DOUBLE, requires_grad=True)
    path = AlignedPath((3, 2), grid, seed=3)
    expected = path(0.0, 0.25)
    with torch.no_grad():
        grid *= 2.0
    for same in (path, copy.deepcopy(path), pickle.loads(pickle.dumps(path))):
        assert torch.equal(same(0.0, 0.25), expected) and not same(0.0, 1.0).requires_grad


@both
@pytest.mark.parametrize("name", ["shape", "ids", "seed", "dtype"])
def test_parameters_are_fixed(make: Any, name: str) -> None:
    with pytest.raises(AttributeError, match="another path"):
        setattr(make((3, 2)), name, None)


@both
def test_times_that_require_a_gradient_are_times(make: Any) -> None:
    times = torch.tensor(GRID, dtype=DOUBLE, requires_grad=True)
    assert torch.equal(make((3, 2)).increments(times).W, make((3, 2)).increments(times.detach()).W)


def test_a_refined_path_is_sent_without_what_it_has_drawn() -> None:
    path = RefinedPath((4, 5), torch.linspace(0, 1, 2001), spacing=0.1, seed=3)
    sent = pickle.dumps(path)
    assert len(sent) < 30_000  # its 40,000 numbers would be 320,000 bytes
    again = pickle.loads(sent)
    assert torch.equal(again(0.0, 1.0), path(0.0, 1.0))


@pytest.mark.parametrize("ids", [torch.arange(3, dtype=torch.int32), torch.arange(2), torch.arange(3.0)])
def test_names_of_another_kind_or_number_are_an_error(ids: Tensor) -> None:
    for draw in (lambda: standard_normal((3, 2), seed=1, ids=ids), lambda: tree((3, 2), ids=ids)):
        with pytest.raises(ValueError, match=r"int64 of shape \(3,\)"):
            draw()


@pytest.mark.parametrize("ends", [(-1e308, 1e308), (0.0, math.inf), (1.0, 1.0)])
def test_ends_no_finite_time_apart_are_an_error(ends: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="t0 < t1"):
        VirtualBrownianTree(*ends, (3,), seed=1)


def test_a_grid_with_a_time_that_is_not_finite_is_an_error() -> None:
    with pytest.raises(ValueError, match="finite"):
        AlignedPath((3,), [0.0, math.inf], seed=1)


def test_a_large_path_forgets_its_lower_levels_and_nothing_else(implementation: str) -> None:
    # 64-bit numbers of 2^19 elements: 256 MB hold the first 15 of 31 levels.
    if implementation != "C++":
        pytest.skip("only the compiled kernel keeps anything")
    path = tree((2**13, 64), dtype=DOUBLE)
    queries = [(0.1, 0.2), (0.2, 0.3), (0.3, 0.2), (0.25, 0.5), (0.7, 0.1)]
    for ta, tb in queries:
        alone = tree((2, 64), dtype=DOUBLE)
        assert torch.equal(path(ta, tb)[:2], alone(ta, tb))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shape": 4}, r"such as \(32, 3\)"),
        ({"shape": "43"}, r"such as \(32, 3\)"),
        ({"shape": (-4, 3)}, r"such as \(32, 3\)"),
        ({"shape": (4.9, 3)}, r"such as \(32, 3\)"),
        ({"seed": 0.3}, "an integer, got 0.3"),
        ({"seed": None}, "an integer, got None"),
        ({"ids": [0, 1, 2]}, "a tensor"),
        ({"dtype": "float64"}, "torch.float64"),
    ],
)
def test_arguments_are_not_guessed_at(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        VirtualBrownianTree(0, 1, **{"shape": (3, 2), "seed": 1, **options})


@both
@pytest.mark.parametrize("time", ["0.25", None])
def test_a_time_that_is_no_number_is_an_error(make: Any, time: Any) -> None:
    with pytest.raises(ValueError, match="times must be numbers"):
        make((3, 2))(0.0, time)


@both
def test_times_may_be_any_sequence(make: Any) -> None:
    expected = make((3, 2)).increments(torch.tensor(GRID)).W
    assert torch.equal(make((3, 2)).increments(GRID).W, expected)
    assert torch.equal(make((3, 2)).increments(torch.tensor(GRID).numpy()).W, expected)


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("own", [False, True])
def test_points_of_a_grid_are_found_up_to_rounding(descending: bool, own: bool) -> None:
    # float32's linspace(0, 1, 11) has 0.30000001192092896, and 0.1 + 0.2 is not 0.3.
    exact = torch.tensor([k / 10 for k in (0, 1, 2, 3, 3, 4, 5, 6, 7, 8, 9, 10)], dtype=DOUBLE)
    exact = exact.flip(0) if descending else exact
    single = exact.float()
    grid = exact.unsqueeze(1).expand(-1, 3) if own else exact
    path = AlignedPath((3, 2), grid, seed=3, levy_area="space-time")
    for asked in (single, exact * (1 - 2e-16)):
        for found, expected in zip(path.increments(asked), path.increments(exact), strict=True):
            assert found is not None and expected is not None
            assert torch.equal(found, expected)
    with pytest.raises(ValueError, match="not a point"):
        path(0.1, 0.2002)


def test_a_rounding_is_never_taken_for_a_cell() -> None:
    # Seconds since 1970 in steps of one: float32 does not tell two hundred of them apart.
    path = AlignedPath((3,), torch.arange(1e9, 1e9 + 50, dtype=DOUBLE), seed=3)
    assert not torch.equal(path(1e9, 1e9 + 1), path(1e9, 1e9 + 2))
    with pytest.raises(ValueError, match="not a point"):
        path(1e9, 1e9 + 1.01)


def test_a_path_shows_its_parameters() -> None:
    assert repr(tree((3, 2))) == "VirtualBrownianTree(0.0, 1.0, shape=(3, 2), seed=3, dtype=torch.float32)"
