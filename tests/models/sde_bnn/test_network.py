"""A sequence of ordinary modules and layers of continuous depth."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from latentsde.brownian import derive_seed
from latentsde.errors import InputError
from latentsde.models.sde_bnn import SDEBNN, ContinuousDepth, Depth, HyperODENet, ODENet

from .blocks import TimedMLP

INPUT = torch.randn(5, 2, generator=torch.Generator().manual_seed(1))


def network(**options: object) -> ContinuousDepth:
    torch.manual_seed(0)
    layers = [SDEBNN(TimedMLP(k), sigma=0.4, **options) for k in range(2)]  # type: ignore[arg-type]
    return ContinuousDepth(nn.Linear(2, 3), layers[0], nn.Softplus(), layers[1], nn.Linear(3, 4))


def test_samples_share_what_is_not_bayesian_and_differ_in_what_is() -> None:
    found = network()(INPUT, seed=0, samples=3)
    assert found.output.shape == (3, 5, 4) and found.kl.shape == (3,)
    assert (found.output[0] - found.output[1]).abs().max() > 1e-2
    torch.testing.assert_close(network()(INPUT, seed=0, samples=1).output, found.output[:1])


def test_every_layer_has_noise_of_its_own() -> None:
    torch.manual_seed(0)
    block = TimedMLP()
    layers = [SDEBNN(block, sigma=0.4), SDEBNN(block, sigma=0.4)]
    x = torch.randn(5, 3)
    together = ContinuousDepth(*layers)
    one = ContinuousDepth(layers[0])(x, seed=1).output[0]
    # Were the second layer's path the first's, solving twice would be the layer applied twice.
    twice = ContinuousDepth(layers[0])(one, seed=1).output[0]
    assert (together(x, seed=1).output[0] - twice).abs().max() > 1e-2


def test_the_kl_is_that_of_all_layers_and_the_evaluations_are_counted() -> None:
    layers = network(initial="normal")
    found = layers(INPUT, seed=3, samples=2, depth=Depth(7))
    assert found.evaluations == 14
    h, kl = layers[0](INPUT.repeat(2, 1)), torch.zeros(2)
    for k in (1, 3):
        passed = layers[k](h, seed=derive_seed(3, k), samples=2, depth=Depth(7))
        h, kl = layers[k + 1](passed.h), kl + passed.kl
        assert (passed.kl > 0).all()
    torch.testing.assert_close(found.kl, kl)
    torch.testing.assert_close(found.output, h.unflatten(0, (2, 5)))


@pytest.mark.parametrize("kind", [ODENet, HyperODENet])
def test_without_noise_samples_are_equal_and_cost_nothing(kind: type) -> None:
    layers = ContinuousDepth(nn.Linear(2, 3), kind(TimedMLP()))
    assert not layers.is_random and network().is_random
    found = layers(INPUT, samples=2)
    assert torch.equal(found.output[0], found.output[1]) and not found.kl.any()
    found.output.sum().backward()
    assert all(p.grad is not None for p in layers.parameters())


def test_no_sample_is_no_prediction() -> None:
    with pytest.raises(InputError, match="at least 1 sample"):
        network()(INPUT, samples=0)
