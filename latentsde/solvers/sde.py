"""The SDE protocol: what an object must have to be solved."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from torch import Tensor

NOISE_TYPES = ("diagonal", "additive", "scalar", "commutative", "general")
SDE_TYPES = ("ito", "stratonovich")


@runtime_checkable
class SDE(Protocol):
    """dy = f(t, y) dt + g(t, y) dW, read by `sde_type` as "ito" or "stratonovich". Any object will do; one
    without `g` is an ODE.

    `noise_type` tells the shape of g for y of shape (batch, ...): "diagonal" the shape of y; "scalar"
    (*y.shape, 1); "additive", "commutative" and "general" (*y.shape, m). "commutative" promises that the
    columns commute, (∂g_j/∂y) g_k = (∂g_k/∂y) g_j, which earns strong order 1 without Lévy areas. Diagonal
    noise that does not depend on y may say `additive = True`. `t` is a 0-d tensor of y's dtype, or
    (batch, 1, ...) when each sample has its own grid.

    Optional: `correlation_factor`, L (d, m) with rows of length 1, for noise whose d channels are correlated
    as L Lᵀ says: dW is then L dB for m independent motions B, of which `path` is one.

    Optional: `prepare(ts)`, called once before the first step with the list of the very tensors that f and g
    will be given as `t`, for work that does not depend on y (a method may ask for other times as well).

    Optional: `functional(t, y, h, dW)`, the increments (batch,) of an additive functional of the path over a
    step of length h that starts in y at t; `solve` adds them up by the left-point rule, whatever the method.
    With `functional_vectorized = True` it is called for many steps at once, every argument with a leading
    axis of steps, t and h of shape (steps, batch or 1, 1, ...). If there are `watch(t, y)` and `seen()`, they
    are called around each step, and where `seen` returns the (f, g) that were evaluated at its start, these
    are given to `functional` behind dW.
    """

    noise_type: str
    sde_type: str

    def f(self, t: Tensor, y: Any) -> Any: ...

    def g(self, t: Tensor, y: Any) -> Any: ...
