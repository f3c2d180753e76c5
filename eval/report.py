"""Report: one HTML page from the JSON of the other commands, with a baseline to compare with."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Annotated, Any

import typer

from eval.errors import EvalError
from eval.shell import errors

Record = Mapping[str, Any]

WORST = 20  # questions that are shown
CHANGED = 10  # most improved and most worsened
UNKNOWN = ("made without --per-question", "")

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2733; --quiet: #5d6b7a; --paper: #fff; --line: #d5dce4; --bar: #2f6fb0; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e9ef; --quiet: #9aa7b4; --paper: #14191f; --line: #333d48; --bar: #6ba6de; }
}
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 0 auto; padding: 1rem; }
body { color: var(--ink); background: var(--paper); }
svg { width: 100%; max-width: 34rem; font: 12px system-ui, sans-serif; } svg.square { max-width: 20rem; }
svg text { fill: var(--ink); } .bar, .dot { fill: var(--bar); } .frame { fill: none; stroke: var(--line); }
.whisker { stroke: var(--ink); } .curve { fill: none; stroke: var(--bar); stroke-width: 2; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .9rem; }
td, th { padding: .2rem .7rem .2rem 0; text-align: left; border-bottom: 1px solid var(--line); vertical-align: top; }
td, th { white-space: nowrap; } td:first-child { white-space: normal; min-width: 8rem; overflow-wrap: break-word; }
li { margin: .5rem 0; } .quiet { color: var(--quiet); font-size: .85rem; }
"""


def command(
    target: Annotated[Path, typer.Argument(metavar="OUT.html", help="The page to write.")],
    results: Annotated[
        list[Path], typer.Argument(metavar="RESULT.json...", help="What the other commands printed with --json.")
    ],
    baseline: Annotated[
        list[Path] | None, typer.Option(metavar="RESULT.json", help="Earlier retrieval results to compare with. Repeatable.")
    ] = None,
) -> None:
    """Write one HTML page with plots, the worst questions, and what changed since a baseline."""
    with errors():
        text = page([_read(file) for file in results], [_read(file) for file in baseline or []])
        try:
            target.write_text(text, encoding="utf-8")
        except OSError as error:
            raise EvalError(f"{target} cannot be written: {error.strerror}; name a file in a folder that is there") from error
    typer.echo(f"written: {target}")


def page(records: Sequence[Record], baseline: Sequence[Record] = ()) -> str:
    """The page. Everything that came from a collection is escaped."""
    of = {
        what: [one for one in records if one["what"] == what]
        for what in ("retrieval", "evidence", "verdict", "ablation", "speed", "ann", "load", "peers")
    }
    parts = [
        _section("Retrieval: nDCG@10", _retrieval(of["retrieval"])),
        _section("By kind of question: nDCG@10", _kinds(of["retrieval"])),
        _section("Since the baseline", _changes(of["retrieval"], baseline)),
        _section("Evidence", _evidence(of["evidence"])),
        _section("Verdict", _verdicts(of["verdict"])),
        _section("Reliability of the score", _reliability(of["verdict"])),
        _section("Readings, alone and together", _ablations(of["ablation"])),
        _section("Speed, milliseconds", _speeds(of["speed"])),
        _section("Nearest neighbours as the collection grows", _neighbours(of["ann"])),
        _section("Load, over HTTP", _loads(of["load"])),
        _section("Beside other libraries", _peers(of["peers"])),
        _section("Worst questions, with what was returned", _worst(of["retrieval"])),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Passages: evaluation</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>'
        f"<body><h1>Evaluation</h1>{''.join(parts)}</body></html>\n"
    )


def _read(file: Path) -> Record:
    try:
        record: Record = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EvalError(f"{file} cannot be read as JSON ({error}); name what a command printed with --json") from error
    if not isinstance(record, dict) or "what" not in record:
        raise EvalError(f"{file} is no outcome of these commands; name what one of them printed with --json")
    return record


def _section(title: str, body: str) -> str:
    return f"<h2>{escape(title)}</h2>{body}" if body else ""


def _retrieval(records: Sequence[Record]) -> str:
    from eval.plots import Bar, bars

    if not records:
        return ""
    names = ("nDCG@10", "success@1", "recall@100", "MRR")
    head = ("set", "questions", "passages", *names)
    rows = [
        (one["set"], one["questions"], one["passages"], *(_interval(one["measures"][name]) for name in names))
        for one in records
    ]
    return bars([Bar(one["set"], **one["measures"]["nDCG@10"]) for one in records]) + _table(head, rows)


