"""Whoever knows torchsde 0.2.6 finds it here: names, arguments, and what its Brownian motion answers."""

from __future__ import annotations

import copy
import inspect
import itertools
import pickle
import typing
from typing import Any

import numpy as np
import pytest
import torch
import torchsde as theirs  # type: ignore[import-untyped, unused-ignore]

import latentsde
import latentsde.compat.torchsde as ours

NAMES = ["BrownianInterval", "BrownianPath", "BrownianTree", "ReverseBrownian", "BaseBrownian"]
LEVELS = theirs.settings.LEVY_AREA_APPROXIMATIONS.all()
SHAPES: list[tuple[int, ...]] = [(), (2,), (2, 3), (2, 3, 4), (2, 1), (0, 3), (2, 0)]

# torchsde warns of every call with one time; its answer is the same.
pytestmark = pytest.mark.filterwarnings("ignore:.*is optimised for interval-based queries.*")


def bare(function: Any) -> inspect.Signature:
    """The signature without annotations, which torchsde takes away from some of its own."""
    signature = inspect.signature(function)
    parameters = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
    return signature.replace(parameters=parameters, return_annotation=signature.empty)


@pytest.mark.parametrize("name", NAMES)
def test_signatures_are_torchsdes(name: str) -> None:
    mine, original = getattr(ours, name), getattr(theirs, name)
    assert bare(mine.__call__) == bare(original.__call__)
    if name != "BaseBrownian":
        assert bare(mine) == bare(original)


@pytest.mark.parametrize(
    "name",
    ["brownian_interval_like", "sdeint", "sdeint_adjoint", "BaseSDE", "SDEIto", "SDEStratonovich"],
)
def test_functions_and_sdes_have_torchsdes_signature(name: str) -> None:
    assert bare(getattr(ours, name)) == bare(getattr(theirs, name))


def test_every_public_name_is_there_and_no_other_is_pretended() -> None:
    public = {name for name in vars(theirs) if not name.startswith("_")}
    assert public and public <= set(vars(ours))
    assert ours.__version__ == theirs.__version__
    assert latentsde.sdeint is ours.sdeint and latentsde.sdeint_adjoint is ours.sdeint_adjoint
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = ours.no_such_name


@pytest.mark.parametrize("name", NAMES)
def test_public_attributes_are_all_there(name: str) -> None:
    public = {attribute for attribute in dir(getattr(theirs, name)) if not attribute.startswith("_")}
    assert public and public <= set(dir(getattr(ours, name)))


def test_settings_and_types_have_the_same_words() -> None:
    names = [name for name in vars(theirs.settings) if name.isupper()]
    assert "METHODS" in names
    for name in names:
        mine, original = getattr(ours.settings, name), getattr(theirs.settings, name)
        assert mine.all() == original.all() and str(mine) == str(original)
        assert all(
            getattr(mine, word) == getattr(original, word) for word in vars(original) if "__" not in word
        )
        assert mine.all()[0] in mine and "no such word" not in mine
    public = {name for name in vars(theirs.types) if not name.startswith("_") and name != "torch"}
    assert public <= set(vars(ours.types))
    assert typing.get_args(ours.types.Scalar) == typing.get_args(theirs.types.Scalar)


def outline(answer: Any) -> Any:
    """Types, shapes and dtypes of an answer."""
    if isinstance(answer, tuple):
        return tuple(outline(part) for part in answer)
    return None if answer is None else (type(answer), tuple(answer.shape), answer.dtype, answer.device)


QUERIES: list[tuple[Any, ...]] = [
    (0.1, 0.4),
    (torch.tensor(0.1), torch.tensor(0.4)),
    (torch.tensor([0.1]), 0.4),
    (0, 1),
    (0.3,),
    (torch.tensor(0.3, dtype=torch.float64),),
]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [None, torch.float64, torch.float16, torch.bfloat16])
def test_answers_have_torchsdes_form(level: str, shape: tuple[int, ...], dtype: torch.dtype | None) -> None:
    motions = [
        package.BrownianInterval(0.0, 1.0, shape, dtype, entropy=3, levy_area_approximation=level)
        for package in (ours, theirs)
    ]
    queries = QUERIES if dtype is None else QUERIES[:1]
    for query, u, a in itertools.product(queries, (False, True), (False, True)):
        mine, original = (bm(*query, return_U=u, return_A=a) for bm in motions)
        assert outline(mine) == outline(original)


