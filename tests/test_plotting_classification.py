"""Figures of classifiers: reproducible, nothing cut off or overlapping, and what was asked for is shown."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from latentsde.errors import InputError
from latentsde.plotting.classification import learning_curves, reliability_diagram, uncertain_images
from latentsde.plotting.style import MODEL, OBSERVED, WITHHELD, save

pytestmark = pytest.mark.filterwarnings("error")

NAMES = ["airplane", "automobile", "aquarium_fish", "a class of a rather long name", "price in $ and $", "7"]
BINS = [
    (count, (k + 0.6) / 10, (k + 0.2) / 10) if count else (0, math.nan, math.nan)
    for k, count in enumerate([0, 0, 1, 20, 300, 950, 1200, 1500, 2100, 12_345])
]


def pictures(n: int, channels: int = 3, size: int = 32) -> np.ndarray:
    rng = np.random.default_rng(n)
    return rng.integers(0, 256, (n, channels, size, size), dtype=np.uint8)


def draw_uncertain(n: int, channels: int = 3, names: list[str] = NAMES) -> Figure:
    rng = np.random.default_rng(n)
    labels, predicted = rng.integers(0, len(names), (2, n))
    return uncertain_images(pictures(n, channels), labels, predicted, rng.uniform(0.2, 1, n), names)


def draw_reliability() -> Figure:
    return reliability_diagram(BINS, 0.04, "SDE-BNN on CIFAR-10")


def draw_curves() -> Figure:
    x = np.arange(1, 31)
    names = ["SDE-BNN", "ODENet", "HyperODENet", "ResNet", "mean field", "ensemble", "dropout"]
    return learning_curves(
        {name: (x, 1 - 0.5 / (x + k)) for k, name in enumerate(names)}, "epoch", "accuracy"
    )


def draw_panels() -> Figure:
    steps = np.arange(1, 9)
    curves = {f"model {k}": (np.stack([steps, 60 * k * steps]), 1 / steps) for k in (1, 2)}
    return learning_curves(curves, ("step", "seconds"), "error")


FIGURES: dict[str, Callable[[], Figure]] = {
    "reliability": draw_reliability,
    "many bins": lambda: reliability_diagram([(k, k / 40, k / 40) for k in range(40)], 0.0, "a title " * 30),
    "one bin": lambda: reliability_diagram([(0, None, None)], 0.0, "nothing"),
    "images": lambda: draw_uncertain(40),
    "grey images": lambda: draw_uncertain(7, channels=1, names=list("0123456789")),
    "one image": lambda: draw_uncertain(1),
    "curves": draw_curves,
    "curves in two panels": draw_panels,
    "short curves": lambda: learning_curves(
        {"a": ([], []), "b": ([1], [2.0]), "c": ([1, 2], [math.nan, 1])}, "x", "y"
    ),
}


@pytest.mark.parametrize("name", FIGURES)
def test_equal_input_gives_equal_bytes_whatever_the_users_settings(name: str, tmp_path: Path) -> None:
    first = save(FIGURES[name](), tmp_path / "first.png").read_bytes()
    with matplotlib.rc_context({"font.size": 30, "figure.dpi": 20, "axes.facecolor": "red"}):
        second = save(FIGURES[name](), tmp_path / "second.png").read_bytes()
    assert first == second
    assert first.startswith(b"\x89PNG")


@pytest.mark.parametrize("name", FIGURES)
def test_no_text_is_cut_off_or_overlaps_another(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    figure = FIGURES[name]()
    figure.draw_without_rendering()
    drawn: list[Text] = []  # and not the labels of ticks outside the axes
    draw = Text.draw

    def record(text: Text, renderer: object) -> None:
        if text.get_visible() and text.get_text().strip():
            drawn.append(text)
        draw(text, renderer)  # type: ignore[arg-type]

    monkeypatch.setattr(Text, "draw", record)
    figure.draw_without_rendering()
    named = [(text.get_text(), text.get_window_extent()) for text in drawn]
    assert len(named) > 2
    width, height = figure.bbox.size
    cut = [name for name, box in named if min(box.min) < -1 or box.x1 > width + 1 or box.y1 > height + 1]
    assert not cut
    pairs = itertools.combinations(named, 2)
    assert not [(a, b) for (a, one), (b, other) in pairs if one.overlaps(other)]


def test_a_bar_is_as_high_as_the_accuracy_of_its_bin() -> None:
    above, below = draw_reliability().axes
    filled = [(k, entry) for k, entry in enumerate(BINS) if entry[0]]
    assert [bar.get_height() for bar in above.patches] == [accuracy for _, (_, _, accuracy) in filled]  # type: ignore[attr-defined]
    assert [round(10 * bar.get_x()) for bar in above.patches] == [k for k, _ in filled]  # type: ignore[attr-defined]
    assert [bar.get_height() for bar in below.patches] == [count for count, _, _ in BINS]  # type: ignore[attr-defined]
    assert above.get_title(loc="left") == "SDE-BNN on CIFAR-10 (ECE 0.040)"
    assert [text.get_text() for text in below.texts][-2:] == ["2,100", "12k"]


def test_bins_read_from_json_are_drawn_like_their_originals(tmp_path: Path) -> None:
    null = [entry if entry[0] else (0, None, None) for entry in BINS]
    kinds: list[Sequence[Sequence[float | None]]] = [BINS, null]
    files = [
        save(reliability_diagram(bins, 0.04, "a"), tmp_path / f"{i}.png").read_bytes()
        for i, bins in enumerate(kinds)
    ]
    assert files[0] == files[1]


def test_the_least_sure_images_come_first_and_errors_are_orange() -> None:
    images = pictures(4)
    figure = uncertain_images(images, [0, 1, 2, 0], [0, 2, 2, 1], [0.9, 0.4, 0.5, 0.999], ["a", "b", "c"])
    titles = [ax.title if ax.title.get_text() else ax._left_title for ax in figure.axes]  # type: ignore[attr-defined]
    assert [title.get_text() for title in titles] == [
        "b / c, 0.40",
        "c / c, 0.50",
        "a / a, 0.90",
        "a / b, 1.00",
    ]
    assert [title.get_color() for title in titles] == [WITHHELD, OBSERVED, OBSERVED, WITHHELD]
    shown = [np.moveaxis(np.asarray(ax.images[0].get_array()), -1, 0) for ax in figure.axes]
    np.testing.assert_array_equal(shown, images[[1, 2, 0, 3]])


@pytest.mark.parametrize(("n", "shown"), [(1, 1), (6, 6), (7, 7), (24, 24), (100, 24)])
def test_at_most_24_images_are_shown(n: int, shown: int) -> None:
    assert len(draw_uncertain(n).axes) == shown


def test_the_first_curve_has_the_models_colour_and_no_two_look_alike() -> None:
    figure = draw_curves()
    lines = figure.axes[0].lines
    assert lines[0].get_color() == MODEL
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == len(lines) == 7
    assert [text.get_text() for text in figure.legends[0].get_texts()][:2] == ["SDE-BNN", "ODENet"]


def test_panels_show_the_same_curves_along_their_own_axes() -> None:
    left, right = draw_panels().axes
    for k, (a, b) in enumerate(zip(left.lines, right.lines, strict=True), start=1):
        np.testing.assert_array_equal(60 * k * a.get_xdata(), b.get_xdata())
        np.testing.assert_array_equal(a.get_ydata(), b.get_ydata())
        assert a.get_color() == b.get_color()
    assert (left.get_xlabel(), right.get_xlabel(), left.get_ylabel()) == ("step", "seconds", "error")


def test_what_cannot_be_drawn_is_refused_with_the_remedy() -> None:
    with pytest.raises(InputError, match="no curves to draw; give at least one"):
        learning_curves({}, "x", "y")
    with pytest.raises(InputError, match=r"x of a is \(3,\); give a row for each of 2 panels"):
        learning_curves({"a": ([1, 2, 3], [1, 2, 3])}, ("x", "z"), "y")
    for bins in ([], [(1, 0.5)]):
        with pytest.raises(InputError, match=r"give a \(count, mean confidence, accuracy\)"):
            reliability_diagram(bins, 0.0, "a")
    for images in (pictures(1)[0], pictures(1, channels=2), pictures(1) / 255.0, pictures(0)):
        with pytest.raises(InputError, match=r"give at least one as uint8 of \(images, channels"):
            uncertain_images(images, [0], [0], [0.5], NAMES)
    with pytest.raises(InputError, match="there are 2 images, 1 labels, 2 predictions and 2 confidences"):
        uncertain_images(pictures(2), [0], [0, 0], [0.5, 0.5], NAMES)
    with pytest.raises(InputError, match="names 2 classes but there are numbers from 0 to 2"):
        uncertain_images(pictures(1), [0], [2], [0.5], ["a", "b"])
