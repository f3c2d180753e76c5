"""The two straight paths, as a drawing. What is named in it are files of ``indexer``; a test looks for each."""

from __future__ import annotations

from typing import NamedTuple


class Stage(NamedTuple):
    """A step of a path: the file it is in, and what it does, a line each."""

    file: str
    does: tuple[str, str]


INDEXING = (
    Stage("sync.py", ("finds what is new,", "changed, gone")),
    Stage("documents.py", ("any format to", "canonical text")),
    Stage("passages.py", ("paragraphs with", "exact offsets")),
    Stage("encoder.py", ("vector and tokens", "in one pass")),
    Stage("catalog.py", ("the truth:", "one SQLite file")),
)
DERIVED = Stage("words.py and vectors.py", ("find by words and by meaning;", "derived: made again from the catalog at will"))
ASKING = (
    Stage("question.py", ("phrases, exclusions,", "dates")),
    Stage("reading.py", ("encoded once; words", "with their rarity")),
    Stage("candidates.py", ("100 by vector,", "100 by words; MaxSim")),
    Stage("ranking.py", ("signals to score", "and verdict")),
    Stage("evidence.py", ("the sentence", "that answers")),
)
_WIDE, _HIGH, _GAP, _LEFT = 148, 66, 28, 16  # of a box, between boxes, left of the first
_ROWS = (52, 172, 292)  # tops of the three rows
_TITLE = "Two straight paths through Passages: a document becomes passages in the catalog, a question becomes an answer"
_STYLE = (
    ".box { fill: var(--tint); stroke: var(--bar); } .derived { fill: none; stroke: var(--quiet); stroke-dasharray: 4 3; } "
    ".file { font-weight: 600; } .does { font-size: 11px; fill: var(--quiet); } "
    ".path { font-size: 13px; font-weight: 600; } .way { fill: none; stroke: var(--ink); stroke-width: 1.3; } "
    ".tip { fill: var(--ink); }"
)


def diagram() -> str:
    """The whole drawing."""
    from tools.figures import framed

    width = 2 * _LEFT + 5 * _WIDE + 4 * _GAP
    top, middle, bottom = _ROWS
    parts = [_said(_LEFT, top - 14, "path", "A document is indexed"), _said(_LEFT, bottom - 14, "path", "A question is asked")]
    parts += [_said(_LEFT, bottom + _HIGH + 24, "does", _BELOW)]
    for column, (over, under) in enumerate(zip(INDEXING, ASKING, strict=True)):
        parts += [_box(column, top, over), _box(column, bottom, under)]
    parts.append(_box(2, middle, DERIVED, "derived", columns=2))
    parts += [_across(column, row) for row in (top, bottom) for column in range(4)]
    parts += [_from_catalog(), _down(2, middle + _HIGH, bottom)]
    return framed(_TITLE, width, bottom + _HIGH + 38, "".join(parts), _STYLE)


_BELOW = (
    "ingest.py drives the first path and commits, search.py drives the second, explain.py tells what became of a passage. "
    "service/ and eval/ call both."
)


def _x(column: float) -> float:
    return _LEFT + column * (_WIDE + _GAP)


def _box(column: int, top: float, stage: Stage, kind: str = "box", columns: int = 1) -> str:
    wide = columns * (_WIDE + _GAP) - _GAP
    middle = _x(column) + wide / 2
    lines = [_said(middle, top + 38 + 15 * at, "does", line, "middle") for at, line in enumerate(stage.does)]
    return (
        f'<rect class="{kind}" x="{_x(column):g}" y="{top:g}" width="{wide}" height="{_HIGH}" rx="5"/>'
        f"{_said(middle, top + 20, 'file', stage.file, 'middle')}{''.join(lines)}"
    )


def _said(x: float, y: float, kind: str, text: str, anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x:g}" y="{y:g}" text-anchor="{anchor}">{text}</text>'


def _across(column: int, top: float) -> str:
    return _way(f"M{_x(column) + _WIDE:g} {top + _HIGH / 2:g}h{_GAP - 6}", _x(column + 1), top + _HIGH / 2, "right")


def _down(column: int, start: float, end: float) -> str:
    x = _x(column) + _WIDE / 2
    return _way(f"M{x:g} {start:g}V{end - 6:g}", x, end, "down")


def _from_catalog() -> str:
    """From under the catalog to the derived indexes at its left."""
    x, y = _x(4) + _WIDE / 2, _ROWS[1] + _HIGH / 2
    return _way(f"M{x:g} {_ROWS[0] + _HIGH:g}V{y:g}H{_x(3) + _WIDE + 6:g}", _x(3) + _WIDE, y, "left")


_TIPS = {"right": "l-7 -4v8z", "down": "l-4 -7h8z", "left": "l7 -4v8z"}


def _way(line: str, x: float, y: float, towards: str) -> str:
    return f'<path class="way" d="{line}"/><path class="tip" d="M{x:g} {y:g}{_TIPS[towards]}"/>'