@pytest.mark.parametrize("kind", ["BrownianTree", "BrownianPath"])
def test_a_tree_and_a_path_answer_in_torchsdes_form(kind: str) -> None:
    w0 = torch.ones(2, 3)
    mine, original = (getattr(package, kind)(0.0, w0) for package in (ours, theirs))
    for query, u, a in itertools.product(QUERIES, (False, True), (False, True)):
        assert outline(mine(*query, return_U=u, return_A=a)) == outline(
            original(*query, return_U=u, return_A=a)
        )


def test_an_interval_of_no_length_is_zero_in_every_part() -> None:
    for level, shape in itertools.product(LEVELS, SHAPES):
        bm = ours.BrownianInterval(0.0, 1.0, shape, entropy=3, levy_area_approximation=level)
        for part in bm(0.4, 0.4, return_U=True, return_A=True):
            assert part is None or bool((part == 0).all())
    point = ours.BrownianInterval(1.0, 1.0, (2,), levy_area_approximation="space-time")
    assert all(bool((part == 0).all()) for part in point(1.0, 1.0, return_U=True))


def test_attributes_and_text_are_torchsdes() -> None:
    arguments: dict[str, Any] = dict(
        t0=torch.tensor(-1.0), t1=2, size=torch.Size((2, 3)), entropy=7, dt=0.01, tol=0.001, pool_size=9,
        cache_size=None, levy_area_approximation="davie", device=torch.device("cpu"),
    )  # fmt: skip
    mine, original = ours.BrownianInterval(**arguments), theirs.BrownianInterval(**arguments)
    assert repr(mine) == repr(original)
    for name in ("shape", "dtype", "device", "entropy", "levy_area_approximation", "dt", "tol", "pool_size"):
        assert getattr(mine, name) == getattr(original, name), name
    assert mine.size() == original.size() and type(mine.size()) is type(original.size())
    assert mine.cache_size == original.cache_size and mine.halfway_tree == original.halfway_tree
    trees = [package.BrownianTree(0.0, torch.zeros(2), entropy=5) for package in (ours, theirs)]
    assert repr(trees[0]) == repr(trees[1])
    backwards = [package.ReverseBrownian(t) for package, t in zip((ours, theirs), trees, strict=True)]
    assert repr(backwards[0]) == repr(backwards[1])
    assert backwards[0].size() == (2,) and backwards[0].levy_area_approximation == "none"
    assert isinstance(backwards[0], ours.BaseBrownian)


def test_what_is_stored_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    for package in (ours, theirs):
        package.BrownianInterval(0.0, 1.5, (2,)).display_binary_tree()
    mine, original = capsys.readouterr().out.splitlines()
    assert mine == original == "(0.0, 1.5)"


def test_like_takes_what_is_not_given_from_the_tensor() -> None:
    y = torch.zeros(2, 3, dtype=torch.float64)
    bm = ours.brownian_interval_like(y, t1=2.0, entropy=4, levy_area_approximation="foster")
    assert (bm.shape, bm.dtype, bm.device) == ((2, 3), torch.float64, y.device)
    same = ours.BrownianInterval(0.0, 2.0, (2, 3), torch.float64, entropy=4)
    assert torch.equal(bm(0.5, 2.0), same(0.5, 2.0))
    assert ours.brownian_interval_like(y, size=(5,), dtype=torch.float32)(0, 1).shape == (5,)


def test_backwards_in_time_is_the_negated_times_answer() -> None:
    bm = ours.BrownianInterval(0.0, 1.0, (2, 3), entropy=4, levy_area_approximation="foster")
    for mine, base in zip(
        ours.ReverseBrownian(bm)(-0.7, -0.2, True, True), bm(0.2, 0.7, True, True), strict=True
    ):
        assert torch.equal(mine, base)
    with pytest.raises(ValueError, match="both ta and tb"):
        ours.ReverseBrownian(bm)(-0.7)


