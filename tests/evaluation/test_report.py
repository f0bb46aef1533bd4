"""The report: one page that needs nothing else, shows what there is, and says what is broken."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from latentsde import plotting
from latentsde.errors import InputError
from latentsde.evaluation.report import write_report

HOSTILE = "<script>alert('$x')</script> & \"quoted\""
VOID = {"meta", "img", "br", "link"}


def scores(mse: float, coverage: float = 0.9, **more: Any) -> dict[str, Any]:
    return {"mse": mse, "crps": mse / 2, "nll": mse + 1, "coverage90": coverage, "n": 1234, **more}


def metrics(feature: str = "temp") -> dict[str, Any]:
    def task() -> dict[str, Any]:
        return {
            "climatology": scores(0.8, 0.99, per_feature={feature: scores(80.0)}),
            "latent_sde": scores(0.4, 0.88, per_feature={feature: scores(40.0)}),
            "last_observation": scores(0.6, 0.90) | {"nll": None},
        }

    return {"scale": "standard deviations & more", "forecast": task(), "imputation": task()}


def config(feature: str = "temp") -> dict[str, Any]:
    data = {
        "path": "folder/weather.csv",
        "values": [feature, "humid"],
        "series": 366,
        "rows": 13000,
        "time_unit": "h",
        "missing_share": 0.213,
        "splits": {"train": 256, "validation": [1, 2, 3], "test": {"series": 55}},
    }
    training = {"seed": 1, "steps": 3000, "best_step": 2712, "seconds": 214.3}
    return {"data": data, "model": {"latent_size": 6}, "training": training, "stream_version": 1}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    (folder / "figures").mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config()))
    (folder / "metrics.json").write_text(json.dumps(metrics()))
    (folder / "history.csv").write_text("step,split,elbo\n1,train,-3\n1,validation,-2.5\n2,validation,-1.5\n")
    for name in ("forecast", "calibration", "something_else"):
        plotting.save(Figure(figsize=(1, 1)), folder / "figures" / f"{name}.png")
    return folder


class Page(HTMLParser):
    """What a browser would see: tags with attributes, the visible text, and whether tags are balanced."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.source = path.read_text("utf-8")
        self.feed(self.source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text.append(data)

    def headings(self, tag: str) -> list[str]:
        return re.findall(rf"<{tag}>(.*?)</{tag}>", self.source)


def test_the_page_needs_nothing_outside_itself(run: Path) -> None:
    page = Page(write_report(run))
    assert page.open == []
    assert not {"script", "link", "iframe", "object", "base"} & {tag for tag, _ in page.tags}
    addresses = [value for _, attrs in page.tags for key, value in attrs.items() if key in ("src", "href")]
    assert len(addresses) == 3
    assert all(address and address.startswith("data:image/png;base64,") for address in addresses)
    assert not re.search(r"https?://|@import|url\(", page.source)


def test_everything_a_reader_needs_is_there_in_order(run: Path) -> None:
    page = Page(write_report(run))
    assert page.headings("h1") == ["weather.csv"]
    sections = ["Scores on withheld values", "Figures", "Training", "Predict with this run", "Configuration"]
    assert page.headings("h2")[-5:] == sections
    text = " ".join(page.text)
    for expected in (
        "366 series with 13,000 rows",
        "temp, humid",
        "256 for train, 3 for validation, 55 for test",
        "standard deviations & more",
        "3,000",
        "2,712",
        "3 min 34 s",
        "\N{MINUS SIGN}1.500 nats per observation",
        "latentsde predict",
        "latent_size",
    ):
        assert expected in text


def test_the_model_leads_its_table_and_the_best_of_each_column_is_bold(run: Path) -> None:
    source = write_report(run).read_text("utf-8")
    table = source[source.index("<h3>forecast</h3>") :]
    rows = [re.findall(r"<td>(.*?)</td>", row) for row in re.findall(r"<tr.*?</tr>", table)[1:4]]
    assert [row[0] for row in rows] == ["latent sde", "last observation", "climatology"]
    bold = [[i for i, cell in enumerate(row) if cell.startswith("<b>")] for row in rows]
    assert bold == [[1, 2, 3], [4], []]  # the lowest MSE, CRPS and NLL; the coverage nearest to 90 %
    assert rows[1][3] == "\N{EN DASH}"
    assert '<tr class="model"><td>latent sde' in table


def test_figures_come_in_reading_order_with_unknown_ones_last(run: Path) -> None:
    source = write_report(run).read_text("utf-8")
    assert re.findall(r"<figcaption><b>(.*?)</b>", source) == ["Forecasts", "Calibration", "something else"]


def test_hostile_names_are_shown_and_never_run(run: Path) -> None:
    tasks = metrics(HOSTILE)
    tasks[HOSTILE] = {HOSTILE: scores(0.1), "latent_sde": scores(0.2)}
    settings = config(HOSTILE) | {HOSTILE: {HOSTILE: HOSTILE}, "latentsde_version": HOSTILE}
    settings["data"] |= {
        "path": f"data/{HOSTILE.replace('/', '')}",
        "time_unit": HOSTILE,
        "splits": {HOSTILE: 3},
    }
    (run / "metrics.json").write_text(json.dumps(tasks))
    (run / "config.json").write_text(json.dumps(settings))
    plotting.save(Figure(figsize=(1, 1)), run / "figures" / "a<script>.png")
    page = Page(write_report(run))
    assert page.open == []
    assert "script" not in {tag for tag, _ in page.tags}
    assert HOSTILE in "".join(page.text)


def test_equal_runs_give_equal_pages(run: Path) -> None:
    first = write_report(run).read_bytes()
    assert write_report(run).read_bytes() == first


def test_missing_figures_tasks_and_history_only_shorten_the_page(run: Path) -> None:
    for figure in (run / "figures").iterdir():
        figure.unlink()
    (run / "figures").rmdir()
    (run / "history.csv").unlink()
    (run / "metrics.json").write_text("{}")
    (run / "config.json").write_text("{}")
    page = Page(write_report(run))
    assert page.headings("h1") == ["run"]
    assert page.headings("h2") == ["Predict with this run"]


@pytest.mark.parametrize("name", ["config.json", "metrics.json"])
@pytest.mark.parametrize("content", [None, b"", b"{", b"[1]", b"\xff\xfe\x00", b'"text"'])
def test_a_missing_or_damaged_file_is_named_with_the_remedy(
    run: Path, name: str, content: bytes | None
) -> None:
    (run / name).unlink()
    if content is not None:
        (run / name).write_bytes(content)
    with pytest.raises(InputError) as caught:
        write_report(run)
    message = str(caught.value)
    assert str(run / name) in message
    assert "--overwrite" in message
    assert "\n" not in message
    assert not (run / "report.html").exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("metrics.json", b'{"forecast": 3}'),
        ("metrics.json", b'{"forecast": {"latent_sde": 3}}'),
        ("history.csv", b""),
        ("history.csv", b'step,"elbo\n1'),
        ("figures/forecast.png", b"<svg>"),
    ],
)
def test_content_that_is_not_what_it_should_be_is_named(run: Path, name: str, content: bytes) -> None:
    (run / name).write_bytes(content)
    with pytest.raises(InputError, match=re.escape(str(run / name))):
        write_report(run)


def test_scores_that_are_not_numbers_are_dashes(run: Path) -> None:
    rows = {"latent_sde": {"mse": float("nan"), "crps": "0.3", "per_feature": 7}, "climatology": {}}
    (run / "metrics.json").write_text(json.dumps({"forecast": rows}))
    page = Page(write_report(run))
    assert "\N{EN DASH}" in page.text
    assert "<b>\N{EN DASH}" not in page.source


def test_a_failed_write_leaves_the_old_page_and_nothing_else(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run / "report.html").write_text("old")
    before = sorted(run.iterdir())

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_report(run)
    assert (run / "report.html").read_text() == "old"
    assert sorted(run.iterdir()) == before
