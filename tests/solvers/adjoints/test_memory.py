"""What adjoints keep: backsolve and reversible as much for 1,000 steps as for 100, checkpointed a root."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from latentsde import VirtualBrownianTree, solve
from tests.solvers.equations import DOUBLE


class Live(TorchDispatchMode):
    """The bytes of all storages that were made inside and are still there, and their peak."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: dict[int, Any] = {}

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        for x in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(x, Tensor):
                self._meet(x.untyped_storage())
        return result

    def _meet(self, storage: Any) -> None:
        key = storage._cdata
        if key in self._known:
            return
        size = storage.nbytes()
        self.now += size
        self.peak = max(self.peak, self.now)

        def part(_: Any) -> None:
            del self._known[key]
            self.now -= size

        self._known[key] = weakref.ref(storage, part)


class Small:
    """As few operations as there can be."""

    noise_type = "diagonal"

    def __init__(self, sde_type: str) -> None:
        self.sde_type, self.rate = sde_type, torch.tensor(-0.5, dtype=DOUBLE, requires_grad=True)

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        return self.rate * y

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.cos(y)


# States of 32 kB, beside which times and lengths of steps count for little; 100 steps are more than a block.
Y0 = torch.linspace(-1, 1, 4096, dtype=DOUBLE).view(32, 128)


def peak(steps: int, method: str, adjoint: str) -> int:
    """Bytes, forwards and backwards, beside what is held anyway."""
    equation = Small("ito" if method in ("euler", "milstein") else "stratonovich")
    path = VirtualBrownianTree(0, 1, (32, 128), seed=1, dtype=DOUBLE)
    y0 = Y0.clone().requires_grad_()
    gc.collect()
    gc.disable()  # memory must not wait for the collector, and it costs a test minutes
    try:
        with Live() as live:
            ys = solve(equation, y0, [0, 1], dt=1 / steps, method=method, path=path, adjoint=adjoint).ys
            ys[-1].square().sum().backward()
    finally:
        gc.enable()
    assert y0.grad is not None and bool(y0.grad.isfinite().all())
    return live.peak


@pytest.mark.parametrize(
    ("method", "adjoint", "most"),
    [
        ("reversible_heun", "reversible", 1000),
        ("heun", "backsolve", 1000),
        ("euler", "backsolve", 400),
        ("milstein", "backsolve", 400),
    ],
)
def test_memory_does_not_grow_with_the_steps(method: str, adjoint: str, most: int) -> None:
    few, many = (peak(steps, method, adjoint) for steps in (100, most))
    assert abs(many - few) < 0.05 * few


def test_memory_of_direct_grows_with_the_steps_and_of_checkpointed_with_their_root() -> None:
    # In states.
    sizes = {a: [peak(n, "euler", a) / Y0.nbytes for n in (50, 100, 200)] for a in ("direct", "checkpointed")}
    direct, checkpointed = sizes["direct"], sizes["checkpointed"]
    assert direct[1] - direct[0] > 50
    assert abs((direct[2] - direct[1]) / (direct[1] - direct[0]) - 2) < 0.3
    # What grows is the root: 7 more states and 7 more steps of tape, where direct has 150 of each.
    assert checkpointed[2] < 0.5 * direct[2]
    assert checkpointed[2] - checkpointed[1] < 0.2 * (direct[2] - direct[1])


def test_what_is_counted_is_what_is_there() -> None:
    with Live() as live:
        kept = [torch.ones(1000, dtype=DOUBLE) for _ in range(5)]
        for _ in range(10):
            torch.ones(1000, dtype=DOUBLE).exp()
        assert 5 * 8000 <= live.now <= 6 * 8000
        assert 6 * 8000 <= live.peak <= 7 * 8000
        kept.clear()
        torch.zeros(1)
        assert live.now < 8000


@pytest.mark.parametrize(
    ("adjoint", "method", "calculus"),
    [
        ("direct", "euler", "ito"),
        ("checkpointed", "reversible_heun", "stratonovich"),
        ("backsolve", "euler", "ito"),
        ("backsolve", "heun", "stratonovich"),
        ("reversible", "reversible_heun", "stratonovich"),
    ],
)
def test_a_gradient_leaves_no_tensors_to_the_garbage_collector(
    adjoint: str, method: str, calculus: str
) -> None:
    def gradient() -> None:
        y0 = torch.ones(2, 2, dtype=DOUBLE, requires_grad=True)
        equation = Small(calculus)
        solve(equation, y0, [0, 1], dt=0.25, seed=3, method=method, adjoint=adjoint).ys[-1].sum().backward()

    gradient()
    gc.collect()
    gc.disable()
    try:
        gradient()
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        left = [x for x in gc.garbage if isinstance(x, Tensor)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert not left
