"""The families by name: a new one is one class and one line here."""

from __future__ import annotations

from .censored import CensoredLaplace, CensoredNormal
from .continuous import Laplace, Normal, StudentT
from .discrete import Bernoulli, Categorical, Poisson
from .family import Family

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Normal(),
        Laplace(),
        StudentT(),
        CensoredNormal(),
        CensoredLaplace(),
        Poisson(),
        Bernoulli(),
        Categorical(),
    )
}
LIKELIHOODS = tuple(FAMILIES)
