"""The parameters of a module as rows of one tensor, so that a solver can carry them as a state."""

from __future__ import annotations

import copy
import inspect
import math
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import InputError


class FlatParameters(nn.Module):
    """A module's copy that has no parameters: it is called with rows of numbers in their place.

    Args:
        module: is left as it is. Buffers and parameters that ask for no gradient are kept, the same for all
            rows.

    Raises:
        InputError: the module changes while it is evaluated (batch normalisation's running statistics), or
            has nothing to learn.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        check_unchanging(module)
        named = {name: p for name, p in module.named_parameters() if p.requires_grad}
        if not named:
            raise InputError(f"{type(module).__name__} has no parameters that could be Bayesian")
        places: dict[int, list[str]] = {}
        for name, parameter in module.named_parameters(remove_duplicate=False):
            if parameter.requires_grad:
                places.setdefault(id(parameter), []).append(name)
        self._names = [places[id(parameter)] for parameter in named.values()]
        self._shapes = [parameter.shape for parameter in named.values()]
        self._sizes = [math.prod(shape) for shape in self._shapes]
        self.count = sum(self._sizes)
        self.skeleton = copy.deepcopy(module)
        for names in self._names:
            for name in names:
                owner, _, own = name.rpartition(".")
                _without_parameter(self.skeleton.get_submodule(owner), own)

    def flatten(self, module: nn.Module) -> Tensor:
        """The parameters of such a module as a row (count,), a copy."""
        by_name = dict(module.named_parameters(remove_duplicate=False))
        return torch.cat([by_name[names[0]].detach().flatten() for names in self._names])

    def named(self, weights: Tensor) -> dict[str, Tensor]:
        """(..., count) to the parameters by their names, (..., *shape) each."""
        parts = weights.split(self._sizes, dim=-1)
        return {
            name: part.unflatten(-1, shape) if shape else part.squeeze(-1)
            for names, shape, part in zip(self._names, self._shapes, parts, strict=True)
            for name in names
        }

    def call(self, weights: Tensor, *arguments: Any, **options: Any) -> Any:
        """The module at weights (count,)."""
        return torch.func.functional_call(self.skeleton, self.named(weights), arguments, options)


class FlatModule(FlatParameters):
    """A block of a network at many weights: forward(t, h) or forward(h), which keeps the shape of h."""

    def __init__(self, module: nn.Module) -> None:
        timed = takes_time(module)
        check_block(module)
        super().__init__(module)
        self._takes_time = timed

    def forward(self, t: Tensor, weights: Tensor, h: Tensor) -> Tensor:
        """Of a time (), weights (samples, count) and h (samples, batch, ...): (samples, batch, ...)."""
        if len(weights) == 1 or (convolves(self.skeleton) and h.device.type == "cpu"):
            # Convolutions by weights of each sample are grouped ones, which take longer there. As one batch
            # the samples keep their layout in memory.
            each = [self._one(t, w, of) for w, of in zip(weights, h, strict=True)]
            return torch.cat(each).unflatten(0, h.shape[:2])
        return torch.vmap(self._one, in_dims=(None, 0, 0))(t, weights, h)

    def _one(self, t: Tensor, weights: Tensor, h: Tensor) -> Tensor:
        out: Tensor = self.call(weights, t, h) if self._takes_time else self.call(weights, h)
        return out.to(h.dtype)  # under autocast it may be another


def check_unchanging(module: nn.Module) -> None:
    """InputError where the module changes while it is evaluated."""
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._NormBase) and part.track_running_stats:
            raise InputError(
                f"{type(part).__name__} keeps running statistics, which a solver's evaluations would "
                "mix; take GroupNorm, or track_running_stats=False"
            )


def check_block(module: nn.Module) -> None:
    """InputError where the module is no right-hand side: another one at every evaluation. What its forward
    draws without a module for it cannot be seen here.
    """
    check_unchanging(module)
    drawing = next(filter(_draws, module.modules()), None)
    if drawing is not None:
        raise InputError(
            f"a block with {type(drawing).__name__} is another one at every evaluation; leave out what is "
            "drawn at random, or put it between layers"
        )


def _draws(part: nn.Module) -> bool:
    """Whether a module of torch's drops at random: as a layer, or as attention and recurrent ones do."""
    if isinstance(part, nn.modules.dropout._DropoutNd):
        return bool(part.p)
    share = getattr(part, "dropout", 0.0)
    return isinstance(part, nn.RReLU) or (isinstance(share, float) and share > 0.0)


def convolves(module: nn.Module) -> bool:
    return any(isinstance(part, nn.modules.conv._ConvNd) for part in module.modules())


def laid_out(h: Tensor, block: nn.Module) -> Tensor:
    """h as it is solved fastest: images for convolutions with channels last in memory, where the solver's
    arithmetic leaves them.
    """
    images = h.dim() == 4 and convolves(block)
    return h.contiguous(memory_format=torch.channels_last) if images else h


def _without_parameter(owner: nn.Module, name: str) -> None:
    """Leave in a parameter's place an empty buffer that is not saved: a module that is evaluated without
    weights fails.
    """
    parameter = getattr(owner, name)
    delattr(owner, name)
    owner.register_buffer(name, parameter.new_zeros(0), persistent=False)


def takes_time(module: nn.Module) -> bool:
    """Whether forward is of (t, h), and not of (h)."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    needed = [
        p
        for p in inspect.signature(module.forward).parameters.values()
        if p.kind in kinds and p.default is inspect.Parameter.empty
    ]
    if len(needed) not in (1, 2):
        raise InputError(
            f"{type(module).__name__}.forward takes {len(needed)} arguments; "
            "a continuous-depth layer needs forward(t, h) or forward(h)"
        )
    return len(needed) == 2
