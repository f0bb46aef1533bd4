"""Marginals of a posterior: Ornstein-Uhlenbeck bridges between observations, and a bend on each.

The recognition network reads the observations in both directions and gives

    at each observation   pseudo-evidence N(m_i; z(t_i), b_i σ²),
    in each interval      the rate κ and level of the nearest linear process dz = κ (level - z) dt + σ dW.

An exact smoother of this chain (`latentsde.models.messages`) has its marginals at every time in closed form,
with their rates: for a linear-Gaussian model they are the true posterior's, and near observations and short
gaps what a diffusion allows. A network then bends mean and log-deviation between the knots by

    r (1 - r) (gap / (1 + gap))² · network(states, r, gap),     r from 0 to 1 across the interval,

which vanishes at the knots, leaves the drift finite there, and stays bounded across gaps longer than any that
was trained on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from ..nn import BackwardEncoder, Context, ForwardEncoder
from ..nn.context import Ahead
from .config import LatentSDEConfig
from .marginals import Marginal
from .messages import Message, Transition, smooth
from .posterior import Encoding


@dataclass(frozen=True)
class Smoothed(Encoding):
    """An encoding whose context is a table of bridges, with the marginals at the observations, (B, T, L)."""

    knot_mean: Tensor
    knot_std: Tensor


class Reading(NamedTuple):
    """What the recognition network says of a batch; T intervals, each ends in the observation of its number.

    Attributes:
        states: (B, T, H) of the network run backwards.
        target, delay: (B, T, L) m and b > 0 of the pseudo-evidence at the observations.
        rate, level: (B, T, L) of the linear process in the intervals.
        condition: (B, T, W) for the network of the bend.
    """

    states: Tensor
    target: Tensor
    delay: Tensor
    rate: Tensor
    level: Tensor
    condition: Tensor


class Bridge(NamedTuple):
    """The fields of a `Marginal`, and what a bridged step asks: of its variance a step of h leaves the share
    1 - h `contraction_rate` (..., L). exists (..., 1) is 0 after the last observation.
    """

    mean: Tensor
    std: Tensor
    mean_rate: Tensor
    log_std_rate: Tensor
    contraction_rate: Tensor
    exists: Tensor

    @property
    def marginal(self) -> Marginal:
        return Marginal(*self[:4])


class Bridges(nn.Module):
    """The recognition network and its marginals at any time.

    Args:
        config: of the model.
        extra: width of what every network is told besides.
        inputs: numbers read of a row.
    """

    def __init__(self, config: LatentSDEConfig, extra: int, inputs: int) -> None:
        super().__init__()
        features, size = len(config.features), config.encoder
        self.latent, self.width = config.latent, config.hidden
        self.backward_encoder = BackwardEncoder(features, extra, size, inputs)
        self.forward_encoder = ForwardEncoder(features, extra, size, inputs)
        # Beside the states the row itself: what a linear decoder inverts need not pass through a GRU.
        self.evidence = nn.Linear(2 * size + inputs + features, 2 * self.latent)
        self.between = nn.Linear(2 * size, 2 * self.latent + self.width)
        self.place = nn.Linear(3, self.width, bias=False)
        self.bend = nn.Linear(self.width, 2 * self.latent)
        nn.init.zeros_(self.bend.weight)
        nn.init.zeros_(self.bend.bias)

    @property
    def inputs(self) -> int:
        """Width of the context: the interval's length, three pairs of the state's size, and the condition."""
        return 1 + 6 * self.latent + self.width

    def read(self, values: Tensor, mask: Tensor, times: Tensor, lengths: Tensor, extra: Tensor) -> Reading:
        """(B, T, inputs) values, (B, T, F) mask, (B, T) times, (B,) lengths, (B, T, E) extra."""
        later = self.backward_encoder(values, mask, times, lengths, extra)
        earlier = self.forward_encoder(values, mask, times, extra)
        row = [later, earlier, values, mask.to(values.dtype)]
        target, delay = self.evidence(torch.cat(row, dim=-1)).chunk(2, dim=-1)
        before = torch.cat([torch.zeros_like(earlier[:, :1]), earlier[:, :-1]], dim=1)
        interval = self.between(torch.cat([later, before], dim=-1))
        rate, level, condition = interval.split([self.latent, self.latent, self.width], dim=-1)
        return Reading(later, target, softplus(delay) + 0.01, softplus(rate - 1.5) + 1e-3, level, condition)

    def smooth(
        self,
        reading: Reading,
        start: Message,
        times: Tensor,
        lengths: Tensor,
        variance: Tensor,
        static: Tensor,
    ) -> Smoothed:
        """The marginals of a batch.

        Args:
            start: (B, L) what is known at time 0 besides the observations.
            times: (B, T) of the observations, at least 0, padded by repeating the last.
            variance: (L,) σ².
        """
        gap = torch.diff(times, dim=1, prepend=torch.zeros_like(times[:, :1])).unsqueeze(-1)
        rows = torch.arange(times.shape[1], device=times.device)
        observed = (rows < lengths.unsqueeze(1)).unsqueeze(-1).to(times.dtype)
        precision = observed / (reading.delay * variance)
        evidence = Message(precision, precision * reading.target)
        between = Transition.over(gap, reading.rate, reading.level, variance)
        left, right = smooth(start, evidence, between)
        mean, std = (between.later(left) + right).normal()
        first = Transition(*(part[:, 0] for part in between)).earlier(
            Message(*(part[:, 0] for part in right))
        )
        table = torch.cat([gap, *left, *right, reading.rate, reading.level, reading.condition], dim=-1)
        context = Context(times, table, lengths)
        return Smoothed(*(start + first).normal(), context, static, mean, std)

    def at(self, ahead: Ahead, variance: Tensor) -> Bridge:
        """The bridge at times of any shape, given `Context.at` of them: (..., L).

        After the last observation there is none: what stands there is finite and means nothing.
        """
        sizes = [1, *[self.latent] * 6, self.width]
        gap, *ends, rate, level, condition = ahead.summary.split(sizes, dim=-1)
        since = (gap - ahead.gap).clamp_min(0.0)
        left = Transition.over(since, rate, level, variance).later(Message(*ends[:2]))
        right = Transition.over(ahead.gap, rate, level, variance).earlier(Message(*ends[2:]))
        precision = left.precision + right.precision
        mean, std = (left + right).normal()
        # Of the linear process, pulled towards what lies ahead: dz = (pull z + push) dt + σ dW.
        pull, push = -(rate + variance * right.precision), rate * level + variance * right.potential
        marginal = Marginal(mean, std, pull * mean + push, pull + 0.5 * variance * precision)
        bent = self._bent(marginal, since, gap, condition)
        return Bridge(*bent, variance * right.precision, ahead.exists)

    def _bent(self, marginal: Marginal, since: Tensor, gap: Tensor, condition: Tensor) -> Marginal:
        share = since / gap.clamp_min(1e-12)
        hidden = torch.tanh(condition + self.place(torch.cat([share, gap, torch.log1p(gap)], dim=-1)))
        bend = self.bend(hidden)
        bend_slope = nn.functional.linear((1.0 - hidden.square()) * self.place.weight[:, 0], self.bend.weight)
        scale = (gap / (1.0 + gap)).square()
        scale_rate = gap / (1.0 + gap).square()  # of time: a change of `share` is one of time over the gap
        weight, weight_rate = share * (1.0 - share) * scale, (1.0 - 2.0 * share) * scale_rate
        by_mean, by_log = (weight * bend).chunk(2, dim=-1)
        rate = weight_rate * bend + share * (1.0 - share) * scale_rate * bend_slope
        mean_rate, log_rate = rate.chunk(2, dim=-1)
        return Marginal(
            marginal.mean + by_mean,
            marginal.std * by_log.exp(),
            marginal.mean_rate + mean_rate,
            marginal.log_std_rate + log_rate,
        )
