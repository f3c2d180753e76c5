"""What the documents are, by the clock: so that any answer can be judged by when its search began and ended."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Change(NamedTuple):
    """A document's text from some time on; None: it was deleted. Times are of :func:`time.monotonic`."""

    text: str | None
    begun: float
    acknowledged: float  # infinite until it is; then the change can be seen by all


@dataclass
class Truth:
    """Every change that was asked for. One writer a document, so its changes follow one another. Thread-safe."""

    changes: dict[str, list[Change]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, document_id: str, text: str | None) -> None:
        """From now on the document may be this."""
        with self.lock:
            self.changes.setdefault(document_id, []).append(Change(text, time.monotonic(), float("inf")))

    def acknowledge(self, document_id: str) -> None:
        """From now on it is."""
        with self.lock:
            last = self.changes[document_id][-1]
            self.changes[document_id][-1] = last._replace(acknowledged=time.monotonic())

    def possible(self, document_id: str, began: float, ended: float) -> list[str | None]:
        """What a search between these times may have seen of the document."""
        with self.lock:
            changes = list(self.changes.get(document_id, []))
        settled = [number for number, one in enumerate(changes) if one.acknowledged <= began]
        first = settled[-1] if settled else None
        seen = [one.text for one in changes[first or 0 :] if one.begun <= ended]
        return seen if first is not None else [None, *seen]

    def final(self) -> dict[str, str]:
        """The texts of the documents at the end, when nothing is under way."""
        with self.lock:
            return {name: changes[-1].text for name, changes in self.changes.items() if changes[-1].text is not None}


def faults(answer: dict[str, Any], truth: Truth, began: float, ended: float) -> list[str]:
    """What is wrong with an answer, in words: a passage of no version that was there, or versions of two commits."""
    found = []
    versions: dict[str, list[str]] = {}
    for result in answer["results"]:
        name = result["document"]["id"]
        left = versions.get(name)
        if left is None:
            left = [text for text in truth.possible(name, began, ended) if text is not None]
        versions[name] = [text for text in left if text[result["start"] : result["end"]] == result["text"]]
        if not versions[name]:
            found.append(f"{name}: {result['text'][:80]!r} at {result['start']} is of no version, or of two")
    pairs = {name: versions[name] for name in versions if name.startswith("pair-")}
    for name, texts in pairs.items():
        other = pairs.get(twin(name))
        if texts and other and not {edition(text) for text in texts} & {edition(text) for text in other}:
            found.append(f"{name} and {twin(name)} are of two commits")
    return found


def twin(name: str) -> str:
    """The file that changes together with this one, in one commit."""
    return name.replace("-a.txt", "-B.txt").replace("-b.txt", "-a.txt").replace("-B.txt", "-b.txt")


def edition(text: str) -> str:
    """Which edition a text is."""
    return text.partition("edition ")[2].split(maxsplit=1)[0].rstrip(".,")
