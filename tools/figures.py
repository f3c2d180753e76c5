"""docs/images/*.svg: plots of the committed results, and the diagram of the two paths. Each is whole by itself and follows the
reader's light or dark."""

from __future__ import annotations

import re
from typing import Any

from eval.plots import Bar, bars, growth, reliability
from tools.diagram import diagram
from tools.results import latest

_MARGIN = 12
STYLE = """
:root { --ink: #1d2733; --quiet: #5d6b7a; --paper: #fff; --line: #d5dce4; --bar: #2f6fb0; --tint: #eef3f8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e9ef; --quiet: #9aa7b4; --paper: #14191f; --line: #333d48; --bar: #6ba6de; --tint: #1d2631; }
}
svg { font: 12px system-ui, sans-serif; } text { fill: var(--ink); } .paper { fill: var(--paper); }
.bar, .dot { fill: var(--bar); } .frame { fill: none; stroke: var(--line); } .whisker { stroke: var(--ink); }
.curve { fill: none; stroke: var(--bar); stroke-width: 2; }
"""


def drawn() -> dict[str, str]:
    """Each figure by its name."""
    press, kinds = latest("ablation-press-questions"), latest("retrieval-press-questions")
    verdict, scan = latest("verdict-press-questions"), latest("ann-scale")
    return {
        "architecture": diagram(),
        "readings": whole("nDCG@10 of the press releases by what ranks", bars(_readings(press))),
        "kinds": whole("nDCG@10 of the press releases by kind of question", bars(_kinds(kinds))),
        "score": whole("Score against the share of passages that do answer", reliability(verdict["calibration"]["bins"])),
        "growth": whole("Milliseconds to find 100 neighbours", growth(_times(scan), "passages", "ms, median")),
    }


def whole(title: str, svg: str) -> str:
    """A drawing of ``eval.plots`` as a file of its own: with colours, a ground to stand on, and what it shows in words."""
    found = re.match(r'<svg viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    if found is None:
        raise ValueError("a plot begins with its size")
    width, height = float(found[1]), float(found[2])
    inner = svg.replace("<svg ", f'<svg x="{_MARGIN}" y="{_MARGIN}" width="{width:g}" height="{height:g}" ', 1)
    return framed(title, width + 2 * _MARGIN, height + 2 * _MARGIN, inner)


def framed(title: str, width: float, height: float, drawing: str, style: str = "") -> str:
    """An SVG file of ``width`` and ``height`` units."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" '
        f'role="img" aria-label="{title}"><title>{title}</title><style>{STYLE}{style}</style>'
        f'<rect class="paper" width="{width:g}" height="{height:g}" rx="6"/>{drawing}</svg>\n'
    )


def _readings(record: Any) -> list[Bar]:
    rows = [(name, one["nDCG@10"]) for name, one in record["readings"].items()]
    return [Bar("all three" if name.count("+") == 2 else name, one["value"], one["low"], one["high"]) for name, one in rows]


def _kinds(record: Any) -> list[Bar]:
    return [Bar(f"{kind} ({one['questions']})", **one["nDCG@10"]) for kind, one in record["by_kind"].items()]


def _times(record: Any) -> dict[str, list[tuple[float, float]]]:
    sizes = [one for one in record["sizes"] if one["vectors"] != record["passages"]]  # near 400,000, and labels need room
    return {
        "every vector": [(one["vectors"], one["exact_ms"]["p50"]) for one in sizes if one["exact_ms"]],
        "fast scan": [(one["vectors"], one["candidates_ms"]["p50"]) for one in sizes],
    }
