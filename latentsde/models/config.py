"""The configuration of a model of series: everything but its weights."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar

from ..errors import InputError, quote
from ..nn import FAMILIES, LIKELIHOODS

Config = TypeVar("Config", bound="SeriesConfig")


@dataclass(frozen=True)
class SeriesConfig:
    """What every model knows: the features, likelihoods and time scales. Times are in the data's unit.

    Attributes:
        features, static: names of the observed features and of the static covariates.
        likelihoods: one family for each feature.
        levels: for each feature the names of its classes 0, 1, ..., none for all but categorical ones; empty
            where no feature is categorical.
        start: where model time begins: the earliest time of the data.
        time_scale: data time of one unit of model time; a series spans about ten.
        dt: the largest solver step.
        period: of a known rhythm (24 for hours and days), None for none.
        observation_times: "given", or "poisson" where they are data as well (see
            `latentsde.models.observation_times`).
        latent, hidden, encoder: sizes of the state, of the layers of fields and decoder, of the recognition
            GRU.
    """

    features: tuple[str, ...]
    likelihoods: tuple[str, ...]
    start: float
    time_scale: float
    dt: float
    static: tuple[str, ...] = ()
    levels: tuple[tuple[str, ...], ...] = ()
    period: float | None = None
    latent: int = 8
    hidden: int = 32
    encoder: int = 64
    observation_times: str = "given"

    def __post_init__(self) -> None:
        for family in self.likelihoods:
            if family not in LIKELIHOODS:
                raise InputError(f"unknown likelihood '{family}'; choose from {', '.join(LIKELIHOODS)}")
        if len(self.likelihoods) != len(self.features):
            raise InputError(
                f"{len(self.features)} features need as many likelihoods, got {len(self.likelihoods)}"
            )
        if self.observation_times not in ("given", "poisson"):
            raise InputError(
                f"observation_times must be 'given' or 'poisson', got {quote(self.observation_times)}"
            )
        if self.levels and len(self.levels) != len(self.features):
            raise InputError(
                f"{len(self.features)} features need as many lists of classes, got {len(self.levels)}"
            )
        for name, family, count in zip(self.features, self.likelihoods, self.classes, strict=True):
            if FAMILIES[family].classes and count < 2:
                raise InputError(
                    f"feature '{name}' is to be {family} but has {count} class{'es' * (count != 1)}; it "
                    "takes two or more, choose another likelihood or leave it out"
                )
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type in ("float", "float | None") and field.name != "start" and value is not None:
                if not (math.isfinite(value) and value > 0):
                    raise InputError(f"{field.name} must be a positive number, got {value}")
            elif field.type == "int" and value < 1:
                raise InputError(f"{field.name} must be at least 1, got {value}")

    @property
    def classes(self) -> tuple[int, ...]:
        """(F,) how many classes a feature has, 0 for all but categorical ones."""
        return tuple(map(len, self.levels)) or (0,) * len(self.features)

    def levels_of(self, feature: int) -> tuple[str, ...]:
        """The names of a feature's classes; none for a feature without."""
        return self.levels[feature] if self.levels else ()

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls: type[Config], state: dict[str, Any]) -> Config:
        lists: dict[str, Any] = {name: tuple(state[name]) for name in ("features", "likelihoods", "static")}
        lists["levels"] = tuple(tuple(names) for names in state.get("levels", ()))
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
        posterior: "control" for a drift that is learned by simulation; "marginals" for the law of z at every
            time, learned without simulation (`latentsde.models.matching`); "linearised" for that of an
            extended Kalman smoother, which has nothing to learn (`latentsde.models.linearised`).
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
        if self.posterior not in ("control", "marginals", "linearised"):
            raise InputError(
                f"posterior must be 'control', 'marginals' or 'linearised', got '{self.posterior}'"
            )
        if self.min_diffusion >= self.max_diffusion:
            raise InputError(
                f"min_diffusion {self.min_diffusion:g} must be below max_diffusion {self.max_diffusion:g}"
            )
        if self.posterior == "linearised":
            if set(self.likelihoods) != {"normal"}:
                other = next(family for family in self.likelihoods if family != "normal")
                raise InputError(
                    f"a linearised posterior takes the likelihood 'normal' alone, got '{other}'; choose "
                    "another posterior for it"
                )
            if self.diffusion != "constant":
                raise InputError("a linearised posterior takes a constant diffusion; leave it at 'constant'")
        if self.posterior != "control" and self.observation_times != "given":
            raise InputError(
                "observation times are data only along a simulated path; leave observation_times at 'given', "
                "or train by simulation"
            )