def _kinds(records: Sequence[Record]) -> str:
    from eval.plots import Bar, bars

    plots = [
        f"<h3>{escape(one['set'])}</h3>"
        + bars([Bar(f"{kind} ({some['questions']})", **some["nDCG@10"]) for kind, some in one["by_kind"].items()])
        for one in records
        if one.get("by_kind")
    ]
    return "".join(plots)


def _changes(records: Sequence[Record], baseline: Sequence[Record]) -> str:
    from eval.compare import compare, pairs

    before = {one["set"]: one for one in baseline}
    both = [(one, before[one["set"]]) for one in records if one["set"] in before]
    rows = [
        (one["set"], found.questions, *((f"{found.difference:+.4f}", f"{found.p:.4f}") if found.questions else UNKNOWN))
        for one, old in both
        for found in [compare(one, old)]
    ]
    parts = [_table(("set", "questions", "difference", "p"), rows)] if rows else []
    for one, old in both:
        moved = sorted((pair for pair in pairs(one, old) if pair[1] != pair[2]), key=lambda pair: pair[2] - pair[1])
        shown = [*reversed(moved[-CHANGED:]), *moved[:CHANGED]]
        diff = [(text, f"{was:.3f}", f"{now:.3f}", f"{now - was:+.3f}") for text, was, now in dict.fromkeys(shown)]
        parts.append(f"<h3>{escape(one['set'])}: {len(moved)} questions changed</h3>")
        parts.append(_table(("question", "was", "is", "change"), diff))
    return "".join(parts)


def _evidence(records: Sequence[Record]) -> str:
    rows = [
        (one["set"], one["questions"], _interval(one["held"]), _interval(one["first"]), one["not_found"], one["unplaced"])
        for one in records
    ]
    head = ("set", "questions", "of the passage found", "of the first result", "not found", "left out")
    return _table(head, rows) if rows else ""


def _verdicts(records: Sequence[Record]) -> str:
    rows = []
    for one in records:
        for band, some in one["bands"].items():
            area = _interval(one["auroc"][band]) if band in one["auroc"] else ""
            shares = (_interval(some["verdicts"][name]) for name in ("answered", "weak", "nothing"))
            rows.append((one["set"], one["passages"], band, some["questions"], area, *shares))
        if "all" in one["auroc"]:
            rows.append((one["set"], one["passages"], "all but answerable", "", _interval(one["auroc"]["all"]), "", "", ""))
    head = ("set", "passages", "band", "questions", "AUROC", "answered", "weak", "nothing")
    return _table(head, rows) if rows else ""


def _reliability(records: Sequence[Record]) -> str:
    from eval.plots import reliability

    return "".join(
        f"<h3>{escape(one['set'])}: calibration error {one['calibration']['error']:.3f}</h3>"
        + reliability([(stated, true) for stated, true in one["calibration"]["bins"]])
        for one in records
    )


def _ablations(records: Sequence[Record]) -> str:
    rows = [
        (
            one["set"],
            name,
            _interval(some["nDCG@10"]),
            _interval(some["success@1"]),
            _interval(some["nDCG@10"]["difference"], "+.3f"),
        )
        for one in records
        for name, some in one["readings"].items()
    ]
    return _table(("set", "readings", "nDCG@10", "success@1", "difference"), rows) if rows else ""


def _speeds(records: Sequence[Record]) -> str:
    rows = [
        (one["set"], one["passages"], stage, f"{some['p50']:.2f}", f"{some['p95']:.2f}")
        for one in records
        for stage, some in one["stages"].items()
    ]
    return _table(("set", "passages", "stage", "p50", "p95"), rows) if rows else ""


def _loads(records: Sequence[Record]) -> str:
    head = ("set", "passages", "load", "asked", "a second", "p50 ms", "p95 ms", "p99 ms", "503", "errors", "error rate")
    rows = [(one["set"], one["passages"], name, *_load(some)) for one in records for name, some in _loaded(one)]
    starts = [
        f"{one['set']}: the first question took {_milliseconds(one['start'], 'first_ms')[0]} ms"
        + (f", {one['start']['ready_s']:.1f} s after the start" if one["start"]["ready_s"] is not None else "")
        for one in records
    ]
    return _table(head, rows) + "".join(f'<p class="quiet">{escape(start)}</p>' for start in starts) if rows else ""


