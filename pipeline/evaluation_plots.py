"""Every video's values: a plot a metric and setting."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from urllib.parse import unquote

from pipeline.evaluation_plan import Setting
from pipeline.evaluation_results import Table
from pipeline.html import Html

_PLOTTED = ("akd", "l1", "expression", "pose")
_SHOWN_VIDEOS = 60
_WIDTH, _HEIGHT, _LEFT, _TOP = 320, 130, 48, 16
"""Of a plot in CSS pixels."""
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7d6b00", "#555555")
"""Told apart by the colour-blind too; Okabe and Ito, Color universal design (2008)."""


def colours_of(results: Table) -> dict[str, str]:
    """A colour for each contestant."""
    return {label: _COLOURS[number % len(_COLOURS)] for number, label in enumerate(results.outcomes)}


def dot(colour: str) -> str:
    """What stands before a contestant's name."""
    return f'<span class="dot" style="background:{colour}"></span>'


def legend(colours: Mapping[str, str]) -> Html:
    names = (f"<span>{dot(colour)}{escape(label)}</span>" for label, colour in colours.items())
    return Html(f"<p>{' &ensp; '.join(names)}; a column a driver, whose name shows under the pointer</p>")


def plots(results: Table, colours: Mapping[str, str]) -> Iterator[Html]:
    """One a metric and setting."""
    for name in _PLOTTED:
        for setting in Setting:
            points = {
                label: {
                    one.driving: value
                    for one in some
                    if one.setting == setting and (value := one.values.get(name)) is not None
                }
                for label, some in results.outcomes.items()
            }
            if any(points.values()):
                yield _plot(f"{name}, {setting.value}", points, colours)


def _plot(caption: str, points: Mapping[str, Mapping[str, float]], colours: Mapping[str, str]) -> Html:
    """A column a driver, a dot a contestant; the axis begins at 0."""
    drivers = sorted({driver for some in points.values() for driver in some})[:_SHOWN_VIDEOS]
    top = max(value for some in points.values() for value in some.values()) or 1.0
    step, base = (_WIDTH - _LEFT) / (len(drivers) + 1), _TOP + _HEIGHT
    marks = []
    for place, driver in enumerate(drivers, start=1):
        x = f"{_LEFT + step * place:.1f}"
        heights = {label: base - some[driver] / top * _HEIGHT for label, some in points.items() if driver in some}
        ends = f'y1="{min(heights.values()):.1f}" y2="{max(heights.values()):.1f}"'
        marks.append(f'<line class="span" x1="{x}" x2="{x}" {ends}/>')
        for label, height in heights.items():
            said = escape(f"{unquote(driver)}, {label}: {points[label][driver]:.4g}")
            marks.append(
                f'<circle cx="{x}" cy="{height:.1f}" r="4" fill="{colours[label]}"><title>{said}</title></circle>'
            )
    axis = f'<line class="axis" x1="{_LEFT}" y1="{base}" x2="{_WIDTH}" y2="{base}"/>'
    scale = f'<text x="0" y="{_TOP + 6}">{top:.3g}</text><text x="0" y="{base}">0</text>'
    svg = f'<svg width="{_WIDTH}" height="{base + 8}" role="img">{axis}{scale}{"".join(marks)}</svg>'
    return Html(f"<figure>{svg}<figcaption>{escape(caption)}: {len(drivers)} drivers by name</figcaption></figure>")
