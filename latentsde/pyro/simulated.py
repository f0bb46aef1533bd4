"""A path by its Brownian increments, for HMC and NUTS: they are the latent variables, the path follows.

This is the non-centred form: a priori the increments are independent of the parameters of the SDE, so that a
small diffusion makes no funnel, and a change of a parameter moves the whole path along.
"""

from __future__ import annotations

from typing import Any

import pyro
import pyro.distributions as dist
import torch
from pyro.ops.integrator import register_exception_handler
from torch import Tensor

from ..brownian import Increments
from ..solvers import ConstantStep, NotFinite, solve
from ..solvers.equation import Equation
from ..solvers.grid import read_times
from .batching import flattened, times_last

# HMC tries parameters under which an SDE explodes; by Pyro's own register such a proposal is then rejected
# and not the end of the run.
register_exception_handler(
    "latentsde_not_finite", lambda error: isinstance(error, NotFinite), warn_on_overwrite=False
)


class GivenIncrements:
    """A Brownian path with the increments W that are given, for `latentsde.solve(path=...)`.

    Args:
        points: float64 (steps + 1,) or (steps + 1, batch), the points of the solver's grid.
        W: (steps, batch, ...) W(points[k + 1]) - W(points[k]); may ask for a gradient, which `solve` takes
            with adjoint="direct" alone: the others go over the noise again, off the tape.

    It knows its grid alone: other times are a ValueError. It has no Lévy area.
    """

    levy_area = None

    def __init__(self, points: Tensor, W: Tensor) -> None:
        if len(W) != len(points) - 1:
            raise ValueError(f"{len(points)} points make {len(points) - 1} increments, got {len(W)}")
        self.points, self.W, self.shape = points, W, W.shape[1:]

    def increments(self, times: Tensor) -> Increments:
        """W of consecutive intervals between `times`, consecutive points of the grid."""
        same = (self.points == times[0].to(self.points.dtype)).reshape(len(self.points), -1).all(1)
        start = int(same.nonzero()[0]) if bool(same.any()) else 0
        stop = start + len(times)
        if not torch.equal(self.points[start:stop], times.to("cpu", torch.float64)):
            raise ValueError("given increments answer the steps of their own grid alone: solve with its dt")
        return Increments(self.W[start : stop - 1], None)


def simulated_path(
    name: str, sde: Any, z0: Tensor, ts: Any, *, dt: float, event_dim: int = 1, **options: Any
) -> Tensor:
    """Solves `sde` from standard normals that are the latent site `name + "_noise"`, (*batch, steps, ...
    channels): the deterministic site `name`, a path (*batch, times, *event).

    NUTS then samples path and parameters together; the posterior is that of the discretised SDE, so halve dt
    to see what it matters. The model is an ordinary one: any guide and SVI work as well.

    Args:
        sde: f and g for states of z0's shape, with parameters that are sampled or not.
        z0: (*batch, *event), the state at ts[0].
        ts: (times,) for all, or (times, *batch).
        dt: the largest step. Every step has its latent normals, so there are span / dt of them a channel.
        event_dim: how many axes of z0 belong to the state of one path.
        options: others of `latentsde.solve`, such as `method`; adjoint="direct" alone has the gradient of the
            noise.
    """
    if options.get("adjoint", "direct") != "direct":
        raise ValueError(
            'simulated_path takes adjoint="direct" alone: no other one has the gradient of the noise'
        )
    flat, start, times, batch = flattened(sde, z0, ts, event_dim)
    points = ConstantStep(dt).grid(read_times(times, len(start))).points
    t0 = points[0].to(start.device, start.dtype)
    t0 = t0.view(*t0.shape, *(1,) * (start.dim() - 1)) if t0.dim() else t0
    shape = Equation(flat).noise_shape(t0, start)
    site = (*batch, len(points) - 1, *shape[1:])
    unit = dist.Normal(start.new_zeros(()), start.new_ones(())).expand(site).to_event(len(shape))
    normals = pyro.sample(f"{name}_noise", unit)
    # Under a vectorised inference the normals may have more axes than the start has.
    if normals.shape != torch.Size(site):
        raise ValueError(
            f"{name}_noise was sampled with shape {tuple(normals.shape)} where z0 asks for {site}: "
            "expand z0 to the batch of the plates around it"
        )
    lengths = points.diff(dim=0).abs().to(start.device, start.dtype)
    lengths = lengths.view(*lengths.shape, *(1,) * (len(shape) + 1 - lengths.dim()))
    W = normals.reshape(shape[0], *site[len(batch) :]).transpose(0, 1) * lengths.sqrt()
    solution = solve(flat, start, times, dt=dt, path=GivenIncrements(points, W), **options)
    path = times_last(solution.ys, batch)
    value: Tensor = pyro.deterministic(name, path, event_dim=event_dim + 1)
    return value
