"""Plots as SVG: text in, text out. Colours come from the page's style, so that they read in light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

_ROW, _LABEL, _WIDTH = 26, 130, 420  # units of the drawing: narrow, so that a phone does not shrink its text beyond reading


class Bar(NamedTuple):
    """A value from 0 to 1 with its interval."""

    label: str
    value: float
    low: float
    high: float


def bars(rows: Sequence[Bar]) -> str:
    """Horizontal bars, one a row, each with its interval as a line."""
    room = _WIDTH - _LABEL - 50
    drawn = "".join(_bar(row, _ROW * at, room) for at, row in enumerate(rows))
    return f'<svg viewBox="0 0 {_WIDTH} {_ROW * len(rows)}" role="img">{drawn}</svg>'


def reliability(bins: Sequence[tuple[float, float]]) -> str:
    """Stated probability (across) against the share that came true (up), with the diagonal where both are the same."""
    side, edge = 260, 30
    points = [(edge + x * side, edge + (1 - y) * side) for x, y in bins]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dots = "".join(f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="4"/>' for x, y in points)
    size = side + 2 * edge
    return (
        f'<svg viewBox="0 0 {size} {size}" class="square" role="img">'
        f'<rect class="frame" x="{edge}" y="{edge}" width="{side}" height="{side}"/>'
        f'<line class="whisker" x1="{edge}" y1="{edge + side}" x2="{edge + side}" y2="{edge}"/>'
        f'<polyline class="curve" points="{line}"/>{dots}'
        f'<text x="{size / 2}" y="{size - 6}" text-anchor="middle">score</text>'
        f'<text x="12" y="{size / 2}" text-anchor="middle" transform="rotate(-90 12 {size / 2})">share relevant</text></svg>'
    )


def _bar(row: Bar, top: float, room: float) -> str:
    left, middle = _LABEL, top + _ROW / 2
    low, high = left + row.low * room, left + row.high * room
    return (
        f'<text x="{left - 8}" y="{middle + 4}" text-anchor="end">{escape(row.label)}</text>'
        f'<rect class="bar" x="{left}" y="{top + 5}" width="{max(0.0, row.value) * room:.1f}" height="{_ROW - 10}"/>'
        f'<line class="whisker" x1="{low:.1f}" y1="{middle}" x2="{high:.1f}" y2="{middle}"/>'
        f'<text x="{left + room + 8}" y="{middle + 4}">{row.value:.3f}</text>'
    )
