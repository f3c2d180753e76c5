"""What a sync did, and how far it is."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal, NamedTuple


class Failure(NamedTuple):
    """A file, or a ``record`` of it ("line 17"), that could not be read, and why."""

    path: str
    record: str
    reason: str


class Change(NamedTuple):
    """What became of a file whose documents are committed: "added", "changed", "deleted", or "moved" from ``before``."""

    kind: Literal["added", "changed", "moved", "deleted"]
    path: str
    before: str = ""


class Noted(NamedTuple):
    """A file that was read, and what should be known of it or of a part of it ("pages 2-4")."""

    path: str
    about: str
    remark: str


@dataclass(slots=True)
class Progress:
    """How far a sync is: passages encoded, and bytes of the files that had to be read. Files become text of another size,
    so within a file ``done_bytes`` is an estimate; at the end of each it is exact."""

    passages: int = 0
    done_bytes: int = 0
    total_bytes: int = 0


@dataclass(slots=True)
class Summary:
    """What a sync did, in documents. ``skipped`` counts files by a suffix that is not a document's."""

    added: int = 0
    changed: int = 0
    moved: int = 0
    deleted: int = 0
    unchanged: int = 0
    failed: list[Failure] = field(default_factory=list)
    noted: list[Noted] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    passages_encoded: int = 0
    passages_reused: int = 0
