"""The cases of `latentsde bench solver`: what of ours against which peer, and the bar."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from latentsde.benchmarks.installed import missing
from latentsde.benchmarks.solver import peers
from latentsde.benchmarks.solver.ours import Ours, every_method
from latentsde.benchmarks.solver.plan import LARGE, SMALL, Plan, Size
from latentsde.benchmarks.timing import Contender

BARE = "no gradients: solve / bare evaluations of f and g"
DIRECT = 'forward and backward: adjoint="direct" / hand-written loop'
CONSTANT = "forward and backward: adjoints of constant memory / hand-written loop"
TORCHSDE_ADJOINT = "forward and backward: torchsde.sdeint_adjoint / adjoints of constant memory"
COMPILED = "eager / compile=True"
TORCHSDE = "torchsde.sdeint / solve"
DIFFRAX = "diffrax.diffeqsolve, jit / solve"

CONSTANT_MEMORY = (
    Ours("ito", "euler", "backsolve", backward=True),
    Ours("stratonovich", "heun", "backsolve", backward=True),
    Ours("stratonovich", "midpoint", "backsolve", backward=True),
    Ours("stratonovich", "reversible_heun", "reversible", backward=True),
)
DIRECT_ONES = (
    Ours("ito", "euler", backward=True),
    Ours("stratonovich", "heun", backward=True),
)
# Our name of torchsde's method, where it is another one.
OURS_OF = {"milstein": "milstein_derivative"}
TORCHSDE_METHODS = (
    "euler",
    "milstein",
    "srk",
    "euler_heun",
    "heun",
    "midpoint",
    "log_ode",
    "reversible_heun",
)


@dataclass(frozen=True)
class Bar:
    """What the ratio must be: at most `most`, or at least `least`."""

    most: float | None = None
    least: float | None = None

    def __str__(self) -> str:
        return f"<= {self.most:.2f}" if self.most is not None else f">= {self.least:g}"

    def met(self, ratio: float) -> bool:
        if self.most is not None:
            return ratio <= self.most
        return self.least is None or ratio >= self.least


@dataclass(frozen=True)
class Case:
    """One line of the table: the ratio that `title` names.

    Attributes:
        ours, peer: make the contenders when the case's turn comes; None with `absent`.
        bar: None where the line is information.
        absent: why there is nothing to measure.
        first: whether the first call of ours is told, which compiles.
    """

    title: str
    what: str
    size: Size
    ours: Callable[[], Contender] | None = None
    peer: Callable[[], Contender] | None = None
    bar: Bar | None = None
    absent: str | None = None
    first: bool = False

    @property
    def ours_above(self) -> bool:
        """Whether the ratio is ours / peer, a cost; otherwise it is peer / ours, times faster."""
        return self.title in (BARE, DIRECT, CONSTANT)


def cases(plan: Plan) -> Iterator[Case]:
    """Every case of the plan, in the order of the table."""
    smallest = plan.sizes[0]
    for make in (_bare, _direct, _constant, _torchsde_adjoint):
        for size in plan.sizes:
            yield from make(size, plan)
    if plan.compiled:
        yield from _compiled(smallest, plan)
    for make in (_torchsde, _diffrax):
        for size in plan.sizes:
            yield from make(size, plan)


def _bare(size: Size, plan: Plan) -> Iterator[Case]:
    small = _is_small(size)
    for ours in every_method():
        if ours.method == "euler":
            bar = Bar(most=1.25 if small else 1.15)
        else:
            bar = Bar(most=1.4 if small else 1.25)
        yield _case(
            BARE, f"{ours.method}, {ours.kind}", size, plan, ours, _evaluations(ours, size, plan), bar
        )
    # What is left of the bar to a solver: the sums and products alone cost this much.
    for ours in (Ours("ito", "euler"), Ours("stratonovich", "heun"), Ours("stratonovich", "reversible_heun")):
        by_hand = partial(peers.hand_loop, ours.kind, ours.method, size, plan.steps, backward=False)
        what = f"for comparison: {ours.method} by hand"
        yield Case(BARE, what, size, by_hand, _evaluations(ours, size, plan))


def _evaluations(ours: Ours, size: Size, plan: Plan) -> Callable[[], Contender]:
    # The derivative of g along itself is what this method evaluates in place of a second g.
    products = ours.method == "milstein_derivative"
    return lambda: peers.bare(ours.kind, size, *ours.evaluations(plan.steps), products=products)


def _direct(size: Size, plan: Plan) -> Iterator[Case]:
    for ours in DIRECT_ONES:
        yield _case(
            DIRECT, f"{ours.method}, {ours.kind}", size, plan, ours, _hand(ours, size, plan), Bar(1.1)
        )


def _constant(size: Size, plan: Plan) -> Iterator[Case]:
    for ours in CONSTANT_MEMORY:
        yield _case(CONSTANT, _named(ours), size, plan, ours, _hand(ours, size, plan), Bar(1.6))


def _hand(ours: Ours, size: Size, plan: Plan) -> Callable[[], Contender]:
    return partial(peers.hand_loop, ours.kind, ours.method, size, plan.steps)


def _torchsde_adjoint(size: Size, plan: Plan) -> Iterator[Case]:
    # At the largest size the network's own cost is the limit: 4/3 of plain backpropagation.
    bar = Bar(least=2.8 if size.batch * size.hidden >= LARGE.batch * LARGE.hidden else 4.0)
    for ours in CONSTANT_MEMORY:
        yield _case(
            TORCHSDE_ADJOINT,
            _named(ours),
            size,
            plan,
            ours,
            partial(peers.torchsde_adjoint, ours.kind, ours.method, size, plan.steps),
            bar,
            needs=("torchsde",),
        )


def _compiled(size: Size, plan: Plan) -> Iterator[Case]:
    for backward in (False, True):
        eager = Ours("ito", "euler", backward=backward)
        ours = Ours("ito", "euler", backward=backward, compiled=True)
        what = f"euler, ito, {_passes(backward)}"
        peer = partial(eager.contender, size, plan.steps)
        yield _case(COMPILED, what, size, plan, ours, peer, Bar(least=2.0), first=True)


def _torchsde(size: Size, plan: Plan) -> Iterator[Case]:
    by_name = {ours.method: ours for ours in every_method()}
    for theirs in TORCHSDE_METHODS:
        yield _against_torchsde(by_name[OURS_OF.get(theirs, theirs)], theirs, size, plan)
    for ours in DIRECT_ONES:
        yield _against_torchsde(ours, ours.method, size, plan)


def _against_torchsde(ours: Ours, theirs: str, size: Size, plan: Plan) -> Case:
    return _case(
        TORCHSDE,
        f"{ours.method}, {ours.kind}, {_passes(ours.backward)}",
        size,
        plan,
        ours,
        partial(peers.torchsde_solve, ours.kind, theirs, size, plan.steps, backward=ours.backward),
        needs=("torchsde",),
    )


def _diffrax(size: Size, plan: Plan) -> Iterator[Case]:
    for backward, tree in ((False, True), (False, False), (True, True)):
        path = "virtual Brownian tree" if tree else "path without memory"
        yield _case(
            DIFFRAX,
            f"euler, ito, {_passes(backward)}; its {path}",
            size,
            plan,
            Ours("ito", "euler", backward=backward),
            partial(peers.diffrax_solve, size, plan.steps, backward=backward, tree=tree),
            needs=("jax", "diffrax"),
        )


def _case(
    title: str,
    what: str,
    size: Size,
    plan: Plan,
    ours: Ours,
    peer: Callable[[], Contender],
    bar: Bar | None = None,
    *,
    needs: tuple[str, ...] = (),
    first: bool = False,
) -> Case:
    if absent := missing(*needs):
        return Case(title, what, size, bar=bar, absent=absent)
    return Case(title, what, size, lambda: ours.contender(size, plan.steps), peer, bar, first=first)


def _named(ours: Ours) -> str:
    return f"{ours.adjoint}, {ours.method}, {ours.kind}"


def _passes(backward: bool) -> str:
    return "forward and backward" if backward else "forward"


def _is_small(size: Size) -> bool:
    return size.batch * size.hidden <= SMALL.batch * SMALL.hidden
