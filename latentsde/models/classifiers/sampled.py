"""Ordinary networks that predict by samples of their weights (mean field, dropout, ensembles), or of one.

All are called as `latentsde.models.sde_bnn.ContinuousDepth` is, so that training and scores do not know the
difference.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ...brownian import derive_seed, standard_normal
from ...memory import check_room
from ..sde_bnn import ContinuousDepth, Depth, Predicted
from ..sde_bnn.weights import FlatParameters


class Certain(nn.Module):
    """A network of fixed weights: all samples are one."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, *, seed: int = 0, samples: int = 1, depth: Depth | None = None) -> Predicted:
        output: Tensor = self.network(x)
        return Predicted(output.expand(samples, *output.shape), output.new_zeros(samples), 1)


class Ensemble(nn.Module):
    """Networks that differ by where they started and are trained side by side (Lakshminarayanan, Pritzel &
    Blundell 2017): the samples are all members, however many are asked for.
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, x: Tensor, *, seed: int = 0, samples: int = 1, depth: Depth | None = None) -> Predicted:
        output = torch.stack([member(x) for member in self.members])
        return Predicted(output, output.new_zeros(len(output)), 1)


class Dropout(nn.Module):
    """A network whose dropout goes on when it predicts (Gal & Ghahramani 2016), by (seed, sample).

    What is dropped is drawn for the batch as it comes: it depends on the batch and the number of processes.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, *, seed: int = 0, samples: int = 1, depth: Depth | None = None) -> Predicted:
        drops = [part for part in self.network.modules() if isinstance(part, nn.Dropout)]
        before = [part.training for part in drops]
        outputs = []
        for part in drops:
            part.train()
        for sample in range(samples):
            # torch's dropout knows only the global generator of its device, which is put back.
            with torch.random.fork_rng(devices=[x.device] if x.is_cuda else []):
                index = x.device.index if x.is_cuda else None
                generator = torch.default_generator if index is None else torch.cuda.default_generators[index]
                generator.manual_seed(derive_seed(seed, sample))
                outputs.append(self.network(x))
        for part, training in zip(drops, before, strict=True):
            part.train(training)
        return Predicted(torch.stack(outputs), outputs[0].new_zeros(samples), 1)


class MeanField(nn.Module):
    """A network with a normal of its own for every weight (Blundell, Cornebise, Kavukcuoglu & Wierstra 2015).

    Args:
        network: of fixed weights, or a `ContinuousDepth` without noise; the means begin where it is.
        log_std: where the logarithms of the deviations begin.
        prior_std: of the prior, around 0.
    """

    def __init__(self, network: nn.Module, *, log_std: float = -4.0, prior_std: float = 0.1) -> None:
        super().__init__()
        self.flat = FlatParameters(network)
        self.mean = nn.Parameter(self.flat.flatten(network))
        self.log_std = nn.Parameter(torch.full_like(self.mean, log_std))
        self.prior_std = prior_std

    def bytes_of_weights(self, samples: int) -> int:
        """What samples of the weights take, with the noise they are made of."""
        return 3 * samples * self.flat.count * self.mean.element_size()

    def forward(self, x: Tensor, *, seed: int = 0, samples: int = 1, depth: Depth | None = None) -> Predicted:
        if samples > 1 and self.mean.device.type == "cpu":
            what = f"{samples:,} samples of {self.flat.count:,} weights"
            check_room(self.bytes_of_weights(samples), what, "take fewer samples")
        ids = torch.arange(samples, device=x.device)
        noise = standard_normal((samples, self.flat.count), seed=seed, ids=ids, device=x.device)
        weights = self.mean + self.log_std.exp() * noise.to(self.mean.dtype)
        options = {"depth": depth} if isinstance(self.flat.skeleton, ContinuousDepth) else {}
        outputs, evaluations = [], 1
        for w in weights:
            out: Any = self.flat.call(w, x, **options)
            if isinstance(out, Predicted):
                out, evaluations = out.output[0], out.evaluations
            outputs.append(out)
        return Predicted(torch.stack(outputs), self.kl().expand(samples), evaluations)

    def kl(self) -> Tensor:
        """() KL(q || p), in closed form."""
        ratio = (2.0 * (self.log_std - math.log(self.prior_std))).exp()
        return 0.5 * (ratio + (self.mean / self.prior_std).square() - 1.0 - ratio.log()).sum()
