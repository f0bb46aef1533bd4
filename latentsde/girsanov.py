"""Path KL between two SDEs with one diffusion, by Girsanov's theorem, with sticking the landing.

For dz = f_q dt + σ dW (posterior) against dz = f_p dt + σ dW (prior) and u solving σ u = f_q - f_p,

    KL = E_q[ ½ ∫ |u|² dt ]                                      Li, Wong, Chen & Duvenaud 2020, equation (9);
    ½ ∫ |u|² dt + ∫ ū·dW   on the same path                      Xu, Chen, Li & Duvenaud 2022: sticking the
    landing.

The bar detaches the posterior's parameters, encoder and context inside u, but neither z nor the prior's and
the diffusion's
parameters: that term has mean zero, and the gradient's variance goes to zero as the posterior becomes the
true one. The stochastic integral is the left-point sum Σ ū·ΔW whatever the solver's calculus: it is an Itô
integral.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


class PathKL:
    """A posterior SDE whose `functional` is its path KL (batch,) against a prior: solve it and read
    `solution.functional`.

    Args:
        posterior: an SDE (see `latentsde.solvers.SDE`).
        prior_drift: f_p(t, z), of z's shape; by default the posterior's own `h`.
        sticking_the_landing: adds ∫ ū·dW. Single paths then scatter about the KL (and may be negative); the
            mean is the same.
        vectorized: f, g and the prior drift accept a leading axis of steps in t and z; the functional is then
            evaluated for many steps at once.
        sampled: tensors that f was computed from and that are drawn like the path itself, such as global
            parameters with a variational posterior. Sticking the landing then keeps their gradient in u, as
            it keeps that of z: it differentiates log q through its arguments, and they are among them.
            Without them the gradient is as unbiased, but its variance at the true posterior is not zero.

    With additive or general noise u is the least-norm solution of g u = f_q - f_p; where there is none, the
    two laws are singular to each other and the KL is infinite, which this does not see.
    """

    def __init__(
        self,
        posterior: Any,
        prior_drift: Any = None,
        *,
        sticking_the_landing: bool = True,
        vectorized: bool = False,
        sampled: Sequence[Tensor] = (),
    ) -> None:
        if prior_drift is None and not hasattr(posterior, "h"):
            raise ValueError("PathKL needs a prior drift: give prior_drift, or a posterior with h(t, y)")
        if getattr(posterior, "correlation_factor", None) is not None:
            raise ValueError(
                "PathKL takes independent channels; the posterior has a correlation_factor: "
                "multiply it into g, as general noise"
            )
        self.posterior = posterior
        self.prior_drift = posterior.h if prior_drift is None else prior_drift
        self.sticking_the_landing = sticking_the_landing
        self.functional_vectorized = vectorized
        self.sampled = tuple(value for value in sampled if value.requires_grad)
        self.noise_type, self.sde_type = posterior.noise_type, posterior.sde_type
        self.additive = getattr(posterior, "additive", False)
        self._start: tuple[Tensor, Any] | None = None
        self._fields: list[Any] = [None, None]

    def prepare(self, ts: Sequence[Tensor]) -> None:
        if hasattr(self.posterior, "prepare"):
            self.posterior.prepare(ts)

    def f(self, t: Tensor, y: Any) -> Any:
        return self._remembered(0, t, y, self.posterior.f(t, y))

    def g(self, t: Tensor, y: Any) -> Any:
        return self._remembered(1, t, y, self.posterior.g(t, y))

    def watch(self, t: Tensor, y: Any) -> None:
        """Remember the fields at (t, y), where a step begins: its method needs them, and the KL again."""
        self._start, self._fields = (t, y), [None, None]

    def seen(self) -> tuple[Any, Any] | None:
        """f and g at the start of the step, if both were evaluated there; forgotten here."""
        drift, diffusion = self._fields
        self._start, self._fields = None, [None, None]
        return None if drift is None or diffusion is None else (drift, diffusion)

    def _remembered(self, which: int, t: Tensor, y: Any, value: Any) -> Any:
        if self._start is not None and self._start[0] is t and self._start[1] is y:
            self._fields[which] = value
        return value

    def functional(
        self,
        t: Tensor,
        y: Tensor,
        h: Any,
        dW: Tensor,
        drift: Tensor | None = None,
        diffusion: Tensor | None = None,
    ) -> Tensor:
        """½|u|²h, with ū·ΔW under sticking the landing: (batch,), or (steps, batch) for arguments with a
        leading axis. `drift` and `diffusion` are the posterior's at (t, y), where they are known already.
        """
        leading = 2 if self.functional_vectorized else 1
        drift, diffusion, prior = self._fields_at(t, y, drift, diffusion)
        u = self._control(drift - prior, diffusion, leading)
        length = h if isinstance(h, float) else h.reshape(*h.shape[:leading], *(1,) * (u.dim() - leading))
        terms = 0.5 * u.square() * abs(length)
        if self.sticking_the_landing:
            # Off the tape there is nothing to detach, and the posterior need not be evaluated again.
            on_tape = torch.is_grad_enabled()
            frozen = (
                self._control(self._frozen(self.posterior.f, t, y) - prior, diffusion, leading)
                if on_tape
                else u
            )
            # Backwards in time the mean of a step is f h with h < 0, and so the integral counts against its
            # direction.
            direction = math.copysign(1.0, length) if isinstance(length, float) else length.sign()
            terms = terms + frozen * dW.reshape(u.shape) * direction
        return terms.flatten(leading).sum(-1) if terms.dim() > leading else terms

    def _fields_at(
        self, t: Tensor, y: Tensor, drift: Tensor | None, diffusion: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """f, g and the prior drift, evaluated where they are not known; the prior last, as f may keep it."""
        diffusion = self.posterior.g(t, y) if diffusion is None else diffusion
        drift = self.posterior.f(t, y) if drift is None else drift
        return drift, diffusion, self.prior_drift(t, y)

    def _frozen(self, field: Any, t: Tensor, y: Tensor) -> Tensor:
        """field(t, y) as a function of y and of what is sampled alone."""
        frozen: Tensor = _ArgumentGradientOnly.apply(field, t, self.sampled, y, *self.sampled)
        return frozen

    def _control(self, difference: Tensor, diffusion: Tensor, leading: int) -> Tensor:
        if self.noise_type == "diagonal":
            return difference / diffusion
        # The state of a sample as one vector, whatever its shape: (..., n, m) against (..., n).
        axes = difference.shape[:leading]
        matrix = diffusion.reshape(*axes, -1, diffusion.shape[-1])
        vector = difference.reshape(*axes, -1, 1)
        if self.noise_type == "scalar":
            return (vector * matrix).sum(-2) / matrix.square().sum(-2)
        return (torch.linalg.pinv(matrix) @ vector).squeeze(-1)


class BridgedPathKL(PathKL):
    """`PathKL` for the method "bridged_euler": the posterior's steps end with their noise contracted by s =
    `contraction(t, y, h)`.

    A diffusion that starts in z and ends normally, its mean displaced by f_q h and its variance s²σ²h, costs
    against the prior's step N(z + f_p h, σ²h), at the least (the Föllmer drift) and in the mean,

        ½ (u² h + s² - 1 - log s²),

    which is ½u²h for s = 1. Here it is the log-ratio of the two densities at the step's end, the posterior's
    own with its parameters
    detached: sticking the landing. Diagonal noise only.
    """

    def contraction(self, t: Tensor, y: Tensor, h: Any) -> Tensor:
        return self.posterior.contraction(t, y, h)

    def functional(
        self,
        t: Tensor,
        y: Tensor,
        h: Any,
        dW: Tensor,
        drift: Tensor | None = None,
        diffusion: Tensor | None = None,
    ) -> Tensor:
        """log q̄(z1 | z0) - log p(z1 | z0): (batch,), or (steps, batch) for arguments with a leading axis."""
        leading = 2 if self.functional_vectorized else 1
        drift, diffusion, prior = self._fields_at(t, y, drift, diffusion)
        s = self.posterior.contraction(t, y, h)
        step = torch.as_tensor(h, dtype=y.dtype, device=y.device)
        root = step.abs().sqrt()
        draw = dW / torch.where(root == 0, 1.0, root)
        root = root * step.sign()  # backwards in time drifts displace by f h with h < 0
        u = (drift - prior) / diffusion
        landed = s * draw
        if self.sticking_the_landing and torch.is_grad_enabled():
            # The step's end moves with the posterior's parameters; the density it is held against does not.
            frozen = self._frozen(self.posterior.f, t, y)
            held = self._frozen(lambda t, y: self.posterior.contraction(t, y, h), t, y)
            own = (landed + (drift - frozen) / diffusion * root) / held
            density = -0.5 * own.square() - held.log()
        else:
            density = -0.5 * draw.square() - s.log()
        terms = density + 0.5 * (u * root + landed).square()
        return terms.flatten(leading).sum(-1) if terms.dim() > leading else terms


class _ArgumentGradientOnly(torch.autograd.Function):
    """drift(t, y) as a function of y and of the sampled tensors: whatever else it depends on gets no
    gradient.
    """

    @staticmethod
    def forward(
        ctx: Any, drift: Any, t: Tensor, sampled: tuple[Tensor, ...], y: Tensor, *_: Tensor
    ) -> Tensor:
        # `sampled` are the very tensors that the drift holds; as inputs they stand once more at the end.
        with torch.enable_grad():
            local = y.detach().requires_grad_()
            value = drift(t, local)
        ctx.arguments, ctx.value = (local, *sampled), value
        return value.detach()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError(
                "sticking the landing has no second derivatives; for them use sticking_the_landing=False"
            )
        if not ctx.value.requires_grad:  # a drift that depends on nothing
            return (None, None, None, *(torch.zeros_like(x) for x in ctx.arguments))
        # Kept, as the caller may come again: gradients of single samples are taken one after the other.
        found = torch.autograd.grad(
            ctx.value, ctx.arguments, gradients[0], retain_graph=True, materialize_grads=True
        )
        return (None, None, None, *found)
