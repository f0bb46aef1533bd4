"""What training, prediction, evaluation and the command line ask of a model of series."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn

from ..data import Batch, IrregularSeries, Scaler
from ..errors import InputError
from ..nn import FAMILIES, BackwardEncoder, Decoder, Likelihoods, TimeFeatures
from .bound import ELBO
from .config import SeriesConfig
from .defaults import config_for
from .observation_times import AskedTimes, log_likelihood_of_times
from .paths import Paths

Model = TypeVar("Model", bound="SeriesModel")


class SeriesModel(nn.Module, ABC):
    """A model of irregular, partly observed series.

    Everything random in it is a function of (seed, series), so that no result depends on the company of a
    series in a batch.

    Args:
        config: sizes and time scales.
        scaler: of the data it is fitted to; kept here because every output undoes it.
    """

    name: ClassVar[str]
    """As in config.json, metrics.json and, with dashes, `--model`."""
    config_type: ClassVar[type[SeriesConfig]] = SeriesConfig
    decoder: Decoder
    can_model_times: ClassVar[bool] = False
    """Whether `observation_times="poisson"` is known to it: it then has `intensity_decoder`, made by
    `make_intensity`, adds `log_likelihood_of_times` to its bound and gives `intensity` with its paths.
    """

    def __init__(self, config: SeriesConfig, scaler: Scaler) -> None:
        super().__init__()
        if config.observation_times != "given" and not self.can_model_times:
            raise InputError(
                f"the model '{self.name}' takes observation times as given; leave observation_times at "
                "'given', or choose latent_sde or latent_ode"
            )
        self.config, self.scaler = config, scaler
        self.intensity_decoder: Decoder | None = None
        period = config.period / config.time_scale if config.period else None
        self.time_features = TimeFeatures(period, phase=-config.start / config.time_scale)
        self.likelihoods = Likelihoods(config.likelihoods, config.classes)

    @classmethod
    def for_series(cls: type[Model], series: IrregularSeries, *, seed: int = 0, **options: Any) -> Model:
        """A new model for a data set: `options` are those of `latentsde.models.config_for`, the weights a
        function of `seed`.
        """
        config = config_for(series, cls.config_type, **options)
        families = zip(config.features, config.likelihoods, strict=True)
        as_they_are = {name for name, family in families if not FAMILIES[family].rescaled}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(config, Scaler.fit(series, as_they_are))

    @abstractmethod
    def elbo(self, batch: Batch, *, seed: int, samples: int = 1, seen: Batch | None = None) -> ELBO:
        """The bound on the log-likelihood of every series, estimated with `samples` posterior samples each;
        the log-likelihood itself, with KLs of 0, for a model without latent randomness.

        The likelihood of all of `batch` is counted. The model is told what is `seen` of it, by default all:
        q is any function of the data, so the bound holds, and a model shown less learns to do with less.
        `seen` has the rows of `batch`, some of their values taken out: see `hide` and `hide_after` in
        `latentsde.models.bound`.
        """

    @abstractmethod
    def posterior_paths(self, batch: Batch, queries: Tensor, *, samples: int, seed: int) -> Paths:
        """Paths given a batch's observations at `queries` (B, Q), data times in increasing order,
        anywhere.
        """

    @abstractmethod
    def prior_paths(self, static: Tensor, ids: Tensor, queries: Tensor, *, samples: int, seed: int) -> Paths:
        """Paths without observations at `queries` (B, Q), data times in increasing order, with scaled static
        covariates (B, C); `ids` (B,) name the noise.
        """

    @property
    def extra_width(self) -> int:
        """What `extra` adds to the inputs of a network."""
        return self.time_features.count + len(self.config.static)

    def make_decoder(self, state: int) -> Decoder:
        """A decoder of states (..., `state`) and of what `extra` tells it."""
        return Decoder(state + self.extra_width, self.config.hidden, self.likelihoods.outputs)

    def make_intensity(self, state: int) -> Decoder | None:
        """A decoder of states to the log intensity of observation times; None where those are given."""
        if self.config.observation_times == "given":
            return None
        return Decoder(state + self.extra_width, self.config.hidden, 1)

    def make_encoder(self) -> BackwardEncoder:
        """A recognition network that reads `rows`."""
        features = len(self.config.features)
        return BackwardEncoder(
            features, self.extra_width, self.config.encoder, inputs=self.likelihoods.inputs
        )

    def model_time(self, times: Tensor) -> Tensor:
        """Data times to model times, 0 at `config.start`; float64."""
        return (times.to(torch.float64) - self.config.start) / self.config.time_scale

    def extra(self, t: Tensor, static: Tensor, shape: torch.Size) -> Tensor:
        """What every network is told besides the state: time features of t (..., B) and the static
        covariates, (*shape, E).
        """
        parts = [self.time_features(t).expand(*shape, -1)] if self.time_features.count else []
        if static.shape[-1]:
            parts.append(static.expand(*shape, -1))
        return torch.cat(parts, dim=-1) if parts else static.new_zeros(*shape, 0)

    def rows(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """As a recognition network reads a batch: values (B, T, `likelihoods.inputs`), model times (B, T),
        extra (B, T, E).
        """
        times = self.model_time(batch.times).to(batch.values.dtype)
        values = self.likelihoods.encoder_values(batch.values, batch.limits)
        values = values * self.likelihoods.encoder_mask(batch.mask)
        return values, times, self.extra(times, batch.static.unsqueeze(1), times.shape)

    def decode(self, z: Tensor, t: Tensor, static: Tensor) -> Tensor:
        """Parameters (..., B, outputs) of the likelihoods at states (..., B, L) and model times (..., B)."""
        inputs = torch.cat([z, self.extra(t, static, z.shape[:-1])], dim=-1)
        return self.decoder(inputs)

    def asked_times(self, batch: Batch) -> AskedTimes:
        """Where a path is needed for the bound: at the observations, and between them where their times are
        data. What was observed before the start counts as observed there.
        """
        observed = self.model_time(batch.times).clamp_min(0.0)
        if self.config.observation_times == "given":
            return AskedTimes.of_observations(observed)
        # Nothing is known of the times of a series without an observation.
        last = observed[:, -1] * (batch.lengths > 0)
        end = last if batch.ends is None else torch.maximum(self.model_time(batch.ends), last)
        return AskedTimes.with_quadrature(
            torch.minimum(observed, end.unsqueeze(1)), end, self.config.dt / self.config.time_scale
        )

    def evidence(self, path: Tensor, asked: AskedTimes, batch: Batch) -> Tensor:
        """(B, samples) log-likelihood of a batch, of its observation times too where they are data, given
        states (B, samples, N, L) at `asked.times`.
        """
        z = asked.at_observations(path)
        t = self.model_time(batch.times).clamp_min(0.0).to(z.dtype)[:, None].expand(z.shape[:-1])
        values = self.log_likelihood(self.decode(z, t, batch.static[:, None, None]), batch)
        return values + self.log_likelihood_of_times(path, asked, batch)

    def log_likelihood_of_times(self, path: Tensor, asked: AskedTimes, batch: Batch) -> Tensor:
        """(B, samples) of the observation times, in model time, given states (B, samples, N, L) at
        `asked.times`; 0 where they are given.
        """
        if self.intensity_decoder is None:
            return path.new_zeros(path.shape[:2])
        t = asked.times.to(path.dtype)[:, None].expand(path.shape[:-1])
        log_intensity = self._log_intensity(path, t, batch.static[:, None, None])
        return log_likelihood_of_times(log_intensity, asked, self.events(batch))

    def events(self, batch: Batch) -> Tensor:
        """(B, T) bool: which rows count as events where observation times are data."""
        rows = torch.arange(batch.times.shape[1], device=batch.times.device)
        return (rows < batch.lengths.unsqueeze(1)) & (self.model_time(batch.times) > 0)

    def intensity(self, z: Tensor, t: Tensor, static: Tensor) -> Tensor | None:
        """(..., B) expected observations in one unit of the data's time, at states (..., B, L) and model
        times (..., B); None where observation times are given.
        """
        if self.intensity_decoder is None:
            return None
        return self._log_intensity(z, t, static).exp() / self.config.time_scale

    def _log_intensity(self, z: Tensor, t: Tensor, static: Tensor) -> Tensor:
        assert self.intensity_decoder is not None
        inputs = torch.cat([z, self.extra(t, static, z.shape[:-1])], dim=-1)
        log_intensity: Tensor = self.intensity_decoder(inputs).squeeze(-1)
        return log_intensity

    def log_likelihood(self, parameters: Tensor, batch: Batch) -> Tensor:
        """(B, samples) of the observed values, given the likelihoods' parameters (B, samples, T, outputs)."""
        limits = None if batch.limits is None else batch.limits.unsqueeze(1)
        log_prob = self.likelihoods.log_prob(parameters, batch.values.unsqueeze(1), limits=limits)
        return torch.where(batch.mask.unsqueeze(1), log_prob, 0.0).sum((2, 3))
