"""Observation models p(x | decoder outputs), a family for each feature, those of one family evaluated
together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from .discrete import Categorical
from .family import Family, Spread
from .table import FAMILIES

MIN_SCALE = 1e-3
MIN_DEGREES = 2.1  # the variance of a Student t exists above 2


@dataclass(frozen=True)
class _Group:
    """The features of one family with one number of outputs, `indices` and `columns` among all."""

    family: Family
    classes: int
    indices: list[int]
    columns: list[int]

    @property
    def width(self) -> int:
        return len(self.columns) // len(self.indices)


class Likelihoods(nn.Module):
    """One family for each feature: the decoder gives its parameters, the scale is learned for each feature.

    Values are in scaled units where the family is rescaled, otherwise as they are.

    Args:
        families: (F,) names out of `LIKELIHOODS`.
        classes: (F,) how many classes a categorical feature has; 0 for the others.

    Attributes:
        outputs: of the decoder, the sum over the features; those of a feature stand together, in the
            features' order.
        inputs: how many numbers a recognition network reads of a row, in that order as well.
    """

    def __init__(self, families: tuple[str, ...], classes: Sequence[int] = ()) -> None:
        super().__init__()
        self.families = families
        self.classes = tuple(classes) or (0,) * len(families)
        self.raw_scale = nn.Parameter(torch.full((len(families),), -1.0))
        self.raw_degrees = nn.Parameter(torch.full((len(families),), 3.0))
        members = [FAMILIES[name] for name in families]
        widths = [member.outputs(count) for member, count in zip(members, self.classes, strict=True)]
        read = [member.inputs(count) for member, count in zip(members, self.classes, strict=True)]
        self.outputs, self.inputs = sum(widths), sum(read)
        self._starts = [sum(widths[:feature]) for feature in range(len(families))]

        together: dict[tuple[str, int], list[int]] = {}
        for feature, (name, count) in enumerate(zip(families, self.classes, strict=True)):
            together.setdefault((name, count), []).append(feature)
        self._groups = [
            _Group(
                FAMILIES[name],
                count,
                indices,
                [self._starts[f] + k for f in indices for k in range(widths[f])],
            )
            for (name, count), indices in together.items()
        ]
        for number, group in enumerate(self._groups):
            self._index(f"_indices{number}", group.indices)
            self._index(f"_columns{number}", group.columns)
        self._index("_order", _inverse([f for group in self._groups for f in group.indices]))
        starts = [sum(read[:feature]) for feature in range(len(families))]
        placed = [starts[f] + k for group in self._groups for f in group.indices for k in range(read[f])]
        self._index("_input_order", _inverse(placed))
        self._index("_input_features", [f for f, count in enumerate(read) for _ in range(count)])

    def _index(self, name: str, positions: list[int]) -> None:
        self.register_buffer(name, torch.tensor(positions, dtype=torch.int64), persistent=False)

    @property
    def scale(self) -> Tensor:
        """(F,) the scale of each feature; of use to the families that have one."""
        return softplus(self.raw_scale) + MIN_SCALE

    @torch.no_grad()
    def hold_scale(self, scale: Tensor) -> None:
        """Take the scales (F,) as known, in scaled units, and train them no more: of an error of measurement
        that is known, or to weigh features as one likes. A model that is loaded has the scales, but trains
        them again unless they are held anew. Raises `ValueError` for another shape, and where one is not
        finite and above `MIN_SCALE`.
        """
        above = scale.to(self.raw_scale) - MIN_SCALE
        if above.shape != self.raw_scale.shape or not bool((above.isfinite() & (above > 0)).all()):
            raise ValueError(
                f"one finite scale above {MIN_SCALE:g} for each of {len(self.families)} features, "
                f"got {scale.tolist()}"
            )
        # The inverse of softplus, for small and large numbers alike.
        self.raw_scale.copy_(above + torch.log(-torch.expm1(-above)))
        self.raw_scale.requires_grad_(False)

    @property
    def degrees(self) -> Tensor:
        """(F,) degrees of freedom, used by "student-t" alone."""
        return softplus(self.raw_degrees) + MIN_DEGREES

    def log_prob(
        self,
        parameters: Tensor,
        value: Tensor,
        widened: Tensor | None = None,
        limits: Tensor | None = None,
    ) -> Tensor:
        """(..., F) log density of `value` (..., F), log probability where that is discrete or censored.

        Args:
            parameters: (..., outputs); broadcasts against the values.
            widened: (..., outputs) adds to the scales in quadrature, where a family has one.
            limits: (..., F, 2), the ends of the interval a censored value lies in, NaN for values known
                themselves.
        """

        def of_group(number: int, group: _Group) -> Tensor:
            wider = None if widened is None else self._own(number, group, widened)
            ends = limits if group.family.censored else None
            return group.family.log_prob(
                self._own(number, group, parameters),
                self._features(number, value),
                self._spread(number, group, wider),
                None if ends is None else self._features(number, ends, dim=-2),
            )

        return self._by_group(of_group)

    def mean(self, parameters: Tensor) -> Tensor:
        """(..., F) mean of an observation; of a class its number."""
        return self._by_group(lambda number, group: group.family.mean(self._own(number, group, parameters)))

    def variance(self, parameters: Tensor) -> Tensor:
        """(..., F) variance of an observation given its parameters."""

        def of_group(number: int, group: _Group) -> Tensor:
            spread = self._spread(number, group, None)
            return group.family.variance(self._own(number, group, parameters), spread)

        return self._by_group(of_group)

    def sample(self, parameters: Tensor, generator: torch.Generator) -> Tensor:
        """(..., F) a new observation for each of the parameters; of a censored feature the value itself.

        One feature after the other: what is drawn for one does not depend on the families of later ones.
        """
        columns = []
        for feature, (name, start) in enumerate(zip(self.families, self._starts, strict=True)):
            family, width = FAMILIES[name], FAMILIES[name].outputs(self.classes[feature])
            own = parameters[..., start : start + width]
            own = own.unsqueeze(-2) if family.classes else own
            one = slice(feature, feature + 1)
            columns.append(family.sample(own, Spread(self.scale[one], self.degrees[one]), generator))
        return torch.cat(columns, dim=-1)

    def probabilities(self, parameters: Tensor) -> tuple[Tensor | None, ...]:
        """(F,) of each categorical feature the probabilities (..., K) of its classes; None for the others."""
        found: list[Tensor | None] = []
        for name, start, count in zip(self.families, self._starts, self.classes, strict=True):
            family = FAMILIES[name]
            own = parameters[..., start : start + count]
            found.append(family.probabilities(own) if isinstance(family, Categorical) else None)
        return tuple(found)

    def encoder_values(self, values: Tensor, limits: Tensor | None = None) -> Tensor:
        """(..., inputs) the values (..., F) as a network reads them: counts by log(1 + count), a class by a
        zero or one for each, a censored value with the side of its limit.
        """
        parts = []
        for number, group in enumerate(self._groups):
            ends = limits if group.family.censored else None
            own = None if ends is None else self._features(number, ends, dim=-2)
            parts.append(group.family.encode(self._features(number, values), own, group.classes).flatten(-2))
        if len(parts) == 1:
            return parts[0]
        return torch.cat(parts, dim=-1).index_select(-1, self._input_order)  # type: ignore[arg-type]

    def encoder_mask(self, mask: Tensor) -> Tensor:
        """(..., inputs) which of `encoder_values` are of observed values, from (..., F)."""
        if self.inputs == len(self.families):
            return mask
        return mask.index_select(-1, self._input_features)  # type: ignore[arg-type]

    def _by_group(self, evaluate: Callable[[int, _Group], Tensor]) -> Tensor:
        parts = [evaluate(number, group) for number, group in enumerate(self._groups)]
        if len(parts) == 1:
            return parts[0]
        return torch.cat(parts, dim=-1).index_select(-1, self._order)  # type: ignore[arg-type]

    def _own(self, number: int, group: _Group, parameters: Tensor) -> Tensor:
        """The columns of a group's features: (..., n), or (..., n, K) of classes."""
        own = parameters
        if len(self._groups) > 1:
            own = parameters.index_select(-1, getattr(self, f"_columns{number}"))
        return own.unflatten(-1, (-1, group.width)) if group.family.classes else own

    def _features(self, number: int, values: Tensor, dim: int = -1) -> Tensor:
        if len(self._groups) == 1:
            return values
        return values.index_select(dim, getattr(self, f"_indices{number}"))

    def _spread(self, number: int, group: _Group, widened: Tensor | None) -> Spread:
        scale: Tensor | None = None
        degrees: Tensor | None = None
        if group.family.has_scale:
            scale = self._features(number, self.scale)
            if widened is not None:
                scale = (scale.square() + widened.square()).sqrt()
        if group.family.has_degrees:
            degrees = self._features(number, self.degrees)
        return Spread(scale, degrees)  # type: ignore[arg-type]


def _inverse(order: list[int]) -> list[int]:
    """Where each position is found in `order`."""
    places = [0] * len(order)
    for place, position in enumerate(order):
        places[position] = place
    return places
