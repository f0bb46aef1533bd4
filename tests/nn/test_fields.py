"""What networks are told of the time, and the networks."""

from __future__ import annotations

import math

import pytest
import torch
from torch.autograd.functional import jacobian

from latentsde.nn import MLP, ConditionedMLP, TimeFeatures


@pytest.mark.parametrize("phase", [0.0, 7.5])
def test_time_features_repeat_with_the_period_and_with_no_shorter_one(phase: float) -> None:
    features = TimeFeatures(24.0, harmonics=3, phase=phase)
    t = torch.linspace(-50, 50, 101, dtype=torch.float64)
    now = features(t)
    assert now.shape == (101, 6) and features.count == 6
    for periods in (1, -2, 10):
        torch.testing.assert_close(features(t + 24.0 * periods), now, rtol=0.0, atol=1e-5)
    for shorter in (12.0, 8.0, 1.0):
        assert (features(t + shorter) - now).abs().amax(-1).min() > 0.1


def test_time_features_are_sines_and_cosines_from_the_phase_on() -> None:
    t = torch.tensor([[7.5], [13.5]], dtype=torch.float64)
    found = TimeFeatures(24.0, phase=7.5)(t)
    quarter = [math.sin(math.pi / 2), math.sin(math.pi), math.cos(math.pi / 2), math.cos(math.pi)]
    wanted = torch.tensor([[[0.0, 0.0, 1.0, 1.0]], [quarter]], dtype=torch.float64)
    torch.testing.assert_close(found, wanted, rtol=0.0, atol=1e-6)


def test_without_a_period_there_are_no_time_features() -> None:
    features = TimeFeatures(None)
    assert features.count == 0 and features(torch.zeros(3, 4)).shape == (3, 4, 0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_time_features_keep_the_type_of_the_time(dtype: torch.dtype) -> None:
    assert TimeFeatures(24.0)(torch.zeros(2, dtype=dtype)).dtype == dtype


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_an_mlp_maps_the_last_axis_and_may_start_at_zero(layers: int) -> None:
    x = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
    assert MLP(3, 7, 4, layers=layers)(x).shape == (2, 5, 4)
    assert (MLP(3, 7, 4, layers=layers, zero_output=True)(x) == 0).all()


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_an_mlp_knows_its_derivatives(layers: int) -> None:
    network = MLP(3, 7, 4, layers=layers).double()
    x = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    value, slope = network.linearised(x)
    torch.testing.assert_close(value, network(x))
    apart = [jacobian(network, row) for row in x.flatten(0, 1)]
    torch.testing.assert_close(slope.flatten(0, 1), torch.stack(apart))


def test_an_mlp_is_bounded_far_away() -> None:
    # A drift -κ z + MLP(z) then pulls back from anywhere.
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = MLP(1, 16, 1)
    far = network(torch.tensor([[1e6], [1e9], [-1e6], [-1e9]]))
    torch.testing.assert_close(far[0], far[1])
    torch.testing.assert_close(far[2], far[3])


def test_a_conditioned_network_is_one_layer_over_state_and_condition() -> None:
    network = ConditionedMLP(3, 2, 7, 4)
    generator = torch.Generator().manual_seed(0)
    state, known = torch.randn(5, 3, generator=generator), torch.randn(6, 5, 2, generator=generator)
    assert (network(state, network.condition(known)) == 0).all()  # as it starts
    torch.nn.init.normal_(network.output.weight, generator=generator)
    assert network.from_known is not None
    joint = torch.nn.Linear(5, 7)
    with torch.no_grad():
        joint.weight.copy_(torch.cat([network.from_state.weight, network.from_known.weight], 1))
        joint.bias.copy_(network.from_state.bias)
        wanted = network.output(torch.tanh(joint(torch.cat([state.expand(6, 5, 3), known], -1))))
        torch.testing.assert_close(network(state, network.condition(known)), wanted)
    unconditioned = ConditionedMLP(3, 0, 7, 4)
    assert unconditioned.condition(torch.zeros(5, 0)) is None and unconditioned(state, None).shape == (5, 4)
