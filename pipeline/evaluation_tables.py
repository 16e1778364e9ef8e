"""The means of all contestants and their differences, a table a setting and group of columns."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import NamedTuple

from pipeline.confidence import Interval
from pipeline.evaluation_columns import FID, FID_OF, METRICS, NEITHER, Group, Metric
from pipeline.evaluation_plan import Setting
from pipeline.evaluation_plots import dot
from pipeline.evaluation_results import Table
from pipeline.html import Html

_GROUPS: dict[Group, str] = {
    "motion": "Motion and identity",
    "picture": "Whole picture",
    "face": "Within the face",
}
_ARROWS = {"up": "\N{UPWARDS ARROW}", "down": "\N{DOWNWARDS ARROW}", NEITHER: "\N{RIGHTWARDS ARROW}1"}
_NOT_RUN, _EMPTY = '<td class="unsure">not run</td>', "<td></td>"
STYLE = Html("""<style>
table.means { width: 100%; margin: .4rem 0 1.2rem; }
table.means caption { text-align: left; font-weight: 600; padding: .3rem 0; }
table.means th, table.means td { padding: .25rem .6rem .25rem 0; line-height: 1.25; }
table.means th:first-child { width: 15rem; min-width: 9rem; font-weight: 500; overflow-wrap: anywhere; }
table.means tr.heads th { border-bottom: 2px solid var(--line); }
table.means tr.less th { color: var(--soft); padding-left: 1rem; font-weight: 400; }
table.means tr.first td, table.means tr.first th { border-top: 2px solid var(--line); }
table.means small { display: block; color: var(--soft); font-size: .78rem; white-space: nowrap; }
table.means td.best { font-weight: 700; }
td.better { color: #1a8f5a; } td.worse { color: #d0453e; } td.unsure { color: var(--soft); }
td.best small { font-weight: 400; }
.dot { display: inline-block; width: .7em; height: .7em; border-radius: 50%; margin-right: .45em; }
svg .span { stroke: var(--line); }
</style>""")


class _Column(NamedTuple):
    """name: as it is shown, without its group's suffix."""

    metric: Metric
    name: str


def means_table(results: Table, setting: Setting, group: Group, colours: Mapping[str, str]) -> Html | None:
    """A row a contestant, then one for each two of them; None where the group says nothing here."""
    chosen = [metric for metric in METRICS if metric.group == group]
    measured = [
        metric for metric in chosen if any(results.mean(name, setting, metric.name) for name in results.outcomes)
    ]
    fids = {label: results.fid(label, setting) for label in results.outcomes} if group == "picture" else {}
    if not measured and not any(fids.values()):
        return None
    columns = [
        _Column(metric, metric.name.removesuffix(f"_{group}"))
        for metric in chosen
        if metric in measured or metric.name in results.not_run
    ]
    heads = [_head(column.name, column.metric.better, column.metric.of) for column in columns]
    lines = []
    for label in results.outcomes:
        cells = [_mean_cell(results, label, setting, column.metric) for column in columns]
        if fids:
            fid = fids[label]
            cells.append(f"<td>{fid.value:.3g}<small>{fid.frames:,} frames</small></td>" if fid else _NOT_RUN)
        lines.append(f"<tr><th>{dot(colours[label])}{escape(label)}</th>{''.join(cells)}</tr>")
    if fids:
        heads.append(_head(FID, "down", FID_OF))
    for number, (label, other) in enumerate(results.pairs()):
        cells = [_gain_cell(results, label, other, setting, column.metric) for column in columns]
        cells += [_EMPTY] * bool(fids)
        kind = "less" if number else "less first"
        said = f"{escape(label)} less {escape(other)}"
        lines.append(f'<tr class="{kind}"><th>{said}</th>{"".join(cells)}</tr>')
    head = f'<tr class="heads"><th></th>{"".join(heads)}</tr>'
    caption = f"<caption>{_GROUPS[group]}</caption>"
    return Html(f'<div class="wide"><table class="means">{caption}{head}{"".join(lines)}</table></div>')


def _head(name: str, better: str, of: str) -> str:
    return f'<th title="{escape(of)}">{escape(name)} {_ARROWS[better]}</th>'


def _mean_cell(results: Table, label: str, setting: Setting, metric: Metric) -> str:
    if metric.name in results.not_run:
        return _NOT_RUN
    mean = results.mean(label, setting, metric.name)
    if mean is None:
        return _EMPTY
    best = mean.mean == _best(results, setting, metric) and len(results.outcomes) > 1
    return f'<td class="best">{_said(mean)}</td>' if best else f"<td>{_said(mean)}</td>"


def _best(results: Table, setting: Setting, metric: Metric) -> float | None:
    means = [mean.mean for label in results.outcomes if (mean := results.mean(label, setting, metric.name))]
    match metric.better:
        case "up":
            return max(means)
        case "down":
            return min(means)
        case _:
            return min(means, key=lambda mean: abs(mean - 1))


def _gain_cell(results: Table, label: str, other: str, setting: Setting, metric: Metric) -> str:
    gain = results.gain(label, other, setting, metric.name)
    if gain is None or metric.better == NEITHER:
        return _EMPTY
    wanted = 1 if metric.better == "up" else -1
    sure = gain.videos > 1 and (gain.low > 0 or gain.high < 0)
    word = ("better" if gain.mean * wanted > 0 else "worse") if sure else "unsure"
    return f'<td class="{word}">{_said(gain, "+")}</td>'


def _said(mean: Interval, sign: str = "") -> str:
    return f"{mean.mean:{sign}.3g}<small>{mean.low:{sign}.3g} to {mean.high:{sign}.3g}</small>"
