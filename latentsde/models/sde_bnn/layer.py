"""SDEBNN: any block becomes a Bayesian layer of continuous depth, its weights a path of an SDE.

Xu, Chen, Li & Duvenaud 2022, "Infinitely deep Bayesian neural networks with stochastic differential
equations".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ...brownian import VirtualBrownianTree, derive_seed, standard_normal
from ...errors import InputError
from ...memory import check_room
from ...solvers import METHODS, Stats, solve
from .depth import Depth
from .drift import DriftNetwork
from .process import Network, NoisyNetwork, WeightProcess
from .weights import FlatModule, laid_out

# Labels of the streams that are drawn from one seed.
_PATH, _START = 0, 1


class Passed(NamedTuple):
    """What a layer makes of its input.

    Attributes:
        h: (samples · batch, ...) the activations at time 1.
        kl: (samples,) an estimate of KL(q || p) of the layer's weights; NaN under a tolerance, where it would
            take a second solve.
        stats: of the solve.
    """

    h: Tensor
    kl: Tensor
    stats: Stats


class SDEBNN(nn.Module):
    """A block with weights that follow an SDE along its depth.

    Args:
        block: any module with forward(t, h) or forward(h) that keeps the shape of h (batch, ...). Its
            parameters are where the weights' path begins; the block itself is not changed.
        sigma: the weights' diffusion, of prior and posterior.
        prior: "ornstein-uhlenbeck", dw = -w dt + σ dB, or "brownian", dw = σ dB.
        hidden, rank: of the posterior's drift (see `DriftNetwork`); hidden=None for none.
        unit: in which the drift sees how far weights are from where they began, and moves them; by default
            sigma, so that an optimiser's step changes the KL alike for every sigma.
        initial: "point", weights at time 0 that are learned and have no KL; or "normal", of which mean and
            deviation are learned, against N(0, `initial_prior_std`²).
        initial_std: where the deviations start.
        sticking_the_landing: see `latentsde.PathKL`.
        depth: how it is solved, unless a call says otherwise.
    """

    def __init__(
        self,
        block: nn.Module,
        *,
        sigma: float = 0.1,
        prior: str = "ornstein-uhlenbeck",
        hidden: Sequence[int] | None = (2, 64, 2),
        rank: int | None = None,
        unit: float | None = None,
        initial: str = "point",
        initial_std: float = 0.02,
        initial_prior_std: float = 0.1,
        sticking_the_landing: bool = True,
        depth: Depth | None = None,
    ) -> None:
        super().__init__()
        for name, value in (
            ("sigma", sigma),
            ("initial_std", initial_std),
            ("initial_prior_std", initial_prior_std),
        ):
            if not (math.isfinite(value) and value > 0):
                raise InputError(f"{name} must be a positive number, got {value}")
        if initial not in ("point", "normal"):
            raise InputError(f"initial must be 'point' or 'normal', got {initial!r}")
        self.block = FlatModule(block)
        self.prior, self.sticking_the_landing = prior, sticking_the_landing
        self.initial_prior_std = initial_prior_std
        self.unit = sigma if unit is None else unit
        self.depth = depth or Depth()
        self.start = nn.Parameter(self.block.flatten(block))
        self.sigma: Tensor
        self.register_buffer("sigma", self.start.new_tensor(sigma))
        log_std = torch.full_like(self.start, math.log(initial_std))
        self.start_log_std = nn.Parameter(log_std) if initial == "normal" else None
        self.drift = None if hidden is None else DriftNetwork(self.block.count, hidden, rank).to(self.start)
        self.depth.check(self._weights())
        self._fits: set[tuple[int, int]] = set()

    def forward(self, h: Tensor, *, seed: int, samples: int = 1, depth: Depth | None = None) -> Passed:
        """h (samples · batch, ...), the batch of sample 0 first, to the same at time 1.

        The weights of a sample are a function of (seed, sample): sample 0 is the same however many there are,
        and all of a batch see the same weights. In evaluation mode (`eval()`) their noise is one path for
        every `depth`; in training it is drawn for the steps at hand, which takes less time.
        """
        if samples < 1 or len(h) % samples:
            raise InputError(f"{len(h)} inputs cannot be shared among {samples} samples of the weights")
        if depth is None:
            depth = self.depth
        else:
            depth.check(self._weights())
        self._check_room(samples, depth)
        w, kl = self._begin(samples, derive_seed(seed, _START))
        weights, state = self._weights(), (w, laid_out(h, self.block).unflatten(0, (samples, -1)))
        network: Network | NoisyNetwork = NoisyNetwork(weights, self.block)
        if depth.tolerance is None:
            network = Network(weights, self.block, sticking_the_landing=self.sticking_the_landing)
        noise: dict[str, Any] = {"seed": derive_seed(seed, _PATH)}
        if not self.training:
            area = None if METHODS[depth.method].levy_area is None else "space-time"
            tree = VirtualBrownianTree(
                0.0, 1.0, w.shape, seed=noise["seed"], levy_area=area, dtype=w.dtype, device=w.device
            )
            noise = {"path": (tree, None)}
        solution = solve(network, state, [0.0, 1.0], **noise, **depth.options())
        path_kl = kl.new_full((), math.nan) if solution.functional is None else solution.functional[-1]
        return Passed(solution.ys[1][-1].flatten(0, 1), kl + path_kl, solution.stats)

    def _weights(self) -> WeightProcess:
        return WeightProcess(self.drift, self.sigma, self.prior, self.start, self.unit)

    def bytes_of_weights(self, samples: int, depth: Depth, *, gradient: bool) -> int:
        """What the paths of the weights take: a state and its noise, at every step where all are kept."""
        kept = depth.kept(gradient=gradient)
        return 2 * kept * samples * self.block.count * self.start.element_size()

    def _check_room(self, samples: int, depth: Depth) -> None:
        """The weights alone must fit. Asked once for each size."""
        gradient = torch.is_grad_enabled()
        kept = depth.kept(gradient=gradient)
        if self.start.device.type != "cpu" or (samples, kept) in self._fits:
            return
        what = f"{samples:,} samples of {self.block.count:,} weights"
        check_room(
            self.bytes_of_weights(samples, depth, gradient=gradient),
            what if kept == 1 else f"{what} at {kept} steps",
            "take fewer samples, a smaller block, or adjoint='reversible' with method='reversible_heun'",
        )
        self._fits.add((samples, kept))

    def _begin(self, samples: int, seed: int) -> tuple[Tensor, Tensor]:
        """Weights (samples, count) at time 0, and their KL (samples,)."""
        mean: Tensor = self.start.expand(samples, -1)
        if self.start_log_std is None:
            return mean, mean.new_zeros(samples)
        log_std: Tensor = self.start_log_std
        ids = torch.arange(samples, device=mean.device)
        noise = standard_normal(mean.shape, seed=seed, ids=ids, device=mean.device).to(mean.dtype)
        w = mean + log_std.exp() * noise
        if self.sticking_the_landing:
            mean, log_std = mean.detach(), log_std.detach()
        ours = -0.5 * ((w - mean) / log_std.exp()).square() - log_std
        prior = -0.5 * (w / self.initial_prior_std).square() - math.log(self.initial_prior_std)
        return w, (ours - prior).sum(-1)
