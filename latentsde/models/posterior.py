"""The posterior of a batch as an SDE that the solver takes like any other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from ..nn import Context

if TYPE_CHECKING:
    from .latent_sde import LatentSDE


@dataclass(frozen=True)
class Encoding:
    """What the recognition network makes of a batch: q(z0) and the context, in model time."""

    mean: Tensor
    std: Tensor
    context: Context
    static: Tensor


class Known(NamedTuple):
    """All that the fields know at a time besides the state: of the prior, and of what lies ahead."""

    prior: Tensor | None
    ahead: Any


class PosteriorSDE:
    """f and g for the solver, h the prior drift for the path KL, contraction for bridged steps.

    Args:
        model: whose fields these are.
        context: of the batch, in model time.
        static: (B, C).
    """

    noise_type = "diagonal"
    sde_type = "ito"

    def __init__(self, model: LatentSDE, context: Context, static: Tensor) -> None:
        self.model, self.context, self.static = model, context, static
        self.additive = not model.diffusion.depends_on_state
        self._sigma = model.diffusion(model.diffusion.bias) if self.additive else None
        self._ahead_of_time: dict[int, Known] = {}
        self._at: tuple[Tensor, Known] | None = None
        self._prior: tuple[Tensor, Tensor, Tensor] | None = None

    def prepare(self, ts: Sequence[Tensor]) -> None:
        """Work out for all steps at once what does not depend on the state; `ts` are the tensors f and g will
        be given.
        """
        known = self._known(torch.stack(list(ts)))
        parts, kind = [known.prior, *known.ahead], type(known.ahead)
        columns: list[Sequence[Any]] = [
            [None] * len(ts) if part is None else part.unbind(0) for part in parts
        ]
        self._times = ts  # keeps the tensors, and with them their ids, alive
        self._ahead_of_time = {
            id(t): Known(prior, kind(*ahead)) for t, prior, *ahead in zip(ts, *columns, strict=True)
        }

    def f(self, t: Tensor, z: Tensor) -> Tensor:
        sigma = self.g(t, z)
        return self.h(t, z) + sigma * self.model.control(z, self._at_time(t).ahead, sigma)

    def g(self, t: Tensor, z: Tensor) -> Tensor:
        return self.model.diffusion(z) if self._sigma is None else self._sigma.expand_as(z)

    def h(self, t: Tensor, z: Tensor) -> Tensor:
        # The path KL asks for the prior drift right after the posterior's, which is made of it.
        if self._prior is None or self._prior[0] is not t or self._prior[1] is not z:
            self._prior = (t, z, self.model.prior_drift(z, self._at_time(t).prior))
        return self._prior[2]

    def contraction(self, t: Tensor, z: Tensor, h: Tensor | float) -> Tensor:
        return self.model.control.contraction(self._at_time(t).ahead, h)

    def _at_time(self, t: Tensor) -> Known:
        prepared = self._ahead_of_time.get(id(t))
        if prepared is not None:
            return prepared
        if self._at is None or self._at[0] is not t:
            self._at = (t, self._known(t))
        return self._at[1]

    def _known(self, t: Tensor) -> Known:
        """At the solver's times (), (..., B, 1), or (..., 1, 1) for all series."""
        batch = len(self.static)
        times = t.expand(batch) if t.dim() == 0 else t.squeeze(-1).expand(*t.shape[:-2], batch)
        extra = self.model.extra(times, self.static, torch.Size((*times.shape,)))
        return Known(self.model.prior_drift.network.condition(extra), self._ahead(times, extra))

    def _ahead(self, times: Tensor, extra: Tensor) -> Any:
        """A NamedTuple of tensors (..., B, any)."""
        return self.model.control.prepare(self.context.at(times), extra)
