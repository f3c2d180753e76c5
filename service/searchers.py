"""Child processes that search: Python runs one thread at a time, and most of a search after the encoder is Python.

The server encodes questions, since together they take half the time, and hands each to a child that is idle; a child holds no
model. It ends when its pipe does, so also when the server is killed.
"""

from __future__ import annotations

import logging
import pickle
import queue
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, cast

from indexer.candidates import DeadlineError
from indexer.collection import Collection
from indexer.errors import PassagesError
from indexer.reading import Encoding
from indexer.search import Query, search
from service.rendering import Rendered, rendered

log = logging.getLogger(__name__)


class SearcherError(PassagesError):
    """A child process ended before it answered."""


class Searchers:
    """``count`` children over one index folder; none at all searches in the caller's thread. Safe to share between threads."""

    def __init__(self, collection: Collection, count: int) -> None:
        self._collection, self._count = collection, count
        self._idle: queue.LifoQueue[_Child] = queue.LifoQueue()  # the last one used: its caches are warm
        self._every: set[_Child] = set()
        self._lock = threading.Lock()
        self._closed = False

    def start(self) -> None:
        """Start the children and wait until all of them can search."""
        for child in [self._child() for _ in range(self._count)]:
            child.ask(None)
            self._idle.put(child)

    def stop(self) -> None:
        """End them; what they are at is not finished."""
        with self._lock:
            self._closed = True
            children, self._every = self._every, set()
        for child in children:
            child.end()

    def ask(self, query: Query, encoding: Encoding) -> Rendered:
        """The answer. Raises what :func:`indexer.search` raises, and :class:`SearcherError`."""
        if not self._count:
            return rendered(search(self._collection, query, encoding))
        try:
            child = self._idle.get(timeout=query.timeout_s)
        except queue.Empty as error:
            raise DeadlineError("no process was free to search: ask again in a moment") from error
        try:
            return child.ask((query, encoding))
        except SearcherError:
            log.exception("a process that searched has ended; another takes its place")
            child = self._replacement(child)
            return child.ask((query, encoding))  # once: a question that ends every process must not end them for ever
        finally:
            self._idle.put(child)

    def ask_all(self, queries: Sequence[Query], encodings: Sequence[Encoding]) -> list[Rendered]:
        """The answer of each, as many at once as there are children."""
        with ThreadPoolExecutor(max(1, self._count)) as threads:
            return list(threads.map(self.ask, queries, encodings))

    def _child(self) -> _Child:
        child = _Child(self._collection.folder, self._collection.model)
        with self._lock:
            self._every.add(child)
        if self._closed:
            child.end()
        return child

    def _replacement(self, ended: _Child) -> _Child:
        with self._lock:
            self._every.discard(ended)
        ended.end()
        return self._child()


class _Child:
    """One process; one question at a time."""

    def __init__(self, folder: Path, model: str) -> None:
        command = [sys.executable, "-m", "service.searchers", str(folder), model]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603

    def ask(self, request: tuple[Query, Encoding] | None) -> Rendered:
        try:
            pickle.dump(request, cast("IO[bytes]", self._process.stdin))
            cast("IO[bytes]", self._process.stdin).flush()
            reply = pickle.load(cast("IO[bytes]", self._process.stdout))  # noqa: S301  # what this program's own child wrote
        except (OSError, EOFError, ValueError, pickle.UnpicklingError) as error:
            raise SearcherError("the process that searched has ended: ask again; the server's log may say why") from error
        if isinstance(reply, BaseException):
            raise reply
        return cast("Rendered", reply)

    def end(self) -> None:
        # Both pipes first: a child that waits for a question then ends by itself.
        for pipe in (self._process.stdin, self._process.stdout):
            try:
                cast("IO[bytes]", pipe).close()
            except OSError:  # it has ended with a question half sent
                log.debug("a pipe to a searching process was broken")
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _serve(collection: Collection, questions: IO[bytes], answers: IO[bytes]) -> None:
    """Answer what comes until nothing comes any more; None asks only whether all is loaded."""
    with collection.view():  # opens what searches need
        pass
    while True:
        try:
            request = pickle.load(questions)  # noqa: S301  # from the process that started this one
        except EOFError:
            return
        pickle.dump(_reply(collection, *request) if request else None, answers)
        answers.flush()


def _reply(collection: Collection, query: Query, encoding: Encoding) -> Rendered | Exception:
    try:
        return rendered(search(collection, query, encoding))
    except Exception as error:
        if not isinstance(error, PassagesError):
            log.exception("a search failed")
        return error


def _main(folder: str, model: str) -> None:
    import os
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which then ends its children
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints must not do so among the answers
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        _serve(Collection(Path(folder), model), sys.stdin.buffer, answers)
    except BrokenPipeError:  # nobody waits for the answer
        os._exit(0)


if __name__ == "__main__":
    _main(*sys.argv[1:])
