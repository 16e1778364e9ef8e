"""A page that shows what `evaluate` found: tables, a plot of every video, and results to look at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path

import numpy as np

from pipeline.atomic import atomic_path
from pipeline.confidence import LEVEL, Interval
from pipeline.evaluation import METRICS, NEITHER, Outcome, strip_path
from pipeline.evaluation_plan import Setting
from pipeline.evaluation_results import Outcomes, gain_of, mean_of
from pipeline.html import Html, Picture, charts, page, paragraph, section, strip, table
from pipeline.pictures import read_picture

REPORT, STRIPS = "report.html", "strips"
BASELINE = "copy-source"
"""What others are compared with, video by video."""
_PLOTTED = ("akd", "l1", "expression", "pose")
_SHOWN_VIDEOS = 60
_FAULTS_SHOWN = 50
_WIDTH, _HEIGHT, _LEFT, _TOP = 320, 130, 48, 16
"""Of a plot in CSS pixels."""


def write_report(outcomes: Outcomes, title: str, not_run: Mapping[str, str], seed: int, out: Path) -> None:
    """Write `out`/report.html, whole or not at all."""
    with atomic_path(out / REPORT) as partial:
        partial.write_text(page(title, *_blocks(outcomes, not_run, seed, out)))


def _blocks(outcomes: Outcomes, not_run: Mapping[str, str], seed: int, out: Path) -> Iterator[Html]:
    hues = {label: round(360 * number / len(outcomes)) for number, label in enumerate(outcomes)}
    yield paragraph(
        f"Means over videos with their {LEVEL:.0%} intervals, bootstrapped over videos. self-first: the source is the "
        "driver's own first frame. self-far: his own frame whose head is turned farthest from the driving ones. cross: "
        "the first frame of somebody else, where only motion can be compared."
    )
    for setting in Setting:
        yield section(setting.value, _means(outcomes, setting, seed, not_run))
    if BASELINE in outcomes and len(outcomes) > 1:
        yield section(f"Less {BASELINE}, video by video", *_gains(outcomes, seed))
    yield section("What the columns are", table(["column", "good", "what it is"], METRICS))
    yield section("Every video", _legend(hues), charts(*_plots(outcomes, hues)))
    yield from _strips(outcomes, out)
    faults = [[label, one.name, one.fault] for label, some in outcomes.items() for one in some if one.fault]
    if faults:
        yield section(f"{len(faults)} jobs without a result", table(["model", "job", "why"], faults[:_FAULTS_SHOWN]))
    yield section("Not run", table(["column", "why"], list(not_run.items())))


def _means(outcomes: Outcomes, setting: Setting, seed: int, not_run: Mapping[str, str]) -> Html:
    """A row a metric, a column a contestant: there are more metrics than contestants."""
    rows = []
    for metric in METRICS:
        means = [mean_of(some, setting, metric.name, seed) for some in outcomes.values()]
        if any(means):
            rows.append([metric.name, metric.better, *map(_said, means)])
    rows += [[name, "", *["not run"] * len(outcomes)] for name in not_run]
    videos = [sum(one.setting == setting and not one.fault for one in some) for some in outcomes.values()]
    return table(["", "good", *outcomes], [["videos", "", *map(str, videos)], *rows])


def _gains(outcomes: Outcomes, seed: int) -> Iterator[Html]:
    others = {label: some for label, some in outcomes.items() if label != BASELINE}
    rows = []
    for setting in Setting:
        for metric in (metric for metric in METRICS if metric.better != NEITHER):
            gains = [gain_of(some, outcomes[BASELINE], setting, metric.name, seed) for some in others.values()]
            if any(gains):
                rows.append([setting.value, metric.name, metric.better, *map(_said, gains)])
    yield table(["", "", "good", *others], rows)


def _said(mean: Interval | None) -> str:
    return f"{mean.mean:.4g}  ({mean.low:.4g} to {mean.high:.4g})" if mean else ""


def _legend(hues: Mapping[str, int]) -> Html:
    names = (f'<span style="color:{_colour(hue)}">&#9679; {escape(label)}</span>' for label, hue in hues.items())
    return Html(f"<p>{' '.join(names)}; a column a driver, whose name shows under the pointer</p>")


def _plots(outcomes: Outcomes, hues: Mapping[str, int]) -> Iterator[Html]:
    """One a metric and setting."""
    for name in _PLOTTED:
        for setting in Setting:
            points = {
                label: {
                    one.driving: value
                    for one in some
                    if one.setting == setting and (value := one.values.get(name)) is not None
                }
                for label, some in outcomes.items()
            }
            if any(points.values()):
                yield _plot(f"{name}, {setting.value}", points, hues)


def _plot(caption: str, points: Mapping[str, Mapping[str, float]], hues: Mapping[str, int]) -> Html:
    """A column a driver, a dot a contestant; the axis begins at 0."""
    drivers = sorted({driver for some in points.values() for driver in some})[:_SHOWN_VIDEOS]
    top = max(value for some in points.values() for value in some.values()) or 1.0
    step, base = (_WIDTH - _LEFT) / (len(drivers) + 1), _TOP + _HEIGHT
    dots = "".join(
        f'<circle cx="{_LEFT + step * (place + 1):.1f}" cy="{base - some[driver] / top * _HEIGHT:.1f}" r="4" '
        f'fill="{_colour(hues[label])}"><title>{escape(f"{driver}, {label}: {some[driver]:.4g}")}</title></circle>'
        for label, some in points.items()
        for place, driver in enumerate(drivers)
        if driver in some
    )
    axis = f'<line class="axis" x1="{_LEFT}" y1="{base}" x2="{_WIDTH}" y2="{base}"/>'
    scale = f'<text x="0" y="{_TOP + 6}">{top:.3g}</text><text x="0" y="{base}">0</text>'
    svg = f'<svg width="{_WIDTH}" height="{base + 8}" role="img">{axis}{scale}{dots}</svg>'
    return Html(f"<figure>{svg}<figcaption>{escape(caption)}: {len(drivers)} drivers by name</figcaption></figure>")


def _colour(hue: int) -> str:
    return f"hsl({hue} 65% 48%)"


def _strips(outcomes: Outcomes, out: Path) -> Iterator[Html]:
    for label, some in outcomes.items():
        judged = sorted((one for one in some if one.values.get("akd") is not None), key=_akd)
        if judged:
            chosen = {"best": judged[0], "median": judged[len(judged) // 2], "worst": judged[-1]}
            pictures = [_shown(f"{word} akd", one, out / STRIPS / label) for word, one in chosen.items()]
            yield section(f"{label}: source, driver, result, error", *pictures)


def _akd(outcome: Outcome) -> tuple[float, str]:
    return outcome.values["akd"] or 0.0, outcome.name


def _shown(word: str, outcome: Outcome, strips: Path) -> Html:
    parts: Sequence[np.ndarray] = np.split(read_picture(strip_path(strips, outcome.name)), 4, axis=1)
    captions = (f"{word} {_akd(outcome)[0]:.3g}: {outcome.name}", "driver", "result", "error, times 3")
    return strip(Picture(image, caption) for image, caption in zip(parts, captions, strict=True))
