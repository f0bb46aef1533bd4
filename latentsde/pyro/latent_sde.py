"""A `LatentSDE` as model and guide for `pyro.infer.SVI`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from pyro import poutine
from torch import Tensor, nn
from torch.distributions import constraints

from ..brownian import derive_seed, standard_normal
from ..data import Batch
from ..models import LatentSDE
from ..models.bound import hide
from ..models.pyro_store import check_parameters
from .batching import drawn_seed
from .landing import StickingTheLanding
from .paths import prior_path

_INITIAL_SCALE = 0.05


class LatentSDEProgram:
    """`model` and `guide` of a latent SDE, both called as (batch, seed=None, kl_weight=1.0).

    The loss of `SVI(program.model, program.guide, optimiser, Trace_ELBO())` is

        -(size / B) Σ_series ELBO  -  log p(w) + log q(w)

    with the ELBO of `LatentSDE.elbo`, same numbers for the same seed, and w the parameters under `priors`.

    Args:
        latent_sde: trained in place. Its parameters are `pyro.param`s named `name` + "$$$...": one model for
            a name, until `pyro.clear_param_store`.
        size: how many series there are; a batch of B of them counts size / B times, so that priors over
            global parameters are weighed against all data.
        priors: parameter name (as in `latent_sde.named_parameters()`) -> Pyro distribution over real numbers,
            for every element, or with a batch shape that expands to the parameter's. The guide has an
            independent normal for each element: `name.parameter.loc` and `.scale` in the store, beginning at
            the parameter's value.
        sticking_the_landing: for path, start and parameters under priors alike.
        hidden_share: of the values hidden from the recognition network in the guide.

    Sites: `name.z0` (B, L); `name.z` (B, 1 + T, L), at `config.start` and the rows' times; the factors
    `name.z_kl` and `name.observations`, (B,), in scaled units; `name.parameter` for every prior. The plate is
    `name.series`.

    Without a `seed` the guide draws one from torch's default generator at each call, so that `num_particles`
    are different paths; with one it is a function of (seed, series) alone. Not for vectorised particles.
    `kl_weight` multiplies what belongs to the path and its start, for annealing.
    """

    def __init__(
        self,
        latent_sde: LatentSDE,
        size: int,
        *,
        name: str = "latent_sde",
        priors: Mapping[str, Any] | None = None,
        sticking_the_landing: bool = True,
        hidden_share: float = 0.0,
    ) -> None:
        self.latent_sde, self.size, self.name = latent_sde, size, name
        self.priors = dict(priors or {})
        self.sticking_the_landing, self.hidden_share = sticking_the_landing, hidden_share
        known = dict(latent_sde.named_parameters())
        unknown = sorted(set(self.priors) - set(known))
        if unknown:
            raise ValueError(
                f"{unknown[0]!r} is no parameter of the latent SDE; one is {next(iter(known))!r}: "
                "see named_parameters()"
            )
        self._lifted = {key: known[key] for key in self.priors}
        self._holder = _Holder(latent_sde)

    def model(self, batch: Batch, seed: int | None = None, kl_weight: float = 1.0) -> None:
        """The prior and the likelihood of a batch."""
        self._register(kl_weight)
        values = {key: pyro.sample(f"{self.name}.{key}", self._prior(key)) for key in self.priors}

        def run(latent_sde: LatentSDE) -> None:
            with self._series(batch):
                with poutine.scale(scale=kl_weight):
                    mean, std = (x.expand(len(batch), -1) for x in latent_sde.initial.prior(batch.static))
                    z0 = pyro.sample(f"{self.name}.z0", dist.Normal(mean, std).to_event(1))
                    asked = latent_sde.asked_times(batch)
                    dt = latent_sde.config.dt / latent_sde.config.time_scale
                    sde = _prior_of(latent_sde, batch)
                    path = prior_path(
                        f"{self.name}.z", sde, z0, asked.times.t(), dt=dt, method="euler", seed=seed
                    )
                likelihood = latent_sde.evidence(path.unsqueeze(1), asked, batch).squeeze(1)
                pyro.factor(f"{self.name}.observations", likelihood)

        self._with(values, run)

    def guide(self, batch: Batch, seed: int | None = None, kl_weight: float = 1.0) -> None:
        """The recognition network's posterior of a batch, and that of the parameters under priors."""
        self._register(kl_weight)
        values = {key: pyro.sample(f"{self.name}.{key}", self._posterior(key)) for key in self.priors}
        seed = drawn_seed() if seed is None else seed

        def run(latent_sde: LatentSDE) -> None:
            seen = batch
            if self.hidden_share:
                seen = hide(batch, self.hidden_share, seed=derive_seed(seed, 2))
            code = latent_sde.encode(seen)
            # The seeds' labels are those of LatentSDE.elbo: one seed, one bound.
            start = _SeriesNormal(code.mean, code.std, seed=derive_seed(seed, 0), ids=batch.ids)
            with self._series(batch), poutine.scale(scale=kl_weight):
                z0 = pyro.sample(f"{self.name}.z0", self._landing(start.to_event(1)))
                solution = latent_sde.solve_posterior(
                    code.context,
                    code.static,
                    z0,
                    latent_sde.asked_times(batch).times,
                    batch.ids,
                    seed=derive_seed(seed, 1),
                    sticking_the_landing=self.sticking_the_landing,
                    sampled=tuple(values.values()),
                )
                assert solution.functional is not None
                pyro.sample(f"{self.name}.z", dist.Delta(solution.ys.transpose(0, 1), event_dim=2))
                pyro.factor(f"{self.name}.z_kl", solution.functional[-1], has_rsample=True)

        self._with(values, run)

    def _register(self, kl_weight: float) -> None:
        """The parameters in Pyro's store; ValueError where it holds another model's under this name, which
        an optimiser would then train in vain.
        """
        if not kl_weight > 0.0:
            raise ValueError(f"kl_weight must be above 0, got {kl_weight}: begin with a small one")
        pyro.module(self.name, self.latent_sde)
        check_parameters(self.name, self.latent_sde)

    @contextmanager
    def _series(self, batch: Batch) -> Iterator[None]:
        if len(batch) > self.size:
            raise ValueError(f"a batch of {len(batch)} series out of {self.size}: size counts all series")
        # The rows are chosen by whoever made the batch; the plate needs their number alone.
        rows = torch.arange(len(batch), device=batch.values.device)
        with pyro.plate(f"{self.name}.series", self.size, subsample=rows, dim=-1):
            yield

    def _landing(self, distribution: Any) -> Any:
        return StickingTheLanding(distribution) if self.sticking_the_landing else distribution

    def _prior(self, key: str) -> Any:
        shape = self._lifted[key].shape
        return self.priors[key].expand(shape).to_event(len(shape))

    def _posterior(self, key: str) -> Any:
        value = self._lifted[key].detach()
        loc = pyro.param(f"{self.name}.{key}.loc", lambda: value.clone())
        scale = pyro.param(
            f"{self.name}.{key}.scale",
            lambda: torch.full_like(value, _INITIAL_SCALE),
            constraint=constraints.positive,
        )
        return self._landing(dist.Normal(loc, scale).to_event(value.dim()))

    def _with(self, values: Mapping[str, Tensor], run: Callable[[LatentSDE], None]) -> None:
        """`run` on the latent SDE with the sampled values in the place of its own."""
        if not values:
            return run(self.latent_sde)
        swapped = {f"latent_sde.{key}": value for key, value in values.items()}
        torch.func.functional_call(self._holder, swapped, (run,))
        return None


