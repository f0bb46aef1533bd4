"""From words to standard normals by the formula of Box and Muller, in float64: the kernels' reference."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .philox import words_of


def box_muller(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Two float64 standard normals from two words, by uniforms (word + 1/2) 2^-32 that are never 0 or 1."""
    radius = first.to(torch.float64).add_(0.5).mul_(2.0**-32).log_().mul_(-2.0).sqrt_()
    angle = second.to(torch.float64).add_(0.5).mul_(2.0**-32 * 2.0 * math.pi)
    return radius * angle.cos(), radius * angle.sin()


def normals(node: Tensor, ids: Tensor, channels: int, domain_and_kind: int, seed: int) -> Tensor:
    """Float64 standard normals (..., channels) of every (node, id), int64 tensors (...) that broadcast
    together.

    The four words of a counter make the normals of four adjacent channels.
    """
    words = words_of(node, ids, channels, domain_and_kind, seed)
    # Contiguous words: torch computes strided logarithms by another routine, whose last bit may differ.
    w0, w1, w2, w3 = (word.contiguous() for word in torch.broadcast_tensors(*words))
    z = torch.stack([*box_muller(w0, w1), *box_muller(w2, w3)], dim=-1)
    return z.flatten(-2)[..., :channels]
