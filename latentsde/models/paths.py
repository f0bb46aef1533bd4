"""Sample paths of a model at any times."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Paths:
    """Latent sample paths and what the decoder makes of them, at the queried times.

    Attributes:
        latent: (samples, B, Q, L).
        location: (samples, B, Q, outputs), the likelihoods' parameters: locations in scaled units, log rates
            of counts, logits.
        steps: of the solver, those of the longest series.
        observations: (samples, B, Q, F) new observations in scaled units, where the paths themselves depend
            on them; None where they are to be drawn from the likelihoods, given the path.
        intensity: (samples, B, Q), expected observations in one unit of the data's time; None where
            observation times are given.
    """

    latent: Tensor
    location: Tensor
    steps: int
    observations: Tensor | None = None
    intensity: Tensor | None = None

    @classmethod
    def of_flat(
        cls, latent: Tensor, location: Tensor, steps: int, samples: int, intensity: Tensor | None = None
    ) -> Paths:
        """From parts (B samples, Q, ...), the samples of a series one after the other."""

        def apart(part: Tensor) -> Tensor:
            return part.unflatten(0, (-1, samples)).transpose(0, 1)

        return cls(
            apart(latent),
            apart(location),
            steps,
            intensity=None if intensity is None else apart(intensity),
        )
