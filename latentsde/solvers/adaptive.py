"""The steps that a PID controller accepts, found by taking them.

The search runs off the tape. It ends with a grid, which is then solved like any other: every adjoint goes
over accepted steps alone and takes their lengths as given.

Decisions are made in tensors: the host asks how far they are after up to 256 trials, a few dozen times in a
solve of thousands. For an ODE that is all. A path, though, reads the times it is asked for on the host: of an
SDE on a CUDA device every trial waits for one copy of its times, and for two where the error is estimated by
two half steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .adjoints.base import nothing_to_differentiate
from .adjoints.captured import held_by
from .adjoints.sweep import rebuilt, tensors_of
from .equation import Equation
from .events import Changes, Crossed, Event
from .finite import not_finite_at_start
from .grid import StepGrid
from .march import Trajectory
from .methods import Method, Step
from .pid import PID
from .state import State, Value, each, parts_of, where
from .timeline import Timeline

_MOST_AT_ONCE = 256
_SMALLEST_ERROR = 1e-10


class StepTooSmall(ArithmeticError):
    """The controller cannot go on: the error stays too large, or is not a number, down to the smallest step.

    Attributes:
        time: where, a number (of the first such sample, with steps of each its own).
        error: the last estimate, in units of the tolerance.
        state: the last good state.
    """

    def __init__(self, message: str, time: float, error: float, state: Any) -> None:
        super().__init__(message)
        self.time, self.error, self.state = time, error, state


@dataclass
class Adapted:
    """What the search found.

    Attributes:
        grid: the accepted steps.
        rejected: the number of steps taken back, of the sample with most.
        trajectory: at the requested times, off the tape.
        differentiable: a gradient may be asked for, so that the grid has to be solved once more on a tape.
        crossed: where each sample has its event, if one was asked for; there, or where the last one has,
            the steps end.
    """

    grid: StepGrid
    rejected: int
    trajectory: Trajectory
    differentiable: bool
    crossed: Crossed | None


def adapt(
    controller: PID,
    equation: Equation,
    method: Method,
    y0: Value,
    times: Tensor,
    path: Any,
    carry: Any,
    event: Event | None = None,
) -> Adapted:
    """Find the steps from times[0] to times[-1], (times,) or (times, batch) float64; all in their order.

    Raises:
        StepTooSmall: the tolerance cannot be met.
        NotFinite: y0, f or g is not finite at the start.
    """
    known = [*parts_of(y0), *tensors_of(carry), *held_by(equation.sde)]
    differentiable = not nothing_to_differentiate(known)
    # What nobody holds, such as a network that is a global, is seen only by what becomes of a step.
    watched = torch.is_grad_enabled() and not differentiable
    with torch.no_grad():
        search = _Search(controller, equation, method, y0, times, path, carry, watched, event)
        while search.go_on():
            pass
        found = search.result()
    found.differentiable |= differentiable
    return found


class _Search:
    """Columns of times: one for all samples, or one for each."""

    def __init__(
        self,
        controller: PID,
        equation: Equation,
        method: Method,
        y0: Value,
        times: Tensor,
        path: Any,
        carry: Any,
        watched: bool,
        event: Event | None,
    ) -> None:
        self.controller, self.equation, self.method, self.path = controller, equation, method, path
        # Whether steps are looked at for what they depend on, and whether it has a gradient.
        self.watched, self.differentiable = watched, False
        first = y0[0] if isinstance(y0, State) else y0
        self.like, self.device = first, first.device
        self.own = controller.per_sample or times.dim() == 2
        columns = times if times.dim() == 2 else times.unsqueeze(1)
        if self.own and times.dim() == 1:
            columns = columns.expand(-1, first.shape[0])
        self.times = columns.to(self.device).contiguous()
        forwards = self.times[-1] >= self.times[0]
        self.direction = torch.where(forwards, 1.0, -1.0).to(torch.float64)
        self.y: Any = y0
        self.t = self.times[0].clone()
        self.target = self._first_ahead()
        self.changes = None if event is None else Changes(event, self._shaped(self.t), y0)
        self.taken = torch.zeros_like(self.target)
        # Of general noise a step's largest error is the area between channels, and an estimate from W alone
        # has none of it: it can be zero at any error. Two half steps see some of the area.
        has_areas = equation.noise_type == "general" and not equation.is_additive
        self.embedded = method.embedded and not (has_areas and method.levy_area is None)
        kind = method.order
        if not equation.has_noise:
            order = kind.ode or 1.0
            order = order if self.embedded else order + 1.0
        else:
            strong = kind.strong if equation.noise_type == "general" else kind.strong_commutative
            order = ((kind.strong_additive if equation.is_additive else strong) or 0.5) + 0.5
        self.order = order
        self.exponents = controller.exponents(order, equation.has_noise)
        self.errors = [torch.ones_like(self.t), torch.ones_like(self.t)]
        if carry is None:
            carry = self._off_tape(lambda: method.start(equation, self._shaped(self.t), y0))
        self.carry = carry
        self.trial = 0
        self.stuck = torch.zeros_like(self.t, dtype=torch.bool)
        self.last_error = torch.zeros_like(self.t)
        # Of the whole search: accepted points, and the states at the requested times.
        self.points: list[Tensor] = [self.t.cpu()]
        self.accepted: list[Tensor] = [torch.ones(len(self.t), dtype=torch.bool)]
        self.rejected = torch.zeros(len(self.t), dtype=torch.int64)
        self.outputs = each(lambda x: x.new_zeros((len(times), *x.shape)), y0)
        self.seen = torch.zeros_like(self.target).cpu()
        self._keep(y0, self.target.cpu())
        self.going = self._running().cpu()
        self.next_look = 1
        self.h = self._first_step()

    # What the host does

    def go_on(self) -> bool:
        """Some trials, then a look at how they went: whether there is more to do."""
        log = [self._try() for _ in range(self.next_look)]
        # One copy to the host for all of them.
        figures = torch.stack([torch.stack(row[:-1]) for row in log]).cpu()
        for (*_, y), (middle, t, accepted, target, _, running) in zip(log, figures, strict=True):
            accept = accepted > 0
            if not self.embedded:
                self.points.append(middle)
                self.accepted.append(accept)
            self.points.append(t)
            self.accepted.append(accept)
            self.rejected += ~accept & self.going
            self.going = running > 0
            self._keep(y, target.to(torch.int64))
        self.trial += len(log)
        stuck = figures[-1, 4].tolist()
        if any(stuck):
            self._fail(stuck.index(1.0))
        if not any(self.going.tolist()):
            return False
        if self.trial >= self.controller.max_steps:
            time, error = float(self.t[0]), float(self.errors[0].max())
            raise StepTooSmall(
                f"no end after {self.trial} steps (max_steps), at t = {time:.6g}; "
                "loosen rtol and atol or raise max_steps",
                time,
                error,
                self._good_state(),
            )
        left = (self.times[-1] - self.t).abs() / self.h.clamp_min(1e-300)
        left = torch.where(self._running(), left, 0.0)
        # Steps lengthen as the controller learns: what looks far now may be near soon.
        most = min(self.trial, _MOST_AT_ONCE)
        (trials,) = (left.max() * 0.75).clamp(1, most).reshape(1).tolist()
        self.next_look = int(trials)
        return True

    def _fail(self, column: int) -> None:
        time, error = float(self.t[column]), float(self.last_error[column])
        if error != error and time == float(self.times[0, column]):
            self._check_start()
        what = "is not a number" if error != error else f"is {error:.3g} times the tolerance"
        smallest = self.controller.dt_min
        bound = "the rounding of t" if smallest is None else f"dt_min = {smallest:g}"
        raise StepTooSmall(
            f"at t = {time:.6g} the error {what} down to the smallest step ({bound}); "
            "look at f and g near the state that this exception carries, or loosen rtol and atol",
            time,
            error,
            self._good_state(),
        )

    def _check_start(self) -> None:
        """NotFinite if y0, or f or g there, is not finite."""
        y0 = each(lambda kept: kept[0], self.outputs)
        wrong = not_finite_at_start(self.equation, self._shaped(self.times[0]), y0)
        if wrong is not None:
            raise wrong

    def _good_state(self) -> Any:
        return tuple(self.y) if isinstance(self.y, State) else self.y

    def _keep(self, y: Any, target: Tensor) -> None:
        """Keep the state at the requested times from number `seen` to below `target`, of each column."""
        before, after = self.seen.tolist(), target.tolist()
        self.seen = target
        if before == after:
            return
        for out, part in zip(parts_of(self.outputs), parts_of(y), strict=True):
            for column, (start, stop) in enumerate(zip(before, after, strict=True)):
                if self.own and stop > start:
                    out[start:stop, column] = part[column]
                elif stop > start:
                    out[start:stop] = part

    def result(self) -> Adapted:
        """What was found."""
        points, accepted = torch.stack(self.points), torch.stack(self.accepted)
        columns = [points[accepted[:, k], k] for k in range(points.shape[1])]
        wanted = self.times.cpu()
        outputs = [
            torch.searchsorted(column * sign, (wanted[:, k] * sign).contiguous()).clamp_max(len(column) - 1)
            for k, (column, sign) in enumerate(zip(columns, self.direction.tolist(), strict=True))
        ]
        if self.own:
            length = max(len(column) for column in columns)
            grid = torch.stack([torch.cat([c, c[-1:].expand(length - len(c))]) for c in columns], 1)
            steps = StepGrid(grid, torch.stack(outputs, 1))
        else:
            steps = StepGrid(columns[0], outputs[0])
        states = [each(lambda x, k=k: x[k], self.outputs) for k in range(len(wanted))]
        trajectory = Trajectory(states, None, self.y, None, self.carry)
        crossed = None if self.changes is None else self.changes.crossed(steps.steps)
        return Adapted(steps, int(self.rejected.max()), trajectory, self.differentiable, crossed)

    # In tensors

    def _try(self) -> tuple[Any, ...]:
        """One trial of every column: (middle, t, accepted, target, stuck, running) after it, as float64, and
        y.
        """
        controller, running = self.controller, self._running()
        goal = self.times.gather(0, self.target.clamp_max(len(self.times) - 1).unsqueeze(0))[0]
        left = (goal - self.t).abs()
        # What is left is taken at once, or in two equal parts rather than one and a sliver.
        h = torch.where(left <= self.h * 1.000001, left, torch.where(left < 2 * self.h, 0.5 * left, self.h))
        t1 = torch.where(h == left, goal, self.t + self.direction * h)
        middle = 0.5 * (self.t + t1)
        y1, carry, error, half = self._off_tape(lambda: self._step(middle, t1))
        # Bounded below: a history with a zero in it would make every step to come shorter.
        e = self._norm(error, y1).clamp_min(_SMALLEST_ERROR)
        accept = (e <= 1.0) & running
        smallest = 16 * torch.finfo(torch.float64).eps * self.t.abs().clamp_min(1e-30)
        if controller.dt_min is not None:
            smallest = torch.full_like(smallest, controller.dt_min)
        # A column that is stuck stays so until the host looks.
        self.stuck = self.stuck | (running & ~accept & (h <= smallest * 1.000001))
        self.last_error = e
        self.h = torch.where(running, self._next(h, e, accept).clamp_min(smallest), self.h)
        mask = accept if self.own else accept[0]
        if self.changes is not None:
            mask = mask & ~self.changes.occurred  # what comes after its event may overflow
        self.y, self.carry = where(mask, y1, self.y), where(mask, carry, self.carry)
        last, one_before = self.errors
        self.errors = [torch.where(accept, e, last), torch.where(accept, last, one_before)]
        self.t = torch.where(accept, t1, self.t)
        self.target = self._first_ahead()
        self._look(middle, half, accept)
        figures = (middle, self.t, accept, self.target, self.stuck, self._running())
        return (*(x.to(torch.float64) for x in figures), self.y)

    def _running(self) -> Tensor:
        """The columns that go on: with times ahead, and a sample that has not had its event."""
        ahead = self.target < len(self.times)
        if self.changes is None:
            return ahead
        return ahead & ~(self.changes.occurred if self.own else self.changes.occurred.all())

    def _look(self, middle: Tensor, half: Any, accept: Tensor) -> None:
        """Look for events at the ends of the steps that were accepted."""
        if self.changes is None:
            return
        ends = [(self.t, self.y)] if self.embedded else [(middle, half), (self.t, self.y)]
        for t, y in ends:
            self.changes.look(self._shaped(t), y, self.taken, accept)
            self.taken = self.taken + accept

    def _first_ahead(self) -> Tensor:
        """The number of the first requested time that is not where the column stands, or behind it."""
        return ((self.times - self.t) * self.direction <= 0).sum(0)

    def _next(self, h: Tensor, e: Tensor, accept: Tensor) -> Tensor:
        controller = self.controller
        b1, b2, b3 = self.exponents
        factor = controller.safety * e**-b1 * self.errors[0] ** -b2 * self.errors[1] ** -b3
        # After a rejection the history is of other steps, and the step must become shorter.
        shorter = (controller.safety * e ** (-1.0 / self.order)).clamp_max(0.9)
        factor = torch.where(accept, factor, shorter).nan_to_num(nan=controller.factor_min)
        longer = h * factor.clamp(controller.factor_min, controller.factor_max)
        # A step cut short by a requested time does not shorten the next one.
        longer = torch.where(accept & (longer < self.h) & (h < self.h), self.h, longer)
        return longer if controller.dt_max is None else longer.clamp_max(controller.dt_max)

    def _off_tape(self, make: Callable[[], Any]) -> Any:
        """What `make` makes, without its graph. While the search is watched there is one to look at, which is
        empty as long as nobody wants a gradient.
        """
        with torch.set_grad_enabled(self.watched):
            made = make()
        if not (self.watched and any(x.requires_grad for x in tensors_of(made))):
            return made
        self.watched, self.differentiable = False, True
        return rebuilt(made, [x.detach() for x in tensors_of(made)])

    def _step(self, middle: Tensor, t1: Tensor) -> tuple[Any, Any, Any, Any]:
        """(y, carry, error) at the end, and y at the middle of two half steps."""
        method, equation = self.method, self.equation
        if self.embedded:
            (step,) = self._steps(torch.stack([self.t, t1]))
            return (*method.advance_with_error(equation, step, self.y, self.carry), None)
        (whole,) = self._steps(torch.stack([self.t, t1]))
        first, second = self._steps(torch.stack([self.t, middle, t1]))
        rough, _ = method.advance(equation, whole, self.y, self.carry)
        half, carry = method.advance(equation, first, self.y, self.carry)
        fine, carry = method.advance(equation, second, half, carry)
        return fine, carry, fine - rough, half

    def _steps(self, points: Tensor) -> list[Step]:
        grid = StepGrid(points if self.own else points[:, 0], points)
        timeline = Timeline(
            grid, self.y, self.path, levy_area=self.method.levy_area_for(self.equation), on_device=True
        )
        return timeline.block(0, len(points) - 1)

    def _shaped(self, t: Tensor) -> Tensor:
        t = t.to(self.like.dtype)
        return t.view(-1, *(1,) * (self.like.dim() - 1)) if self.own else t[0]

    def _norm(self, error: Any, y1: Any) -> Tensor:
        """The error of each column, (columns,): of one for all samples, the worst one's."""
        controller, count = self.controller, 0
        sums: Any = 0.0
        for e, before, after in zip(parts_of(error), parts_of(self.y), parts_of(y1), strict=True):
            scale = controller.atol + controller.rtol * torch.maximum(before.abs(), after.abs())
            share = (e / scale).square()
            sums = sums + (share.flatten(1).sum(1) if share.dim() > 1 else share.reshape(-1))
            count += max(1, share[0].numel() if share.dim() else 1)
        norms = (sums / count).sqrt().to(torch.float64)
        norms = torch.where(norms.isfinite(), norms, torch.full_like(norms, float("nan")))
        if self.own:
            return norms
        if self.changes is not None:
            norms = torch.where(self.changes.occurred, 0.0, norms)
        return norms.max().reshape(1)

    def _first_step(self) -> Tensor:
        controller = self.controller
        span = (self.times[-1] - self.times[0]).abs()
        if controller.dt0 is not None:
            h = torch.full_like(span, controller.dt0)
        else:
            # Hairer, Nørsett & Wanner 1993, section II.4: a hundredth of the state's own time.
            drift = self.equation.f(self._shaped(self.t), self.y)
            h = (0.01 * self._size(self.y) / self._size(drift).clamp_min(1e-10)).clamp_min(1e-6)
            if not bool(h.isfinite().all()):
                self._check_start()
                h = h.nan_to_num(nan=1e-6)  # only the squares of what is there are not finite
            h = torch.minimum(h, 0.1 * span.clamp_min(1e-300))
        return h if controller.dt_max is None else h.clamp_max(controller.dt_max)

    def _size(self, value: Any) -> Tensor:
        zero = each(torch.zeros_like, value)
        return self._norm(value, zero)
