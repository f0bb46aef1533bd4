"""`sdeint` has torchsde's numbers on the same Brownian motion."""

from __future__ import annotations

import itertools
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import torchsde as theirs  # type: ignore[import-untyped, unused-ignore]
from torch import Tensor

import latentsde.compat.torchsde as ours
from tests.compat.equations import (
    BATCH,
    CALCULI,
    DOUBLE,
    NOISES,
    STATE,
    Affine,
    Learned,
    With,
    assert_equal_to_rounding,
    noise_shape,
    start,
)

METHODS = [method for method in theirs.settings.METHODS.all() if method != "adjoint_reversible_heun"]
PACKAGES = [ours, theirs]
TS = [0.0, 0.25, 0.5, 1.0]


def motion(package: ModuleType, noise_type: str, level: str = "foster", logqp: bool = False) -> Any:
    return package.BrownianInterval(
        0.0, 1.0, noise_shape(noise_type, logqp), DOUBLE, entropy=7, levy_area_approximation=level
    )


@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize("logqp", [False, True])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("sde_type", CALCULI)
@pytest.mark.parametrize("noise_type", NOISES)
def test_states_and_log_ratios_are_torchsdes(
    noise_type: str, sde_type: str, method: str, logqp: bool, package: ModuleType
) -> None:
    # The derivative that log_ode needs for general noise is torchsde's exactly, ours by a difference.
    areas = (method, noise_type, sde_type) == ("log_ode", "general", "stratonovich")
    sde, y0 = Affine() if areas else Learned(noise_type, sde_type), start()
    bm = motion(package, noise_type, logqp=logqp)
    arguments: dict[str, Any] = dict(bm=bm, method=method, dt=0.125, logqp=logqp, extra=True)
    try:
        original = theirs.sdeint(sde, y0, TS, **arguments)
    except ValueError:
        with pytest.raises(ValueError, match="these are for"):
            ours.sdeint(sde, y0, TS, **arguments)
    else:
        assert_equal_to_rounding(ours.sdeint(sde, y0, TS, **arguments), original)


@pytest.mark.parametrize("sde_type", CALCULI)
@pytest.mark.parametrize("noise_type", NOISES)
def test_the_default_method_is_torchsdes(noise_type: str, sde_type: str) -> None:
    sde, y0, bm = Learned(noise_type, sde_type), start(), motion(theirs, noise_type)
    mine, original = (package.sdeint(sde, y0, TS, bm=bm, dt=0.125) for package in PACKAGES)
    assert_equal_to_rounding(mine, original)


@pytest.mark.parametrize("sde_type", CALCULI)
@pytest.mark.parametrize("noise_type", ["diagonal", "scalar"])
def test_milstein_without_derivatives_tends_to_the_one_with_them(noise_type: str, sde_type: str) -> None:
    sde, y0, bm = Learned(noise_type, sde_type), start(), motion(ours, noise_type)
    apart = []
    for dt in (2.0**-5, 2.0**-9):
        with_derivatives, without = (
            ours.sdeint(sde, y0, TS, bm=bm, method="milstein", dt=dt, options={"grad_free": free})
            for free in (False, True)
        )
        apart.append(float((with_derivatives - without).abs().max()))
    assert apart[1] < apart[0] / 8 < 0.01


def test_log_ode_tends_to_torchsdes() -> None:
    sde, y0, bm = Learned("general", "stratonovich"), start(), motion(theirs, "general")
    apart = []
    for dt in (2.0**-3, 2.0**-7):
        mine, original = (p.sdeint(sde, y0, TS, bm=bm, method="log_ode", dt=dt) for p in PACKAGES)
        apart.append(float((mine - original).abs().max()))
    assert apart[1] < apart[0] / 4 < 0.05


@pytest.mark.parametrize("level", ["space-time", "davie", "foster"])
@pytest.mark.parametrize("package", PACKAGES)
def test_every_levy_area_that_serves_srk_serves_it_alike(level: str, package: ModuleType) -> None:
    sde, y0, bm = Learned("diagonal", "ito"), start(), motion(package, "diagonal", level)
    mine, original = (p.sdeint(sde, y0, TS, bm=bm, method="srk", dt=0.25) for p in PACKAGES)
    assert_equal_to_rounding(mine, original)


