"""State: a tuple of tensors that adds and scales like one tensor, so that a method is written once for
both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Union

import torch
from torch import Tensor


class State(tuple):
    """Component-wise arithmetic. `None` is "nothing here": a component without noise, zero in a sum."""

    def __add__(self, other: Any) -> State:
        return self._with(other, _add)

    def __sub__(self, other: Any) -> State:
        return self._with(other, lambda a, b: _add(a, None if b is None else -b))

    def __mul__(self, other: Any) -> State:
        return self._with(other, _multiply)

    def __rsub__(self, other: Any) -> State:
        return self * -1.0 + other

    __radd__ = __add__
    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> State:
        return self._with(other, lambda a, b: None if a is None else a / b)

    def _with(self, other: Any, operation: Callable[[Any, Any], Any]) -> State:
        others = other if isinstance(other, tuple) else (other,) * len(self)
        return State(operation(a, b) for a, b in zip(self, others, strict=True))


Value = Union[Tensor, State]  # noqa: UP007 - evaluated at run time, where Python 3.10 has no `|` for it


def _add(a: Any, b: Any) -> Any:
    if a is None:
        return b
    return a if b is None else a + b


def _multiply(a: Any, b: Any) -> Any:
    return None if a is None or b is None else a * b


def each(operation: Callable[..., Any], *values: Any) -> Any:
    """`operation` on every component, None where the first value has none; on the value itself where it is a
    tensor.
    """
    if isinstance(values[0], tuple):
        return State(None if parts[0] is None else operation(*parts) for parts in zip(*values, strict=True))
    return operation(*values)


def add_scaled(base: Any, value: Any, weight: Any) -> Any:
    """base + weight · value, in one operation where the weight is a number."""
    if isinstance(base, Tensor) and type(weight) is float:
        return torch.add(base, value, alpha=weight)
    if isinstance(base, State) and type(weight) is float:
        return State(
            a if b is None else b * weight if a is None else add_scaled(a, b, weight)
            for a, b in zip(base, value, strict=True)
        )
    return base + value * weight


def between(start: Any, end: Any, share: float) -> Any:
    """start + share · (end - start)."""
    return each(
        lambda a, b: torch.lerp(a, b, share) if isinstance(a, Tensor) else a + (b - a) * share, start, end
    )


def where(mask: Tensor, new: Any, old: Any) -> Any:
    """`new` for the samples in `mask`, (batch,) or of all, `old` for the others; in nested tuples too."""
    if new is None:
        return None
    if isinstance(new, tuple):
        values = [where(mask, n, o) for n, o in zip(new, old, strict=True)]
        return State(values) if isinstance(new, State) else tuple(values)
    return torch.where(mask.view(-1, *(1,) * (new.dim() - 1)) if mask.dim() else mask, new, old)


def parts_of(value: Any) -> list[Tensor]:
    """The tensors of a value, without the components where there is nothing."""
    return [part for part in value if part is not None] if isinstance(value, tuple) else [value]


def like(value: Any, parts: list[Tensor]) -> Any:
    """The parts in the shape of `value`."""
    if not isinstance(value, tuple):
        return parts[0]
    rest = iter(parts)
    return State(None if part is None else next(rest) for part in value)


def with_gradient(value: Any) -> Any:
    """The value as leaves of a graph of their own."""
    return each(lambda x: x.detach().requires_grad_(), value)
