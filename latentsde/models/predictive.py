"""The predictive distribution of new observations, in original units."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..brownian import derive_seed
from ..data import IrregularSeries, collate
from .series_model import SeriesModel

_OBSERVATION = 13  # label of the stream of observation noise
_ROWS_AT_ONCE = 1024  # sample paths solved together: with more, memory is mapped anew at every step


@dataclass(frozen=True)
class Predictive:
    """Of one series at Q times: all in original units.

    Attributes:
        samples: (N, Q, F), new observations.
        paths: (N, Q, F), the same paths without observation noise: the mean of an observation given the
            latent state; of a class its number, see `classes`.
        mean, std: (Q, F) of a new observation.
        log_density: (Q, F) of the given observations; NaN where none is given. A kernel estimate: the mixture
            over the N paths of the likelihood, its scale widened in quadrature by Silverman's bandwidth 1.06
            std N^(-1/5) of the paths' locations. Without it, narrow likelihoods on scattered paths leave gaps
            between the kernels that no finite N fills. Of what is discrete or censored the log probability.
        classes: (F,) of a categorical feature the probabilities (N, Q, K) of its classes on each path; None
            for the others.
        latent: (N, Q, L).
        steps: of the solver, for the longest series solved together with this one.
    """

    samples: np.ndarray
    paths: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    log_density: np.ndarray
    classes: tuple[np.ndarray | None, ...]
    latent: np.ndarray
    steps: int


@torch.no_grad()
def predict(
    model: SeriesModel,
    visible: IrregularSeries | None,
    times: Sequence[np.ndarray],
    *,
    ids: np.ndarray | None = None,
    static: np.ndarray | None = None,
    observed: Sequence[np.ndarray] | None = None,
    limits: Sequence[np.ndarray] | None = None,
    samples: int = 200,
    seed: int = 0,
) -> Iterator[Predictive]:
    """One `Predictive` for each series in turn, whatever the others: posterior given `visible`, prior where
    that is None.

    Args:
        model: fitted.
        visible: S series to condition on, or None; then `ids` (S,) int64 name the prior's series and `static`
            (S, C) are their static covariates in original units.
        times: S arrays of times, increasing, in the data's unit; anywhere.
        observed: S arrays (Q, F) to give the density of, NaN for none.
        limits: of them, S arrays (Q, F, 2) as in `IrregularSeries.limits`, or None.
        samples: N.
    """
    device = next(model.parameters()).device
    order = np.arange(len(times))
    at_once = max(1, _ROWS_AT_ONCE // samples)
    for chunk in np.split(order, np.arange(at_once, len(order), at_once)):
        width = max(1, max(len(times[s]) for s in chunk))
        queries = np.zeros((len(chunk), width))
        for row, s in enumerate(chunk):
            known = times[s] if len(times[s]) else np.array([model.config.start])
            queries[row] = np.concatenate([known, np.full(width - len(known), known[-1])])
        asked = torch.from_numpy(queries).to(device)
        if visible is not None:
            batch = collate(visible, chunk, model.scaler).to(device)
            names = batch.ids
            paths = model.posterior_paths(batch, asked, samples=samples, seed=seed)
        else:
            assert ids is not None
            names = torch.from_numpy(ids[chunk]).to(device)
            given = np.full((len(ids), len(model.config.static)), np.nan) if static is None else static
            scaled = torch.from_numpy(model.scaler.scale_static(given[chunk]).astype(np.float32)).to(device)
            paths = model.prior_paths(scaled, names, asked, samples=samples, seed=seed)
        for row, s in enumerate(chunk):
            count = len(times[s])
            generator = torch.Generator(device=device)
            generator.manual_seed(derive_seed(seed, _OBSERVATION, int(names[row])))
            location = paths.location[:, row, :count]
            values = None if observed is None else observed[s]
            drawn = None if paths.observations is None else paths.observations[:, row, :count]
            ends = None if limits is None else limits[s]
            latent = paths.latent[:, row, :count]
            yield _describe(model, location, latent, generator, values, ends, paths.steps, drawn)


def _describe(
    model: SeriesModel,
    location: torch.Tensor,
    latent: torch.Tensor,
    generator: torch.Generator,
    observed: np.ndarray | None,
    limits: np.ndarray | None,
    steps: int,
    drawn: torch.Tensor | None,
) -> Predictive:
    likelihoods, scaler = model.likelihoods, model.scaler
    means = likelihoods.mean(location).double()
    variance = likelihoods.variance(location).double().mean(0) + means.var(0, correction=0)
    drawn = (likelihoods.sample(location, generator) if drawn is None else drawn).double()
    density = np.full(tuple(means.shape[1:]), np.nan)
    if observed is not None:
        scaled = torch.from_numpy(scaler.scale(observed)).to(location)
        ends, jacobian = None, np.log(scaler.std)
        if limits is not None:
            ends = torch.from_numpy(scaler.scale_limits(limits)).to(location)
            jacobian = np.where(np.isnan(limits[..., 0]), jacobian, 0.0)
        bandwidth = 1.06 * location.std(0) * len(location) ** -0.2 if len(location) > 1 else None
        log_prob = likelihoods.log_prob(location, torch.nan_to_num(scaled), bandwidth, ends).double()
        mixture = torch.logsumexp(log_prob, 0) - np.log(len(location))
        density = np.where(np.isfinite(observed), mixture.cpu().numpy() - jacobian, np.nan)
    return Predictive(
        samples=scaler.unscale(drawn).cpu().numpy(),
        paths=scaler.unscale(means).cpu().numpy(),
        mean=scaler.unscale(means.mean(0)).cpu().numpy(),
        std=variance.sqrt().cpu().numpy() * scaler.std,
        log_density=density,
        classes=tuple(
            None if p is None else p.double().cpu().numpy() for p in likelihoods.probabilities(location)
        ),
        latent=latent.cpu().numpy(),
        steps=steps,
    )