@pytest.mark.parametrize("method", ["euler", "srk"])
def test_trees_and_reversed_and_foreign_motions_are_paths_too(method: str) -> None:
    sde, y0 = Learned("diagonal", "ito"), start()
    interval = motion(ours, "diagonal", "space-time")
    motions = [ours.ReverseBrownian(ours.ReverseBrownian(interval)), Foreign(interval)]
    if method == "euler":
        motions += [ours.BrownianTree(0.0, y0, entropy=3), theirs.BrownianPath(0.0, y0)]
        motions += [ours.BrownianInterval(0.0, 1.0, W=y0, entropy=3)]
    for bm in motions:
        mine, original = (p.sdeint(sde, y0, TS, bm=bm, method=method, dt=0.25) for p in PACKAGES)
        assert_equal_to_rounding(mine, original)


class Foreign:
    """Somebody's own motion, which counts on times being tensors as torchsde passes them."""

    levy_area_approximation = "space-time"

    def __init__(self, source: Any) -> None:
        self.source, self.shape = source, source.shape

    def __call__(self, ta: Tensor, tb: Tensor, return_U: bool = False, return_A: bool = False) -> Any:
        assert (tb - ta).sqrt() > 0
        return self.source(ta, tb, return_U=return_U, return_A=return_A)


def test_a_solve_goes_on_where_another_ended() -> None:
    sde, y0, bm = Learned("general", "stratonovich"), start(), motion(ours, "general")
    arguments: dict[str, Any] = dict(bm=bm, method="reversible_heun", dt=0.125)
    whole = ours.sdeint(sde, y0, [0.0, 0.5, 1.0], **arguments)
    half, state = ours.sdeint(sde, y0, [0.0, 0.5], **arguments, extra=True)
    rest = ours.sdeint(sde, half[-1], [0.5, 1.0], **arguments, extra_solver_state=state)
    assert_equal_to_rounding(rest, whole[1:])


def test_a_step_that_does_not_divide_ends_on_every_requested_time() -> None:
    """Var W(0.05) at dt=0.1 is 0.05, where torchsde's interpolation has half of it."""
    sde = With(
        Learned("diagonal", "ito"), f=lambda t, y: torch.zeros_like(y), g=lambda t, y: torch.ones_like(y)
    )
    bm = ours.BrownianInterval(0.0, 1.0, (BATCH, STATE), DOUBLE, entropy=4)
    ys = ours.sdeint(sde, torch.zeros(BATCH, STATE, dtype=DOUBLE), [0.0, 0.05, 0.17], bm, "euler", dt=0.1)
    assert_equal_to_rounding(ys[1:], torch.stack([bm(0.0, 0.05), bm(0.0, 0.17)]))


def test_a_state_has_any_shape_and_time_any_direction() -> None:
    sde = With(Learned("diagonal", "ito"), f=lambda t, y: torch.sin(y + t), g=lambda t, y: 0.3 + 0.1 * y)
    y0 = torch.randn(2, 3, 4, dtype=DOUBLE, generator=torch.Generator().manual_seed(1))
    bm = ours.BrownianInterval(0.0, 1.0, y0.shape, DOUBLE, entropy=4)
    rows = ours.BrownianInterval(0.0, 1.0, (2, 12), DOUBLE, entropy=4)
    ys = ours.sdeint(sde, y0, TS, bm=bm, method="euler", dt=0.125)
    original = theirs.sdeint(sde, y0.flatten(1), TS, bm=rows, method="euler", dt=0.125)
    assert ys.shape == (4, 2, 3, 4)
    assert_equal_to_rounding(ys.flatten(2), original)
    back = ours.sdeint(sde, y0, TS[::-1], bm=bm, method="euler", dt=0.125)
    assert back.shape == ys.shape and bool(back.isfinite().all())


@pytest.mark.parametrize("noise_type", ["diagonal", "general"])
def test_log_ratios_of_a_state_of_any_shape_are_those_of_its_rows(noise_type: str) -> None:
    diagonal = noise_type == "diagonal"

    def g(t: Tensor, y: Tensor) -> Tensor:
        return 0.3 + 0.1 * torch.sin(y) if diagonal else torch.stack([0.3 + 0.1 * y, torch.cos(y)], -1)

    parts: dict[str, Any] = dict(f=lambda t, y: torch.sin(y + t), g=g, h=lambda t, y: -y)
    sde = With(Learned(noise_type, "ito"), **parts)
    y0 = torch.randn(2, 3, 2, dtype=DOUBLE, generator=torch.Generator().manual_seed(1))
    bm = ours.BrownianInterval(0.0, 1.0, (2, 7 if diagonal else 2), DOUBLE, entropy=4)
    ys, ratios = ours.sdeint(sde, y0, TS, bm=bm, method="euler", dt=0.125, logqp=True)
    original = theirs.sdeint(sde, y0.flatten(1), TS, bm=bm, method="euler", dt=0.125, logqp=True)
    assert ys.shape == (4, 2, 3, 2) and ratios.shape == (3, 2)
    assert_equal_to_rounding((ys.flatten(2), ratios), original)


