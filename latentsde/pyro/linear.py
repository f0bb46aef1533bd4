"""Observations of a linear SDE with its path integrated out: a Kalman filter as a Pyro distribution."""

from __future__ import annotations

import math
from typing import Any

import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions import constraints


class LinearSDEObservations(dist.TorchDistribution):
    """x_k = C z(t_k) + ε_k at irregular times t_k, for dz = (A z + b) dt + L dW and ε_k ~ N(0, diag noise²).

    Events are (times, p). Every argument may have batch axes in front, which broadcast, and may ask for a
    gradient; `log_prob` is exact up to rounding: transitions by matrix exponentials (Van Loan 1978, equation
    1.1), the likelihood by the Kalman filter (Särkkä & Solin 2019, section 10.6), at a cost linear in the
    number of times.

    Args:
        drift: A (..., n, n).
        diffusion: L (..., n, m).
        observation: C (..., p, n).
        noise: standard deviations (..., p).
        times: (..., T), increasing; equal times are two observations of one state.
        mean, covariance: (..., n) and (..., n, n) of z at the first time.
        offset: b (..., n), by default 0.
        mask: bool (..., T, p), True where observed; by default everything is.
    """

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012  as torch declares it
    support = constraints.independent(constraints.real, 2)

    def __init__(
        self,
        drift: Tensor,
        diffusion: Tensor,
        observation: Tensor,
        noise: Tensor,
        times: Tensor,
        *,
        mean: Tensor,
        covariance: Tensor,
        offset: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> None:
        if times.dim() < 1 or times.shape[-1] < 1 or bool((times.diff(dim=-1) < 0).any()):
            raise ValueError("times must be (..., T) with T >= 1, and increasing")
        p, n = observation.shape[-2:]
        expected = {"drift": (n, n), "mean": (n,), "covariance": (n, n), "noise": (p,)}
        given = {"drift": drift, "mean": mean, "covariance": covariance, "noise": noise}
        for key, shape in expected.items():
            if given[key].shape[-len(shape) :] != shape:
                raise ValueError(
                    f"{key} must be (..., {', '.join(map(str, shape))}) for an observation of shape "
                    f"(..., {p}, {n}), got {tuple(given[key].shape)}"
                )
        offset = mean.new_zeros(n) if offset is None else offset
        self.drift, self.diffusion, self.observation, self.noise = drift, diffusion, observation, noise
        self.times, self.initial_mean, self.initial_covariance = times, mean, covariance
        self.offset, self.observed = offset, mask
        parts = [x.shape[:-2] for x in (drift, diffusion, observation, covariance)]
        parts += [x.shape[:-1] for x in (noise, times, mean, offset)]
        batch = torch.broadcast_shapes(*parts, *([] if mask is None else [mask.shape[:-2]]))
        super().__init__(batch, torch.Size((times.shape[-1], p)), validate_args=False)

    @classmethod
    def ornstein_uhlenbeck(
        cls, rate: Tensor, level: Tensor, volatility: Tensor, noise: Tensor, times: Tensor, **options: Any
    ) -> LinearSDEObservations:
        """dz = rate (level - z) dt + volatility dW, stationary from the start, observed with noise.

        rate > 0, level, volatility > 0 and noise > 0 are (...), times (..., T); events (T, 1).
        """
        rate, level, volatility, noise = (
            torch.as_tensor(x, dtype=times.dtype, device=times.device)
            for x in (rate, level, volatility, noise)
        )
        variance = volatility.square() / (2.0 * rate)
        return cls(
            -rate[..., None, None],
            volatility[..., None, None],
            times.new_ones(1, 1),
            noise[..., None],
            times,
            mean=level[..., None],
            covariance=variance[..., None, None],
            offset=(rate * level)[..., None],
            **options,
        )

    def expand(self, batch_shape: Any, _instance: Any = None) -> LinearSDEObservations:
        batch_shape = torch.Size(batch_shape)
        return LinearSDEObservations(
            self.drift,
            self.diffusion,
            self.observation,
            self.noise,
            self.times.expand(*batch_shape, self.times.shape[-1]),
            mean=self.initial_mean,
            covariance=self.initial_covariance,
            offset=self.offset,
            mask=self.observed,
        )

    def log_prob(self, value: Tensor) -> Tensor:
        """(*batch,) of values (*batch, T, p), nats; what is masked may hold anything."""
        decay, shift, spread = self.transitions()
        mean, covariance = self.initial_mean, self.initial_covariance
        noise, errors, variances = self.noise.square(), [], []
        for k in range(value.shape[-2]):
            if k:
                step = decay[..., k - 1, :, :]
                mean = (step @ mean[..., None]).squeeze(-1) + shift[..., k - 1, :]
                covariance = step @ covariance @ step.mT + spread[..., k - 1, :, :]
            # The components of an observation have independent noise, so one after the other will do, and
            # no matrix has to be inverted.
            for i in range(value.shape[-1]):
                seen = self.observation[..., i, :]
                joint = (covariance @ seen[..., None]).squeeze(-1)
                variance = (joint * seen).sum(-1) + noise[..., i]
                error = value[..., k, i] - (mean * seen).sum(-1)
                gain = joint / variance[..., None]
                if self.observed is not None:
                    there = self.observed[..., k, i]
                    error = torch.where(there, error, 0.0)
                    variance = torch.where(there, variance, 1.0)
                    gain = torch.where(there[..., None], gain, 0.0)
                mean = mean + gain * error[..., None]
                covariance = covariance - gain[..., :, None] * joint[..., None, :]
                errors.append(error)
                variances.append(variance)
        error, variance = (torch.stack(torch.broadcast_tensors(*x), -1) for x in (errors, variances))
        some = (variance > 0).all(-1)
        # Where there is none, the gradient of what is not returned must be finite as well.
        variance = torch.where(variance > 0, variance, 1.0)
        terms = error.square() / variance + variance.log()
        count: Any = error.shape[-1]
        if self.observed is not None:
            count = self.observed.expand(*self.observed.shape[:-2], *self.event_shape)
            count = count.to(error.dtype).sum((-2, -1))
        total = -0.5 * (terms.sum(-1) + count * math.log(2.0 * math.pi))
        # Where a sampler tries absurd parameters and rounding leaves no variance.
        return torch.where(some, total, -torch.inf)

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        """Of state and noise, from torch's default generator; masked components are sampled too."""
        with torch.no_grad():
            shape = torch.Size((*sample_shape, *self.batch_shape))
            decay, shift, spread = self.transitions()
            state = self.initial_mean + _draw(self.initial_covariance, shape)
            values = []
            for k in range(self.event_shape[0]):
                if k:
                    moved = (decay[..., k - 1, :, :] @ state[..., None]).squeeze(-1) + shift[..., k - 1, :]
                    state = moved + _draw(spread[..., k - 1, :, :], shape)
                clean = (self.observation @ state[..., None]).squeeze(-1)
                values.append(clean + self.noise * torch.randn_like(clean))
            return torch.stack(values, -2)

    def transitions(self) -> tuple[Tensor, Tensor, Tensor]:
        """F (..., T - 1, n, n), c (..., T - 1, n) and Q (..., T - 1, n, n): given z(t_k) the next z(t_k+1) is
        normal with mean F z(t_k) + c and covariance Q.
        """
        gaps = self.times.diff(dim=-1)[..., None, None]
        noise = (self.diffusion @ self.diffusion.mT)[..., None, :, :]
        # The offset as the drift from a further component that is always 1.
        batch = torch.broadcast_shapes(self.drift.shape[:-2], self.offset.shape[:-1])
        columns = self.drift.expand(*batch, *self.drift.shape[-2:]), self.offset.expand(*batch, -1)
        A = torch.cat([columns[0], columns[1][..., None]], -1)
        A = torch.nn.functional.pad(A, (0, 0, 0, 1))[..., None, :, :]
        noise = torch.nn.functional.pad(noise, (0, 1, 0, 1))
        # exp(-A h) grows where exp(A h) decays; so both are taken of a step of unit size at most, which is
        # then doubled.
        size = float((A.detach().abs().sum(-1).amax(-1)[..., None, None] * gaps).max()) if gaps.numel() else 0
        doublings = min(max(0, math.ceil(math.log2(size))), 100) if 0 < size < math.inf else 0
        step = gaps / 2.0**doublings
        shape = torch.broadcast_shapes(A.shape, noise.shape)
        A, noise = A.expand(shape), noise.expand(shape)
        rows = [torch.cat([-A, noise], -1), torch.cat([torch.zeros_like(A), A.mT], -1)]
        block = torch.linalg.matrix_exp(torch.cat(rows, -2) * step)
        n = A.shape[-1]
        F = block[..., n:, n:].mT
        Q = F @ block[..., :n, n:]
        for _ in range(doublings):
            F, Q = F @ F, Q + F @ Q @ F.mT
        return F[..., :-1, :-1], F[..., :-1, -1], Q[..., :-1, :-1]


def _draw(covariance: Tensor, shape: torch.Size) -> Tensor:
    """(*shape, n) normal with mean 0; the covariance may be singular, as over a gap of zero."""
    values, vectors = torch.linalg.eigh(covariance)
    unit = torch.randn(*shape, covariance.shape[-1], dtype=covariance.dtype, device=covariance.device)
    return (vectors @ (values.clamp_min(0.0).sqrt() * unit)[..., None]).squeeze(-1)
