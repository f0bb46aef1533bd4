"""The SDE that has a posterior's marginals, for the solver like any other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..nn import Context
from .bridges import Bridge
from .marginals import induced_drift
from .posterior import PosteriorSDE

if TYPE_CHECKING:
    from .latent_sde import LatentSDE


class InducedSDE(PosteriorSDE):
    """f, g, h and contraction as `PosteriorSDE`'s; the prior once no observation is left ahead.

    It is Markov and has the marginals up to the steps' errors, so that predictions, scores and the bound by
    simulation are what they are for a posterior given by its control.
    """

    def __init__(self, model: LatentSDE, context: Context, static: Tensor) -> None:
        super().__init__(model, context, static)
        self._variance = model.diffusion.typical.square()

    def f(self, t: Tensor, z: Tensor) -> Tensor:
        bridge, slope = self.bridge(t), None
        if not self.additive:
            slope = self.model.diffusion.variance_slope(z)
        drift = induced_drift(z, bridge.marginal, self.g(t, z), slope)
        return torch.where(bridge.exists > 0.0, drift, self.h(t, z))

    def contraction(self, t: Tensor, z: Tensor, h: Tensor | float) -> Tensor:
        bridge = self.bridge(t)
        return (1.0 - h * bridge.exists * bridge.contraction_rate).sqrt()

    def bridge(self, t: Tensor) -> Bridge:
        """At the solver's times."""
        ahead = self._at_time(t).ahead
        assert isinstance(ahead, Bridge)
        return ahead

    def _ahead(self, times: Tensor, extra: Tensor) -> Bridge:
        assert self.model.bridges is not None
        return self.model.bridges.at(self.context.at(times), self._variance)