class _Holder(nn.Module):
    """Something with a forward, which is what `torch.func.functional_call` calls."""

    def __init__(self, latent_sde: LatentSDE) -> None:
        super().__init__()
        self.latent_sde = latent_sde

    def forward(self, run: Callable[[LatentSDE], None]) -> None:
        run(self.latent_sde)


class _SeriesNormal(dist.Normal):  # type: ignore[misc, unused-ignore]
    """A normal whose draw is a function of (seed, series), the same in any batch."""

    def __init__(self, loc: Tensor, scale: Tensor, *, seed: int, ids: Tensor) -> None:
        super().__init__(loc, scale)
        self.seed, self.ids = seed, ids

    def expand(self, batch_shape: Any, _instance: Any = None) -> _SeriesNormal:
        if torch.Size(batch_shape) != self.batch_shape:
            raise ValueError(
                "LatentSDEProgram takes no vectorised particles: use num_particles without "
                "vectorize_particles, or a larger batch"
            )
        return self

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        shape = tuple(self.loc.shape)
        noise = standard_normal(shape, seed=self.seed, ids=self.ids, device=self.loc.device)
        value: Tensor = self.loc + self.scale * noise
        return value


def _prior_of(latent_sde: LatentSDE, batch: Batch) -> Any:
    """The prior as an SDE: the posterior of series without an observation."""
    return latent_sde.posterior_sde(latent_sde.nothing_ahead(batch.static), batch.static)
