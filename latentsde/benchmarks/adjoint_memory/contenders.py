"""The contenders: forward and backward solves of one problem whose memory is compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from latentsde.benchmarks.installed import missing
from latentsde.benchmarks.solver import peers
from latentsde.benchmarks.solver.ours import Ours
from latentsde.benchmarks.solver.plan import Size
from latentsde.benchmarks.solver.problem import differentiate, problem, start

Work = Callable[[], object]


@dataclass(frozen=True)
class Contender:
    """One way to a gradient.

    Attributes:
        name: as the table and the figure show it.
        kind: of the problem.
        method: of the solve.
        adjoint: of `solve`, or the function of torchsde, or "diffrax".
        constant: whether its memory must not grow with the number of steps.
    """

    name: str
    kind: str
    method: str
    adjoint: str
    constant: bool = False

    @property
    def ours(self) -> bool:
        return self.adjoint not in ("sdeint", "sdeint_adjoint", "diffrax")

    def missing(self, device: str = "cpu") -> str | None:
        """Why it cannot be measured; None where it can."""
        if self.adjoint == "diffrax" and device != "cpu":
            return "jax allocates by itself"
        if self.ours:
            return None
        return missing(*(("jax", "diffrax") if self.adjoint == "diffrax" else ("torchsde",)))

    def prepare(self, size: Size, steps: int, device: str = "cpu") -> Work:
        """The forward and backward solve; what is compiled is compiled here."""
        if self.adjoint == "diffrax":
            compiled: Work = peers.diffrax_solve(size, steps, backward=True, tree=True).prepare(1)
            compiled()
            return compiled
        sde = problem(self.kind, size).to(device)
        y0 = start(size).to(device).requires_grad_()

        def work() -> None:
            sde.zero_grad(set_to_none=True)
            y0.grad = None
            differentiate(self._end(sde, y0, steps))

        return work

    def _end(self, sde: object, y0: Tensor, steps: int) -> Tensor:
        if self.adjoint == "sdeint":
            return peers.sdeint(sde, y0, steps, self.method)
        if self.adjoint == "sdeint_adjoint":
            return peers.sdeint_adjoint(sde, y0, steps, self.method)
        end: Tensor = Ours(self.kind, self.method, self.adjoint, backward=True).solve(sde, y0, steps).ys[-1]
        return end


CONTENDERS = (
    Contender("direct", "ito", "euler", "direct"),
    Contender("checkpointed", "ito", "euler", "checkpointed"),
    Contender("backsolve", "ito", "euler", "backsolve", constant=True),
    Contender("reversible", "stratonovich", "reversible_heun", "reversible", constant=True),
    Contender("torchsde sdeint", "ito", "euler", "sdeint"),
    Contender("torchsde sdeint_adjoint", "ito", "euler", "sdeint_adjoint"),
    Contender("torchsde sdeint_adjoint, reversible", "stratonovich", "reversible_heun", "sdeint_adjoint"),
    Contender("diffrax, checkpointed", "ito", "euler", "diffrax"),
)
BY_NAME = {contender.name: contender for contender in CONTENDERS}
