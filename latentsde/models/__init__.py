"""Models of series: clients of the solver core."""

from .config import LatentSDEConfig
from .latent_sde import ELBO, LatentSDE

__all__ = ["ELBO", "LatentSDE", "LatentSDEConfig"]
