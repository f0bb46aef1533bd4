"""A solve that stops being finite says where, when and why; one that cannot begin says what is wrong."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from latentsde import VirtualBrownianTree, solve
from latentsde.solvers import GivenGrid, NotFinite
from tests.solvers.equations import DOUBLE, Given, Growth, Learned

Y0 = torch.tensor([[0.4, -1.0], [1.3, 0.2]], dtype=DOUBLE)


def breaking(at: float, value: float) -> Any:
    """(t, y) -> ones, until t reaches `at`, from when on one number of one sample is not finite."""

    def function(t: Tensor, y: Tensor) -> Tensor:
        broken = torch.ones_like(y)
        broken.view(-1)[-1] = value
        return torch.where(t >= at - 1e-9, broken, torch.ones_like(y))

    return function


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["f", "g"])
@pytest.mark.parametrize("adjoint", ["direct", "checkpointed", "backsolve"])
def test_a_drift_or_diffusion_that_is_not_finite_is_named_with_its_step(
    name: str, value: float, adjoint: str
) -> None:
    sde = Given(**{name: breaking(0.5, value)})
    y0 = Y0.clone().requires_grad_()
    with pytest.raises(NotFinite) as caught:
        solve(sde, y0, [0.0, 1.0], dt=0.1, seed=1, method="euler", adjoint=adjoint)
    error = caught.value
    assert isinstance(error, ArithmeticError)
    assert error.step == 5 and abs(error.time - 0.5) < 1e-12
    assert bool(error.state.isfinite().all()) and error.state.shape == Y0.shape
    assert not error.state.requires_grad
    text = str(error)
    assert text.startswith(f"{name}(t, y) is not finite in step 5, from t = 0.5 to 0.6")
    assert ("drift" if name == "f" else "diffusion") in text and "|y| is at most" in text


@pytest.mark.parametrize("noise_type", ["none", "diagonal", "general"])
def test_a_state_that_overflows_is_reported_with_its_size(noise_type: str) -> None:
    class Explosive(Given):
        def f(self, t: Tensor, y: Tensor) -> Tensor:  # type: ignore[override]
            return y**3

    if noise_type == "none":
        sde: Any = type("ODE", (), {"f": lambda self, t, y: y**3})()
    else:
        sde = Given(noise_type, f=lambda t, y: y**3, g=None if noise_type == "diagonal" else _columns)
    y0 = torch.full((2, 1), 10.0)
    for ts in ([0.0, 10.0], torch.tensor([[0.0, 0.0], [10.0, 8.0]])):
        with pytest.raises(NotFinite) as caught:
            solve(sde, y0, ts, dt=0.5, seed=1, method="euler")
        error = caught.value
        assert 0 < error.step < 10 and "|y| is at most" in str(error)
        assert "take smaller steps" in str(error) or "f(t, y) is not finite" in str(error)
        assert bool(error.state.isfinite().all()) and float(error.state.abs().max()) > 1e6
        times = torch.as_tensor(error.time)
        assert times.shape == (() if isinstance(ts, list) else (2,)) and bool((times > 0).all())


def _columns(t: Tensor, y: Tensor) -> Tensor:
    return torch.ones(*y.shape, 3)


def test_a_start_and_a_path_that_are_not_finite_are_named() -> None:
    with pytest.raises(NotFinite, match="y0 is not finite"):
        solve(Growth(), torch.tensor([[1.0], [math.nan]]), [0, 1], dt=0.1)

    class Broken:
        shape = (2, 2)

        def increments(self, times: Tensor) -> Any:
            found = VirtualBrownianTree(0, 1, (2, 2), seed=1, dtype=DOUBLE).increments(times)
            found.W[3:] = math.nan
            return found

    with pytest.raises(NotFinite, match="the path's increment is not finite in step 3"):
        solve(Given(), Y0, [0, 1], dt=0.1, path=Broken(), method="euler")


def test_tuples_are_looked_at_in_every_part() -> None:
    class Parts:
        def f(self, t: Tensor, y: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            return torch.ones_like(y[0]), breaking(0.5, math.nan)(t, y[1])

    with pytest.raises(NotFinite) as caught:
        solve(Parts(), (Y0[:, 0], Y0), [0.0, 1.0], dt=0.1, method="euler")
    assert caught.value.step == 5 and len(caught.value.state) == 2


def test_a_step_is_found_in_every_block_and_with_a_carry() -> None:
    for method in ("reversible_heun", "dopri5"):
        sde: Any = type("ODE", (), {"f": staticmethod(breaking(15.0, math.nan))})()
        with pytest.raises(NotFinite) as caught:
            solve(sde, Y0, [0.0, 20.0], dt=0.1, method=method)
        assert caught.value.step == 149  # the evaluation at the end of this step is the first broken one
        assert abs(caught.value.time - 14.9) < 1e-9


def test_what_is_finite_is_left_alone() -> None:
    large = torch.full((2, 1), 1e300, dtype=DOUBLE)
    assert bool(solve(Given(), large, [0, 1], dt=0.5, seed=1).ys.isfinite().all())
    assert solve(Given(), torch.zeros(0, 2), [0, 1], dt=0.5, seed=1).ys.numel() == 0


# What cannot begin


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"ts": [0.0]}, "at least two times"),
        ({"ts": [0.0, 1.0, 0.5]}, r"increasing or decreasing throughout; look at ts\[2\]"),
        ({"ts": [0.0, 0.0, 1.0]}, r"ts\[1\]"),
        ({"ts": [0.0, math.nan]}, "not finite"),
        ({"ts": torch.zeros(3, 5)}, "y0 has 2 samples"),
        ({"ts": torch.tensor([[0.0, 0.0], [1.0, -1.0]])}, r"ts\[1\]"),
        ({"ts": torch.zeros(2, 2, 1)}, r"\(times,\) or \(times, batch\)"),
        ({"dt": 0.0}, "dt must be a positive number"),
        ({"dt": -0.1}, "dt must be a positive number"),
        ({"dt": math.nan}, "dt must be a positive number"),
        ({"dt": None}, "give dt, or a controller"),
        ({"controller": GivenGrid([0.5])}, "not both"),
        ({"dt": None, "controller": GivenGrid([0.5, math.inf])}, "sequence of finite times"),
        (
            {"path": VirtualBrownianTree(0, 1, (2, 3), seed=1)},
            r"\(2, 3\); this equation's noise needs \(2, 2\)",
        ),
        (
            {"path": VirtualBrownianTree(0, 1, (3, 2), seed=1)},
            r"\(3, 2\); this equation's noise needs \(2, 2\)",
        ),
        ({"path": VirtualBrownianTree(0.5, 1, (2, 2), seed=1)}, r"\[0.5, 1.0\]"),
        ({"path": (VirtualBrownianTree(0, 1, (2, 2), seed=1),)}, "this equation's noise needs"),
        ({"method": "srk", "path": VirtualBrownianTree(0, 1, (2, 2), seed=1)}, 'levy_area="space-time"'),
        ({"method": "shark"}, "depends on the state"),
        ({"method": "heun"}, "does not fit diagonal noise in the ito calculus; these do: "),
        ({"method": "nothing"}, "unknown method"),
        ({"adjoint": "reversible", "method": "milstein"}, r'ReversiblePair\("milstein"\)'),
        ({"y0": torch.ones(2, 2, dtype=torch.int32)}, "floating-point"),
    ],
)
def test_what_cannot_be_solved_is_an_error_that_says_why(options: dict[str, Any], words: str) -> None:
    arguments: dict[str, Any] = {"y0": Y0, "ts": [0.0, 1.0], "dt": 0.5, **options}
    with pytest.raises(ValueError, match=words):
        solve(Learned("diagonal", "ito"), arguments.pop("y0"), arguments.pop("ts"), **arguments)


def test_parts_of_a_tuple_that_do_not_match_are_errors() -> None:
    class Parts(Given):
        def __init__(self, drift: Any, diffusion: Any) -> None:
            super().__init__(f=lambda t, y: drift, g=lambda t, y: diffusion)

    one, two = torch.ones(2, 1), torch.ones(2, 3)
    for drift, diffusion, words in (
        ((one,), (one, None), r"f\(t, y\) has shape"),
        ((one, one), (one, None), r"f\(t, y\) has shape"),
        (one, (one, None), r"f\(t, y\) has shape"),
        ((one, two), (two, None), r"g\(t, y\) has shape"),
    ):
        with pytest.raises(ValueError, match=words):
            solve(Parts(drift, diffusion), (one, two), [0, 1], dt=0.5, seed=1, method="euler")
