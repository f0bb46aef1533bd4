"""The SDE protocol, and its evaluation: shapes checked once, evaluations counted, noise types applied."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from .state import State, Value, each

NOISE_TYPES = ("diagonal", "additive", "scalar", "general")
SDE_TYPES = ("ito", "stratonovich")


@runtime_checkable
class SDE(Protocol):
    """dy = f(t, y) dt + g(t, y) dW, read by `sde_type` as "ito" or "stratonovich". Any object will do; one
    without `g` is an ODE.

    `noise_type` tells the shape of g for y of shape (batch, ...): "diagonal" the shape of y; "scalar"
    (*y.shape, 1); "additive" and "general" (*y.shape, m). Diagonal noise that does not depend on y may say
    `additive = True`. `t` is a 0-d tensor of y's dtype, or (batch, 1, ...) when each sample has its own grid.

    Optional: `prepare(ts)`, called once before the first step with the list of the very tensors that f and g
    will be given as `t`, for work that does not depend on y (a method may ask for other times as well).

    Optional: `functional(t, y, h, dW)`, the increments (batch,) of an additive functional of the path over a
    step of length h that starts in y at t; `solve` adds them up by the left-point rule, whatever the method.
    With `functional_vectorized = True` it is called for many steps at once, every argument with a leading
    axis of steps, t and h of shape (steps, batch or 1, 1, ...).
    """

    noise_type: str
    sde_type: str

    def f(self, t: Tensor, y: Any) -> Any: ...

    def g(self, t: Tensor, y: Any) -> Any: ...


class Equation:
    """An SDE (or ODE) as the methods see it: f, g and the product g dW, with the evaluations counted."""

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
        self._probe: tuple[Any, Any] | None = None

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
        if self._probe is not None and self._probe[0] is y:
            diffusion, self._probe = self._probe[1], None
            return diffusion
        diffusion = self.sde.g(t, y)
        if self.diffusion_evaluations == 0:
            self._check_diffusion(diffusion, y)
        self.diffusion_evaluations += 1
        return State(diffusion) if isinstance(diffusion, tuple) else diffusion

    def apply(self, diffusion: Value, dW: Value) -> Value:
        """The product of a diffusion, as `g` returned it, and an increment: of y's shape."""
        product = {"diagonal": _diagonal, "scalar": _matrix, "additive": _matrix, "general": _matrix}[
            self.noise_type
        ]
        return each(product, diffusion, dW)

    def g_prod(self, t: Any, y: Value, dW: Value) -> Value:
        """g(t, y) dW, of y's shape."""
        return self.apply(self.g(t, y), dW)

    def noise_shape(self, t: Any, y: Value) -> Any:
        """The shape of W: (batch, ...), a tuple of shapes for a tuple state, None in it for components
        without noise.

        Evaluates g where only g knows it; the first step then reuses that value.
        """
        if self.noise_type == "diagonal" and not isinstance(y, tuple):
            return tuple(y.shape)
        if self.noise_type == "scalar" and not isinstance(y, tuple):
            return (y.shape[0], 1)
        diffusion: Any = self.g(t, y)
        self._probe = (y, diffusion)
        if isinstance(y, tuple):
            return tuple(
                None if d is None else self._component_noise_shape(d, part)
                for d, part in zip(diffusion, y, strict=True)
            )
        return self._component_noise_shape(diffusion, y)

    def _component_noise_shape(self, diffusion: Tensor, y: Tensor) -> tuple[int, ...]:
        return tuple(y.shape) if self.noise_type == "diagonal" else (y.shape[0], diffusion.shape[-1])

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


def _diagonal(diffusion: Tensor, dW: Tensor) -> Tensor:
    return diffusion * dW


def _matrix(diffusion: Tensor, dW: Tensor) -> Tensor:
    between = (1,) * (diffusion.dim() - dW.dim())
    return (diffusion * dW.reshape(dW.shape[0], *between, dW.shape[1])).sum(-1)


def _shapes(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(tuple(part.shape) for part in value)
    return tuple(value.shape)
