"""torchsde 0.2.6 by its own names and signatures, on `latentsde.solve` and `latentsde.brownian`.

    import latentsde.compat.torchsde as torchsde

For a package that imports torchsde itself, as diffusers and k-diffusion do, put this one in its place first:

    import sys
    import latentsde.compat.torchsde

    sys.modules["torchsde"] = latentsde.compat.torchsde
    from diffusers import DPMSolverSDEScheduler

(Where torchsde is not installed, diffusers offers that class in its module
`diffusers.schedulers.scheduling_dpmsolver_sde` only.)

On the same Brownian motion `sdeint` has torchsde's numbers, to rounding, where dt divides the intervals of
ts. These differ on purpose:

- Every time of ts is a step point, and an interval's steps are equal, of at most dt; torchsde adds dt up and
  interpolates, which has the wrong law between its steps.
- The state has any shape (batch, ...), and ts may decrease, be a numpy array, or be (times, batch).
- milstein is right for coupled equations with scalar noise, where torchsde multiplies by the transposed
  Jacobian; its grad_free takes the difference elsewhere. log_ode has its derivative from differences.
- `logqp` divides by 1e-7 where a diagonal diffusion is 0; torchsde by 0.
- `sdeint_adjoint` with reversible_heun has the exact gradient for any dt. With other methods the way back
  takes the steps of the way there: adjoint_adaptive and its tolerances have no effect. Every tensor that f
  and g depend on gets its gradient, not only parameters and adjoint_params. There is no double backward.
- Adaptive steps get as short as the tolerance asks, with a warning below dt_min, where torchsde's stay.
- Adaptive steps of log_ode with general noise are a warning: they choose among the areas that are drawn.
- What torchsde refuses when the gradient is asked for is refused at once.
- Methods that only `latentsde.solvers.METHODS` has may be named.

A Brownian motion is a function of (entropy, t0, t1, sample, time) alone: neither the order of the queries nor
batch size, dtype or device changes it. Its numbers are not torchsde's, and these differ on purpose:

- `entropy=None`, and `bm=None` of the solvers, ask the operating system, no global generator.
- ta > tb is answered; torchsde raises RuntimeError. A time outside by rounding is the end, without a warning.
- A `BrownianPath` has no end; torchsde's has at t0 + 1.
- Given W and H hold for the whole path whatever levy_area_approximation is; torchsde drops H for "none".
- The Lévy areas A have the conditional variance of true ones; torchsde's have not (see `levy_area`), and
  equal questions have equal answers.
- Paths can be pickled, and `device` is always a `torch.device`.
"""

from . import settings, types
from .adjoint import sdeint_adjoint
from .base import BaseBrownian
from .base_sde import BaseSDE, SDEIto, SDEStratonovich
from .forward import sdeint
from .interval import BrownianInterval, brownian_interval_like
from .reverse import ReverseBrownian
from .started import BrownianPath, BrownianTree

__version__ = "0.2.6"
"""Of the torchsde whose interface this is."""


def __getattr__(name: str) -> object:
    raise AttributeError(
        f"neither latentsde.compat.torchsde nor torchsde {__version__} has a public name {name!r}"
    )


__all__ = [
    "BaseBrownian",
    "BaseSDE",
    "BrownianInterval",
    "BrownianPath",
    "BrownianTree",
    "ReverseBrownian",
    "SDEIto",
    "SDEStratonovich",
    "brownian_interval_like",
    "sdeint",
    "sdeint_adjoint",
    "settings",
    "types",
]