def test_equal_drifts_have_no_log_ratio_even_without_noise() -> None:
    sde = With(Learned("diagonal", "ito"), f=lambda t, y: -y, h=lambda t, y: -y, g=lambda t, y: 0.0 * y)
    _, ratios = ours.sdeint(sde, start(), TS, dt=0.125, method="euler", logqp=True)
    assert bool((ratios == 0).all())


def test_times_may_be_whatever_is_a_sequence_of_numbers() -> None:
    sde, y0, bm = Learned("diagonal", "ito"), start(), motion(ours, "diagonal")
    answers = [
        ours.sdeint(sde, y0, ts, bm=bm, method="euler", dt=0.125)
        for ts in (TS, tuple(TS), torch.tensor(TS), np.array(TS), [torch.tensor(t) for t in TS])
    ]
    assert all(torch.equal(answers[0], other) for other in answers[1:])
    assert torch.equal(answers[0], ours.sdeint(sde, y0, TS, bm=bm, method="euler", dt=torch.tensor(0.125)))


def test_without_a_motion_no_global_generator_is_read_and_paths_differ() -> None:
    sde, y0 = Learned("diagonal", "ito"), start()
    before = torch.get_rng_state()
    one, other = (ours.sdeint(sde, y0, TS, dt=0.25) for _ in range(2))
    assert torch.equal(before, torch.get_rng_state()) and not torch.equal(one, other)


def test_methods_that_only_ours_has_may_be_named() -> None:
    sde, y0, bm = Learned("diagonal", "ito"), start(), motion(ours, "diagonal")
    assert ours.sdeint(sde, y0, TS, bm=bm, method="bridged_euler", dt=0.25).shape == (4, BATCH, STATE)


ADAPTIVE = [("euler", "additive", "ito"), ("srk", "diagonal", "ito"), ("midpoint", "general", "stratonovich")]


@pytest.mark.parametrize(("method", "noise_type", "sde_type"), ADAPTIVE)
def test_adaptive_steps_keep_near_to_small_ones(method: str, noise_type: str, sde_type: str) -> None:
    sde, y0, bm = Learned(noise_type, sde_type), start(), motion(ours, noise_type)
    fine = ours.sdeint(sde, y0, TS, bm=bm, method=method, dt=2.0**-9)
    adaptive = ours.sdeint(sde, y0, TS, bm=bm, method=method, dt=0.1, adaptive=True, rtol=1e-3, atol=1e-3)
    assert float((fine - adaptive).abs().max()) < 0.05


@pytest.mark.parametrize("given", [True, False])
def test_where_dt_min_is_too_long_shorter_steps_are_taken_on_the_same_path(given: bool) -> None:
    sde, y0 = Learned("diagonal", "ito"), start()
    arguments: dict[str, Any] = dict(method="srk", dt=0.1, adaptive=True, rtol=1e-4, atol=1e-4)
    if not given:
        with pytest.warns(UserWarning, match="dt_min") as warned:
            assert ours.sdeint(sde, y0, TS, dt_min=0.05, **arguments).shape == (4, BATCH, STATE)
        assert [warning.filename for warning in warned] == [__file__]
        return
    bm = motion(ours, "diagonal")
    with pytest.warns(UserWarning, match="dt_min"):
        floored = ours.sdeint(sde, y0, TS, bm=bm, dt_min=0.05, **arguments)
    assert torch.equal(floored, ours.sdeint(sde, y0, TS, bm=bm, **arguments))


FUNCTIONS = [
    "f g",
    "f_and_g",
    "f g_prod",
    "f_and_g_prod",
    "f_and_g g_prod",
    "f f_and_g g_prod",
    "f g f_and_g",
]


