"""The words torchsde has for its options, each a class of strings."""

from __future__ import annotations


class ContainerMeta(type):
    """A class that is asked like a set of its own values: `"ito" in SDE_TYPES`, `SDE_TYPES.all()`."""

    def all(cls) -> list[str]:
        """The values, in alphabetical order."""
        return sorted(value for name, value in vars(cls).items() if not name.startswith("__"))

    def __str__(cls) -> str:
        return str(cls.all())

    def __contains__(cls, item: object) -> bool:
        return item in cls.all()


class METHODS(metaclass=ContainerMeta):
    """The names that `method` and `adjoint_method` take."""

    euler = "euler"
    milstein = "milstein"
    srk = "srk"
    midpoint = "midpoint"
    reversible_heun = "reversible_heun"
    adjoint_reversible_heun = "adjoint_reversible_heun"
    heun = "heun"
    log_ode_midpoint = "log_ode"
    euler_heun = "euler_heun"


class METHOD_OPTIONS(metaclass=ContainerMeta):
    """The keys that `options` and `adjoint_options` take."""

    grad_free = "grad_free"


class NOISE_TYPES(metaclass=ContainerMeta):
    """How the noise enters: what shape the diffusion has and what it may depend on."""

    general = "general"
    diagonal = "diagonal"
    scalar = "scalar"
    additive = "additive"


class SDE_TYPES(metaclass=ContainerMeta):
    """In which calculus the diffusion is meant."""

    ito = "ito"
    stratonovich = "stratonovich"


class LEVY_AREA_APPROXIMATIONS(metaclass=ContainerMeta):
    """What there is beside W: nothing, the area H, or H and one of two approximations of the area A."""

    none = "none"
    space_time = "space-time"
    davie = "davie"
    foster = "foster"
