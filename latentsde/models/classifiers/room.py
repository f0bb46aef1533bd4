"""Whether a network and its training fit into memory, asked before any weight is made."""

from __future__ import annotations

from torch import nn

from ...errors import InputError
from ...memory import check_room
from ..sde_bnn import SDEBNN, HyperODENet
from .build import outline
from .config import ClassifierConfig
from .sampled import MeanField

FLOAT32 = 4
SOLVED = (
    "take a smaller width, narrower hidden layers, fewer groups of blocks, fewer samples, or "
    "adjoint 'reversible' with method 'reversible_heun'"
)
OTHERS = "take smaller widths, fewer members or fewer samples"


def check_training(config: ClassifierConfig, *, samples: int, device: str = "cpu") -> None:
    """InputError where weights and what their training keeps are more than is free.

    Weights, their average, gradient and an optimiser's two moments; and, of networks with a path of weights,
    its states at the steps that the gradient goes back over. Activations, which depend on how they are
    computed, are not counted. On another device only what is made here before it goes there.
    """
    network = _outline(config)
    count = sum(parameter.numel() for parameter in network.parameters())
    if device != "cpu":
        check_room(2 * FLOAT32 * count, f"a network of {count:,} parameters and its average", _remedy(config))
        return
    states = sum(_states(part, samples) for part in network.modules())
    what = f"training a network of {count:,} parameters"
    if config.is_random and states:
        what += f", {samples:,} {'sample' if samples == 1 else 'samples'} of them a step"
    check_room(5 * FLOAT32 * count + states, what, _remedy(config))


def check_loading(config: ClassifierConfig) -> None:
    """InputError where the weights, once as drawn and once as read, are more than is free."""
    count = sum(parameter.numel() for parameter in _outline(config).parameters())
    check_room(2 * FLOAT32 * count, f"a network of {count:,} parameters", "evaluate it on a larger machine")


def _outline(config: ClassifierConfig) -> nn.Module:
    try:
        return outline(config)
    except RuntimeError as error:  # numbers of bytes that are no 64-bit integers
        raise InputError(f"the network is larger than can be reckoned ({error}); {_remedy(config)}") from None


def _remedy(config: ClassifierConfig) -> str:
    return SOLVED if config.has_depth else OTHERS


def _states(part: nn.Module, samples: int) -> int:
    if isinstance(part, SDEBNN):
        return part.bytes_of_weights(samples, part.depth, gradient=True)
    if isinstance(part, HyperODENet):
        return part.block.count * FLOAT32 * part.depth.kept(gradient=True)
    return part.bytes_of_weights(samples) if isinstance(part, MeanField) else 0
