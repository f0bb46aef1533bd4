"""BaseSDE, SDEIto, SDEStratonovich: modules that carry the two words a solver reads."""

from __future__ import annotations

from abc import ABC

from torch import nn

from .settings import NOISE_TYPES, SDE_TYPES


class BaseSDE(ABC, nn.Module):
    """A module with `noise_type` and `sde_type`; drift and diffusion are its subclass's `f` and `g`.

    Raises:
        ValueError: a word that is not one of `settings.NOISE_TYPES` and `settings.SDE_TYPES`.
    """

    def __init__(self, noise_type: str, sde_type: str) -> None:
        super().__init__()
        check_words(noise_type, sde_type)
        self.noise_type = noise_type
        self.sde_type = sde_type


class SDEIto(BaseSDE):
    """A `BaseSDE` read in the Itô calculus."""

    def __init__(self, noise_type: str) -> None:
        super().__init__(noise_type=noise_type, sde_type=SDE_TYPES.ito)


class SDEStratonovich(BaseSDE):
    """A `BaseSDE` read in the Stratonovich calculus."""

    def __init__(self, noise_type: str) -> None:
        super().__init__(noise_type=noise_type, sde_type=SDE_TYPES.stratonovich)


def check_words(noise_type: object, sde_type: object) -> None:
    """ValueError unless both are known."""
    if noise_type not in NOISE_TYPES:
        raise ValueError(f"noise_type must be one of {NOISE_TYPES}, got {noise_type!r}")
    if sde_type not in SDE_TYPES:
        raise ValueError(f"sde_type must be one of {SDE_TYPES}, got {sde_type!r}")
