"""A page that shows what `evaluate` found: tables, a plot of every video, and results to look at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import get_args
from urllib.parse import unquote

from pipeline.atomic import atomic_path
from pipeline.confidence import LEVEL
from pipeline.evaluation import STRIPS, Outcome
from pipeline.evaluation_columns import FID, FID_OF, METRICS, Group
from pipeline.evaluation_plan import Setting
from pipeline.evaluation_plots import colours_of, legend, plots
from pipeline.evaluation_results import Table
from pipeline.evaluation_strip import read_strip, strip_path
from pipeline.evaluation_tables import STYLE, means_table
from pipeline.html import Html, Picture, charts, grid, page, paragraph, section, table

REPORT = "report.html"
_SETTINGS = {
    Setting.FIRST: "The source is the driver's own first frame; the driver's pictures are the truth.",
    Setting.FAR: "The source is the driver's own frame whose head is turned farthest from the driving ones.",
    Setting.CROSS: "The source is the first frame of somebody else: only motion and identity can be compared.",
}
_HARD = {Setting.FIRST: "akd", Setting.FAR: "akd", Setting.CROSS: "pose"}
"""What tells how hard a job is, by the mean of all models."""
_FAULTS_SHOWN = 50


def write_report(results: Table, title: str) -> None:
    """Write `report.html`, whole or not at all."""
    with atomic_path(results.out / REPORT) as partial:
        partial.write_text(page(title, STYLE, *_blocks(results)))


def _blocks(results: Table) -> Iterator[Html]:
    colours = colours_of(results)
    others = [f"{label} works at {size} x {size}" for label, size in results.sizes.items() if size != results.size]
    if others:
        yield paragraph(f"{'; '.join(others)}, as it was trained; its results are brought to the table's size.")
    yield paragraph(
        f"Pictures of {results.size} x {results.size} pixels. Means over videos, below them their {LEVEL:.0%} "
        "intervals, bootstrapped over videos; the best mean of a column is bold. Differences are taken video by video: "
        "green is surely better, red surely worse, grey may be chance. What a column is shows under the pointer and at "
        "the end."
    )
    for setting, said in _SETTINGS.items():
        tables = [found for group in get_args(Group) if (found := means_table(results, setting, group, colours))]
        if tables:
            yield section(f"{setting.value}: {_videos(results, setting)}", paragraph(said), *tables)
    for setting in Setting:
        yield from _side_by_side(results, setting)
    yield section("Every video", legend(colours), charts(*plots(results, colours)))
    for label, some in results.outcomes.items():
        yield from _extremes(results, label, [one for one in some if one.values.get("akd") is not None])
    faults = [[label, one.name, one.fault] for label, some in results.outcomes.items() for one in some if one.fault]
    if faults:
        yield section(f"{len(faults)} jobs without a result", table(["model", "job", "why"], faults[:_FAULTS_SHOWN]))
    columns = [[metric.name, metric.better, metric.of] for metric in METRICS]
    yield section("What the columns are", table(["column", "good", "what it is"], [*columns, [FID, "down", FID_OF]]))
    if results.not_run:
        yield section("Not run", table(["column", "why"], list(results.not_run.items())))


def _videos(results: Table, setting: Setting) -> str:
    """How many videos a setting has; some models may lack some."""
    counts = [sum(one.setting == setting and not one.fault for one in some) for some in results.outcomes.values()]
    return f"{min(counts)} videos" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)} videos"


def _side_by_side(results: Table, setting: Setting) -> Iterator[Html]:
    """The jobs that the models find easiest, middling and hardest: source, driver and each one's result."""
    metric = _HARD[setting]
    jobs: dict[str, dict[str, Outcome]] = {}
    for label, some in results.outcomes.items():
        for one in some:
            if one.setting == setting and one.values.get(metric) is not None:
                jobs.setdefault(one.name, {})[label] = one
    shared = [by_model for by_model in jobs.values() if len(by_model) == len(results.outcomes)]
    if shared and len(results.outcomes) > 1:
        shared.sort(key=lambda by_model: sum(_value(one, metric) for one in by_model.values()))
        chosen = {id(some): some for some in (shared[0], shared[len(shared) // 2], shared[-1])}
        grids = [grid(_rows(results, by_model, metric)) for by_model in chosen.values()]
        said = f"By the mean {metric} of all models: the easiest video, the middling one, the hardest. Middle frames."
        yield section(f"{setting.value}, side by side", paragraph(said), *grids)


def _rows(results: Table, by_model: Mapping[str, Outcome], metric: str) -> list[list[Picture | None]]:
    """Pictures and, where there is a truth, errors below them."""
    strips = {label: read_strip(strip_path(results.out / STRIPS / label, one.name)) for label, one in by_model.items()}
    first, one = next(iter(strips.values())), next(iter(by_model.values()))
    shown = [Picture(first[0], f"source: {_who(one.source)}"), Picture(first[1], f"driver: {_who(one.driving)}")]
    made = [
        Picture(strip[2], f"{label}: {metric} {_value(by_model[label], metric):.3g}") for label, strip in strips.items()
    ]
    errors = [Picture(strip[3], "error, times 3") for strip in strips.values() if len(strip) > 3]
    return [[*shown, *made], [None, None, *errors]] if errors else [[*shown, *made]]


def _extremes(results: Table, label: str, judged: list[Outcome]) -> Iterator[Html]:
    """A contestant's best, median and worst result."""
    if judged:
        judged.sort(key=lambda one: (_value(one, "akd"), one.name))
        chosen = {"best": judged[0], "median": judged[len(judged) // 2], "worst": judged[-1]}
        rows: list[list[Picture | None]] = []
        for word, one in chosen.items():
            pictures = read_strip(strip_path(results.out / STRIPS / label, one.name))
            source = f"{word}, akd {_value(one, 'akd'):.3g}: {_who(one.driving)}, {one.setting}"
            captions = (source, "driver", "result", "error, times 3")
            rows.append([Picture(image, caption) for image, caption in zip(pictures, captions, strict=True)])
        yield section(f"{label}: source, driver, result, error", grid(rows))


def _value(outcome: Outcome, metric: str) -> float:
    value = outcome.values[metric]
    return 0.0 if value is None else value


def _who(track: str) -> str:
    """The person of a track, as people write it."""
    return unquote(track.partition("/")[0])
