"""Who uses the servers: writers, which own their documents, searchers, and an indexer that syncs a folder."""

from __future__ import annotations

import http.client
import random
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.servers import PASSAGES, Api, Reply
from tests.soak import texts
from tests.soak.truth import Truth, faults, twin

DOCUMENTS = 40  # of each writer: their number stays about the same, so that memory may too
PAIRS = 15
_REST_S = 0.05  # between writes: on two cores, writers that never rest leave nothing to searchers
_ASK_REST_S = 0.5
_SYNC_REST_S = 8.0  # a sync holds the writer lock while it loads its model and encodes


@dataclass
class Soak:
    """What all workers share. ``faults`` must stay empty."""

    truth: Truth = field(default_factory=Truth)
    stopped: threading.Event = field(default_factory=threading.Event)
    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, what: str) -> None:
        """One more of it."""
        with self.lock:
            self.counts[what] += 1

    def fault(self, what: str) -> None:
        """Something that must not be."""
        with self.lock:
            self.faults.append(what)

    def call(self, send: Callable[[], Reply]) -> Reply | None:
        """The reply, tried again for as long as the server asks for that; None at the end of the soak."""
        while not self.stopped.is_set():
            try:
                reply = send()
            except (OSError, http.client.HTTPException) as error:
                self.fault(f"no answer: {error!r}")
                continue
            if reply.status != 503:
                if reply.status >= 500:
                    self.fault(f"status {reply.status}: {reply.body}")
                return reply
            self.count("503")
            if reply.retry_after is None:
                self.fault(f"503 without Retry-After: {reply.body}")
            self.stopped.wait(0.2)  # sooner than asked: it is a soak
        return None

    def asked(self, api: Api, question: str) -> dict[str, Any] | None:
        """The answer to a question, judged."""
        began = time.monotonic()

        def send() -> Reply:
            nonlocal began
            began = time.monotonic()
            return api.search(question)

        reply = self.call(send)
        if reply is None:
            return None
        if reply.status != 200:
            self.fault(f"status {reply.status} for {question!r}: {reply.body}")
            return None
        self.count("searches")
        for fault in faults(reply.body, self.truth, began, time.monotonic()):
            self.fault(fault)
        return dict(reply.body)


class Writer:
    """Puts, replaces, puts again, and deletes documents of its own, by one server; what it wrote is asked of the other."""

    def __init__(self, soak: Soak, number: int, api: Api, other: Api) -> None:
        self._soak, self._number, self._api, self._other = soak, number, api, other
        self._dice = random.Random(1000 + number)
        self._texts: dict[str, tuple[str, str]] = {}  # the text, and the question that its own sentence answers
        self._edition = 0

    def run(self) -> None:
        """Until the end."""
        while not self._soak.stopped.wait(_REST_S):
            name = f"w{self._number}/{self._dice.randrange(DOCUMENTS)}"
            draw = self._dice.random()
            if name in self._texts and draw < 0.3:
                self._delete(name)
            elif name in self._texts and draw < 0.4:
                self._put(name, *self._texts[name], "same")
            else:
                self._edition += 1
                text, question = texts.document(name, self._edition, self._dice)
                self._put(name, text, question, "new" if name not in self._texts else "replaced")

    def _put(self, name: str, text: str, question: str, what: str) -> None:
        self._soak.truth.begin(name, text)
        reply = self._soak.call(lambda: self._api.put(name, text))
        if reply is None:
            return  # the last thing asked, and told to come again: settled at the end
        if reply.status != 200:
            self._soak.fault(f"PUT {name}: {reply}")
            return
        self._soak.truth.acknowledge(name)
        self._texts[name] = (text, question)
        self._soak.count(what)
        for api in (self._other, self._api):
            answer = self._soak.asked(api, question)
            if answer is not None and name not in [one["document"]["id"] for one in answer["results"]]:
                self._soak.fault(f"{name} was put and is not found by {question!r}")

    def _delete(self, name: str) -> None:
        _, question = self._texts.pop(name)
        self._soak.truth.begin(name, None)
        reply = self._soak.call(lambda: self._api.delete(name))
        if reply is None:
            return
        if reply.status != 204:
            self._soak.fault(f"DELETE {name}: {reply}")
            return
        self._soak.truth.acknowledge(name)
        self._soak.count("deleted")
        for api in (self._other, self._api):
            self._soak.asked(api, question)  # judged: it is of no version now


class Searcher:
    """Asks one question after the other."""

    def __init__(self, soak: Soak, number: int, api: Api) -> None:
        self._soak, self._api, self._dice = soak, api, random.Random(number)

    def run(self) -> None:
        """Until the end."""
        while not self._soak.stopped.wait(self._dice.random() * _ASK_REST_S):
            self._soak.asked(self._api, texts.question(self._dice))


class Indexer:
    """Syncs a folder with `passages index`: two files a pair, which always change together."""

    def __init__(self, soak: Soak, folder: Path, index: Path, environment: dict[str, str]) -> None:
        self._soak, self._folder, self._dice = soak, folder, random.Random(7)
        self._command = [str(PASSAGES), "index", str(folder), "--index", str(index)]
        self._environment = environment
        self._edition = 0
        folder.mkdir(exist_ok=True)

    def run(self) -> None:
        """Until the end."""
        while not self._soak.stopped.wait(_SYNC_REST_S):
            self.sync()

    def sync(self, share: float = 0.5) -> None:
        """Change some pairs and sync; a sync that finds another writer for too long is tried again."""
        names = [name for pair in range(PAIRS) if self._dice.random() < share for name in self._changed(pair)]
        while True:
            ran = subprocess.run(self._command, env=self._environment, capture_output=True, text=True, check=False)
            if ran.returncode == 0:
                break
            self._soak.count("syncs refused")
            if "is writing this index" not in ran.stderr:
                self._soak.fault(f"passages index: {ran.returncode} {ran.stderr}")
                return
        for name in names:
            self._soak.truth.acknowledge(name)
        self._soak.count("syncs")

    def _changed(self, pair: int) -> list[str]:
        self._edition += 1
        first = f"pair-{pair}-a.txt"
        gone = self._dice.random() < 0.15
        for name in (first, twin(first)):
            text = None if gone else texts.document(name, self._edition, self._dice)[0]
            self._soak.truth.begin(name, text)
            if text is None:
                (self._folder / name).unlink(missing_ok=True)
            else:
                (self._folder / name).write_text(text, encoding="utf-8")
        return [first, twin(first)]
