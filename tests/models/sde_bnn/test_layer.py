"""What an SDEBNN layer promises; among it what the public implementations get wrong."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
from torch import Tensor, nn

from latentsde.errors import InputError
from latentsde.models.sde_bnn import SDEBNN, Depth, HyperODENet, ODENet, weights

from .blocks import Clock, TimedConvolution, TimedMLP

INPUT = torch.randn(5, 3, generator=torch.Generator().manual_seed(1))
SOLVERS = [
    Depth(3),
    Depth(3, "midpoint", "checkpointed"),
    Depth(3, "heun", "backsolve"),
    Depth(3, "reversible_heun", "reversible"),
]


def away_from_the_prior(layer: SDEBNN | HyperODENet, scale: float = 0.1) -> None:
    """Give the drift's last layer, which starts at zero, some weights."""
    assert layer.drift is not None
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in layer.drift.parameters():
            if not parameter.any():
                parameter.copy_(scale * torch.randn(parameter.shape, generator=generator))


@pytest.mark.parametrize("steps", [1, 3, 10, 20, 80])
def test_depth_ends_at_one_after_the_evaluations_asked_for(steps: int) -> None:
    clock = Clock()
    layer = SDEBNN(clock, sigma=1e-6, prior="brownian", hidden=None)
    asked: list[float] = layer.block.skeleton.asked  # type: ignore[union-attr, assignment]
    passed = layer(torch.zeros(2, 1), seed=0, depth=Depth(steps))
    assert asked == pytest.approx([k / steps for k in range(steps)], abs=1e-7)
    assert passed.stats.drift_evaluations == passed.stats.steps == steps
    torch.testing.assert_close(passed.h, torch.ones(2, 1), rtol=0.0, atol=1e-5)


@pytest.mark.parametrize("depth", SOLVERS, ids=lambda depth: f"{depth.method}-{depth.adjoint}")
@pytest.mark.parametrize("initial", ["point", "normal"])
@pytest.mark.parametrize("samples", [1, 3])
def test_every_parameter_has_a_gradient_in_every_mode(depth: Depth, initial: str, samples: int) -> None:
    for prior, rank, sticking, block in itertools.product(
        ["ornstein-uhlenbeck", "brownian"],
        [None, 3],
        [True, False],
        [TimedMLP(), TimedConvolution()],
    ):
        x = INPUT.repeat(samples, 1) if isinstance(block, TimedMLP) else torch.randn(2 * samples, 2, 4, 4)
        layer = SDEBNN(
            block, prior=prior, hidden=(4,), rank=rank, initial=initial, sticking_the_landing=sticking
        )
        away_from_the_prior(layer)
        passed = layer(x, seed=1, samples=samples, depth=depth)
        assert passed.h.shape == x.shape and passed.kl.shape == (samples,)
        (passed.h.square().mean() + passed.kl.mean()).backward()
        for name, parameter in layer.named_parameters():
            assert parameter.grad is not None and parameter.grad.isfinite().all(), name
            assert parameter.grad.any(), name


@pytest.mark.parametrize("depth", SOLVERS[1:], ids=lambda depth: depth.adjoint)
def test_adjoints_agree_with_the_direct_gradient(depth: Depth) -> None:
    layer = SDEBNN(TimedMLP(), hidden=(4,)).double()
    away_from_the_prior(layer)
    gradients = []
    for chosen in (Depth(200, depth.method), Depth(200, depth.method, depth.adjoint)):
        layer.zero_grad()
        passed = layer(INPUT.double(), seed=1, depth=chosen)
        (passed.h.square().mean() + passed.kl.mean()).backward()
        gradients.append(torch.cat([p.grad.flatten() for p in layer.parameters() if p.grad is not None]))
    # Backsolve solves another equation, to the order of the steps; the others are exact.
    tolerance = 1e-2 if depth.adjoint == "backsolve" else 1e-9
    assert (gradients[0] - gradients[1]).norm() < tolerance * gradients[0].norm()


@pytest.mark.parametrize("depth", SOLVERS, ids=lambda depth: depth.method)
def test_without_noise_and_drift_it_is_an_odenet(depth: Depth) -> None:
    block = TimedMLP()
    layer = SDEBNN(block, sigma=1e-9, prior="brownian", hidden=None)
    expected = ODENet(block)(INPUT, depth=depth).h
    torch.testing.assert_close(layer(INPUT, seed=3, depth=depth).h, expected, rtol=0.0, atol=1e-6)


