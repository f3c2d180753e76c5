"""What a sync did, for a person or a program."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.terminal import one_line, print_record

if TYPE_CHECKING:
    from indexer.synced import Summary

_COUNTERS = ("added", "changed", "moved", "deleted", "unchanged")


def print_summary(summary: Summary, seconds: float, interrupted: bool, as_json: bool) -> None:
    """Print it."""
    counts = {name: getattr(summary, name) for name in _COUNTERS}
    record = {
        **counts, "failed": [one._asdict() for one in summary.failed],
        "noted": [one._asdict() for one in summary.noted], "skipped": dict(summary.skipped),
        "passages_encoded": summary.passages_encoded, "passages_reused": summary.passages_reused,
        "seconds": round(seconds, 2), "interrupted": interrupted,
    }  # fmt: skip
    words = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    lines = [f"documents: {words}, {len(summary.failed):,} failed"]
    lines += [f"{summary.passages_encoded:,} passages encoded in {seconds:.1f} s"]
    lines += [failure(*one) for one in summary.failed] + [note(*one) for one in summary.noted]
    if summary.skipped:
        kinds = ", ".join(f"{count:,} {one_line(suffix)}" for suffix, count in summary.skipped.most_common())
        lines.append(f"skipped, not documents: {kinds}")
    if interrupted:
        lines.append("interrupted: the documents counted above are kept; run the same command again to go on from here")
    print_record(record, as_json, "\n".join(lines))


def failure(path: str, record: str, reason: str) -> str:
    """A file, or a record of it, that could not be read."""
    return _told("failed", path, record, reason)


def note(path: str, about: str, remark: str) -> str:
    """What is to be known of a file that was read, or of a part of it."""
    return _told("note", path, about, remark)


def _told(kind: str, path: str, part: str, words: str) -> str:
    return one_line(f"{kind}: {path}{', ' + part if part else ''}: {words}")
