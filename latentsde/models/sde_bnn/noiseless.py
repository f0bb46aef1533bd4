"""ODENet and HyperODENet: what is left of an SDEBNN whose weights have no noise.

ODENet: Chen, Rubanova, Bettencourt & Duvenaud 2018, weights that are the same along the depth. HyperODENet:
Xu, Chen, Li & Duvenaud 2022, section 5, weights that follow an ODE from a learned start. Both are called as
an `SDEBNN` is, and use neither seed nor samples.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from ...solvers import solve
from .depth import Depth
from .drift import DriftNetwork
from .layer import Passed
from .process import NoiselessNetwork, WeightProcess
from .weights import FlatModule, check_block, laid_out, takes_time


class ODENet(nn.Module):
    """A block solved over depth; it becomes part of this module. Arguments as `SDEBNN`'s."""

    def __init__(self, block: nn.Module, *, depth: Depth | None = None) -> None:
        super().__init__()
        self.block, self.depth = block, depth or Depth()
        self._takes_time = takes_time(block)
        check_block(block)
        self.depth.check(self)

    def f(self, t: Tensor, h: Tensor) -> Tensor:
        """The right-hand side, for the solver."""
        out: Tensor = self.block(t, h) if self._takes_time else self.block(h)
        return out.to(h.dtype)  # under autocast it may be another

    def forward(self, h: Tensor, *, seed: int = 0, samples: int = 1, depth: Depth | None = None) -> Passed:
        depth = depth or self.depth
        depth.check(self)
        solution = solve(self, laid_out(h, self.block), [0.0, 1.0], **depth.options())
        return Passed(solution.ys[-1], h.new_zeros(samples), solution.stats)


class HyperODENet(nn.Module):
    """A block whose weights follow the posterior's drift of an `SDEBNN` without noise; arguments as there."""

    def __init__(
        self,
        block: nn.Module,
        *,
        prior: str = "ornstein-uhlenbeck",
        hidden: Sequence[int] = (2, 64, 2),
        rank: int | None = None,
        unit: float = 0.1,
        depth: Depth | None = None,
    ) -> None:
        super().__init__()
        self.block, self.prior, self.depth = FlatModule(block), prior, depth or Depth()
        self.unit = unit
        self.start = nn.Parameter(self.block.flatten(block))
        self.drift = DriftNetwork(self.block.count, hidden, rank).to(self.start)
        self.depth.check(self._equation())

    def _equation(self) -> NoiselessNetwork:
        none = self.start.new_zeros(())
        weights = WeightProcess(self.drift, none, self.prior, self.start, self.unit)
        return NoiselessNetwork(weights, self.block)

    def forward(self, h: Tensor, *, seed: int = 0, samples: int = 1, depth: Depth | None = None) -> Passed:
        ode = self._equation()
        state = (self.start.unsqueeze(0), laid_out(h, self.block).unsqueeze(0))
        depth = depth or self.depth
        depth.check(ode)
        solution = solve(ode, state, [0.0, 1.0], **depth.options())
        return Passed(solution.ys[1][-1].squeeze(0), h.new_zeros(samples), solution.stats)
