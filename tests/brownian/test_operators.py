"""Paths inside `torch.compile(fullgraph=True)`: the bits of eager mode, and one graph for any times."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounterWithBackend
from torch._subclasses.fake_tensor import FakeTensorMode

from latentsde import VirtualBrownianTree
from latentsde.brownian import AlignedPath, Increments

pytestmark = pytest.mark.usefixtures("implementation")

DOUBLE, SINGLE = torch.float64, torch.float32
GRID = [0.0, 0.125, 0.375, 0.5, 0.75, 1.0]
OPERATORS = torch.ops.latentsde


@pytest.fixture(autouse=True)
def nothing_compiled() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def tree(dtype: torch.dtype = SINGLE, area: str | None = "space-time") -> VirtualBrownianTree:
    return VirtualBrownianTree(0, 1, (3, 2), seed=-9, levy_area=area, dtype=dtype)


def aligned(dtype: torch.dtype = SINGLE, area: str | None = "space-time") -> AlignedPath:
    return tree(dtype, area).aligned(GRID)


Make = Callable[..., VirtualBrownianTree | AlignedPath]
both = pytest.mark.parametrize("make", [tree, aligned])


# ---- The operators -------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("own_times", [False, True])
@pytest.mark.parametrize("area", [False, True])
@pytest.mark.parametrize("dtype", [SINGLE, DOUBLE, torch.bfloat16])
def test_operators_keep_pytorchs_rules(make: Make, own_times: bool, area: bool, dtype: torch.dtype) -> None:
    # Schema, autograd, fake tensors and tracing with sizes that are not known.
    ids = torch.tensor([3, -1, 2**40])
    times = torch.tensor([[0.0, 1.0, 0.5], [0.125, 0.375, 0.5], [1.0, 0.5, 0.0]], dtype=DOUBLE)
    times = times if own_times else times[:, 0].clone()
    if make is tree:
        arguments: tuple[object, ...] = (times, ids, 2**62, 0.0, 1.0, 5, area, dtype)
        torch.library.opcheck(OPERATORS.tree_increments.default, arguments)
    else:
        arguments = (times, torch.tensor(GRID, dtype=DOUBLE), ids, -(2**62), 5, area, dtype)
        torch.library.opcheck(OPERATORS.cell_increments.default, arguments)


@both
@pytest.mark.parametrize("dtype", [SINGLE, DOUBLE, torch.float16])
@pytest.mark.parametrize("area", [False, True])
@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_fake_kernels_foresee_shapes_and_dtypes(
    make: Make, dtype: torch.dtype, area: bool, count: int
) -> None:
    def ask() -> tuple[Tensor, Tensor]:
        times, ids = torch.zeros(count, dtype=DOUBLE), torch.zeros(4, dtype=torch.int64)
        if make is tree:
            return OPERATORS.tree_increments(times, ids, 1, 0.0, 1.0, 3, area, dtype)
        return OPERATORS.cell_increments(times, torch.zeros(1, dtype=DOUBLE), ids, 1, 3, area, dtype)

    real = ask()
    with FakeTensorMode():
        fake = ask()
    assert real[0].shape == (max(0, count - 1), 4, 3) and real[0].dtype == dtype
    for ours, foreseen in zip(real, fake, strict=True):
        assert (ours.shape, ours.dtype, ours.device) == (foreseen.shape, foreseen.dtype, foreseen.device)


# ---- Compiled graphs -----------------------------------------------------------------------------

Step = Callable[..., Tensor]


def euler_maruyama(path: VirtualBrownianTree | AlignedPath, drift: nn.Module | None = None) -> Step:
    def step(y: Tensor, ta: float | Tensor, tb: float | Tensor) -> Tensor:
        change = -y if drift is None else drift(y)
        return y + change * 0.125 + 0.5 * path(ta, tb)

    return step


def compiled(function: Callable, backend: object = "aot_eager") -> Callable:
    return torch.compile(function, fullgraph=True, backend=backend)  # type: ignore[call-overload, no-any-return, unused-ignore]


def assert_same(found: Increments, expected: Increments) -> None:
    assert isinstance(found, Increments) and found.H is not None and expected.H is not None
    assert torch.equal(found.W, expected.W) and torch.equal(found.H, expected.H)


OWN = torch.tensor([0.0, 0.375, 0.5])
OWN_LATER = torch.tensor([0.125, 0.375, 0.25 + 0.5])
FORMS = {
    "numbers": (0.125, 0.375),
    "numbers backwards": (0.75, 0.125),
    "float32": (torch.tensor(0.125), torch.tensor(0.375)),
    "float64": (torch.tensor(0.125, dtype=DOUBLE), torch.tensor(0.375, dtype=DOUBLE)),
    "one for each sample": (OWN, OWN_LATER),
    "one for all and one for each": (0.0, OWN_LATER),
}
forms = pytest.mark.parametrize("times", FORMS.values(), ids=FORMS)
Times = tuple[float | Tensor, float | Tensor]


@both
@forms
def test_a_compiled_step_has_the_bits_of_an_eager_one(make: Make, times: Times) -> None:
    step, y = euler_maruyama(make(area=None)), torch.ones(3, 2)
    assert torch.equal(compiled(step)(y, *times), step(y, *times))


@both
@forms
def test_a_compiled_query_gives_the_area_as_well(make: Make, times: Times) -> None:
    path = make(DOUBLE)
    assert_same(compiled(lambda ta, tb: path.increment(ta, tb))(*times), path.increment(*times))


@both
def test_a_compiled_loop_over_many_increments_has_the_bits_of_an_eager_one(make: Make) -> None:
    path = make()

    def solve(y: Tensor, times: Tensor) -> Tensor:
        w, h = path.increments(times)
        assert h is not None
        for k in range(len(times) - 1):
            y = y - y * (times[k + 1] - times[k]) + y * w[k] + h[k]
        return y

    y, times = torch.ones(3, 2), torch.tensor(GRID)
    assert torch.equal(compiled(solve)(y, times), solve(y, times))
    assert torch.equal(compiled(solve)(y, times.flip(0)), solve(y, times.flip(0)))


@both
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_a_step_compiles_where_no_gradient_is_wanted(
    make: Make, mode: Callable[[], AbstractContextManager[None]]
) -> None:
    step = euler_maruyama(make())
    with mode():
        y, times = torch.ones(3, 2), (torch.tensor(0.125), torch.tensor(0.75))
        assert torch.equal(compiled(step)(y, *times), step(y, *times))


@both
@pytest.mark.parametrize("own_times", [False, True])
def test_new_times_in_tensors_need_no_new_graph(make: Make, own_times: bool) -> None:
    counter = CompileCounterWithBackend("aot_eager")
    step = euler_maruyama(make())
    fast, y = compiled(step, counter), torch.ones(3, 2)
    grid = [torch.full((3,) if own_times else (), time) for time in GRID]
    fast(y, grid[0], grid[1])
    with torch.compiler.set_stance("fail_on_recompile"):
        for ta, tb in [*itertools.pairwise(grid), *itertools.pairwise(grid[::-1])]:
            assert torch.equal(fast(y, ta, tb), step(y, ta, tb))
    assert counter.frame_count == 1


@both
def test_many_numbers_as_times_need_few_graphs(make: Make) -> None:
    counter = CompileCounterWithBackend("aot_eager")
    times = [k / 16 for k in range(17)]
    path = make() if make is tree else tree().aligned(times)
    step, y = euler_maruyama(path), torch.ones(3, 2)
    fast = compiled(step, counter)
    for ta, tb in itertools.pairwise(times):
        assert torch.equal(fast(y, ta, tb), step(y, ta, tb))
    # One with the first numbers in it, one for any number, and perhaps one for a number that is special.
    assert counter.frame_count <= 4


@both
def test_gradients_of_a_compiled_step_reach_the_drift(make: Make) -> None:
    # The same operations in the same order, but gradients of one graph are summed in an order of its own.
    gradients, losses = [], []
    path = make()
    for compile_it in (False, True):
        drift = nn.Linear(2, 2)
        with torch.no_grad():
            for parameter in drift.parameters():
                parameter.copy_(torch.linspace(-1, 1, parameter.numel()).view_as(parameter))
        step = euler_maruyama(path, drift)
        step = compiled(step) if compile_it else step
        y = torch.ones(3, 2)
        for ta, tb in itertools.pairwise(torch.tensor(GRID)):
            y = step(y, ta, tb)
        loss = y.square().mean()
        loss.backward()
        losses.append(loss.detach())
        gradients.append([parameter.grad for parameter in drift.parameters()])
    assert torch.equal(losses[0], losses[1])
    for eager, fast in zip(*gradients, strict=True):
        assert eager is not None and eager.abs().min() > 1e-3
        torch.testing.assert_close(fast, eager, rtol=1e-5, atol=1e-6)


def test_a_compiled_query_outside_the_path_is_the_same_error() -> None:
    step = compiled(euler_maruyama(tree()))
    with pytest.raises(ValueError, match=r"time 2\.0 is outside the path's interval \[0\.0, 1\.0\]"):
        step(torch.ones(3, 2), torch.tensor(0.5), torch.tensor(2.0))


@pytest.mark.slow
@both
def test_a_step_compiles_with_the_default_backend(make: Make) -> None:
    # Its code for the drift may round otherwise; the path's share is the same.
    if shutil.which("g++") is None and shutil.which("clang++") is None:
        pytest.skip("the default backend compiles C++, and there is no compiler here")
    path, y = make(), torch.ones(3, 2)
    times = torch.tensor(0.125), torch.tensor(0.75)
    step = euler_maruyama(path)
    torch.testing.assert_close(compiled(step, "inductor")(y, *times), step(y, *times))
    query = compiled(lambda ta, tb: path.increment(ta, tb), "inductor")
    assert_same(query(*times), path.increment(*times))
    # Its code relies on the strides that the fake kernels foresee.
    own = torch.tensor(GRID).unsqueeze(1).expand(-1, 3).contiguous()
    assert_same(compiled(lambda times: path.increments(times), "inductor")(own), path.increments(own))
