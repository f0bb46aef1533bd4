"""Paths as sites of a model and its guide: the KL between their laws is Girsanov's.

The laws of two SDEs with one diffusion have no densities, but a ratio. So every density here is one with
respect to the law of the prior: the path has log-density 0 in the model, and in the guide

    log dQ/dP = ½∫|u|² dt + ∫u·dW,    σ u = f - h,

the path KL of `latentsde.PathKL`, as a `pyro.factor`. A factor of a guide is a part of log q, so the ELBO
loses it. It comes from reparametrised sampling (`has_rsample=True`): its gradient is the ordinary one, and
Pyro adds no score function.

It stands in a factor of its own and not in the `log_density` of the path's Delta, where
`TraceMeanField_ELBO` would overlook it: Pyro's analytic KL of a Delta asks the model's density alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

from ..girsanov import BridgedPathKL, PathKL
from ..solvers import solve
from .batching import drawn_seed, flattened, times_last


def posterior_path(
    name: str,
    sde: Any,
    z0: Tensor,
    ts: Any,
    *,
    dt: float | None = None,
    event_dim: int = 1,
    sticking_the_landing: bool = True,
    sampled: Sequence[Tensor] = (),
    vectorized: bool = False,
    seed: int | None = None,
    **options: Any,
) -> Tensor:
    """Samples the site `name`, a path (*batch, times, *event) of `sde`, and adds its KL against the SDE with
    drift `sde.h` as the factor `name + "_kl"`, (*batch,). For guides; the model has a `prior_path`.

    Args:
        sde: f, g and h for states of z0's shape, and what else `latentsde.solve` takes. With `contraction`
            its steps are those of the method "bridged_euler", and the KL is theirs.
        z0: (*batch, *event), the state at ts[0]; the batch axes are those of the plates around the site.
        ts: times as in `solve`: (times,) for all, or (times, *batch).
        event_dim: how many axes of z0 belong to the state of one path.
        sticking_the_landing: adds the ∫u·dW, whose gradient takes the variance away at the true posterior.
        sampled: global parameters the SDE is built from, as the guide sampled them; see `PathKL`.
        vectorized: the fields take a leading axis of steps; see `PathKL`.
        seed: of the Brownian path; by default drawn from torch's default generator at every call.
        dt, options: as in `solve`.

    Raises:
        ValueError: no prior drift, a z0 without a state's axes, and all that `solve` refuses.
    """
    flat, start, times, batch = flattened(sde, z0, ts, event_dim)
    bridged = hasattr(sde, "contraction")
    kind = BridgedPathKL if bridged else PathKL
    weighed = kind(flat, sticking_the_landing=sticking_the_landing, vectorized=vectorized, sampled=sampled)
    if bridged:
        options.setdefault("method", "bridged_euler")
    if "path" not in options:
        options["seed"] = drawn_seed() if seed is None else seed
    solution = solve(weighed, start, times, dt=dt, **options)
    assert solution.functional is not None
    path = times_last(solution.ys, batch)
    value: Tensor = pyro.sample(name, dist.Delta(path, event_dim=event_dim + 1))
    pyro.factor(f"{name}_kl", solution.functional[-1].reshape(batch), has_rsample=True)
    return value


def prior_path(
    name: str,
    sde: Any,
    z0: Tensor,
    ts: Any,
    *,
    dt: float | None = None,
    event_dim: int = 1,
    seed: int | None = None,
    **options: Any,
) -> Tensor:
    """The site `name` of a model, a path (*batch, times, *event) of the prior `sde`: replayed from a guide's
    `posterior_path`, or sampled where there is none, as in `pyro.infer.Predictive`.

    The guide's `h` must be this SDE's drift, and both must have one diffusion and one z0: the KL is against
    the guide's `h`, which Pyro cannot compare with what stands here. Arguments are those of
    `posterior_path`.
    """
    law = PriorPath(sde, z0, ts, dt=dt, event_dim=event_dim, seed=seed, **options)
    value: Tensor = pyro.sample(name, law)
    return value


class PriorPath(dist.TorchDistribution):
    """The law of a path (*batch, times, *event), with density 1 with respect to itself.

    That is all a model needs for SVI with a `posterior_path`, for importance sampling from the prior, and
    for `Predictive`. HMC and automatic guides need a density, which there is none: `support` says so.
    """

    has_rsample = True
    arg_constraints: dict[str, Any] = {}  # noqa: RUF012  as torch declares it

    def __init__(
        self,
        sde: Any,
        z0: Tensor,
        ts: Any,
        *,
        dt: float | None = None,
        event_dim: int = 1,
        seed: int | None = None,
        **options: Any,
    ) -> None:
        _, _, _, batch = flattened(sde, z0, ts, event_dim)
        self.sde, self.z0, self.ts, self.dt, self.seed = sde, z0, ts, dt, seed
        self.state_dim, self.options = event_dim, options
        super().__init__(batch, torch.Size((len(ts), *z0.shape[len(batch) :])), validate_args=False)

    @property
    def support(self) -> Any:
        raise NotImplementedError(
            "a path given by its law has no density that HMC or an automatic guide could use: "
            "take simulated_path, whose latent variables are the Brownian increments, "
            "or for SVI a guide with posterior_path"
        )

    def expand(self, batch_shape: Any, _instance: Any = None) -> PriorPath:
        batch_shape = torch.Size(batch_shape)
        z0 = self.z0.expand(*batch_shape, *self.z0.shape[len(self.batch_shape) :])
        kept: dict[str, Any] = {"dt": self.dt, "event_dim": self.state_dim, "seed": self.seed}
        return PriorPath(self.sde, z0, self.ts, **kept, **self.options)

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        z0 = self.z0.expand(*sample_shape, *self.z0.shape)
        flat, start, times, batch = flattened(self.sde, z0, self.ts, self.state_dim)
        options = dict(self.options)
        if "path" not in options:
            options["seed"] = drawn_seed() if self.seed is None else self.seed
        return times_last(solve(flat, start, times, dt=self.dt, **options).ys, batch)

    def log_prob(self, value: Tensor) -> Tensor:
        """Zeros (*batch,): the density with respect to this very law is 1."""
        batch = value.shape[: value.dim() - len(self.event_shape)]
        return value.new_zeros(torch.broadcast_shapes(batch, self.batch_shape))
