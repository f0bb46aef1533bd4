"""Minimisation of losses without noise: all data at once, by L-BFGS (Liu & Nocedal 1989).

Where a likelihood is computed and not sampled, and the parameters are few, it comes in some hundred passes
over the data to where Adam does not in many thousand steps. What is done is kept every few passes, and gone
on with by the next call.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from latentsde.files import write_whole

ROUND, HISTORY = 20, 1500


def minimise(
    loss: Callable[[int], Tensor], parts: int, parameters: Sequence[Tensor], iterations: int, place: Path
) -> float:
    """Iterations of L-BFGS with strong Wolfe line search on the sum of loss(0), ..., loss(parts - 1).

    Parameters are changed in place; `place` is the file of what is done. Returns the seconds that all took.
    It ends earlier where the line search finds nothing better.
    """
    optimiser = torch.optim.LBFGS(
        parameters,
        max_eval=2 * ROUND,
        history_size=HISTORY,
        line_search_fn="strong_wolfe",
        tolerance_grad=0.0,
        tolerance_change=0.0,
    )
    done, seconds = 0, 0.0
    if place.exists():
        state = torch.load(place, weights_only=True)
        done, seconds = state["iterations"], state["seconds"]
        optimiser.load_state_dict(state["optimiser"])
        with torch.no_grad():
            for parameter, value in zip(parameters, state["parameters"], strict=True):
                parameter.copy_(value)

    def closure() -> Tensor:
        optimiser.zero_grad()
        total = torch.zeros((), dtype=torch.float64)
        for part in range(parts):
            value = loss(part)
            value.backward()
            total += value.detach()
        return total

    while done < iterations:
        began = time.monotonic()
        optimiser.param_groups[0]["max_iter"] = min(ROUND, iterations - done)
        value = float(optimiser.step(closure))
        reached = optimiser.state_dict()["state"][0]["n_iter"]
        seconds += time.monotonic() - began
        print(f"iteration {reached}: {value:.4f}, {seconds:.0f} s", flush=True)
        if reached == done:
            break
        done = reached
        state = {
            "iterations": done,
            "seconds": seconds,
            "optimiser": optimiser.state_dict(),
            "parameters": [parameter.detach() for parameter in parameters],
        }
        write_whole(place, partial(torch.save, state))
    return seconds
