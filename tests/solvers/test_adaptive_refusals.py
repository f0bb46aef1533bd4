"""What adaptive steps refuse: methods whose law they would change, arguments, starts that are not finite."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from latentsde import VirtualBrownianTree, solve
from latentsde.solvers import METHODS, PID, NotFinite, ReversiblePair
from latentsde.solvers.choice import fits
from latentsde.solvers.equation import Equation
from tests.solvers.adjoints.held import Y0
from tests.solvers.equations import DOUBLE, Given, Growth, Learned
from tests.solvers.test_not_finite import breaking

# Methods


def advised(message: str) -> list[str]:
    """The methods that a refusal names."""
    end = message.split("Take fixed steps (dt=), or ")[1]
    return end.removeprefix("one of ").split(", ") if end.startswith("one of ") else []


@pytest.mark.parametrize(
    ("method", "noise_type"),
    [
        *(("euler", noise_type) for noise_type in ("diagonal", "scalar", "commutative", "general")),
        ("bridged_euler", "diagonal"),
        (None, "general"),
    ],
)
def test_euler_with_noise_that_depends_on_the_state_is_refused(method: str | None, noise_type: str) -> None:
    equation = Learned(noise_type, "ito")
    with pytest.raises(ValueError, match=r"converges to another process.*Take fixed steps") as caught:
        solve(equation, Y0, [0, 1], method=method, controller=PID(), seed=1)
    names = advised(str(caught.value))
    assert ("milstein" in names) == (noise_type != "general")
    assert ("Stratonovich" in str(caught.value)) == (not names)
    for name in names:
        solve(equation, Y0, [0, 1], method=name, controller=PID(rtol=0.1, atol=0.1), seed=1)


@pytest.mark.parametrize("method", ["log_ode", ReversiblePair("log_ode")])
def test_steps_are_not_chosen_by_areas_that_are_drawn(method: Any) -> None:
    equation = Learned("general", "stratonovich")
    with pytest.raises(ValueError, match="by areas that it draws") as caught:
        solve(equation, Y0, [0, 1], method=method, controller=PID(), seed=1)
    names = advised(str(caught.value))
    able = {name for name, known in METHODS.items() if fits(known, Equation(equation))}
    assert set(names) == able - {"log_ode"} and "heun" in names
    # Without general noise it takes no areas.
    for noise_type in ("diagonal", "commutative"):
        sde = Learned(noise_type, "stratonovich")
        solve(sde, Y0, [0, 1], method=method, controller=PID(rtol=0.1, atol=0.1), seed=1)


# Arguments


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"rtol": -1e-3}, "rtol"),
        ({"atol": math.nan}, "atol"),
        ({"rtol": 0.0, "atol": 0.0}, "both 0"),
        ({"dt0": 0.0}, "dt0"),
        ({"dt_min": -1.0}, "dt_min"),
        ({"dt_max": math.inf}, "dt_max"),
        ({"safety": 1.5}, "safety"),
        ({"factor_min": 1.0}, "factor_min"),
        ({"factor_max": 0.9}, "factor_max"),
        ({"max_steps": 0}, "max_steps"),
        ({"dt_min": 0.2, "dt_max": 0.1}, "dt_min"),
    ],
)
def test_arguments_that_make_no_sense_are_errors(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        PID(**arguments)


# Starts


def starts(noise_type: str, name: str, value: float) -> tuple[Any, Tensor]:
    """An equation and a state of which one number is not finite at t = 0."""
    y0 = Y0.clone()
    if name == "y0":
        y0[-1, -1] = value
    broken = {} if name == "y0" else {name: breaking(0.0, value)}
    return (Growth() if noise_type == "none" and name == "y0" else Given(noise_type, **broken)), y0


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["f", "g", "y0"])
@pytest.mark.parametrize("options", [{}, {"dt0": 0.1}, {"per_sample": True}, {"dt_max": 0.1, "dt_min": 1e-4}])
def test_a_start_that_is_not_finite_says_what_is_not(
    name: str, value: float, options: dict[str, Any]
) -> None:
    equation, y0 = starts("diagonal", name, value)
    path = VirtualBrownianTree(0, 1, y0.shape, seed=1, levy_area="space-time", dtype=DOUBLE)
    for ts in ([0.0, 1.0], [1.0, 0.0]):
        with pytest.raises(NotFinite) as caught:
            solve(equation, y0, ts, method="milstein", path=path, controller=PID(**options))
        error, text = caught.value, str(caught.value)
        assert text.startswith("y0 is" if name == "y0" else f"{name}(t, y) is not finite at the start, t = ")
        assert error.step == 0 and bool((torch.as_tensor(error.time) == ts[0]).all())
        torch.testing.assert_close(error.state, y0, equal_nan=True)


@pytest.mark.parametrize("per_sample", [False, True])
def test_an_ode_whose_start_is_not_finite_says_what_is_not(per_sample: bool) -> None:
    controller = PID(per_sample=per_sample)
    with pytest.raises(NotFinite, match="y0 is not finite"):
        solve(Growth(), torch.tensor([[1.0], [math.nan]]), [0, 1], method="dopri5", controller=controller)
    broken = breaking(0.0, math.nan)
    ode: Any = type("ODE", (), {"f": lambda self, t, y: (y[0], broken(t, y[1]))})()
    with pytest.raises(NotFinite, match=r"f\(t, y\) is not finite at the start, t = 0"):
        solve(ode, (Y0, Y0[:, :1]), [0, 1], method="dopri5", controller=controller)


def test_a_drift_whose_square_overflows_is_none_of_these() -> None:
    ode: Any = type("ODE", (), {"f": staticmethod(lambda t, y: torch.full_like(y, 1e30))})()
    controller = PID(rtol=1e-3, atol=1e-3)
    ys = solve(ode, torch.zeros(2, 1), [0.0, 1.0], method="tsit5", controller=controller).ys
    torch.testing.assert_close(ys[-1], torch.full((2, 1), 1e30))
