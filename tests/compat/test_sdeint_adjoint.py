"""`sdeint_adjoint` has `sdeint`'s states, and its gradients: exact for reversible Heun, near for others."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torchsde as theirs  # type: ignore[import-untyped, unused-ignore]
from torch import Tensor, nn

import latentsde.compat.torchsde as ours
from tests.compat.equations import (
    BATCH,
    CALCULI,
    DOUBLE,
    NOISES,
    STATE,
    Learned,
    With,
    assert_equal_to_rounding,
    flat,
    noise_shape,
    start,
)

TS = [0.0, 0.3, 1.0]


def gradients(solver: Any, sde: nn.Module, **arguments: Any) -> tuple[list[Tensor], list[Tensor]]:
    """The answer, and the gradients of a function of all of it with respect to y0 and the parameters."""
    y0 = start().requires_grad_()
    answer = flat(solver(sde, y0, TS, **arguments))
    loss = sum((x * torch.linspace(-1.0, 1.0, x.numel(), dtype=DOUBLE).view_as(x)).sum() for x in answer)
    wrt = [y0, *sde.parameters()]
    parts = torch.autograd.grad(loss, wrt, allow_unused=True)
    return answer, [torch.zeros_like(x) if g is None else g for x, g in zip(wrt, parts, strict=True)]


def motion(noise_type: str, logqp: bool = False, package: Any = ours) -> Any:
    return package.BrownianInterval(
        0.0, 1.0, noise_shape(noise_type, logqp), DOUBLE, entropy=7, levy_area_approximation="foster"
    )


@pytest.mark.parametrize("logqp", [False, True])
@pytest.mark.parametrize("noise_type", NOISES)
@pytest.mark.parametrize("package", [ours, theirs])
def test_reversible_heun_has_the_gradient_of_its_steps_for_any_dt(
    noise_type: str, logqp: bool, package: Any
) -> None:
    sde, bm = Learned(noise_type, "stratonovich"), motion(noise_type, logqp, package)
    arguments: dict[str, Any] = dict(bm=bm, method="reversible_heun", dt=0.07, logqp=logqp, extra=True)
    answer, direct = gradients(ours.sdeint, sde, **arguments)
    same, adjoint = gradients(ours.sdeint_adjoint, sde, **arguments)
    assert_equal_to_rounding(same, answer)
    assert_equal_to_rounding(adjoint, direct)


def test_gradients_reach_the_state_a_solve_goes_on_from() -> None:
    sde, bm = Learned("general", "stratonovich"), motion("general")
    _, reached = ours.sdeint(sde, start(), [0.0, 0.3], bm, method="reversible_heun", dt=0.1, extra=True)
    state = [x.detach().requires_grad_() for x in reached]
    parts = []
    for solver in (ours.sdeint, ours.sdeint_adjoint):
        ys = solver(sde, start(), [0.3, 1.0], bm, method="reversible_heun", dt=0.1, extra_solver_state=state)
        parts.append(torch.autograd.grad(ys.square().sum(), state))
    assert_equal_to_rounding(parts[1], parts[0])


METHODS = {
    "ito": ["euler", "milstein", "srk"],
    "stratonovich": ["midpoint", "heun", "euler_heun", "milstein"],
}


@pytest.mark.parametrize("logqp", [False, True])
@pytest.mark.parametrize("noise_type", NOISES)
@pytest.mark.parametrize("sde_type", CALCULI)
def test_other_methods_come_near_with_smaller_steps(sde_type: str, noise_type: str, logqp: bool) -> None:
    sde, bm = Learned(noise_type, sde_type), motion(noise_type, logqp)
    for method in METHODS[sde_type]:
        if noise_type == "general" and method in ("milstein", "srk"):
            continue
        apart = []
        for dt in (2.0**-3, 2.0**-7):
            arguments: dict[str, Any] = dict(bm=bm, method=method, dt=dt, logqp=logqp)
            answer, direct = gradients(ours.sdeint, sde, **arguments)
            same, adjoint = gradients(ours.sdeint_adjoint, sde, **arguments)
            assert_equal_to_rounding(same, answer)
            size = max(float(x.abs().max()) for x in direct)
            apart.append(max(float((a - b).abs().max()) for a, b in zip(adjoint, direct, strict=True)) / size)
        assert apart[1] < max(1e-10, apart[0] / 3) and apart[1] < 0.1, method


@pytest.mark.parametrize(("sde_type", "method"), [("ito", "euler"), ("stratonovich", "midpoint")])
def test_gradients_of_sdeint_are_torchsdes(sde_type: str, method: str) -> None:
    sde, bm = Learned("general", sde_type), motion("general", package=theirs)
    ts = [0.0, 0.25, 1.0]
    parts = []
    for package in (ours, theirs):
        ys = package.sdeint(sde, start(), ts, bm=bm, method=method, dt=0.125)
        parts.append(torch.autograd.grad(ys.square().sum(), list(sde.parameters())))
    assert_equal_to_rounding(parts[0], parts[1])


@pytest.mark.parametrize(
    ("sde_type", "method", "adjoint_method"),
    [("ito", "srk", "euler"), ("ito", "euler", "milstein"), ("stratonovich", "heun", "midpoint")],
)
def test_the_way_back_may_have_a_method_of_its_own(sde_type: str, method: str, adjoint_method: str) -> None:
    sde, bm = Learned("diagonal", sde_type), motion("diagonal")
    _, direct = gradients(ours.sdeint, sde, bm=bm, method=method, dt=2.0**-8)
    _, adjoint = gradients(
        ours.sdeint_adjoint, sde, bm=bm, method=method, adjoint_method=adjoint_method, dt=2.0**-8
    )
    size = max(float(x.abs().max()) for x in direct)
    assert max(float((a - b).abs().max()) for a, b in zip(adjoint, direct, strict=True)) < 0.05 * size


def test_another_way_back_than_reversible_heuns_own_is_a_warning() -> None:
    sde = Learned("diagonal", "stratonovich")
    arguments: dict[str, Any] = dict(bm=motion("diagonal"), method="reversible_heun", dt=0.01)
    with pytest.warns(UserWarning, match="adjoint_method") as warned:
        _, adjoint = gradients(ours.sdeint_adjoint, sde, adjoint_method="midpoint", **arguments)
    assert [warning.filename for warning in warned] == [__file__]
    _, direct = gradients(ours.sdeint, sde, **arguments)
    size = max(float(x.abs().max()) for x in direct)
    assert max(float((a - b).abs().max()) for a, b in zip(adjoint, direct, strict=True)) < 0.05 * size


@pytest.mark.parametrize("given", [True, False])
def test_gradients_reach_adjoint_params_and_what_the_sde_holds(given: bool) -> None:
    whole = Learned("diagonal", "stratonovich")
    context = torch.ones(BATCH, STATE, dtype=DOUBLE, requires_grad=True)
    computed = 2.0 * context
    holds = With(whole, f=lambda t, y: whole.f(t, y) + computed, g=whole.g)
    parts = []
    for solver, extra in ((ours.sdeint, {}), (ours.sdeint_adjoint, {"adjoint_params": [computed] * given})):
        ys = solver(holds, start(), TS, bm=motion("diagonal"), method="reversible_heun", dt=0.1, **extra)
        wrt = [context, whole.mixing]
        parts.append(torch.autograd.grad(ys.square().sum(), wrt, retain_graph=True))
    assert_equal_to_rounding(parts[1], parts[0])


@pytest.mark.parametrize("method", ["reversible_heun", "midpoint", "euler", "srk"])
def test_a_drift_and_diffusion_that_share_their_work_have_gradients(method: str) -> None:
    sde = Learned("diagonal", "ito" if method in ("euler", "srk") else "stratonovich")

    def both(t: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        shared = torch.tanh(y @ sde.mixing + t)
        return shared, 0.5 + 0.3 * shared

    joint = With(sde, f_and_g=both)
    arguments: dict[str, Any] = dict(bm=motion("diagonal"), method=method, dt=2.0**-8)
    parts = []
    for solver, extra in ((ours.sdeint, {}), (ours.sdeint_adjoint, {"adjoint_params": ()})):
        ys = solver(joint, start(), TS, **arguments, **extra)
        parts.append(torch.autograd.grad(ys.square().sum(), sde.mixing)[0])
    torch.testing.assert_close(parts[1], parts[0], rtol=0.05, atol=0.05 * float(parts[0].abs().max()))


def test_without_gradients_the_adjoint_is_the_plain_solve() -> None:
    sde, bm = Learned("diagonal", "ito"), motion("diagonal")
    with torch.no_grad():
        plain, adjoint = (
            solver(sde, start(), TS, bm=bm, method="srk", dt=0.1)
            for solver in (ours.sdeint, ours.sdeint_adjoint)
        )
    assert torch.equal(plain, adjoint) and not adjoint.requires_grad


def test_adaptive_steps_have_gradients() -> None:
    sde, bm = Learned("diagonal", "ito"), motion("diagonal")
    arguments: dict[str, Any] = dict(bm=bm, method="srk", adaptive=True, rtol=1e-3, atol=1e-3, dt=0.1)
    _, direct = gradients(ours.sdeint, sde, **arguments)
    _, adjoint = gradients(ours.sdeint_adjoint, sde, adjoint_adaptive=True, **arguments)
    size = max(float(x.abs().max()) for x in direct)
    assert max(float((a - b).abs().max()) for a, b in zip(adjoint, direct, strict=True)) < 0.1 * size


class Encoded(nn.Module):
    """A drift that reads a context, and the encoder that the context was computed by, in one module."""

    noise_type, sde_type = "diagonal", "stratonovich"

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.encoder = nn.Parameter(torch.randn(STATE, STATE, dtype=DOUBLE, generator=generator))
        self.rate = nn.Parameter(torch.tensor(0.7, dtype=DOUBLE))
        self.context: tuple[Tensor, ...] = ()

    def encode(self) -> Tensor:
        context = start() @ self.encoder
        self.context = (torch.zeros(3), context)
        return context

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        return self.rate * torch.sin(y + t) + self.context[1]

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        return 0.3 + 0.1 * torch.cos(y)


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("method", ["reversible_heun", "midpoint"])
def test_an_encoder_in_the_same_module_gets_its_gradient_once(method: str, given: bool) -> None:
    sde, parts = Encoded(), []
    for solver in (ours.sdeint, ours.sdeint_adjoint):
        context = sde.encode()
        named = {"adjoint_params": (context, sde.rate)} if given and solver is ours.sdeint_adjoint else {}
        ys = solver(sde, start(), TS, bm=motion("diagonal"), method=method, dt=2.0**-9, **named)
        parts.append(torch.autograd.grad(ys.square().sum(), list(sde.parameters())))
    tolerance = 1e-10 if method == "reversible_heun" else 1e-3
    assert_equal_to_rounding(parts[1], parts[0], tolerance)


@pytest.mark.parametrize("method", ["reversible_heun", "midpoint"])
def test_asking_to_keep_the_graph_is_no_wish_for_second_derivatives(method: str) -> None:
    sde = Learned("diagonal", "stratonovich")
    ys = ours.sdeint_adjoint(sde, start(), TS, bm=motion("diagonal"), method=method, dt=0.1)
    kept = torch.autograd.grad(ys.square().sum(), sde.mixing, create_graph=True)
    plain = torch.autograd.grad(
        ours.sdeint_adjoint(sde, start(), TS, bm=motion("diagonal"), method=method, dt=0.1).square().sum(),
        sde.mixing,
    )
    assert_equal_to_rounding(kept[0].detach(), plain[0])