@pytest.mark.parametrize("functions", FUNCTIONS)
@pytest.mark.parametrize("method", ["euler", "milstein", "midpoint", "reversible_heun", "euler_heun"])
@pytest.mark.parametrize("noise_type", NOISES)
def test_whichever_functions_are_defined_the_numbers_are_the_same(
    noise_type: str, method: str, functions: str
) -> None:
    if (noise_type, method) == ("general", "milstein"):
        pytest.skip("not for general noise")
    sde = Learned(noise_type, "ito" if method in ("euler", "milstein") else "stratonovich")

    def product(t: Tensor, y: Tensor, v: Tensor) -> Tensor:
        return sde.g(t, y) * v if noise_type == "diagonal" else (sde.g(t, y) * v.unsqueeze(1)).sum(-1)

    every: dict[str, Any] = dict(
        f=sde.f,
        g=sde.g,
        g_prod=product,
        f_and_g=lambda t, y: (sde.f(t, y), sde.g(t, y)),
        f_and_g_prod=lambda t, y, v: (sde.f(t, y), product(t, y, v)),
    )
    partial = With(sde, **{name: every[name] for name in functions.split()})
    y0, bm = start(), motion(ours, noise_type)
    mine, whole = (ours.sdeint(x, y0, TS, bm=bm, method=method, dt=0.25) for x in (partial, sde))
    assert torch.equal(mine, whole)


def test_a_function_of_both_is_evaluated_once_a_point() -> None:
    sde, calls = Learned("diagonal", "ito"), []

    def both(t: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        calls.append(t)
        return sde.f(t, y), sde.g(t, y)

    ours.sdeint(With(sde, f_and_g=both), start(), [0.0, 1.0], method="euler", dt=0.125)
    assert len(calls) == 8


@pytest.mark.parametrize(("noise_type", "size"), [("diagonal", None), ("scalar", None), ("general", 2)])
def test_products_alone_need_a_motion_for_matrices_only(noise_type: str, size: int | None) -> None:
    sde = Learned(noise_type, "ito")

    def product(t: Tensor, y: Tensor, v: Tensor) -> Tensor:
        return sde.g(t, y) * v if noise_type == "diagonal" else (sde.g(t, y) * v.unsqueeze(1)).sum(-1)

    partial, y0 = With(sde, f=sde.f, g_prod=product), start()
    if size is None:
        assert ours.sdeint(partial, y0, TS, method="euler", dt=0.25).shape == (4, BATCH, STATE)
    else:
        with pytest.raises(ValueError, match="pass bm"):
            ours.sdeint(partial, y0, TS, method="euler", dt=0.25)


ROLES = ["drift", "diffusion", "prior_drift", "drift_and_diffusion", "drift_and_diffusion_prod"]


@pytest.mark.parametrize("role", ROLES)
def test_names_give_every_function_another_name(role: str) -> None:
    sde = Learned("diagonal", "ito")
    every: dict[str, Any] = dict(
        drift=sde.f,
        diffusion=sde.g,
        prior_drift=sde.h,
        drift_and_diffusion=lambda t, y: (sde.f(t, y), sde.g(t, y)),
        drift_and_diffusion_prod=lambda t, y, v: (sde.f(t, y), sde.g(t, y) * v),
    )
    usual = dict(f=sde.f, g=sde.g, h=sde.h)
    replaced = {"drift": ["f"], "diffusion": ["g"], "prior_drift": ["h"]}.get(role, ["f", "g"])
    functions = {name: function for name, function in usual.items() if name not in replaced}
    named = With(sde, **functions, renamed=every[role])
    logqp = not role.endswith("prod") and role != "drift_and_diffusion"
    bm = motion(theirs, "diagonal", logqp=logqp)
    mine, original = (
        package.sdeint(named, start(), TS, bm, "euler", dt=0.25, logqp=logqp, names={role: "renamed"})
        for package in PACKAGES
    )
    assert_equal_to_rounding(mine, original)


def test_names_hide_what_they_rename() -> None:
    sde, y0, bm = Learned("diagonal", "ito"), start(), motion(theirs, "diagonal")
    names = {"drift": "h"}
    mine, original = (p.sdeint(sde, y0, TS, bm, "euler", dt=0.25, names=names) for p in PACKAGES)
    assert_equal_to_rounding(mine, original)
    for package, missing in itertools.product(PACKAGES, ({"drift": "nothing"}, {"diffusion": "nothing"})):
        with pytest.raises(ValueError):
            package.sdeint(sde, y0, TS, bm, "euler", dt=0.25, names=missing)
