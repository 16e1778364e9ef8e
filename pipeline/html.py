"""Pages that need nothing but a browser: text, tables, histograms and pictures in one HTML file, without a network.

A block is a piece of finished HTML; whatever text comes in is escaped.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple, NewType

import numpy as np
import simplejpeg
from numpy.typing import ArrayLike, NDArray

Html = NewType("Html", str)

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #888; --bar: #4a7ab5; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
table { border-collapse: collapse; } .wide { overflow-x: auto; margin-bottom: 1rem; }
th, td { text-align: left; padding: .2rem 1rem .2rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
.strip, .charts { display: flex; flex-wrap: wrap; gap: 1rem; }
figure { margin: 0; } figcaption { color: var(--soft); font-size: .85rem; overflow-wrap: anywhere; }
.charts figure { width: 320px; }
.strip figure { width: 200px; } .strip img, .grid img { width: 100%; display: block; border-radius: 4px; }
.grid { display: grid; gap: .6rem; margin-bottom: 1.6rem; }
svg { fill: currentColor; font-size: 11px; } svg .bar { fill: var(--bar); } svg .axis { stroke: var(--soft); }
p.note { color: var(--soft); }
"""
_CHART_WIDTH, _CHART_HEIGHT, _MARGIN = 320, 130, 24
"""Of a histogram in CSS pixels; the margin is around and below its bars."""


def page(title: str, *blocks: Html) -> str:
    """A whole document."""
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    icon = '<link rel="icon" href="data:,">'  # or browsers ask for one
    body = f"<h1>{escape(title)}</h1>\n" + "\n".join(blocks)
    return f"""<!doctype html>
<html lang="en"><head>{head}{icon}<style>{_STYLE}</style></head>
<body>{body}</body></html>
"""


def section(heading: str, *blocks: Html) -> Html:
    return Html(f"<h2>{escape(heading)}</h2>\n" + "\n".join(blocks))


def paragraph(text: str) -> Html:
    return Html(f'<p class="note">{escape(text)}</p>')


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> Html:
    """A row a line; numbers stand to the right, and integers have their thousands apart."""
    rows = list(rows)
    numeric = [bool(rows) and all(isinstance(row[i], int | float) for row in rows) for i in range(len(headings))]
    kinds = [' class="number"' if is_number else "" for is_number in numeric]
    head = "".join(f"<th{kind}>{escape(name)}</th>" for name, kind in zip(headings, kinds, strict=True))
    lines = (
        "<tr>"
        + "".join(f"<td{kind}>{escape(_text(cell))}</td>" for cell, kind in zip(row, kinds, strict=True))
        + "</tr>"
        for row in rows
    )
    return Html(f'<div class="wide"><table><tr>{head}</tr>{"".join(lines)}</table></div>')


def histogram(values: ArrayLike, caption: str, bins: int = 30) -> Html:
    """How often finite values occur, as a drawing; its ends and its highest bar are labelled."""
    finite = np.asarray(values, np.float64)
    finite = finite[np.isfinite(finite)]
    if not finite.size:
        return Html(f"<figure><figcaption>{escape(caption)}: no values</figcaption></figure>")
    counts, edges = np.histogram(finite, bins)
    width, height = (_CHART_WIDTH - 2 * _MARGIN) / bins, _CHART_HEIGHT - 2 * _MARGIN
    base = _MARGIN + height
    heights = counts / counts.max() * height
    bars = (
        f'<rect class="bar" x="{_MARGIN + i * width:.1f}" y="{base - h:.1f}" width="{width - 1:.1f}" height="{h:.1f}">'
        f"<title>{edges[i]:.3g} to {edges[i + 1]:.3g}: {counts[i]:,}</title></rect>"
        for i, h in enumerate(heights.tolist())
    )
    right = _CHART_WIDTH - _MARGIN
    axis = f'<line class="axis" x1="{_MARGIN}" y1="{base}" x2="{right}" y2="{base}"/>'
    labels = (
        f'<text x="{_MARGIN}" y="{base + 15}">{edges[0]:.3g}</text>'
        f'<text x="{right}" y="{base + 15}" text-anchor="end">{edges[-1]:.3g}</text>'
        f'<text x="{_MARGIN}" y="{_MARGIN - 6}">{counts.max():,}</text>'
    )
    svg = f'<svg width="{_CHART_WIDTH}" height="{_CHART_HEIGHT}" role="img">{"".join(bars)}{axis}{labels}</svg>'
    said = f"{caption}: median {np.median(finite):.3g}, 5 to 95 % {_quantiles(finite)}, {finite.size:,} values"
    return Html(f"<figure>{svg}<figcaption>{escape(said)}</figcaption></figure>")


def charts(*drawings: Html) -> Html:
    """Histograms beside one another."""
    return Html(f'<div class="charts">{"".join(drawings)}</div>')


class Picture(NamedTuple):
    """image: (H, W, 3) uint8 RGB."""

    image: NDArray[np.uint8]
    caption: str


def strip(pictures: Iterable[Picture]) -> Html:
    """Pictures beside one another, each inside the page itself, as JPEG."""
    figures = (
        f'<figure><img src="{_data_uri(image)}" alt=""><figcaption>{escape(caption)}</figcaption></figure>'
        for image, caption in pictures
    )
    return Html(f'<div class="strip">{"".join(figures)}</div>')


def grid(rows: Sequence[Sequence[Picture | None]]) -> Html:
    """Rows of as many pictures, one below the other; where there is None, a place stays empty."""
    cells = (
        f'<figure><img src="{_data_uri(cell.image)}" alt=""><figcaption>{escape(cell.caption)}</figcaption></figure>'
        if cell
        else "<span></span>"
        for row in rows
        for cell in row
    )
    columns = f"grid-template-columns: repeat({len(rows[0])}, minmax(0, 200px))"
    return Html(f'<div class="grid" style="{columns}">{"".join(cells)}</div>')


def _data_uri(image: NDArray[np.uint8]) -> str:
    data = simplejpeg.encode_jpeg(np.ascontiguousarray(image), quality=85, colorspace="RGB")
    return f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"


def _text(cell: object) -> str:
    match cell:
        case int():
            return f"{cell:,}"
        case float():
            return f"{cell:.4g}"
        case _:
            return str(cell)


def _quantiles(values: NDArray[np.float64]) -> str:
    low, high = np.quantile(values, [0.05, 0.95])
    return f"{low:.3g} to {high:.3g}"
