"""Sticking the landing for ordinary sites of a guide (Roeder, Wu & Duvenaud 2017)."""

from __future__ import annotations

from typing import Any

import pyro.distributions as dist
import torch
from torch import Tensor


class StickingTheLanding(dist.TorchDistribution):
    """`base` for a guide, its log-density without a gradient to its parameters, only to the value.

    The term left out has mean zero; when the guide is the true posterior nothing else is left to vary. The
    path of a guide has `sticking_the_landing` of its own: take both, or the variance of one stays.

    Args:
        base: a reparametrised Pyro distribution, such as Normal, LogNormal or what `to_event` makes of them.
    """

    has_rsample = True
    arg_constraints: dict[str, Any] = {}  # noqa: RUF012  as torch declares it

    def __init__(self, base: Any) -> None:
        if not getattr(base, "has_rsample", False):
            raise ValueError(
                f"sticking the landing is for reparametrised distributions; {type(base).__name__} has no "
                "rsample"
            )
        self.base = base
        super().__init__(base.batch_shape, base.event_shape, validate_args=False)

    @property
    def support(self) -> Any:
        return self.base.support

    @property
    def mean(self) -> Tensor:
        return self.base.mean

    @property
    def variance(self) -> Tensor:
        return self.base.variance

    def expand(self, batch_shape: Any, _instance: Any = None) -> StickingTheLanding:
        return StickingTheLanding(self.base.expand(batch_shape))

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        value: Tensor = self.base.rsample(sample_shape)
        return value

    def log_prob(self, value: Tensor) -> Tensor:
        """(*sample, *batch); differentiable once, with respect to the value alone."""
        if not (torch.is_grad_enabled() and value.requires_grad):
            return self.base.log_prob(value).detach()
        with torch.enable_grad():
            local = value.detach().requires_grad_()
            density = self.base.log_prob(local)
            (slope,) = torch.autograd.grad(density.sum(), local)
        # The density's value with the slope it has in the value: the difference is zero.
        moved = slope * (value - local.detach())
        events = len(self.event_shape)
        return density.detach() + (moved.flatten(-events).sum(-1) if events else moved)
