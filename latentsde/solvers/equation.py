"""An SDE or ODE as the methods see it: shapes checked once, evaluations counted, noise types applied."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .sde import NOISE_TYPES, SDE_TYPES
from .state import State, Value, add_scaled, each


class Equation:
    """f, g, the product g W and the slope f h + g W of an SDE, with the evaluations counted.

    A method that touches the state through `slope` and `push` alone can be run on other equations as well,
    such as the adjoint's (see `latentsde.solvers.adjoints.backsolve`).
    """

    def __init__(self, sde: Any) -> None:
        self.sde = sde
        self.drift_evaluations = 0
        self.diffusion_evaluations = 0
        self.has_noise = hasattr(sde, "g")
        if not hasattr(sde, "f"):
            raise ValueError(
                f"{type(sde).__name__} has no f(t, y): "
                "an SDE needs a drift f and, unless it is an ODE, a diffusion g"
            )
        if self.has_noise:
            for name, allowed in (("noise_type", NOISE_TYPES), ("sde_type", SDE_TYPES)):
                if getattr(sde, name, None) not in allowed:
                    raise ValueError(
                        f"{type(sde).__name__}.{name} is {getattr(sde, name, None)!r}; "
                        f"it must be one of {', '.join(allowed)}"
                    )
        self.noise_type: str = sde.noise_type if self.has_noise else "none"
        self.calculus: str = sde.sde_type if self.has_noise else "none"
        self.is_additive = self.noise_type == "additive" or bool(getattr(sde, "additive", False))
        self.is_diagonal = self.noise_type == "diagonal"
        self._product = _diagonal if self.is_diagonal else _matrix
        self._probe: tuple[Any, Any, Any] | None = None

    def f(self, t: Any, y: Value) -> Value:
        """The drift, of y's shape."""
        drift = self.sde.f(t, y)
        if self.drift_evaluations == 0:
            drift_shapes, y_shapes = _shapes(drift), _shapes(y)
            if drift_shapes != y_shapes:
                raise ValueError(
                    f"f(t, y) has shape {drift_shapes} but y has {y_shapes}: "
                    "the drift must have the shape of y"
                )
        self.drift_evaluations += 1
        return State(drift) if isinstance(drift, tuple) else drift

    def g(self, t: Any, y: Value) -> Value:
        """The diffusion, in the shape of its noise type."""
        if self._probe is not None:
            probed_t, probed_y, diffusion = self._probe
            self._probe = None
            if probed_y is y and torch.equal(probed_t, t):
                return diffusion
        diffusion = self.sde.g(t, y)
        if self.diffusion_evaluations == 0:
            self._check_diffusion(diffusion, y)
        self.diffusion_evaluations += 1
        return State(diffusion) if isinstance(diffusion, tuple) else diffusion

    def apply(self, diffusion: Value, W: Value) -> Value:
        """The product of a diffusion, as `g` returned it, and an increment: of y's shape."""
        return each(self._product, diffusion, W)

    def transposed(self, cotangent: Value, W: Value) -> Value:
        """The cotangent of the diffusion, in `apply`, from that of the product."""
        # W first: it knows which components have no noise.
        return each(_diagonal if self.is_diagonal else _outer, W, cotangent)

    def g_prod(self, t: Any, y: Value, W: Value) -> Value:
        """g(t, y) W, of y's shape."""
        return self.apply(self.g(t, y), W)

    def slope(self, t: Any, y: Value, h: Any, W: Any) -> Value:
        """f(t, y) h + g(t, y) W, what the equation does over a step if it stays as it is; W is None for an
        ODE.
        """
        drift = self.f(t, y)
        return self.slope_of(drift, None if W is None else self.g(t, y), h, W)

    def slope_of(self, drift: Value, diffusion: Any, h: Any, W: Any) -> Value:
        """f h + g W of values that are there already."""
        if W is None:
            return drift if type(h) is float and h == 1.0 else drift * h
        # A product with a number costs twice the product of two tensors, or a sum with a weight.
        return add_scaled(self.apply(diffusion, W), drift, h)

    def push(self, base: Value, t: Any, y: Value, h: Any, W: Any, share: float = 1.0) -> Value:
        """base + share · (f(t, y) h + g(t, y) W)."""
        pushed: Value = add_scaled(base, self.f(t, y), h if share == 1.0 else h * share)
        return pushed if W is None else self.add_noise(pushed, self.g(t, y), W, share)

    def add_noise(self, base: Value, diffusion: Value, W: Any, weight: float = 1.0) -> Value:
        """base + weight · g W for a diffusion g that is there already."""
        if not (self.is_diagonal and isinstance(base, Tensor)):
            return (
                add_scaled(base, self.apply(diffusion, W), weight)
                if weight != 1.0
                else base + self.apply(diffusion, W)
            )
        if weight == 1.0:
            return torch.addcmul(base, diffusion, W)  # type: ignore[arg-type]
        return torch.addcmul(base, diffusion, W, value=weight)  # type: ignore[arg-type]

    def noise_shape(self, t: Any, y: Value) -> Any:
        """The shape of W: (batch, ...), a tuple of shapes for a tuple state, None in it for components
        without noise.

        Evaluates g where only g knows it; the first step then reuses that value.
        """
        if self.is_diagonal and not isinstance(y, tuple):
            return tuple(y.shape)
        if self.noise_type == "scalar" and not isinstance(y, tuple):
            return (y.shape[0], 1)
        diffusion: Any = self.g(t, y)
        self._probe = (t, y, diffusion)
        if isinstance(y, tuple):
            return tuple(
                None if d is None else self._component_noise_shape(d, part)
                for d, part in zip(diffusion, y, strict=True)
            )
        return self._component_noise_shape(diffusion, y)

    def forget(self) -> None:
        """Drop the value that `noise_shape` left for the first step: whoever takes it twice must evaluate."""
        self._probe = None

    def _component_noise_shape(self, diffusion: Tensor, y: Tensor) -> tuple[int, ...]:
        return tuple(y.shape) if self.is_diagonal else (y.shape[0], diffusion.shape[-1])

    def _check_diffusion(self, diffusion: Any, y: Any) -> None:
        parts = zip(diffusion, y, strict=True) if isinstance(y, tuple) else [(diffusion, y)]
        for d, part in parts:
            if d is None:
                continue
            expected = {"diagonal": tuple(part.shape), "scalar": (*part.shape, 1)}.get(self.noise_type)
            fits = tuple(d.shape) == expected if expected else tuple(d.shape[:-1]) == tuple(part.shape)
            if not fits:
                wanted = expected or f"(*{tuple(part.shape)}, m)"
                raise ValueError(
                    f"g(t, y) has shape {tuple(d.shape)}; {self.noise_type} noise for y of shape "
                    f"{tuple(part.shape)} needs {wanted}"
                )


def _diagonal(diffusion: Tensor, W: Tensor) -> Tensor:
    return diffusion * W


def _matrix(diffusion: Tensor, W: Tensor) -> Tensor:
    between = (1,) * (diffusion.dim() - W.dim())
    return (diffusion * W.reshape(W.shape[0], *between, W.shape[1])).sum(-1)


def _outer(W: Tensor, cotangent: Tensor) -> Tensor:
    between = (1,) * (cotangent.dim() - W.dim() + 1)
    return cotangent.unsqueeze(-1) * W.reshape(W.shape[0], *between, W.shape[1])


def _shapes(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(tuple(part.shape) for part in value)
    return tuple(value.shape)
