"""Natural gradients for the output layer of a drift, by the Fisher information of its paths.

For dz = f dt + σ dW with f = φ(z, t) w the Fisher information of a path's law in w is E ∫ φφᵀ dt / σ²
(Girsanov), so F⁻¹ times the gradient of the ELBO is the direction of steepest ascent per nat (Amari 1998).
Where hidden units are many and nearly collinear, first-order descent needs far more iterations.
"""

from __future__ import annotations

import torch
from torch import Tensor


class NaturalGradient:
    """Descent of output weights (H, 1) and bias (1,) along F⁻¹ times their gradients.

    Args:
        damping: added to F's diagonal.
        memory: the share of the F before that an update keeps.
    """

    def __init__(self, weight: Tensor, bias: Tensor, *, damping: float, memory: float = 0.8) -> None:
        self.weight, self.bias = weight, bias
        self.damping, self.memory = damping, memory
        self.fisher: Tensor | None = None

    @torch.no_grad()
    def observe(self, units: Tensor, share: float) -> None:
        """Hidden units (N, H) at states of the paths, each standing for `share` = dt / (paths σ²)."""
        units = torch.cat([units, torch.ones_like(units[:, :1])], dim=1).double()
        fisher = share * units.t() @ units
        self.fisher = fisher if self.fisher is None else fisher.lerp(self.fisher, self.memory)
        unit = torch.eye(len(fisher), dtype=fisher.dtype)
        self._factor = torch.linalg.cholesky(self.fisher + self.damping * unit)

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """One step, of length at most `rate` in the metric of F: the first F are of few paths, far from where
        they will be.
        """
        assert self.weight.grad is not None and self.bias.grad is not None
        gradient = torch.cat([self.weight.grad, self.bias.grad.unsqueeze(0)]).double()
        direction = torch.cholesky_solve(gradient, self._factor)
        length = float((direction * gradient).sum().sqrt())
        direction *= rate / max(1.0, length)
        self.weight -= direction[:-1].to(self.weight)
        self.bias -= direction[-1].to(self.bias)