def test_no_entropy_draws_a_fresh_one_from_no_global_generator() -> None:
    torch_state = torch.get_rng_state()
    numpy_state = np.random.get_state()
    bm = ours.BrownianInterval(0.0, 1.0, (4,))
    other = ours.BrownianInterval(0.0, 1.0, (4,))
    bm(0.1, 0.7)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert all(np.array_equal(a, b) for a, b in zip(np.random.get_state(), numpy_state, strict=True))
    assert isinstance(bm.entropy, int) and bm.entropy != other.entropy
    again = ours.BrownianInterval(0.0, 1.0, (4,), entropy=bm.entropy)
    assert torch.equal(bm(0.1, 0.7), again(0.1, 0.7)) and not torch.equal(bm(0.1, 0.7), other(0.1, 0.7))


def motions() -> list[Any]:
    interval = ours.BrownianInterval(0.0, 1.0, (2, 3), entropy=4, levy_area_approximation="davie")
    ends = torch.zeros(2, 3), torch.ones(2, 3, requires_grad=True)
    return [
        interval,
        ours.BrownianInterval(0.0, 1.0, W=ends[1], H=ends[0], entropy=[1, 2]),
        ours.BrownianTree(0.0, ends[0], 2.0, ends[0] + 1, entropy=5),
        ours.BrownianPath(0.0, ends[0]),
        ours.ReverseBrownian(ours.ReverseBrownian(interval)),
    ]


@pytest.mark.parametrize("kind", range(len(motions())))
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda bm: pickle.loads(pickle.dumps(bm))])
def test_a_copy_is_the_same_path(kind: int, duplicate: Any) -> None:
    bm = motions()[kind]
    before = bm(0.2, 0.7)
    other = duplicate(bm)
    assert repr(other) == repr(bm)
    assert torch.equal(other(0.2, 0.7), before) and torch.equal(bm(0.2, 0.7), before)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "give size"),
        ({"size": 5}, "size must be"),
        ({"size": (2, -1)}, "size must be"),
        ({"size": (2,), "t0": 1.0, "t1": 0.0}, "t0 <= t1"),
        ({"size": (2,), "t0": float("nan")}, "t0 <= t1"),
        ({"size": (2,), "t1": torch.zeros(2)}, "t1 must be a number"),
        ({"size": (2,), "dtype": torch.int64}, "floating-point dtype"),
        ({"size": (2,), "W": torch.zeros(3)}, "one shape"),
        ({"dtype": torch.float64, "W": torch.zeros(3)}, "one dtype"),
        ({"W": torch.zeros(2), "H": torch.zeros(2, device="meta")}, "one device"),
        ({"size": (2,), "W": 5.0}, "W must be a floating-point tensor"),
        ({"H": torch.zeros(2, dtype=torch.int64)}, "H must be a floating-point tensor"),
        ({"W": torch.zeros(2), "t1": float("inf")}, "finite t1"),
        ({"size": (2,), "entropy": -1}, "entropy must be"),
        ({"size": (2,), "entropy": 1.5}, "entropy must be"),
        ({"size": (2,), "entropy": []}, "entropy must be"),
        ({"size": (2,), "levy_area_approximation": "levy"}, "'davie', 'foster', 'none', 'space-time'"),
        ({"size": (2,), "levy_area_approximation": None}, "levy_area_approximation must be"),
    ],
)
def test_what_does_not_fit_is_one_clear_sentence(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said) as error:
        ours.BrownianInterval(**arguments)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("time", [torch.tensor([0.1, 0.2]), "noon", "0.25", None, [0.1]])
def test_a_time_that_is_no_number_is_an_error(time: Any) -> None:
    bm = ours.BrownianInterval(0.0, 1.0, (2,))
    with pytest.raises(ValueError, match="ta must be a number"):
        bm(time, 0.5)
