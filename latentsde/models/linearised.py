"""The posterior by linearisation: an extended Kalman filter forwards, its messages backwards.

Between observations mean and covariance of the filter follow

    m' = f_p(m),    P' = J P + P Jᵀ + σ²,    J = ∂f_p/∂z at m,

and what is observed, with the decoder linearised at m, moves both (the continuous-discrete extended Kalman
filter; Jazwinski 1970, chapter 8; Särkkä & Solin 2019, "Applied stochastic differential equations", chapter
10). The innovations' densities multiply to the likelihood of a series: exact where prior and decoder are
linear, and the better the less a state's posterior is bent over its own width, which is when observations are
dense or the noise is small. It is no bound.

Backwards goes what the later observations say of a state, as precision Λ and potential λ about the filter's
mean m: log p(later | z) = λᵀ(z - m) - ½ (z - m)ᵀ Λ (z - m) + const. The posterior is then the SDE

    dz = (f_p(z) + σ² (λ - Λ (z - m))) dt + σ dW,

the prior's own drift and a pull that is linear in the state, so that `simulated_elbo` is a bound. There is no
recognition network, and nothing of the posterior is to be learned. Matrices of the state's size are
multiplied at every step: for few latent dimensions.

Inside of the filter matrices are (L, L, B): products of many small matrices are then sums of long vectors, in
half the time of a batched product.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from ..data import Batch
from ..nn import Context
from .posterior import Encoding, PosteriorSDE

if TYPE_CHECKING:
    from .latent_sde import LatentSDE


@dataclass(frozen=True)
class _Cell:
    """A step of the filter, (B, ...) each: over `length` from the mean after one node to `end` before the
    next, at `time`. `slope` is J half way, `known` the prior's condition at its end.
    """

    time: Tensor
    end: Tensor
    known: Tensor | None
    slope: Tensor
    length: Tensor


@dataclass(frozen=True)
class _Seen:
    """A row of observations, seen from the filter's mean before it: by how much they are off, `error` (B, D);
    their derivatives by the state, `slope` (B, D, L); their precisions, `weight` (B, D), 0 where nothing is
    observed; how far they move the mean, `moved` (B, L).
    """

    error: Tensor
    slope: Tensor
    weight: Tensor
    moved: Tensor

    def message(self) -> tuple[Tensor, Tensor]:
        """What the row says of the state, as precision (B, L, L) and potential (B, L)."""
        weighted = self.slope.mT * self.weight.unsqueeze(-2)
        return weighted @ self.slope, _times(weighted, self.error)


@dataclass(frozen=True)
class Filtered:
    """The filter of a batch.

    Attributes:
        log_likelihood: (B,) of all that was observed, nats in scaled units.
        mean, std: (B, L) of p(z0).
        rows: for each row the steps that lead to it and what it says; None where it says nothing.
    """

    log_likelihood: Tensor
    mean: Tensor
    std: Tensor
    rows: list[tuple[list[_Cell], _Seen | None]]


def filtered(model: LatentSDE, batch: Batch) -> Filtered:
    """The extended Kalman filter of every series, in float64, by equal steps of at most the model's dt from
    row to row.
    """
    times = model.model_time(batch.times).clamp_min(0.0)
    gaps = torch.diff(times, dim=1, prepend=torch.zeros_like(times[:, :1]))
    dt = model.config.dt / model.config.time_scale
    start = model.initial.prior(batch.static)
    mean, std = (part.expand(len(batch), -1).double() for part in start)
    covariance = _diagonal(std.square())
    first, total, rows = (mean, std), mean.new_zeros(len(batch)), []
    variance = model.diffusion.typical.double().square()
    own = torch.ceil(gaps / dt - 1e-6).clamp_min(1.0)
    for row, count in enumerate(own.amax(0).int().tolist()):
        cells = []
        for step in range(count):
            # A series with fewer steps to this row has them first, and then some of no length.
            h = gaps[:, row : row + 1] / own[:, row : row + 1] * (step < own[:, row : row + 1])
            t = times[:, row] - gaps[:, row] * (1.0 - (step / own[:, row]).clamp_max(1.0))
            # A row's time itself, to the bit: at it, what the row says is past.
            end = torch.where(step + 1 < own[:, row], t + h.squeeze(-1), times[:, row])
            cell = _predict(model, mean, t, h, end, batch.static)
            # The trapezium of the noise at the step's beginning, carried over, and at its end.
            half = _diagonal(0.5 * h * variance)
            # Packed, as all that follows goes along the batch.
            over = _transition(cell.slope.permute(1, 2, 0).contiguous(), h.squeeze(-1))
            covariance = _product(_product(over, covariance + half), over.transpose(0, 1)) + half
            mean = cell.end
            cells.append(cell)
        seen = None
        if bool(batch.mask[:, row].any()):
            log_density, seen, covariance = _update(model, batch, row, mean, covariance, times[:, row])
            mean = mean + seen.moved
            total = total + log_density
        rows.append((cells, seen))
    return Filtered(total, *first, rows)


def _predict(model: LatentSDE, z: Tensor, t: Tensor, h: Tensor, time: Tensor, static: Tensor) -> _Cell:
    """From t by h to `time`: a step of the classical Runge-Kutta method for the mean, and one of third order
    for what is linear.
    """
    prior, dtype = model.prior_drift, model.initial.prior_raw.dtype

    def condition(time: Tensor) -> Tensor | None:
        extra = model.extra(time.to(dtype), static, torch.Size(time.shape))
        return prior.network.condition(extra)

    before, middle, after = (condition(t + share * h.squeeze(-1)) for share in (0.0, 0.5, 1.0))
    if before is None:
        middle = after = None

    def drift(z: Tensor, known: Tensor | None) -> Tensor:
        return prior(z.to(dtype), known).double()

    k1 = drift(z, before)
    k2 = drift(z + 0.5 * h * k1, middle)
    value, slope = prior.linearised((z + 0.5 * h * k2).to(dtype), middle)
    k3, slope = value.double(), slope.double()
    k4 = drift(z + h * k3, after)
    end = z + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
    return _Cell(time, end, after, slope, h)


def _product(left: Tensor, right: Tensor) -> Tensor:
    """Of matrices (L, L, B)."""
    return (left.unsqueeze(2) * right.unsqueeze(0)).sum(1)


def _diagonal(values: Tensor) -> Tensor:
    """(B, L) -> (L, L, B)."""
    return torch.diag_embed(values, dim1=0, dim2=1)


def _transition(slope: Tensor, h: Tensor) -> Tensor:
    """exp(h J) to third order, (L, L, B), for h (B,)."""
    step = h * slope
    one = torch.eye(len(slope), dtype=slope.dtype, device=slope.device).unsqueeze(-1)
    return one + step + _product(_product(step, step), 0.5 * one + step / 6.0)


def _step(slope: Tensor, h: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """Transition and noise of a step as the filter has them, but (..., L, L) each: J so, and h (..., 1)."""
    shape = slope.shape
    flat = slope.reshape(-1, *shape[-2:]).permute(1, 2, 0)
    over = _transition(flat, h.expand(*shape[:-2], 1).reshape(-1)).permute(2, 0, 1).reshape(shape)
    half = 0.5 * h * variance
    return over, (over * half.unsqueeze(-2)) @ over.mT + torch.diag_embed(half)


def _update(
    model: LatentSDE, batch: Batch, row: int, mean: Tensor, covariance: Tensor, t: Tensor
) -> tuple[Tensor, _Seen, Tensor]:
    """(B,) log density of a row, the row, and the covariance after it; feature by feature, as their errors
    are independent.
    """
    dtype, latent = model.initial.prior_raw.dtype, mean.shape[-1]
    extra = model.extra(t.to(dtype), batch.static, torch.Size(t.shape))
    location, slope = model.decoder.linearised(torch.cat([mean.to(dtype), extra], dim=-1))
    slope = slope[..., :latent].double()
    known = batch.mask[:, row]
    variance = model.likelihoods.scale.double().square()
    error = torch.where(known, batch.values[:, row].double() - location.double(), 0.0)
    moved = torch.zeros_like(mean.mT)
    log_density = mean.new_zeros(len(mean))
    log_two_pi = math.log(2.0 * math.pi)
    for feature in known.any(0).nonzero().flatten().tolist():
        seen, along = known[:, feature], slope[:, feature].mT.contiguous()
        shared = (covariance * along).sum(1)
        total = (along * shared).sum(0) + variance[feature]
        surprise = error[:, feature] - (along * moved).sum(0)
        gain = torch.where(seen, shared / total, 0.0)
        moved = moved + gain * surprise
        covariance = covariance - gain.unsqueeze(1) * shared
        log_density = log_density - 0.5 * torch.where(
            seen, total.log() + log_two_pi + surprise.square() / total, 0.0
        )
    row_seen = _Seen(error, slope, known / variance, moved.mT)
    return log_density, row_seen, covariance


def smoothed(model: LatentSDE, batch: Batch) -> Encoding:
    """q(z0) and the messages of a batch, as the context of `LinearisedSDE`.

    q(z0) are independent normals, of the precisions of the exact one: the best of that kind.
    """
    found, dtype = filtered(model, batch), model.initial.prior_raw.dtype
    variance = model.diffusion.typical.double().square()
    precision = torch.diag_embed(torch.zeros_like(found.mean))
    potential = torch.zeros_like(found.mean)
    table: list[Tensor] = []
    ends: list[Tensor] = []
    for cells, seen in reversed(found.rows):
        if seen is not None:
            # About the mean before the row, of which its own evidence is told.
            of_row, towards = seen.message()
            potential = potential + _times(precision, seen.moved) + towards
            precision = precision + of_row
        for cell in reversed(cells):
            rate = model.prior_drift(cell.end.to(dtype), cell.known).double()
            parts = (cell.slope.flatten(1), precision.flatten(1))
            table.append(torch.cat([cell.end, rate, potential, *parts], dim=-1))
            ends.append(cell.time)
            over, spread = _step(cell.slope, cell.length, variance)
            precision, potential = _earlier(precision, potential, over, spread)
    whole = torch.diag_embed(found.std.square().reciprocal()) + precision
    mean = found.mean + torch.linalg.solve(whole, potential)
    std = whole.diagonal(dim1=-2, dim2=-1).rsqrt()
    steps = torch.tensor([len(cells) for cells, _ in found.rows]).cumsum(0)
    steps = torch.cat([torch.zeros_like(steps[:1]), steps]).to(batch.lengths.device)
    # Rounding must not let a later step end before an earlier one.
    times = torch.stack(ends[::-1], dim=1).cummax(dim=1).values
    summaries = torch.stack(table[::-1], dim=1).to(dtype)
    context = Context(times.to(dtype), summaries, steps[batch.lengths])
    return Encoding(mean.to(dtype), std.to(dtype), context, batch.static)


def table_columns(latent: int) -> list[int]:
    """Widths of what the context has of a step: mean and f_p at its end, λ, J and Λ by row."""
    return [latent, latent, latent, latent**2, latent**2]


def _earlier(
    precision: Tensor, potential: Tensor, transition: Tensor, spread: Tensor
) -> tuple[Tensor, Tensor]:
    """A message taken back over a step, without a difference of precisions."""
    one = torch.eye(spread.shape[-1], dtype=spread.dtype, device=spread.device)
    both = torch.cat([precision, potential.unsqueeze(-1)], dim=-1)
    back = transition.mT @ torch.linalg.solve(one + precision @ spread, both)
    earlier = back[..., :-1] @ transition
    return 0.5 * (earlier + earlier.mT), back[..., -1]


def _times(matrix: Tensor, vector: Tensor) -> Tensor:
    return (matrix * vector.unsqueeze(-2)).sum(-1)


class Steered(NamedTuple):
    """What the observations ahead make of a time: σ² (λ - Λ (z - mean)) = push - pull (z - mean).

    mean, push: (..., L); pull: (..., L²), by row; exists: (..., 1), 0 after the last observation.
    """

    mean: Tensor
    push: Tensor
    pull: Tensor
    exists: Tensor


class LinearisedSDE(PosteriorSDE):
    """f, g, h and contraction as `PosteriorSDE`'s; the prior once no observation is left ahead."""

    def __init__(self, model: LatentSDE, context: Context, static: Tensor) -> None:
        super().__init__(model, context, static)
        self._variance = model.diffusion.typical.square()

    def f(self, t: Tensor, z: Tensor) -> Tensor:
        steered: Steered = self._at_time(t).ahead
        pull = steered.pull.unflatten(-1, (z.shape[-1], -1))
        control = steered.push - _times(pull, z - steered.mean)
        return self.h(t, z) + steered.exists * control

    def contraction(self, t: Tensor, z: Tensor, h: Tensor | float) -> Tensor:
        steered: Steered = self._at_time(t).ahead
        rate = steered.pull.unflatten(-1, (z.shape[-1], -1)).diagonal(dim1=-2, dim2=-1)
        # A step never ends beyond the observation; where the prior diverges its pull may be larger than that.
        return (1.0 - h * steered.exists * rate).clamp(0.01, 1.0).sqrt()

    def _ahead(self, times: Tensor, extra: Tensor) -> Steered:
        ahead, width = self.context.at(times), self.model.config.latent
        end, rate, potential, slope, precision = ahead.summary.split(table_columns(width), dim=-1)
        slope, precision = (part.unflatten(-1, (width, width)) for part in (slope, precision))
        over, spread = _step(slope, ahead.gap, self._variance)
        precision, potential = _earlier(precision, potential, over, spread)
        mean = end - ahead.gap * rate + 0.5 * ahead.gap.square() * _times(slope, rate)
        pull = self._variance.unsqueeze(-1) * precision
        return Steered(mean, self._variance * potential, pull.flatten(-2), ahead.exists)
