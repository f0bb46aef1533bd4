"""The bound without simulation: states drawn from the posterior's marginals at random times.

With the marginals q(z_t | x) given for every t and f_q the drift that has them
(`latentsde.models.marginals`),

    ELBO = Σ_i E log p(x_i | z_{t_i}) - ½ ∫ E |(f_q - f_p)/σ|² dt - KL(q(z0) || p(z0)),

every E under the marginal at its own time: SDE matching (Bartosh, Vetrov & Naesseth 2025). The integral runs
from the start to the last observation and is estimated at stratified random times, so that a step evaluates
the drifts once for all of them, whatever the solver's dt. After the last observation the path follows the
prior, at no cost. Where the true posterior is linear-Gaussian with independent dimensions, the bound is the
log-likelihood; normal marginals and a drift that is linear in each dimension are what it gives up.

Amortised reparametrisation (ARCTA; Course & Nair 2023) has the same objective: its posterior, linear with a
constant σ and normal marginals of diagonal covariance S, has the coefficient (S' - σ²)/(2S), which is that of
`induced_drift`. What differs is how mean and S are made: there by kernel interpolation of encodings, in
windows of the series that are encoded each by itself; here by a smoother of the whole series that knows σ, so
that S grows from an observation as fast as the diffusion lets it. Neither has noise on a path.

Sticking the landing has no counterpart: it adds ∫ū·dW along a path, and here are states at unrelated times.
The gradient's noise does not vanish at the true posterior. Pairs of states on both sides of the mean take out
what is odd, most of it; `path_times` and samples lower the rest, all in one batched evaluation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..brownian import derive_seed, standard_normal
from ..data import Batch
from .bound import ELBO, sample_ids
from .bridges import Smoothed
from .induced import InducedSDE

if TYPE_CHECKING:
    from .latent_sde import LatentSDE

# Labels of the streams that are drawn from one seed.
_TIMES, _STATES, _KNOTS = 20, 21, 22


class MatchingELBO(ELBO):
    """As `ELBO`, but its samples are of states, not of paths."""

    def importance_weighted(self) -> Tensor:
        raise ValueError(
            "the bound without simulation has no weights of paths; take them from model.simulated_elbo"
        )


def matching_bound(
    model: LatentSDE, batch: Batch, *, seed: int, samples: int = 1, seen: Batch | None = None
) -> MatchingELBO:
    """`LatentSDE.elbo` of a model whose posterior is given by its marginals; `steps` of the solver are 0.

    Each sample has `config.path_times` times of its own and a state at every one of them and at every
    observation; all of it is a function of (seed, series).
    """
    code = model.encode(batch if seen is None else seen)
    assert isinstance(code, Smoothed)
    ids = sample_ids(batch.ids, samples)
    shape = (len(batch), samples)

    def normals(label: int, *size: int) -> Tensor:
        draws = standard_normal((len(ids), *size), seed=derive_seed(seed, label), ids=ids, device=ids.device)
        return draws.to(code.mean.dtype)

    count, width = model.config.path_times, model.config.latent
    context, static = code.context.repeat(samples), code.static.repeat_interleave(samples, 0)
    uniform = torch.special.ndtr(normals(_TIMES, count))
    times, weights = random_times(context.times, context.lengths, uniform)
    sde = model.posterior_sde(context, static)
    assert isinstance(sde, InducedSDE)
    t = times.t().unsqueeze(-1)  # as the solver gives them, with a leading axis
    bridge = sde.bridge(t)
    z = _pair(bridge.mean, bridge.std, normals(_STATES, count, width).transpose(0, 1))
    control = (sde.f(t, z) - sde.h(t, z)) / sde.g(t, z)
    kl_path = (0.5 * control.square().sum(-1).mean(0) * weights.t()).sum(0)

    at_rows = normals(_KNOTS, code.knot_mean.shape[1], width).unflatten(0, shape)
    z = _pair(code.knot_mean.unsqueeze(1), code.knot_std.unsqueeze(1), at_rows)
    observed = model.model_time(batch.times).clamp_min(0.0).to(z.dtype)
    location = model.decode(z, observed[:, None].expand(z.shape[:-1]), batch.static[:, None, None])
    kl_initial = _normal_kl(code.mean, code.std, *model.initial.prior(code.static))
    return MatchingELBO.of_samples(
        torch.stack([model.log_likelihood(half, batch) for half in location]).mean(0),
        kl_initial.unsqueeze(1).expand(shape),
        kl_path.unflatten(0, shape),
        batch.mask.sum((1, 2)),
    )  # type: ignore[return-value]


def random_times(times: Tensor, lengths: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """Stratified times from 0 to the last observation, and weights with which a sum is an unbiased integral.

    Half of the density is uniform in time and half in the number of the interval: the path KL of an interval
    is of the order of what its observation says, however short it is, and times uniform over all of a series
    would hardly ever see those of a burst.

    Args:
        times: (B, T) of the observations, from 0 on, padded by repeating the last.
        lengths: (B,).
        uniform: (B, N) on [0, 1], one for each stratum.

    Returns:
        (B, N) times in increasing order, and (B, N) weights, 0 for a series without observations.
    """
    count = uniform.shape[1]
    strata = torch.arange(count, device=uniform.device, dtype=uniform.dtype)
    share = (strata + uniform) / count
    rows = torch.arange(1, times.shape[1] + 1, device=times.device)
    number = torch.minimum(rows, lengths.unsqueeze(1)) / lengths.unsqueeze(1).clamp_min(1)
    reached = 0.5 * times / times[:, -1:].clamp_min(1e-12) + 0.5 * number
    reached, ends = (torch.cat([torch.zeros_like(x[:, :1]), x], dim=1) for x in (reached, times))
    index = torch.searchsorted(reached.contiguous(), share.contiguous(), right=True) - 1
    index = index.clamp_max(times.shape[1] - 1)
    low, high = reached.gather(1, index), reached.gather(1, index + 1)
    begin, length = ends.gather(1, index), torch.diff(ends, dim=1).gather(1, index)
    pace = length / (high - low).clamp_min(1e-12)
    some = (lengths > 0).unsqueeze(1)
    return begin + (share - low).clamp_min(0.0) * pace, torch.where(some, pace / count, 0.0)


def _pair(mean: Tensor, std: Tensor, draws: Tensor) -> Tensor:
    """(2, ...) states at equal distances on both sides of the mean: odd terms of any average cancel."""
    return torch.stack([mean + std * draws, mean - std * draws])


def _normal_kl(mean: Tensor, std: Tensor, other_mean: Tensor, other_std: Tensor) -> Tensor:
    """(B,) KL of independent normals (B, L)."""
    ratio = (std / other_std).square()
    away = ((mean - other_mean) / other_std).square()
    return 0.5 * (ratio + away - 1.0 - ratio.log()).sum(-1)
