"""Plots as SVG: text in, text out. Colours come from the page's style, so that they read in light and dark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from math import log
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


def growth(lines: Mapping[str, Sequence[tuple[float, float]]], across: str, up: str) -> str:
    """Lines of points, x on a logarithmic scale and y from 0 on, each named at its last point."""
    points = [point for line in lines.values() for point in line]
    left, width, height, top = 40, _WIDTH - 130, 200, 16
    low, high = log(min(x for x, _ in points)), log(max(x for x, _ in points))
    most = max(y for _, y in points) or 1.0

    def place(x: float, y: float) -> tuple[float, float]:
        return left + (log(x) - low) / ((high - low) or 1.0) * width, top + (1 - y / most) * height

    drawn = []
    for name, line in lines.items():
        at = [place(x, y) for x, y in line]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
        dots = "".join(f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="4"/>' for x, y in at)
        label = f'<text x="{at[-1][0] + 8:.1f}" y="{at[-1][1] + 4:.1f}">{escape(name)}</text>'
        drawn.append(f'<polyline class="curve" points="{path}"/>{dots}{label}')
    marks = "".join(
        f'<text x="{place(x, 0)[0]:.1f}" y="{top + height + 16}" text-anchor="middle">{x:,.0f}</text>'
        for x in sorted({x for x, _ in points})
    )
    return (
        f'<svg viewBox="0 0 {_WIDTH} {top + height + 40}" role="img">'
        f'<rect class="frame" x="{left}" y="{top}" width="{width}" height="{height}"/>{"".join(drawn)}{marks}'
        f'<text x="{left + width / 2}" y="{top + height + 34}" text-anchor="middle">{escape(across)}</text>'
        f'<text x="{left - 6}" y="{top + 4}" text-anchor="end">{most:.1f}</text>'
        f'<text x="12" y="{top + height / 2}" text-anchor="middle" transform="rotate(-90 12 {top + height / 2})">'
        f"{escape(up)}</text></svg>"
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
