"""The configuration of a model of series: everything but its weights."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar

from ..errors import InputError
from ..nn import LIKELIHOODS

Config = TypeVar("Config", bound="SeriesConfig")


@dataclass(frozen=True)
class SeriesConfig:
    """What every model knows: the features, likelihoods and time scales. Times are in the data's unit.

    Attributes:
        features, static: names of the observed features and of the static covariates.
        likelihoods: one family for each feature.
        start: where model time begins: the earliest time of the data.
        time_scale: data time of one unit of model time; a series spans about ten.
        dt: the largest solver step.
        period: of a known rhythm (24 for hours and days), None for none.
        latent, hidden, encoder: sizes of the state, of the layers of fields and decoder, of the recognition
            GRU.
    """

    features: tuple[str, ...]
    likelihoods: tuple[str, ...]
    start: float
    time_scale: float
    dt: float
    static: tuple[str, ...] = ()
    period: float | None = None
    latent: int = 8
    hidden: int = 32
    encoder: int = 64

    def __post_init__(self) -> None:
        for family in self.likelihoods:
            if family not in LIKELIHOODS:
                raise InputError(f"unknown likelihood '{family}'; choose from {', '.join(LIKELIHOODS)}")
        if len(self.likelihoods) != len(self.features):
            raise InputError(
                f"{len(self.features)} features need as many likelihoods, got {len(self.likelihoods)}"
            )
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type in ("float", "float | None") and field.name != "start" and value is not None:
                if not (math.isfinite(value) and value > 0):
                    raise InputError(f"{field.name} must be a positive number, got {value}")
            elif field.type == "int" and value < 1:
                raise InputError(f"{field.name} must be at least 1, got {value}")

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls: type[Config], state: dict[str, Any]) -> Config:
        lists = {name: tuple(state[name]) for name in ("features", "likelihoods", "static")}
        return cls(**(state | lists))


@dataclass(frozen=True)
class LatentSDEConfig(SeriesConfig):
    """Sizes and bounds of a `LatentSDE`.

    Attributes:
        context: size of the context.
        diffusion: "constant" for a learned σ for each latent dimension, "state" for σ_i(z_i). Constant loses
            nothing in law: a diagonal σ_i(z_i) is a constant one in other coordinates (Lamperti), which the
                decoder learns.
        min_diffusion, max_diffusion: bounds of σ in model time; the lower one keeps the path KL finite.
        posterior: "control" for a drift that is learned by simulation, "marginals" for the law of z at every
            time, learned without simulation (`latentsde.models.matching`).
        path_times: random times a series at which a step of such training looks at the path.
    """

    context: int = 32
    diffusion: str = "constant"
    min_diffusion: float = 0.1
    max_diffusion: float = 5.0
    posterior: str = "control"
    path_times: int = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.diffusion not in ("constant", "state"):
            raise InputError(f"diffusion must be 'constant' or 'state', got '{self.diffusion}'")
        if self.posterior not in ("control", "marginals"):
            raise InputError(f"posterior must be 'control' or 'marginals', got '{self.posterior}'")
