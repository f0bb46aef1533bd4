"""What torchsde refuses is refused, with the same kind of error, when it is asked for."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torchsde as theirs  # type: ignore[import-untyped, unused-ignore]
from torch import nn

import latentsde.compat.torchsde as ours
from tests.compat.equations import BATCH, DOUBLE, STATE, Learned, With, start

PACKAGES = [ours, theirs]


def interval(package: Any, size: Any = (BATCH, STATE), level: str = "none") -> Any:
    return package.BrownianInterval(0.0, 1.0, size, DOUBLE, entropy=1, levy_area_approximation=level)


def diagonal(**functions: Any) -> With:
    """A diagonal Itô SDE with these functions in the place of its own."""
    sde = Learned("diagonal", "ito")
    return With(sde, **{"f": sde.f, "g": sde.g, **functions})


def words(noise_type: Any, sde_type: Any) -> With:
    sde = diagonal()
    sde.noise_type, sde.sde_type = noise_type, sde_type
    return sde


def without(word: str) -> With:
    sde = diagonal()
    delattr(sde, word)
    return sde


def reshaped(name: str, *shape: int) -> With:
    return diagonal(**{name: lambda t, y: torch.ones(shape, dtype=DOUBLE)})


Call = dict[str, Any]
WRONG: dict[str, tuple[type[Exception], Call]] = {
    "no noise_type": (ValueError, dict(sde=without("noise_type"))),
    "no sde_type": (ValueError, dict(sde=without("sde_type"))),
    "unknown noise_type": (ValueError, dict(sde=words("purple", "ito"))),
    "unknown sde_type": (ValueError, dict(sde=words("diagonal", "purple"))),
    "no drift": (ValueError, dict(sde=With(diagonal(), g=diagonal().g))),  # type: ignore[attr-defined]
    "no diffusion": (ValueError, dict(sde=With(diagonal(), f=diagonal().f))),  # type: ignore[attr-defined]
    "y0 no tensor": (ValueError, dict(y0=[[0.0] * STATE])),
    "y0 a number": (ValueError, dict(y0=torch.tensor(1.0))),
    "unknown method": (ValueError, dict(method="purple")),
    "method of the other calculus": (ValueError, dict(method="midpoint")),
    "method of the other calculus, additive": (
        ValueError,
        dict(sde=Learned("additive", "stratonovich"), method="euler"),
    ),
    "method of other noise": (ValueError, dict(sde=Learned("general", "ito"), method="milstein")),
    "adjoint method": (ValueError, dict(method="adjoint_reversible_heun")),
    "ts a word": (ValueError, dict(ts="0 1")),
    "ts words": (ValueError, dict(ts=["0", "1"])),
    "ts repeated": (ValueError, dict(ts=[0.0, 0.5, 0.5])),
    "ts back and forth": (ValueError, dict(ts=[0.0, 0.5, 0.25])),
    "ts requires a gradient": (ValueError, dict(ts=torch.tensor([0.0, 1.0], requires_grad=True))),
    "dt requires a gradient": (ValueError, dict(dt=torch.tensor(0.25, requires_grad=True))),
    "drift of another batch": (ValueError, dict(sde=reshaped("f", BATCH + 1, STATE))),
    "drift of another size": (ValueError, dict(sde=reshaped("f", BATCH, STATE + 1))),
    "drift of more dimensions": (ValueError, dict(sde=reshaped("f", BATCH, STATE, 1))),
    "diffusion of another batch": (ValueError, dict(sde=reshaped("g", BATCH + 1, STATE))),
    "diffusion of another size": (ValueError, dict(sde=reshaped("g", BATCH, STATE + 1))),
    "diffusion a matrix": (ValueError, dict(sde=reshaped("g", BATCH, STATE, 1))),
    "motion of another batch": (ValueError, dict(bm=(BATCH + 1, STATE))),
    "motion of another size": (ValueError, dict(bm=(BATCH, STATE + 1))),
    "motion of fewer dimensions": (ValueError, dict(bm=(BATCH,))),
    "scalar noise of two channels": (ValueError, dict(sde=Learned("scalar", "ito"), bm=(BATCH, 2))),
    "motion without area for srk": (ValueError, dict(bm=(BATCH, STATE), method="srk")),
    "motion without area for log_ode": (
        ValueError,
        dict(sde=Learned("general", "stratonovich"), bm=(BATCH, 2), level="space-time", method="log_ode"),
    ),
    "log-ratio without prior": (AttributeError, dict(sde=diagonal(), logqp=True)),
    "log-ratio with a motion of y's size": (
        ValueError,
        dict(sde=Learned("diagonal", "ito"), bm=(BATCH, STATE), logqp=True),
    ),
}


@pytest.mark.parametrize("function", ["sdeint", "sdeint_adjoint"])
@pytest.mark.parametrize("wrong", WRONG)
def test_what_torchsde_refuses_is_refused(wrong: str, function: str) -> None:
    error, given = WRONG[wrong]
    call: Call = {"sde": diagonal(), "y0": start(), "ts": [0.0, 1.0], "dt": 0.25, "method": "euler", **given}
    if function == "sdeint_adjoint":
        call["adjoint_params"] = ()
    size, level = call.pop("bm", None), call.pop("level", "none")
    messages = []
    for package in PACKAGES:
        bm = None if size is None else interval(package, size, level)
        with pytest.raises(error) as raised:
            getattr(package, function)(**call, bm=bm)
        messages.append(str(raised.value))
    assert "\n" not in messages[0]


@pytest.mark.parametrize(
    "arguments",
    [
        dict(adjoint_method="purple"),
        dict(adjoint_method="midpoint"),
        dict(adjoint_method="adjoint_reversible_heun"),
        dict(adjoint_method="srk"),
        dict(adjoint_rtol=torch.tensor(0.1, requires_grad=True)),
    ],
)
def test_wrong_ways_back_are_refused_before_the_way_there(arguments: Call) -> None:
    with pytest.raises(ValueError):
        ours.sdeint_adjoint(
            diagonal(), start(), [0.0, 1.0], method="euler", dt=0.25, adjoint_params=(), **arguments
        )


@pytest.mark.parametrize("package", PACKAGES)
def test_an_adjoint_of_what_is_no_module_wants_its_parameters(package: Any) -> None:
    with pytest.raises(ValueError, match="adjoint_params"):
        package.sdeint_adjoint(diagonal(), start(), [0.0, 1.0], dt=0.25)


@pytest.mark.parametrize("dt", [0.0, -0.1, float("nan"), "0.1", None, torch.zeros(2)])
def test_a_dt_that_leads_nowhere_is_an_error(dt: Any) -> None:
    with pytest.raises(ValueError, match="dt"):
        ours.sdeint(diagonal(), start(), [0.0, 1.0], method="euler", dt=dt)


@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize("arguments", [("purple", "ito"), ("diagonal", "purple")])
def test_base_classes_refuse_unknown_words(package: Any, arguments: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="purple"):
        package.BaseSDE(*arguments)
    with pytest.raises(ValueError, match="purple"):
        package.SDEIto("purple")


def test_base_classes_are_modules_that_carry_the_words() -> None:
    for package in PACKAGES:
        sdes = (
            package.BaseSDE("general", "ito"),
            package.SDEIto("scalar"),
            package.SDEStratonovich("additive"),
        )
        assert [(sde.noise_type, sde.sde_type) for sde in sdes] == [
            ("general", "ito"),
            ("scalar", "ito"),
            ("additive", "stratonovich"),
        ]
        assert all(isinstance(sde, nn.Module) and isinstance(sde, package.BaseSDE) for sde in sdes)


@pytest.mark.parametrize("function", ["sdeint", "sdeint_adjoint"])
@pytest.mark.parametrize("package", PACKAGES)
def test_unknown_arguments_are_a_warning(function: str, package: Any) -> None:
    solver = getattr(package, function)
    with pytest.warns(UserWarning, match="purple"):
        solver(Learned("diagonal", "ito"), start(), [0.0, 1.0], method="euler", dt=0.25, purple=1)


@pytest.mark.parametrize(("argument", "value"), [("names", {"purple": "f"}), ("options", {"purple": True})])
def test_unknown_keys_are_a_warning_at_the_caller(argument: str, value: Any) -> None:
    with pytest.warns(UserWarning, match="purple") as warned:
        ours.sdeint(diagonal(), start(), [0.0, 1.0], method="euler", dt=0.25, **{argument: value})
    assert [warning.filename for warning in warned] == [__file__]


def test_adaptive_euler_with_other_than_additive_noise_is_a_warning() -> None:
    with pytest.warns(UserWarning, match="additive") as warned:
        ours.sdeint(diagonal(), start(), [0.0, 1.0], method="euler", dt=0.25, adaptive=True)
    assert [warning.filename for warning in warned] == [__file__]


@pytest.mark.parametrize("function", ["sdeint", "sdeint_adjoint"])
def test_adaptive_steps_by_areas_that_are_drawn_are_a_warning(function: str) -> None:
    sde, bm = Learned("general", "stratonovich"), interval(ours, (BATCH, 2), "foster")
    arguments: Call = {"adjoint_params": ()} if function == "sdeint_adjoint" else {}
    with pytest.warns(UserWarning, match="choose among the areas"):
        getattr(ours, function)(
            sde, start(), [0.0, 1.0], bm=bm, method="log_ode", dt=0.25, adaptive=True, rtol=0.1, **arguments
        )
