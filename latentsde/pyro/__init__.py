"""SDEs in Pyro programs: paths as sites of models and guides, for SVI and for HMC.

| to | in the model | in the guide |
|---|---|---|
| fit a path by SVI, its KL by Girsanov | `prior_path` | `posterior_path` |
| fit a `LatentSDE` by SVI | `LatentSDEProgram.model` | `LatentSDEProgram.guide` |
| sample a path's noise and parameters by HMC or NUTS | `simulated_path` | |
| sample parameters with the path integrated out (linear SDEs) | `LinearSDEObservations` | |

Inside Pyro programs the seed of a path is drawn from torch's default generator, which
`pyro.set_rng_seed` sets, once for each call of a guide or model; every function takes a `seed` in its place.
"""

from .landing import StickingTheLanding
from .latent_sde import LatentSDEProgram
from .linear import LinearSDEObservations
from .paths import PriorPath, posterior_path, prior_path
from .simulated import GivenIncrements, simulated_path

__all__ = [
    "GivenIncrements",
    "LatentSDEProgram",
    "LinearSDEObservations",
    "PriorPath",
    "StickingTheLanding",
    "posterior_path",
    "prior_path",
    "simulated_path",
]
