"""The network of a configuration."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from ...brownian import derive_seed
from ..sde_bnn import SDEBNN, ContinuousDepth, HyperODENet, ODENet
from .blocks import AugmentChannels, ConvolutionBlock, Head, SpaceToDepth, Standardise
from .config import ClassifierConfig
from .resnet import ResNet
from .sampled import Certain, Dropout, Ensemble, MeanField

_WEIGHTS = 0  # label of the stream drawn from a seed


def build(config: ClassifierConfig, *, seed: int = 0) -> nn.Module:
    """A network of bytes (batch, channels, height, width): called with seed=, samples= and depth=, it gives
    `Predicted` logits. Its weights are a function of (configuration, seed).
    """
    with torch.random.fork_rng(devices=[]):
        # Layers draw their weights on the CPU; torch.manual_seed would set the generators of all devices. The
        # seed itself is what images are held out by.
        torch.default_generator.manual_seed(derive_seed(seed, _WEIGHTS))
        return _classifier(config)


def outline(config: ClassifierConfig) -> nn.Module:
    """The same network with no memory behind its numbers (device "meta"): what is asked for its size."""
    with torch.device("meta"):
        return _classifier(config)


def _classifier(config: ClassifierConfig) -> nn.Module:
    name = config.model
    if name.startswith("mean-field-"):
        return MeanField(_network(config, name.removeprefix("mean-field-")))
    if name == "deep-ensemble":
        return Ensemble([_network(config, "resnet32") for _ in range(config.members)])
    if name == "mc-dropout":
        return Dropout(_network(config, "resnet32", dropout=config.dropout))
    network = _network(config, name)
    return network if isinstance(network, ContinuousDepth) else Certain(network)


def _network(config: ClassifierConfig, name: str, dropout: float = 0.0) -> nn.Module:
    standardise = Standardise(config.image, config.mean, config.std)
    if name == "resnet32":
        return nn.Sequential(
            standardise,
            ResNet(config.image[0], len(config.classes), config.widths, dropout=dropout),
        )
    channels, *size = config.image
    layers: list[nn.Module] = [standardise]
    for _ in range(config.reduce):
        layers.append(SpaceToDepth())
        channels, size = 4 * channels, [math.ceil(side / 2) for side in size]
    layers.append(AugmentChannels(config.augment))
    channels += config.augment
    for group, blocks in enumerate(config.blocks):
        if group:
            layers.append(SpaceToDepth())
            channels, size = 4 * channels, [math.ceil(side / 2) for side in size]
        layers += [_layer(config, name, ConvolutionBlock(channels, config.width)) for _ in range(blocks)]
    layers.append(Head(channels * math.prod(size), len(config.classes)))
    return ContinuousDepth(*layers)


def _layer(config: ClassifierConfig, name: str, block: nn.Module) -> nn.Module:
    common: dict[str, Any] = {"depth": config.depth}
    if name == "odenet":
        return ODENet(block, **common)
    common |= {"prior": config.prior, "hidden": config.hidden, "rank": config.rank}
    if name == "hyper-odenet":
        return HyperODENet(block, unit=config.sigma if config.unit is None else config.unit, **common)
    return SDEBNN(
        block,
        sigma=config.sigma,
        unit=config.unit,
        initial=config.initial,
        sticking_the_landing=config.sticking_the_landing,
        **common,
    )
