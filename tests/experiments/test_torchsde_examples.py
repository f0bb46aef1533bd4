"""torchsde's examples, by torchsde, the drop-in and `solve`: one objective, and a test of one law that can
fail.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
import torchsde  # type: ignore[import-untyped, unused-ignore]
from torch import Tensor

import latentsde.compat.torchsde
from experiments import torchsde_lorenz
from experiments.torchsde_examples import FALSE_ALARM, Plan, draw, one_law, run
from experiments.torchsde_lorenz import Lorenz
from experiments.torchsde_sine import Sine
from experiments.torchsde_sine import Size as SineSize
from experiments.torchsde_ways import by_hand, by_solve, by_torchsde
from latentsde.brownian import Increments

OURS = latentsde.compat.torchsde


@pytest.fixture(autouse=True)
def double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    torchsde_lorenz.data.cache_clear()
    yield
    torchsde_lorenz.data.cache_clear()
    torch.set_default_dtype(torch.float32)


def sine() -> Any:
    model = Sine(SineSize(batch=3, hidden=5, steps=32), seed=1)
    torch.nn.init.normal_(model.net[-1].weight, generator=torch.Generator().manual_seed(1))
    return model


def lorenz() -> Any:
    size = torchsde_lorenz.Size(batch=3, hidden=5, latent=2, context=4, steps=50, span=50 / 64, noise=0.3)
    return Lorenz(size, seed=1)


MODELS = pytest.mark.parametrize("make", [sine, lorenz])


class WithoutLast:
    """A Brownian motion without the channel that torchsde gives to the KL."""

    def __init__(self, bm: Any) -> None:
        self.bm, self.shape = bm, (bm.shape[0], bm.shape[1] - 1)

    def increments(self, times: Tensor) -> Increments:
        pairs = itertools.pairwise(times)
        return Increments(torch.stack([self.bm(a, b)[:, :-1] for a, b in pairs]), None)


def motion(model: Any) -> Any:
    size = (model.batch, model.latent + 1)
    return OURS.BrownianInterval(model.times[0], model.times[-1], size, entropy=5)


def loss_and_gradients(model: Any, way: Any, *arguments: Any, noise: Any) -> list[Tensor]:
    draws = torch.randn(model.batch, model.latent, generator=torch.Generator().manual_seed(2))
    z0, kl = model.start(draws)
    zs, kl_path = way(*arguments, model, z0, 0, noise)
    loss = model.loss(zs, kl + kl_path, 0.7)
    return [loss.detach(), *torch.autograd.grad(loss, list(model.parameters()))]


@MODELS
def test_one_loss_and_one_gradient_on_one_noise(make: Any) -> None:
    model = make()
    theirs = loss_and_gradients(model, by_torchsde, torchsde, False, noise=motion(model))
    drop_in = loss_and_gradients(model, by_torchsde, OURS, False, noise=motion(model))
    native = loss_and_gradients(model, by_solve, "direct", noise=WithoutLast(motion(model)))
    torch.testing.assert_close(drop_in, theirs, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(native, theirs, rtol=1e-11, atol=1e-11)


@MODELS
def test_one_loss_with_the_adjoints(make: Any) -> None:
    model = make()
    theirs = loss_and_gradients(model, by_torchsde, torchsde, True, noise=motion(model))
    drop_in = loss_and_gradients(model, by_torchsde, OURS, True, noise=motion(model))
    native = loss_and_gradients(model, by_solve, "backsolve", noise=WithoutLast(motion(model)))
    torch.testing.assert_close(drop_in[0], theirs[0], rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(native[0], theirs[0], rtol=1e-11, atol=1e-11)
    exact = loss_and_gradients(model, by_torchsde, torchsde, False, noise=motion(model))
    size = torch.cat([x.flatten() for x in exact[1:]]).norm()
    for found in (drop_in, native):
        apart = torch.cat([(x - y).flatten() for x, y in zip(found[1:], exact[1:], strict=True)])
        assert apart.norm() < 0.1 * size


@MODELS
def test_the_loop_by_hand_has_the_objective_of_solve(make: Any) -> None:
    class Drawn:
        """The loop's own draws as a path."""

        def __init__(self, model: Any) -> None:
            self.shape, self.dt = (model.batch, model.latent), model.dt

        def increments(self, times: Tensor) -> Increments:
            generator = torch.Generator().manual_seed(0)
            draws = torch.randn(len(times) - 1, *self.shape, generator=generator)
            return Increments(draws * self.dt**0.5, None)

    model = make()
    native = loss_and_gradients(model, by_solve, "direct", noise=Drawn(model))
    by_loop = loss_and_gradients(model, lambda model, z0, seed, _: by_hand(model, z0, seed), noise=None)
    torch.testing.assert_close(by_loop, native, rtol=1e-11, atol=1e-11)


def test_curves_of_one_law_are_told_from_a_shifted_one() -> None:
    rng = np.random.default_rng(0)
    curves = rng.normal(size=(3, 8, 40)) + 10.0 * rng.normal(size=(1, 8, 1))  # seeds differ more than ways
    assert one_law(curves) > FALSE_ALARM
    curves[2, :, 20:] += 1.5
    assert one_law(curves) < FALSE_ALARM


def test_the_experiment_runs() -> None:
    torch.set_default_dtype(torch.float32)
    lines, results, curves = run(Plan(seeds=2, iterations=2, rounds=1, full_rounds=0, compiled=False))
    assert sum(line.startswith("| `latent_sde") for line in lines) == len(results["losses"]) + len(
        results["times"]
    )
    assert {row["way"] for row in results["times"]} > {"torchsde", "drop-in", "solve", "solve, backsolve"}
    assert len(draw(curves).axes) == 2
