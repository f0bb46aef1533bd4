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
multiplied at every step of the filter, and systems of it solved at every step of the smoother and of its
paths: for few latent dimensions.

Inside the filter matrices are (L, L, B), so that a product of many small ones is a sum of long vectors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from ..data import Batch
from ..nn import Context
from .posterior import Encoding, PosteriorSDE

if TYPE_CHECKING:
    from .latent_sde import LatentSDE

LOG_TWO_PI = math.log(2.0 * math.pi)


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
class Row:
    """A row of observations, seen from the filter's mean before it: by how much they are off, `error` (B, D);
    their derivatives by the state, `slope` (B, D, L); their precisions, `weight` (B, D), 0 where nothing is
    observed.
    """

    error: Tensor
    slope: Tensor
    weight: Tensor

    def message(self) -> tuple[Tensor, Tensor]:
        """What the row says of the state, as precision (B, L, L) and potential (B, L)."""
        weighted = self.slope.mT * self.weight.unsqueeze(-2)
        return weighted @ self.slope, _times(weighted, self.error)


class _Update(NamedTuple):
    """By how much a row moves the mean (B, L), the covariance after it (L, L, B), its log density (B,)."""

    moved: Tensor
    covariance: Tensor
    log_density: Tensor


@dataclass(frozen=True)
class Filtered:
    """The filter of a batch.

    Attributes:
        log_likelihood: (B,) of all that was observed, nats in scaled units.
        mean, std: (B, L) of p(z0).
        rows: for each row the steps that lead to it, the row and how far it moves the mean; None for both
            where nothing is observed.
    """

    log_likelihood: Tensor
    mean: Tensor
    std: Tensor
    rows: list[tuple[list[_Cell], tuple[Row, Tensor] | None]]


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
    features = batch.mask.any(0).tolist()
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
            # Contiguous along the batch, over which all that follows runs.
            transition = _transition(cell.slope.permute(1, 2, 0).contiguous(), h.squeeze(-1))
            covariance = _product(_product(transition, covariance + half), transition.transpose(0, 1)) + half
            mean = cell.end
            cells.append(cell)
        found = None
        observed = [feature for feature, seen in enumerate(features[row]) if seen]
        if observed:
            seen = _row(model, batch, row, mean, times[:, row])
            few = len(observed) <= mean.shape[-1]
            update = one_by_one(seen, observed, covariance) if few else at_once(seen, covariance)
            moved, covariance, log_density = update
            mean, total, found = mean + moved, total + log_density, (seen, moved)
        rows.append((cells, found))
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


