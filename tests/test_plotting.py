"""Figures: equal input gives equal bytes, files are written whole, awkward data draw without complaint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure

from latentsde import plotting

pytestmark = pytest.mark.filterwarnings("error")

GRID = np.linspace(0, 72, 30)
NAMES = [
    "temp",
    "price in $ and $",
    "x_1^2 {",
    "<b>",
    "a feature name that is much longer than its panel is high",
]


def panel(points: int, seed: int = 0) -> plotting.Panel:
    rng = np.random.default_rng(seed)
    times = np.sort(rng.uniform(0, 72, points))
    values = rng.normal(size=points)
    hidden = rng.random(points) < 0.3
    middle = np.sin(GRID / 10)
    return plotting.Panel(
        observed_times=times,
        observed=np.where(hidden, np.nan, values),
        withheld_times=times,
        withheld=np.where(hidden, values, np.nan),
        grid=GRID,
        q05=middle - 2,
        q25=middle - 1,
        q50=middle,
        q75=middle + 1,
        q95=middle + 2,
        baseline=np.where(GRID > 48, 0.0, np.nan),
    )


def panels(series: int, features: int, points: int = 20) -> list[list[plotting.Panel]]:
    return [[panel(points, seed=s * features + f) for f in range(features)] for s in range(series)]


def history(rows: int) -> pd.DataFrame:
    steps = np.arange(1, rows + 1)
    parts = {name: -100.0 / steps for name in ("elbo", "log_likelihood", "kl_initial", "kl_path")}
    train = pd.DataFrame({"step": steps, "split": "train", **parts, "kl_weight": 1.0, "learning_rate": 1e-3})
    validation = train.iloc[:: max(1, rows // 10)].assign(split="validation", kl_weight=np.nan)
    return pd.concat([train, validation])


METRICS = {
    "scale": "standard deviations",
    "forecast": {"latent_sde": {"mse": 0.4, "crps": 0.3}, "climatology": {"mse": 0.8, "crps": None}},
    "imputation": {"latent_sde": {"mse": 0.1, "crps": 0.2}, "climatology": {"mse": 900.0, "crps": 9.0}},
}
LEVELS = np.linspace(0.1, 0.9, 9)


def draw_bands() -> Figure:
    return plotting.bands(panels=panels(2, 2), series=["a", "b"], features=["x", "y"], time_unit="h")


def draw_forecasts() -> Figure:
    return plotting.forecasts(
        panels=panels(2, 2),
        series=["a", "b"],
        features=["x", "y"],
        starts=[48, 50],
        baseline_name="yesterday",
    )


def draw_prior_samples() -> Figure:
    data = [(GRID[:4], np.arange(8.0).reshape(4, 2)), (GRID[:1], np.full((1, 2), np.nan))]
    return plotting.prior_samples(data=data, times=GRID, samples=np.ones((5, 30, 2)), features=["x", "y"])


def draw_latent_paths() -> Figure:
    paths = np.random.default_rng(0).normal(size=(8, 30, 3))
    return plotting.latent_paths(series=["a"], grids=[GRID], paths=[paths], observation_times=[GRID[::5]])


def draw_calibration() -> Figure:
    pit = {"forecast": np.linspace(0, 1, 100)}
    coverage = {"forecast": LEVELS, "imputation": LEVELS**2}
    return plotting.calibration(levels=LEVELS, coverage=coverage, counts={"forecast": 100}, pit=pit)


FIGURES: dict[str, Callable[[], Figure]] = {
    "bands": draw_bands,
    "forecasts": draw_forecasts,
    "prior_samples": draw_prior_samples,
    "latent_paths": draw_latent_paths,
    "calibration": draw_calibration,
    "training_curves": lambda: plotting.training_curves(history(20)),
    "metric_bars": lambda: plotting.metric_bars(METRICS),
}


@pytest.mark.parametrize("name", FIGURES)
def test_equal_input_gives_equal_bytes_whatever_the_users_settings(name: str, tmp_path: Path) -> None:
    first = plotting.save(FIGURES[name](), tmp_path / "first.png").read_bytes()
    with matplotlib.rc_context({"font.size": 30, "figure.dpi": 20, "axes.facecolor": "red"}):
        second = plotting.save(FIGURES[name](), tmp_path / "second.png").read_bytes()
    assert first == second
    assert first.startswith(b"\x89PNG")


@pytest.mark.parametrize("kind", ["png", "pdf", "svg"])
def test_every_format_is_reproducible(kind: str, tmp_path: Path) -> None:
    files = [plotting.save(draw_calibration(), tmp_path / f"{i}.{kind}").read_bytes() for i in range(2)]
    assert files[0] == files[1]


def test_an_unknown_ending_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"figure\.txt does not end in \.png"):
        plotting.save(Figure(), tmp_path / "figure.txt")


@pytest.mark.parametrize("broken", ["matplotlib.figure.Figure.savefig", "os.replace"])
def test_a_failed_save_leaves_the_old_file_and_nothing_else(
    broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "figure.png"
    path.write_bytes(b"old")

    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(broken, fail)
    with pytest.raises(OSError, match="disk full"):
        plotting.save(Figure(), path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_drawing_and_saving_leave_no_global_state(tmp_path: Path) -> None:
    before = dict(matplotlib.rcParams)
    plotting.save(draw_bands(), tmp_path / "bands.png")
    assert dict(matplotlib.rcParams) == before
    assert pyplot.get_fignums() == []


@pytest.mark.parametrize("features", [1, 5, 12])
@pytest.mark.parametrize("series", [1, 4, 6])
def test_a_panel_for_every_feature_of_every_series(series: int, features: int) -> None:
    names = [f"series {s}" for s in range(series)]
    columns = (NAMES * 3)[:features]
    figure = plotting.bands(panels=panels(series, features), series=names, features=columns)
    assert len(figure.axes) == series * features
    titles = [title for ax in figure.axes if (title := ax.get_title(loc="left"))]
    assert titles == names


def test_no_text_overlaps_another_with_long_and_hostile_names() -> None:
    names = ["a series whose name is long and longer still", "b", "c $"]
    figure = plotting.bands(panels=panels(3, 5), series=names, features=NAMES, units={"temp": "°F"})
    figure.draw_without_rendering()
    names_above = [ax._left_title for ax in figure.axes]  # type: ignore[attr-defined]
    texts = [ax.yaxis.label for ax in figure.axes] + names_above
    boxes = [text.get_window_extent() for text in texts if text.get_text().strip()]
    assert len(boxes) == 3 + len(NAMES)
    overlapping = [(i, j) for i, a in enumerate(boxes) for j, b in enumerate(boxes[:i]) if a.overlaps(b)]
    assert not overlapping
    legend = figure.legends[0].get_window_extent()
    assert not [ax for ax in figure.axes if ax.get_window_extent().overlaps(legend)]
    assert all(figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 for box in [*boxes, legend])


@pytest.mark.parametrize("points", [0, 1, 2, 500])
def test_few_many_and_no_points_are_drawn(points: int, tmp_path: Path) -> None:
    drawn = plotting.bands(panels=panels(1, 2, points), series=["a"], features=["x", "y"], share_y=False)
    assert plotting.save(drawn, tmp_path / "few.png").exists()


def test_a_runaway_band_does_not_flatten_the_data() -> None:
    usual = panel(30)
    wild = {"q05": -1e9 * GRID, "q95": np.where(GRID > 40, np.inf, 1e9)}
    runaway = replace(usual, q25=GRID, q50=GRID, q75=GRID, withheld=(), withheld_times=(), **wild)
    figure = plotting.bands(panels=[[runaway]], series=["a"], features=["x"])
    low, high = figure.axes[0].get_ylim()
    values = np.asarray(usual.observed)
    assert high - low == pytest.approx(3 * (np.nanmax(values) - np.nanmin(values)))


@pytest.mark.parametrize("rows", [1, 10, 10_000])
def test_both_forms_of_a_history_draw_the_same_curves(rows: int) -> None:
    long = history(rows)
    values = ["elbo", "log_likelihood", "kl_initial", "kl_path"]
    train, validation = (long[long["split"] == split].set_index("step") for split in ("train", "validation"))
    wide = pd.concat(
        [
            train[values].add_prefix("train_").join(train[["kl_weight", "learning_rate"]]).reset_index(),
            validation[[*values, "learning_rate"]].add_prefix("validation_").reset_index(),
        ]
    )
    drawn = [
        [line.get_xydata().tolist() for ax in plotting.training_curves(frame).axes for line in ax.lines]  # type: ignore[union-attr]
        for frame in (long, wide)
    ]
    assert drawn[0] == drawn[1]
    assert len(drawn[0]) == 6 * 3


def test_the_best_validation_step_is_named() -> None:
    frame = pd.DataFrame({"step": [1, 2000, 3000], "validation_elbo": [-3.0, -1.25, -2.0]})
    labels = [text.get_text() for text in plotting.training_curves(frame).legends[0].get_texts()]
    assert labels[-1] == "best validation step: 2,000 (ELBO \N{MINUS SIGN}1.250)"


def test_a_history_without_curves_names_what_was_expected() -> None:
    with pytest.raises(ValueError, match=r"none of the curves elbo, .*, only step"):
        plotting.training_curves(pd.DataFrame({"step": [1, 2]}))


def test_the_model_comes_first_and_baselines_by_score() -> None:
    rows = {
        name: {"mse": score, "crps": score}
        for name, score in {"worst": 3.0, "mine": 2.0, "better": 1.0}.items()
    }
    figure = plotting.metric_bars({"forecast": rows}, model="mine")
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["mine", "better", "worst"]


def test_calibration_shows_the_given_coverage() -> None:
    observed = LEVELS**1.3
    figure = plotting.calibration(levels=LEVELS, coverage={"forecast": observed}, counts={"forecast": 200})
    curve = figure.axes[0].lines[-1]
    np.testing.assert_array_equal(curve.get_xydata(), np.column_stack([LEVELS, observed]))


@pytest.mark.parametrize(
    ("ticks", "labels"),
    [
        ([0.0, 0.25, 0.5], ["0.00", "0.25", "0.50"]),
        ([-1.5, 0.0, 1.5], ["\N{MINUS SIGN}1.5", "0.0", "1.5"]),
        ([1005.0, 1020.0], ["1005", "1020"]),
        ([0.0, 120_000.0], ["0", "120k"]),
        ([101_320.0, 101_330.0], ["101.32k", "101.33k"]),
        ([1.5e6, 2e6], ["1.5M", "2.0M"]),
        ([0.0, 1e-9], ["0", "1e\N{MINUS SIGN}09"]),
        ([], []),
    ],
)
def test_tick_labels_tell_ticks_apart(ticks: list[float], labels: list[str]) -> None:
    from latentsde.plotting.style import Numbers

    assert Numbers().format_ticks(ticks) == labels
