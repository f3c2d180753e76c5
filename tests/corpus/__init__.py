"""Small files of every format as people have them, each with the passages that it must give.

A passage is written as it is read: its text, after its headings in brackets if it has some. The files are made here, byte by
byte, so that a reader of the tests sees what is in them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Piece:
    """A file of the corpus. ``pages``: the page of each passage, if the format has pages."""

    name: str
    data: bytes
    passages: Sequence[str]
    title: str = ""  # "": the file's name
    date: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    pages: Sequence[int] = ()
    remarks: Sequence[str] = ()  # what is said of it, about what part
    sidecar: Mapping[str, Any] | None = None
    question: str = ""  # a question that ``answer`` must be found by, as the first passage
    answer: str = ""


def text(written: str) -> bytes:
    """UTF-8, without the line break that the first quotes need."""
    return written.removeprefix("\n").encode()
