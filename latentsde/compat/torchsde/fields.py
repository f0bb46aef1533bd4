"""The drift and diffusion of a torchsde SDE, from whichever of its functions it defines, by whatever name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from .base_sde import check_words
from .settings import NOISE_TYPES

Field = Callable[[Tensor, Tensor], Tensor]
Pair = Callable[[Tensor, Tensor], tuple[Any, Tensor]]
JointProduct = Callable[[Tensor, Tensor, Tensor], tuple[Any, Tensor]]

ROLES = {
    "drift": "f",
    "diffusion": "g",
    "prior_drift": "h",
    "diffusion_prod": "g_prod",
    "drift_and_diffusion": "f_and_g",
    "drift_and_diffusion_prod": "f_and_g_prod",
}
"""The keys of `names`, and the method that has the role where they do not say another."""


class Functions:
    """What an SDE defines of f, g, h, g_prod, f_and_g and f_and_g_prod; None for the rest.

    Raises:
        ValueError: an SDE without a known noise_type and sde_type.
    """

    def __init__(self, sde: Any, names: Mapping[str, str] | None) -> None:
        for word in ("noise_type", "sde_type"):
            if not hasattr(sde, word):
                raise ValueError(
                    f"{type(sde).__name__} has no attribute {word}; set it, or inherit from BaseSDE"
                )
        check_words(sde.noise_type, sde.sde_type)
        self.noise_type: str = sde.noise_type
        self.sde_type: str = sde.sde_type
        given = {role: (names or {}).get(role, usual) for role, usual in ROLES.items()}
        self.f, self.g, self.h, self.g_prod, self.f_and_g, self.f_and_g_prod = (
            getattr(sde, name, None) for name in given.values()
        )


class Fields:
    """An SDE as `latentsde.solve` reads one: f and g, and nothing else that the user's object may have.

    Args:
        noise_size: channels of a noise that is not diagonal; None where only g tells.
        paired: the solver asks for f and g at the same points, so that they are best had together.

    Raises:
        ValueError: no drift or no diffusion among the functions, or products g v alone for a noise of unknown
            size.
    """

    def __init__(self, functions: Functions, noise_size: int | None, paired: bool) -> None:
        self.noise_type, self.sde_type = functions.noise_type, functions.sde_type
        f: Field | None = functions.f
        g: Field | None = functions.g
        if functions.f_and_g is not None:
            drift, diffusion = together(functions.f_and_g)
            f = drift if f is None or paired else f
            g = diffusion if g is None or paired else g
        product = functions.g_prod
        if g is None and product is not None:
            matrix = _from_products(lambda t, y, v: (None, product(t, y, v)), self.noise_type, noise_size)
            g = _second(matrix)
        if functions.f_and_g_prod is not None and (f is None or g is None):
            drift, diffusion = together(_from_products(functions.f_and_g_prod, self.noise_type, noise_size))
            f = drift if f is None else f
            g = diffusion if g is None else g
        if f is None:
            raise ValueError("an SDE needs a drift: one of f, f_and_g or f_and_g_prod")
        if g is None:
            raise ValueError("an SDE needs a diffusion: one of g, f_and_g, g_prod or f_and_g_prod")
        self.f, self.g = f, g


def together(both: Pair) -> tuple[Field, Field]:
    """The halves of `both` as functions: asked one after the other at one point, they evaluate it once."""
    memory = _Half()

    def half(which: int) -> Field:
        def field(t: Tensor, y: Tensor) -> Tensor:
            asked = (which, t, y, y.requires_grad, torch.is_grad_enabled())
            point, memory.point = memory.point, None
            if point is not None and all(a is b for a, b in zip(point, asked, strict=True)):
                value, memory.value = memory.value, None
                return value
            pair = both(t, y)
            memory.point, memory.value = (1 - which, *asked[1:]), pair[1 - which]
            return pair[which]

        return field

    return half(0), half(1)


class _Half:
    """The half of a pair that was not asked for, and the question it answers.

    Slots, because what looks for the tensors that an SDE holds looks into dictionaries: this one is no part
    of the SDE.
    """

    __slots__ = ("point", "value")

    def __init__(self) -> None:
        self.point: tuple[Any, ...] | None = None
        self.value: Any = None


def _second(both: Pair) -> Field:
    return lambda t, y: both(t, y)[1]


def _from_products(product: JointProduct, noise_type: str, noise_size: int | None) -> Pair:
    """(f, g) from (f, g v): g is linear in v, so that unit vectors give its columns to the last bit."""
    if noise_type == NOISE_TYPES.diagonal:
        return lambda t, y: product(t, y, torch.ones_like(y))
    if noise_size is None:
        raise ValueError(
            "products g v do not tell the number of noise channels: pass bm, or define g or f_and_g"
        )

    def pair(t: Tensor, y: Tensor) -> tuple[Any, Tensor]:
        units = torch.eye(noise_size, dtype=y.dtype, device=y.device)
        drifts, columns = zip(*(product(t, y, e.expand(len(y), -1)) for e in units), strict=True)
        return drifts[0], torch.stack(columns, dim=-1)

    return pair