def _transition_and_noise(slope: Tensor, h: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """Those of a step as the filter has them, (..., L, L) each, for J (..., L, L) and h (..., 1)."""
    shape = slope.shape
    flat = slope.reshape(-1, *shape[-2:]).permute(1, 2, 0)
    transition = _transition(flat, h.expand(*shape[:-2], 1).reshape(-1)).permute(2, 0, 1).reshape(shape)
    half = 0.5 * h * variance
    return transition, (transition * half.unsqueeze(-2)) @ transition.mT + torch.diag_embed(half)


def _row(model: LatentSDE, batch: Batch, row: int, mean: Tensor, t: Tensor) -> Row:
    dtype = model.initial.prior_raw.dtype
    extra = model.extra(t.to(dtype), batch.static, torch.Size(t.shape))
    location, slope = model.decoder.linearised(torch.cat([mean.to(dtype), extra], dim=-1))
    known = batch.mask[:, row]
    error = torch.where(known, batch.values[:, row].double() - location.double(), 0.0)
    weight = known / model.likelihoods.scale.double().square()
    return Row(error, slope[..., : mean.shape[-1]].double(), weight)


def one_by_one(row: Row, observed: Sequence[int], covariance: Tensor) -> _Update:
    """For few features, whose errors are independent: nothing is factored.

    What is left of a variance is a difference: as many digits are lost as it has become smaller by.
    """
    # What is not symmetric would be left in by every observation, and can grow.
    covariance = 0.5 * (covariance + covariance.transpose(0, 1))
    moved = covariance.new_zeros(covariance.shape[1:])
    log_density = moved.new_zeros(moved.shape[1:])
    for feature in observed:
        seen = row.weight[:, feature] > 0.0
        variance = torch.where(seen, row.weight[:, feature], 1.0).reciprocal()
        direction = row.slope[:, feature].mT.contiguous()
        cross = (covariance * direction).sum(1)
        spread = ((direction * cross).sum(0) + variance).sqrt()
        innovation = (row.error[:, feature] - (direction * moved).sum(0)) / spread
        gain = torch.where(seen, cross / spread, 0.0)
        moved = moved + gain * innovation
        covariance = covariance - gain.unsqueeze(1) * gain
        density = -0.5 * (LOG_TWO_PI + innovation.square()) - spread.log()
        log_density = log_density + torch.where(seen, density, 0.0)
    return _Update(moved.mT, covariance, log_density)


def at_once(row: Row, covariance: Tensor) -> _Update:
    """For many features, by what they say together; in the root of the covariance all is well conditioned."""
    precision, potential = row.message()
    root = _cholesky(covariance.permute(2, 0, 1))
    one = torch.eye(len(covariance), dtype=root.dtype, device=root.device)
    gained = _cholesky(one + root.mT @ precision @ root)
    half = torch.linalg.solve_triangular(gained, root.mT, upper=False)
    after = half.mT @ half
    moved = _times(after, potential)
    # Where nothing is observed the error is 0, and so is the logarithm of what stands for the weight.
    log_weight = torch.where(row.weight > 0.0, row.weight, 1.0).log()
    count = (row.weight > 0.0).sum(-1)
    squares = (row.weight * row.error.square()).sum(-1) - (potential * moved).sum(-1)
    log_density = 0.5 * (log_weight.sum(-1) - count * LOG_TWO_PI - squares)
    log_density = log_density - gained.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    return _Update(moved, after.permute(1, 2, 0).contiguous(), log_density)


def _cholesky(matrix: Tensor) -> Tensor:
    """NaN where there is none: training says which series, and no batch fails for one of them."""
    root, failed = torch.linalg.cholesky_ex(matrix)
    return torch.where((failed == 0)[..., None, None], root, math.nan)


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
            row, moved = seen
            precision_of_row, potential_of_row = row.message()
            potential = potential + _times(precision, moved) + potential_of_row
            precision = precision + precision_of_row
        for cell in reversed(cells):
            rate = model.prior_drift(cell.end.to(dtype), cell.known).double()
            parts = (cell.slope.flatten(1), precision.flatten(1))
            table.append(torch.cat([cell.end, rate, potential, *parts], dim=-1))
            ends.append(cell.time)
            transition, noise = _transition_and_noise(cell.slope, cell.length, variance)
            precision, potential = _earlier(precision, potential, transition, noise)
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
    precision: Tensor, potential: Tensor, transition: Tensor, noise: Tensor
) -> tuple[Tensor, Tensor]:
    """A message taken back over a step, without a difference of precisions."""
    one = torch.eye(noise.shape[-1], dtype=noise.dtype, device=noise.device)
    both = torch.cat([precision, potential.unsqueeze(-1)], dim=-1)
    back = transition.mT @ torch.linalg.solve(one + precision @ noise, both)
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
        transition, noise = _transition_and_noise(slope, ahead.gap, self._variance)
        precision, potential = _earlier(precision, potential, transition, noise)
        mean = end - ahead.gap * rate + 0.5 * ahead.gap.square() * _times(slope, rate)
        pull = self._variance.unsqueeze(-1) * precision
        return Steered(mean, self._variance * potential, pull.flatten(-2), ahead.exists)
