"""What the networks an SDE-BNN is compared with promise."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence
from torch.nn.functional import conv2d, conv_transpose2d

from latentsde.errors import InputError
from latentsde.models.classifiers import NAMES, Averaged, ClassifierConfig, build
from latentsde.models.classifiers.blocks import ConcatSquash
from latentsde.models.classifiers.build import outline
from latentsde.models.classifiers.resnet import ResidualBlock, ResNet
from latentsde.models.classifiers.sampled import MeanField
from latentsde.models.sde_bnn import Depth

CONFIG = ClassifierConfig(
    "sde-bnn", (1, 8, 8), ("a", "b"), (0.5,), (0.25,), blocks=(1,), width=3, depth=Depth(2), widths=(2, 2, 2)
)
IMAGES = torch.randint(0, 256, (4, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def network(model: str, **options: object) -> nn.Module:
    return build(replace(CONFIG, model=model, **options))  # type: ignore[arg-type]


@pytest.mark.parametrize("model", NAMES)
def test_images_of_another_data_set_are_refused(model: str) -> None:
    built = network(model).eval()
    for shape in ((4, 3, 8, 8), (4, 1, 9, 8)):
        with pytest.raises(InputError, match=r"are not those of this network, \(1, 8, 8\)"):
            built(torch.zeros(shape, dtype=torch.uint8), seed=0, samples=1, depth=None)


@pytest.mark.parametrize("model", NAMES)
def test_an_outline_has_the_parameters_and_no_memory(model: str) -> None:
    found = outline(replace(CONFIG, model=model)).state_dict()
    made = network(model).state_dict()
    assert {name: value.shape for name, value in found.items()} == {
        name: value.shape for name, value in made.items()
    }
    assert all(value.device.type == "meta" for value in found.values())


def test_mean_field_has_a_normal_for_every_weight_and_their_kl() -> None:
    torch.manual_seed(0)
    inner = nn.Linear(3, 2)
    field = MeanField(inner, log_std=-1.0, prior_std=0.3)
    mean = torch.cat([p.detach().flatten() for p in inner.parameters()])
    q = Normal(mean, torch.full_like(mean, -1.0).exp())
    exact = kl_divergence(q, Normal(torch.zeros_like(mean), 0.3)).sum()
    torch.testing.assert_close(field.kl().detach(), exact)
    x = torch.randn(5, 3)
    found = field(x, seed=1, samples=3)
    assert found.output.shape == (3, 5, 2) and (found.kl == field.kl()).all()
    assert (found.output[0] - found.output[1]).abs().max() > 1e-3
    torch.testing.assert_close(field(x, seed=1, samples=1).output[0], found.output[0])
    with torch.no_grad():
        field.log_std.fill_(-30.0)
    torch.testing.assert_close(field(x, seed=1).output[0], inner(x))


def test_a_mean_field_of_solved_blocks_takes_no_adjoint_that_evaluates_them_again() -> None:
    with pytest.raises(InputError, match="mean-field-odenet needs adjoint 'direct'"):
        replace(CONFIG, model="mean-field-odenet", depth=Depth(2, adjoint="checkpointed"))
    # Of those that pass, every weight has a gradient.
    made = network("mean-field-odenet")
    made(IMAGES, seed=0).output.square().sum().backward()
    assert isinstance(made, MeanField) and made.mean.grad is not None
    block = made.flat.named(made.mean.grad)
    assert all(gradient.any() for name, gradient in block.items() if "convolution.weight" in name)
    with pytest.raises(RuntimeError):
        made.flat.skeleton(IMAGES)  # without weights it is no network


@pytest.mark.parametrize("model", ["mean-field-resnet32", "resnet32", "deep-ensemble", "mc-dropout"])
def test_a_depth_is_no_matter_to_networks_without(model: str) -> None:
    made = network(model).eval()
    with torch.no_grad():
        plain = made(IMAGES, seed=1, samples=2).output
        told = made(IMAGES, seed=1, samples=2, depth=Depth(method="heun", tolerance=0.1)).output
    assert torch.equal(plain, told)


def test_members_of_an_ensemble_are_all_asked_and_differ() -> None:
    found = network("deep-ensemble", members=3)(IMAGES, samples=1)
    assert len(found.output) == 3
    assert (found.output[0] - found.output[1]).abs().max() > 1e-4


def test_dropout_goes_on_when_it_predicts_and_is_a_function_of_the_seed() -> None:
    made = network("mc-dropout", dropout=0.5).eval()
    # What starts at zero hides what is dropped before it.
    for part in made.modules():
        if isinstance(part, ResidualBlock):
            nn.init.normal_(part.second.weight)
    before = torch.random.get_rng_state()
    first, again, other = (made(IMAGES, seed=seed, samples=2).output for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert (first[0] - first[1]).abs().max() > 1e-4 and (first - other).abs().max() > 1e-4
    assert torch.equal(before, torch.random.get_rng_state())
    assert not any(part.training for part in made.modules() if isinstance(part, nn.Dropout))


def test_a_resnet_of_five_five_five_has_32_layers() -> None:
    layers = [part for part in ResNet(3, 10).modules() if isinstance(part, nn.Conv2d | nn.Linear)]
    assert len(layers) == 32


@pytest.mark.parametrize("transposed", [False, True])
def test_gate_and_shift_in_the_weights_are_those_of_the_images(transposed: bool) -> None:
    torch.manual_seed(0)
    kind = nn.ConvTranspose2d if transposed else nn.Conv2d
    layer = ConcatSquash(kind(3, 5, 3, stride=2, padding=1))
    h, t = torch.randn(2, 3, 7, 7), torch.tensor(0.3)
    convolution = layer.convolution
    plain = (conv_transpose2d if transposed else conv2d)(
        h, convolution.weight, convolution.bias, stride=2, padding=1
    )
    gate = torch.sigmoid(layer.gate(t.view(1, 1))).view(1, -1, 1, 1)
    shift = layer.shift(t.view(1, 1)).view(1, -1, 1, 1)
    torch.testing.assert_close(layer(t, h), plain * gate + shift, rtol=1e-5, atol=1e-5)


def test_the_average_follows_and_is_what_predicts() -> None:
    averaged = Averaged(nn.Linear(1, 1, bias=False))
    with torch.no_grad():
        averaged.average.weight.fill_(1.0)  # type: ignore[union-attr, operator]
        averaged.network.weight.fill_(0.0)  # type: ignore[union-attr, operator]
    averaged.update(0.9, 10_000)
    x = torch.ones(1, 1)
    with torch.no_grad():
        assert averaged.eval()(x).item() == pytest.approx(0.9) and averaged.train()(x).item() == 0.0
        averaged.update(0.9, 1)  # early: 2/11 is kept
        assert averaged.eval()(x).item() == pytest.approx(0.9 * 2 / 11)
    assert not any(p.requires_grad for p in averaged.average.parameters())
