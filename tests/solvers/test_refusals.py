"""What `solve` refuses, and for what reason."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from latentsde import solve
from latentsde.solvers import METHODS
from tests.solvers.equations import Given


@pytest.mark.parametrize(
    ("noise_type", "g_shape", "wanted"),
    [
        ("diagonal", (3, 1), "(3, 2)"),
        ("diagonal", (3, 2, 1), "(3, 2)"),
        ("diagonal", (2,), "(3, 2)"),
        ("scalar", (3, 2), "(3, 2, 1)"),
        ("scalar", (3, 2, 2), "(3, 2, 1)"),
        ("additive", (3, 2), "(*(3, 2), m)"),
        ("general", (2, 5), "(*(3, 2), m)"),
        ("general", (3, 5, 2), "(*(3, 2), m)"),
    ],
)
@pytest.mark.parametrize("method", ["euler", None])
def test_a_diffusion_of_the_wrong_shape_is_an_error(
    noise_type: str, g_shape: tuple[int, ...], wanted: str, method: str | None
) -> None:
    sde = Given(noise_type, g=lambda t, y: torch.ones(g_shape))
    with pytest.raises(ValueError) as error:
        solve(sde, torch.zeros(3, 2), [0, 1], dt=0.5, method=method)
    assert str(g_shape) in str(error.value) and wanted in str(error.value) and noise_type in str(error.value)


@pytest.mark.parametrize("shape", [(3, 1), (3,), (3, 2, 1), (1, 2)])
def test_a_drift_of_the_wrong_shape_is_an_error(shape: tuple[int, ...]) -> None:
    for sde in (
        Given(f=lambda t, y: torch.ones(shape)),
        type("ODE", (), {"f": lambda self, t, y: torch.ones(shape)})(),
    ):
        with pytest.raises(ValueError) as error:
            solve(sde, torch.zeros(3, 2), [0, 1], dt=0.5)
        assert str(shape) in str(error.value) and "(3, 2)" in str(error.value)


@pytest.mark.parametrize("noise_type", [None, "diag", 3])
def test_an_unknown_noise_type_or_calculus_is_an_error(noise_type: Any) -> None:
    with pytest.raises(ValueError, match=r"noise_type .* diagonal, additive, scalar, commutative, general"):
        solve(Given(noise_type), torch.zeros(3, 2), [0, 1], dt=0.5)
    with pytest.raises(ValueError, match=r"sde_type .* ito, stratonovich"):
        solve(Given(sde_type=noise_type), torch.zeros(3, 2), [0, 1], dt=0.5)


def test_an_object_without_a_drift_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"object has no f\(t, y\)"):
        solve(object(), torch.zeros(3, 2), [0, 1], dt=0.5)


@pytest.mark.parametrize(
    "y0", [1.0, [1.0, 2.0], torch.ones(3, 2, dtype=torch.int64), (torch.ones(2), 1.0), None]
)
def test_a_start_that_is_no_floating_point_tensor_is_an_error(y0: Any) -> None:
    with pytest.raises(ValueError, match="floating-point tensor"):
        solve(Given(), y0, [0, 1], dt=0.5)


@pytest.mark.parametrize("adjoint", ["backprop", "", None])
def test_an_unknown_adjoint_is_an_error(adjoint: Any) -> None:
    with pytest.raises(ValueError, match="adjoint must be one of 'direct'"):
        solve(Given(), torch.zeros(3, 2), [0, 1], dt=0.5, adjoint=adjoint)


def test_an_unknown_method_is_an_error_that_names_the_known() -> None:
    with pytest.raises(ValueError) as error:
        solve(Given(), torch.zeros(3, 2), [0, 1], dt=0.5, method="rk4000")
    assert all(name in str(error.value) for name in METHODS)
