"""Minimisation of losses without noise: all data at once, by L-BFGS (Liu & Nocedal 1989).

For a likelihood that is computed and not sampled, and few parameters. The state is kept every ROUND
iterations, and a later call goes on from it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latentsde.errors import InputError
from latentsde.files import write_whole

ROUND = 20
HISTORY = 1500  # more than a run has iterations: nothing of the curvature is forgotten
SEARCH = 25  # evaluations of a line search, at most
WORSE = 1e100  # than anything, and no infinity: line searches interpolate


def minimise(
    loss: Callable[[int], Tensor],
    parts: int,
    parameters: Sequence[Tensor],
    iterations: int,
    place: Path,
    plan: Mapping[str, Any],
) -> float:
    """Iterations of L-BFGS with strong Wolfe line search on the sum of loss(0), ..., loss(parts - 1).

    Parameters are changed in place. `place` is the file of what is done, by a plan that later calls have to
    share. Returns the seconds that all took. It ends earlier where no line search finds anything better.

    Raises:
        InputError: the file is of another plan, or of more iterations.
        ValueError: the loss is not finite to begin with.
    """
    optimiser = torch.optim.LBFGS(
        parameters,
        history_size=HISTORY,
        line_search_fn="strong_wolfe",
        tolerance_grad=0.0,
        tolerance_change=0.0,
    )
    done, seconds = 0, 0.0
    if place.exists():
        state = torch.load(place, weights_only=True)
        done, seconds = state["iterations"], state["seconds"]
        if state["plan"] != dict(plan) or done > iterations:
            raise InputError(f"{place} is of another plan, or of more iterations; choose another --out")
        optimiser.load_state_dict(state["optimiser"])
        with torch.no_grad():
            for parameter, value in zip(parameters, state["parameters"], strict=True):
                parameter.copy_(value)

    def closure() -> float:
        optimiser.zero_grad()
        total = 0.0
        for part in range(parts):
            value = loss(part)
            value.backward()
            total += float(value.detach())
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if math.isfinite(total) and all(bool(gradient.isfinite().all()) for gradient in gradients):
            return total
        optimiser.zero_grad(set_to_none=False)
        return WORSE

    while done < iterations:
        began, before = time.monotonic(), [parameter.detach().clone() for parameter in parameters]
        steps = min(ROUND, iterations - done)
        optimiser.param_groups[0].update(max_iter=steps, max_eval=SEARCH * steps)
        value = optimiser.step(closure)
        if value == WORSE:
            raise ValueError(f"the loss is not finite after {done} iterations")
        seconds += time.monotonic() - began
        print(f"iteration {done}: {value:.4f}, {seconds:.0f} s", flush=True)
        if all(torch.equal(*pair) for pair in zip(before, parameters, strict=True)):
            break
        done += steps
        state = {
            "plan": dict(plan),
            "iterations": done,
            "seconds": seconds,
            "optimiser": optimiser.state_dict(),
            "parameters": [parameter.detach() for parameter in parameters],
        }
        write_whole(place, partial(torch.save, state))
    return seconds
