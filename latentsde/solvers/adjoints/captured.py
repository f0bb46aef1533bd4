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

    None of them is computed from another: a context is one, the encoder it came from is not.

    Raises:
        ValueError: an evaluation depends on a computed tensor that neither the SDE nor `given` holds.
    """
    found = {id(x): x for x in given if x.requires_grad}
    found.update({id(x): x for x in held_by(problem.equation.sde)})
    reached = _reached_by_an_evaluation(problem, list(found.values()))
    found.update((id(x), x) for x in reached if x.is_leaf)
    computed = [x for x in found.values() if x.grad_fn is not None]
    if not computed:
        return list(found.values())
    edges, leaves = _upstream(computed)
    origins = {key for key, x in found.items() if key in leaves or (x.grad_fn, x.output_nr) in edges}
    if origins.isdisjoint(id(x) for x in reached):
        return [x for key, x in found.items() if key not in origins]
    # A tensor that is used itself and through another counts once only where both go back to the leaves.
    return list({**{key: x for key, x in found.items() if x.is_leaf}, **leaves}.values())


def held_by(sde: Any) -> Iterator[Tensor]:
    """The tensors with gradients that an object holds, in attributes, containers, modules and closures."""
    seen: dict[int, Any] = {}  # with the objects, so that none of these numbers is given away again
    todo: list[Any] = [sde]
    todo.extend(getattr(sde, name, None) for name in _EVALUATED)
    for kind in type(sde).__mro__:
        if kind is not nn.Module and kind is not object:
            todo.extend(vars(kind).values())
    while todo:
        value = todo.pop()
        if value is None or isinstance(value, (str, bytes, int, float, torch.dtype)) or id(value) in seen:
            continue
        seen[id(value)] = value
        if isinstance(value, Tensor):
            if value.requires_grad:
                yield value
            continue
        if isinstance(value, nn.Module):
            yield from (p for p in value.parameters() if p.requires_grad and id(p) not in seen)
            seen.update((id(p), p) for p in value.parameters())
            for module in value.modules():
                seen[id(module)] = module
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
        elif not isinstance(value, (type, types.ModuleType)):
            todo.append(getattr(value, "__dict__", None))
            slots = (name for kind in type(value).__mro__ for name in kind.__dict__.get("__slots__", ()))
            todo.extend(getattr(value, name, None) for name in slots)


_MODULE_INTERNALS = frozenset(vars(nn.Module())) - {"training"}


def _contents(function: types.FunctionType) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # a name that has no value yet
            continue
    yield function.__defaults__
    yield function.__kwdefaults__


def _reached_by_an_evaluation(problem: Problem, known: list[Tensor]) -> list[Tensor]:
    """The known tensors and the leaves that one evaluation depends on by itself, not through a known one;
    ValueError for other tensors.
    """
    sde, t, y0 = problem.equation.sde, problem.timeline.first.detach(), problem.y0
    with torch.enable_grad():
        y = with_gradient(y0)
        # Nodes made from here on have a higher number: an edge to an older one leaves the evaluation.
        marker: Any = torch.zeros((), requires_grad=True).exp().grad_fn
        newest = marker._sequence_nr()
        values = [*parts_of(sde.f(t, y)), *(parts_of(sde.g(t, y)) if problem.equation.has_noise else ())]
        if hasattr(sde, "functional") and problem.timeline.steps:
            values.append(_functional(problem, t, y))
    edges = {(x.grad_fn, x.output_nr): x for x in known if x.grad_fn is not None}
    reached: dict[int, Tensor] = {}
    own = {id(part) for part in parts_of(y)}
    # f may return what it holds as it is.
    todo: list[Any] = [(v.grad_fn, v.output_nr) for v in values if isinstance(v, Tensor) and v.grad_fn]
    reached.update((id(v), v) for v in values if isinstance(v, Tensor) and v.is_leaf and v.requires_grad)
    seen = set()
    while todo:
        edge = todo.pop()
        node = edge[0]
        if edge in edges:
            reached[id(edges[edge])] = edges[edge]
        elif hasattr(node, "variable"):
            if id(node.variable) not in own:
                reached[id(node.variable)] = node.variable
        elif node in seen:
            continue
        elif node._sequence_nr() <= newest:
            raise ValueError(
                f"{type(sde).__name__} depends on a computed tensor that it does not hold; keep it as "
                "an attribute of the SDE, name it in the adjoint's inputs (Backsolve(inputs=[...])), "
                'or take adjoint="direct"'
            )
        else:
            seen.add(node)
            todo.extend(following for following in node.next_functions if following[0] is not None)
    return list(reached.values())


def _upstream(computed: list[Tensor]) -> tuple[set[Any], dict[int, Tensor]]:
    """All edges of the graph that the tensors were computed by, and its leaves."""
    todo = [edge for x in computed if x.grad_fn is not None for edge in x.grad_fn.next_functions]
    edges, seen = set(), set()
    leaves: dict[int, Tensor] = {}
    while todo:
        edge = todo.pop()
        node: Any = edge[0]
        if node is None:
            continue
        edges.add(edge)
        if hasattr(node, "variable"):
            leaves[id(node.variable)] = node.variable
        elif node not in seen:
            seen.add(node)
            todo.extend(node.next_functions)
    return edges, leaves


def _functional(problem: Problem, t: Any, y: Any) -> Tensor:
    from ..march import Functional

    functional = Functional(problem.equation.sde, y)
    functional.add(problem.timeline.block(0, 1), [y], [True])
    return functional.total
