"""What an SDE's gradients flow to besides y: its parameters, and every other tensor it holds.

Found, not declared: a context kept as an attribute or closed over gets its gradient like a parameter. A walk
through the object finds the tensors; a look at the graph of one evaluation makes sure that there is no other.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from ..march import Problem
from ..state import parts_of, with_gradient

_EVALUATED = ("f", "g", "h", "functional", "contraction", "prior_drift")


def captured_inputs(problem: Problem, given: Iterable[Tensor] = ()) -> list[Tensor]:
    """The tensors other than y that f, g and the functional of the problem depend on.

    Raises:
        ValueError: an evaluation depends on a computed tensor that neither the SDE nor `given` holds.
    """
    found = {id(x): x for x in given if x.requires_grad}
    found.update({id(x): x for x in held_by(problem.equation.sde)})
    for leaf in _leaves_of_an_evaluation(problem, list(found.values())):
        found.setdefault(id(leaf), leaf)
    return list(found.values())


def held_by(sde: Any) -> Iterator[Tensor]:
    """The tensors with gradients that an object holds, in attributes, containers, modules and closures."""
    seen: set[int] = set()
    todo: list[Any] = [sde]
    todo.extend(getattr(sde, name, None) for name in _EVALUATED)
    todo.extend(vars(type(sde)).values())
    while todo:
        value = todo.pop()
        if value is None or isinstance(value, (str, bytes, int, float, torch.dtype)) or id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Tensor):
            if value.requires_grad:
                yield value
            continue
        if isinstance(value, nn.Module):
            yield from (p for p in value.parameters() if p.requires_grad and id(p) not in seen)
            seen.update(id(p) for p in value.parameters())
            for module in value.modules():
                seen.add(id(module))
                todo.extend(x for name, x in vars(module).items() if name not in _MODULE_INTERNALS)
                todo.extend(module._buffers.values())
        elif isinstance(value, dict):
            todo.extend(value.values())
        elif isinstance(value, (list, tuple, set, frozenset)):
            todo.extend(value)
        elif isinstance(value, types.MethodType):
            todo.extend((value.__self__, value.__func__))
        elif isinstance(value, types.FunctionType):
            todo.extend(_contents(value))
        elif isinstance(value, functools.partial):
            todo.extend((value.func, value.args, value.keywords))
        elif not isinstance(value, (type, types.ModuleType)) and hasattr(value, "__dict__"):
            todo.append(vars(value))


_MODULE_INTERNALS = frozenset(vars(nn.Module())) - {"training"}


def _contents(function: types.FunctionType) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # a name that has no value yet
            continue
    yield function.__defaults__
    yield function.__kwdefaults__


def _leaves_of_an_evaluation(problem: Problem, known: list[Tensor]) -> list[Tensor]:
    """The leaf tensors that one evaluation depends on; ValueError for other tensors than the known."""
    sde, t, y0 = problem.equation.sde, problem.timeline.first, problem.y0
    with torch.enable_grad():
        y = with_gradient(y0)
        # Nodes made from here on have a higher number: an edge to an older one leaves the evaluation.
        marker: Any = torch.zeros((), requires_grad=True).exp().grad_fn
        newest = marker._sequence_nr()
        values = [*parts_of(sde.f(t, y)), *(parts_of(sde.g(t, y)) if problem.equation.has_noise else ())]
        if hasattr(sde, "functional") and problem.timeline.steps:
            values.append(_functional(problem, t, y))
    edges = {(x.grad_fn, x.output_nr) for x in known if x.grad_fn is not None}
    leaves: dict[int, Tensor] = {}
    own = {id(part) for part in parts_of(y)}
    todo = [v.grad_fn for v in values if isinstance(v, Tensor) and v.grad_fn is not None]
    # f may return what it holds as it is.
    todo = [node for node in todo if not any(node is edge[0] for edge in edges)]
    seen = set()
    while todo:
        node = todo.pop()
        if node in seen:
            continue
        seen.add(node)
        for following, number in node.next_functions:
            if following is None or (following, number) in edges:
                continue
            if hasattr(following, "variable"):
                if id(following.variable) not in own:
                    leaves[id(following.variable)] = following.variable
            elif following._sequence_nr() <= newest:
                raise ValueError(
                    f"{type(sde).__name__} depends on a computed tensor that it does not hold; keep it as "
                    "an attribute of the SDE, name it in the adjoint's inputs (Backsolve(inputs=[...])), "
                    'or take adjoint="direct"'
                )
            else:
                todo.append(following)
    return list(leaves.values())


def _functional(problem: Problem, t: Any, y: Any) -> Tensor:
    from ..march import Functional

    functional = Functional(problem.equation.sde, y)
    functional.add(problem.timeline.block(0, 1), [y], [True])
    return functional.total