@pytest.mark.parametrize("prior", ["ornstein-uhlenbeck", "brownian"])
def test_without_noise_it_is_a_hyper_odenet(prior: str) -> None:
    block = TimedMLP()
    layer = SDEBNN(block, sigma=1e-9, unit=0.5, prior=prior)
    hyper = HyperODENet(block, unit=0.5, prior=prior)
    away_from_the_prior(hyper, 0.5)
    assert layer.drift is not None
    layer.drift.load_state_dict(hyper.drift.state_dict())
    expected = hyper(INPUT).h
    torch.testing.assert_close(layer(INPUT, seed=3).h, expected, rtol=0.0, atol=1e-6)
    # The drift matters: what the test would say of one that does not.
    assert (expected - HyperODENet(block, prior=prior)(INPUT).h).abs().max() > 1e-3


def test_a_posterior_equal_to_its_prior_has_no_kl() -> None:
    for layer in (SDEBNN(TimedMLP()), SDEBNN(TimedMLP(), hidden=None)):
        assert (layer(INPUT.repeat(4, 1), seed=0, samples=4).kl == 0.0).all()


def test_a_sample_is_the_same_however_many_there_are() -> None:
    for block, x in ((TimedMLP(), INPUT), (TimedConvolution(), torch.randn(5, 2, 4, 4))):
        layer = SDEBNN(block, sigma=0.5, initial="normal")
        away_from_the_prior(layer)
        one, three = (layer(x.repeat(n, *(1,) * (x.dim() - 1)), seed=4, samples=n) for n in (1, 3))
        torch.testing.assert_close(three.h[:5], one.h)
        torch.testing.assert_close(three.kl[:1], one.kl)
        assert (three.h[5:10] - one.h).abs().max() > 1e-2
        other = layer(x, seed=5)
        assert (other.h - one.h).abs().max() > 1e-2


def test_the_block_is_left_as_it_was_and_is_where_weights_begin() -> None:
    block = TimedMLP()
    before = copy.deepcopy(block.state_dict())
    layer = SDEBNN(block)
    with torch.no_grad():
        layer.start.zero_()
    assert all(torch.equal(value, before[name]) for name, value in block.state_dict().items())
    named = layer.block.named(SDEBNN(block).start)
    assert all(torch.equal(named[name], value) for name, value in block.named_parameters())
    # Nothing of the block is saved or trained beside the weights' start.
    assert not any(name.startswith("block") for name in layer.state_dict())


class Tied(nn.Module):
    """One matrix used twice, and a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(3, 3)
        self.other = nn.Linear(3, 3)
        self.other.weight = self.one.weight
        self.register_buffer("shift", torch.tensor(0.5))

    def forward(self, h: Tensor) -> Tensor:
        return self.other(torch.tanh(self.one(h))) + self.shift


def test_shared_parameters_stay_shared_and_buffers_are_kept() -> None:
    block = Tied()
    layer = SDEBNN(block, sigma=1e-9, prior="brownian", hidden=None)
    assert layer.block.count == 9 + 3 + 3
    torch.testing.assert_close(layer(INPUT, seed=0).h, ODENet(block)(INPUT).h, rtol=0.0, atol=1e-6)


class Attention(nn.Module):
    """Dropout as a number of a module's, not as a module."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2, dropout=0.1)

    def forward(self, h: Tensor) -> Tensor:
        out: Tensor = self.attention(h, h, h)[0]
        return out


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))

    def forward(self, t: Tensor, h: Tensor, more: Tensor) -> Tensor:
        return h


