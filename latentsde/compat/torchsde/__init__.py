"""The Brownian motion of torchsde 0.2.6 by its own names and signatures, on `latentsde.brownian`.

    import latentsde.compat.torchsde as torchsde

For a package that imports torchsde itself, as diffusers and k-diffusion do, put this one in its place first:

    import sys
    import latentsde.compat.torchsde

    sys.modules["torchsde"] = latentsde.compat.torchsde
    from diffusers import DPMSolverSDEScheduler

(Where torchsde is not installed, diffusers offers that class in its module
`diffusers.schedulers.scheduling_dpmsolver_sde` only.)

A path is a function of (entropy, t0, t1, sample, time) alone: neither the order of the queries nor batch
size, dtype or device changes it. Its numbers are not torchsde's, and these differ on purpose:

- `entropy=None` asks the operating system, not numpy's global generator.
- ta > tb is answered; torchsde raises RuntimeError. A time outside by rounding is the end, without a warning.
- A `BrownianPath` has no end; torchsde's has at t0 + 1.
- Given W and H hold for the whole path whatever levy_area_approximation is; torchsde drops H for "none".
- The Lévy areas A have the conditional variance of true ones; torchsde's have not (see `levy_area`), and
  equal questions have equal answers.
- Paths can be pickled, and `device` is always a `torch.device`.
"""

from . import settings, types
from .base import BaseBrownian
from .interval import BrownianInterval, brownian_interval_like
from .reverse import ReverseBrownian
from .started import BrownianPath, BrownianTree

__version__ = "0.2.6"
"""Of the torchsde whose interface this is."""


def __getattr__(name: str) -> object:
    raise AttributeError(
        f"latentsde.compat.torchsde has torchsde's Brownian motions, not {name!r}; "
        "its solvers take them as bm=BrownianInterval(...)"
    )


__all__ = [
    "BaseBrownian",
    "BrownianInterval",
    "BrownianPath",
    "BrownianTree",
    "ReverseBrownian",
    "brownian_interval_like",
    "settings",
    "types",
]