def _load(one: Record) -> tuple[object, ...]:
    errors = sum(one["errors"].values())
    times = _milliseconds(one, "p50", "p95", "p99")
    return one["asked"], f"{one['per_second']:.1f}", *times, one["refused"]["count"], errors, f"{one['error_rate']:.1%}"


def _loaded(one: Record) -> Iterable[tuple[str, Record]]:
    yield from ((f"{some['clients']} clients", some) for some in one["closed"])
    yield from ((f"{some['share']:.0%}: {some['arriving_per_second']:.1f} arrive a second", some) for some in one["open"])


def _peers(records: Sequence[Record]) -> str:
    head = ("set", "passages", "system", "p50 ms", "p95 ms", "times ours", "index s", "nDCG@10")
    rows = [
        (one["set"], one["passages"], f"{name} {some['version']}", *_milliseconds(some, "p50", "p95"),
         _interval(some["ratio"], ".2f"), "" if some["index_s"] is None else some["index_s"], _interval(some["nDCG@10"]))
        for one in records
        for name, some in one["systems"].items()
    ]  # fmt: skip
    failed = [f"{name} failed: {reason}" for one in records for name, reason in one["failed"].items()]
    return _table(head, rows) + "".join(f'<p class="quiet">{escape(line)}</p>' for line in failed) if rows else ""


def _milliseconds(one: Record, *names: str) -> tuple[str, ...]:
    """Empty where nothing was answered."""
    return tuple("" if one[name] is None else f"{one[name]:.1f}" for name in names)


def _neighbours(records: Sequence[Record]) -> str:
    from eval.plots import growth

    parts = []
    for one in records:
        sizes = one["sizes"]
        lines = {
            "p50": [(some["vectors"], some["ms"]["p50"]) for some in sizes],
            "p95": [(some["vectors"], some["ms"]["p95"]) for some in sizes],
            "exact p50": [(some["vectors"], some["exact_ms"]["p50"]) for some in sizes if some["exact_ms"]],
        }
        shares = list(sizes[0]["filtered_ms"])
        head = ("vectors", "recall@10", "p50", "p95", *(f"p50, {float(share):.1%} left" for share in shares),
                "build, s", "open, s", "bytes a vector")  # fmt: skip
        rows = [
            (f"{some['vectors']:,}", "time and memory only" if some["recall@10"] is None else some["recall@10"],
             some["ms"]["p50"], some["ms"]["p95"], *(some["filtered_ms"][share]["p50"] for share in shares),
             some["build_s"], some["open_s"], some["bytes_a_vector"])
            for some in sizes
        ]  # fmt: skip
        plot = growth({name: line for name, line in lines.items() if line}, "vectors", "milliseconds")
        parts.append(f"<h3>{escape(one['set'])}</h3>{plot}{_table(head, rows)}")
    return "".join(parts)


def _worst(records: Sequence[Record]) -> str:
    parts = []
    for one in records:
        missed = [question for question in one.get("per_question", ()) if question["nDCG@10"] < 1]
        worst = sorted(missed, key=lambda question: (question["nDCG@10"], question["id"]))[:WORST]
        if worst:
            parts.append(f"<h3>{escape(one['set'])}</h3>" + "".join(map(_question, worst)))
    return "".join(parts)


def _question(one: Mapping[str, Any]) -> str:
    """A question and what was returned first, as a paragraph and a list, which a narrow screen can wrap."""
    kind = f", {one['kind']}" if one["kind"] else ""
    returned = "".join(
        f'<li>{escape(first["text"])} <span class="quiet">{escape(first["document"])}, characters {int(first["start"])} to '
        f"{int(first['end'])}, score {first['score']:.2f}</span></li>"
        for first in one["first"]
    )
    measured = f'<span class="quiet">nDCG@10 {one["nDCG@10"]:.3f}{escape(kind)}</span>'
    return f"<p><b>{escape(one['text'])}</b> {measured}</p><ol>{returned or '<li>nothing was returned</li>'}</ol>"


def _interval(one: Mapping[str, float], form: str = ".3f") -> str:
    return f"{one['value']:{form}} ({one['low']:{form}} to {one['high']:{form}})"


def _table(head: Iterable[object], rows: Iterable[Iterable[object]]) -> str:
    def row(cells: Iterable[object], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(str(cell))}</{tag}>" for cell in cells) + "</tr>"

    body = "".join(row(cells, "td") for cells in rows)
    return f'<div class="wide"><table>{row(head, "th")}{body}</table></div>'
