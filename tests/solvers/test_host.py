"""How often a solve waits for the device: never inside fixed steps, rarely in adaptive ones of an ODE, and in
those of an SDE besides whenever the path is asked.

There is no other device to run on, so what would wait is counted: questions for a tensor's value, and in an
adaptive search copies to the host.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from latentsde import VirtualBrownianTree, solve
from latentsde.solvers import METHODS, PID
from tests.solvers.adjoints.held import kinds
from tests.solvers.equations import DOUBLE, Learned, LearnedDrift

ASKING = {torch.ops.aten._local_scalar_dense, torch.ops.aten.is_nonzero, torch.ops.aten.nonzero}


class Questions(TorchDispatchMode):
    """Operations whose result depends on values that have to be known on the host."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += function.overloadpacket in ASKING
        return function(*args, **(kwargs or {}))


class OnHost(Tensor):
    """What has been copied to the host, and what was made of it."""


class Copies(TorchFunctionMode):
    """Copies to the host, and values that are read there of what was not copied, of the given type."""

    READING = frozenset(("tolist", "item", "__bool__", "__float__", "__int__", "numpy"))

    def __init__(self, dtype: torch.dtype | None = None) -> None:
        super().__init__()
        self.count, self.dtype = 0, dtype

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, result = getattr(function, "__name__", ""), function(*args, **(kwargs or {}))
        copied = name == "cpu" or (name == "to" and "cpu" in args)
        if (copied or name in self.READING) and isinstance(args[0], Tensor) and type(args[0]) is not OnHost:
            self.count += self.dtype in (None, args[0].dtype)
            return result.clone().as_subclass(OnHost) if copied else result
        to_device = name == "to" and any(isinstance(x, torch.device) for x in args)
        return result.as_subclass(Tensor) if to_device else result


class Asked:
    """A path that counts how often it is asked."""

    levy_area = None

    def __init__(self, path: Any) -> None:
        self.path, self.shape, self.count = path, path.shape, 0

    def increments(self, times: Tensor) -> Any:
        self.count += 1
        return self.path.increments(times)


def equations() -> list[tuple[str, str, str]]:
    return [(m, *kinds(m)[-1]) for m in METHODS] + [(m, *kinds(m)[0]) for m in METHODS]


def cost_of(counter: Any, equation: Any, steps: int, **options: Any) -> int:
    y0 = torch.ones(3, 2)
    with counter:
        ys = solve(equation, y0, [0.0, 1.0], dt=1.0 / steps, **options).ys
        if ys.requires_grad:
            ys.sum().backward()
    return int(counter.count)


@pytest.mark.parametrize(("method", "noise_type", "calculus"), equations())
def test_fixed_steps_ask_the_device_nothing(method: str, noise_type: str, calculus: str) -> None:
    equation = LearnedDrift() if noise_type == "none" else Learned(noise_type, calculus)
    equation = equation.float()
    options: dict[str, Any] = {"method": method, "seed": 1}
    for counter in (Questions, lambda: Copies(torch.float32), lambda: Copies(torch.bool)):
        few, many = (cost_of(counter(), equation, steps, **options) for steps in (20, 200))
        assert few == many <= 20


@pytest.mark.parametrize("adjoint", ["checkpointed", "backsolve", "reversible"])
def test_fixed_steps_and_their_gradients_ask_the_device_nothing(adjoint: str) -> None:
    for noise_type in ("diagonal", "general"):
        equation = Learned(noise_type, "stratonovich").float()
        options: dict[str, Any] = {"method": "reversible_heun", "seed": 1, "adjoint": adjoint}
        few, many = (cost_of(Questions(), equation, steps, **options) for steps in (20, 200))
        assert few == many <= 20


@pytest.mark.parametrize("per_sample", [False, True])
def test_adaptive_steps_of_an_ode_ask_the_device_a_few_dozen_times(per_sample: bool) -> None:
    class Fast:
        def f(self, t: Tensor, y: Tensor) -> Tensor:
            return torch.stack([y[:, 1], -400.0 * y[:, 0]], -1)

    y0 = torch.tensor([[1.0, 0.0], [0.0, 2.0]], dtype=DOUBLE)
    counts, steps = [], []
    for tolerance in (1e-4, 1e-8):
        counter = Copies()
        controller = PID(rtol=tolerance, atol=tolerance, per_sample=per_sample)
        with counter, Questions() as questions:
            stats = solve(Fast(), y0, [0.0, 3.0], method="dopri5", controller=controller).stats
        counts.append(counter.count + questions.count)
        steps.append(stats.steps + stats.rejected)
    assert steps[1] > 3 * steps[0] > 200
    assert counts[1] < steps[1] / 4 and counts[1] - counts[0] < 60


@pytest.mark.parametrize("per_sample", [False, True])
@pytest.mark.parametrize(("method", "asked_a_trial"), [("heun", 1), ("midpoint", 2)])
def test_adaptive_steps_of_an_sde_also_copy_the_times_that_their_path_is_asked_for(
    method: str, asked_a_trial: int, per_sample: bool
) -> None:
    equation, y0 = Learned("diagonal", "stratonovich"), torch.ones(4, 2, dtype=DOUBLE)
    others, trials = [], []
    for tolerance in (1e-2, 1e-4):
        path = Asked(VirtualBrownianTree(0, 1, (4, 2), seed=1, dtype=DOUBLE))
        controller = PID(rtol=tolerance, atol=tolerance, per_sample=per_sample)
        with torch.no_grad(), Copies() as copies, Questions() as questions:
            solve(equation, y0, [0.0, 1.0], method=method, path=path, controller=controller)
        trials.append(path.count // asked_a_trial)
        others.append(copies.count - path.count + questions.count)
    assert trials[1] > 3 * trials[0] and trials[1] > 60
    # One copy for each time that the path is asked, and of everything else a few dozen.
    assert 0 < others[0] <= others[1] < 60 and others[1] - others[0] < 30