@pytest.mark.parametrize(
    ("block", "options", "message"),
    [
        (nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)), {}, "BatchNorm1d keeps running statistics"),
        (nn.Tanh(), {}, "Tanh has no parameters"),
        (Two(), {}, "Two.forward takes 3 arguments"),
        (nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.1)), {}, "Dropout is another one at every evaluation"),
        (nn.TransformerEncoderLayer(4, 2, dropout=0.1), {}, "is another one"),
        (Attention(), {}, "MultiheadAttention is another one"),
        (nn.Sequential(nn.Linear(3, 3), nn.RReLU()), {}, "RReLU is another one"),
        (nn.Linear(3, 3), {"unit": -1.0}, "unit must be a positive number"),
        (nn.Linear(3, 3), {"rank": 0}, "rank must be at least 1"),
        (nn.Linear(3, 3), {"hidden": (0,)}, "hidden must be widths of at least 1"),
        (nn.Linear(3, 3), {"depth": Depth(method="tsit5")}, "'tsit5' is not for weights with noise"),
        (nn.Linear(3, 3), {"sigma": 0.0}, "sigma must be a positive number, got 0.0"),
        (nn.Linear(3, 3), {"prior": "wiener"}, "prior must be 'ornstein-uhlenbeck' or 'brownian'"),
        (nn.Linear(3, 3), {"initial": "uniform"}, "initial must be 'point' or 'normal'"),
    ],
)
def test_what_does_not_fit_is_refused(block: nn.Module, options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        SDEBNN(block, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [ODENet, HyperODENet])
def test_what_changes_while_it_is_solved_is_refused_without_noise_too(kind: type[nn.Module]) -> None:
    for part, message in (
        (nn.BatchNorm1d(3), "running statistics"),
        (nn.Dropout(0.5), "another one at every"),
    ):
        with pytest.raises(InputError, match=message):
            kind(nn.Sequential(nn.Linear(3, 3), part))


@pytest.mark.parametrize("kind", [SDEBNN, HyperODENet])
def test_a_layer_is_of_its_block_s_precision_and_device(kind: type[nn.Module]) -> None:
    layer = kind(nn.Linear(3, 3).double())
    passed = layer(INPUT.double(), seed=0)
    passed.h.sum().backward()
    assert passed.h.dtype == torch.float64
    assert all(p.dtype == torch.float64 and p.grad is not None for p in layer.parameters())
    elsewhere = kind(nn.Linear(3, 3, device="meta"))
    assert {value.device.type for value in elsewhere.state_dict().values()} == {"meta"}


def test_calls_that_do_not_fit_are_refused() -> None:
    layer = SDEBNN(nn.Linear(3, 3))
    with pytest.raises(InputError, match="5 inputs cannot be shared among 2 samples"):
        layer(INPUT, seed=0, samples=2)
    with pytest.raises(ValueError, match="the drift must have the shape of y"):
        SDEBNN(nn.Linear(3, 4))(INPUT, seed=0)
    for steps in (0, 2.5, True):
        with pytest.raises(InputError, match="at least 1 step"):
            Depth(steps)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="'srk' is not for weights without noise"):
        ODENet(nn.Linear(3, 3), depth=Depth(method="srk"))
    with pytest.raises(InputError, match="prior must be"):
        HyperODENet(nn.Linear(3, 3), prior="wiener")
    with pytest.raises(InputError, match="unknown method 'eulr'"):
        Depth(method="eulr")
    with pytest.raises(InputError, match="tolerance must be a positive number"):
        Depth(tolerance=0.0)


def test_in_evaluation_a_sample_has_one_path_whatever_solves_it() -> None:
    layer = SDEBNN(TimedMLP(), sigma=0.5).eval()
    away_from_the_prior(layer)
    with torch.no_grad():
        fine = layer(INPUT, seed=3, depth=Depth(400)).h
        coarse, adaptive, other = (
            layer(INPUT, seed=seed, depth=depth).h
            for seed, depth in ((3, Depth(50)), (3, Depth(method="heun", tolerance=1e-2)), (4, Depth(400)))
        )
        areas = layer(INPUT, seed=3, depth=Depth(50, "shark")).h
    apart = (other - fine).norm()
    assert apart > 0.1
    assert all((h - fine).norm() < 0.1 * apart for h in (coarse, adaptive, areas))


def test_samples_of_a_convolution_are_the_same_one_by_one_and_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One by one on a CPU, by vmap elsewhere."""
    layer = SDEBNN(TimedConvolution(), sigma=0.5)
    x = torch.randn(6, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    found = []
    for convolves in (True, False):
        monkeypatch.setattr(weights, "convolves", lambda block, told=convolves: told)
        layer.zero_grad()
        passed = layer(x, seed=0, samples=3)
        (passed.h.square().mean() + passed.kl.mean()).backward()
        found.append((passed.h, layer.start.grad.clone()))  # type: ignore[union-attr]
    torch.testing.assert_close(found[0], found[1])


def test_the_tolerance_is_a_dial_of_cost_and_error() -> None:
    layer = SDEBNN(TimedMLP(), sigma=0.3)
    away_from_the_prior(layer)
    with torch.no_grad():
        found = [
            layer(INPUT, seed=0, depth=Depth(method="heun", tolerance=tol)) for tol in (1e-1, 1e-3, 1e-5)
        ]
    fine = found.pop()
    assert found[0].stats.drift_evaluations < found[1].stats.drift_evaluations / 4
    errors = [float((passed.h - fine.h).abs().max()) for passed in found]
    assert errors[0] > 4.0 * errors[1] > 0.0
    assert fine.kl.isnan().all()


def test_parameters_that_ask_for_no_gradient_stay_as_they_are() -> None:
    block = TimedMLP()
    block.inner.bias.requires_grad_(False)
    layer = SDEBNN(block, sigma=1e-9, prior="brownian", hidden=None)
    assert layer.block.count == sum(p.numel() for p in block.parameters()) - block.inner.bias.numel()
    torch.testing.assert_close(layer(INPUT, seed=0).h, ODENet(block)(INPUT).h, rtol=0.0, atol=1e-6)
