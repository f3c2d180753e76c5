"""Child processes that search: Python runs one thread at a time, and most of a search after the encoder is Python.

The server encodes questions, since together they take half the time, and hands each to a child that is idle; a child holds no
model. It ends when its pipe does, so also when the server is killed.
"""

from __future__ import annotations

import logging
import math
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import IO, cast

from indexer.candidates import DeadlineError
from indexer.children import child_command
from indexer.engines.address import Where
from indexer.engines.contract import Engine
from indexer.engines.opening import open_engine
from indexer.errors import PassagesError
from indexer.reading import Encoding
from indexer.schema import DamagedError
from indexer.search import Query, search
from service import logs
from service.rendering import Rendered, rendered

_LOOK_S = 0.2
_GRACE_S = 0.3  # a search that ends by itself, a little late, need not cost a process

log = logging.getLogger(__name__)


class SearcherError(PassagesError):
    """A child process ended before it answered."""


class Searchers:
    """``count`` children over one index folder; none at all searches in the caller's thread. Safe to share between threads."""

    def __init__(self, collection: Engine, count: int) -> None:
        self._collection, self._count = collection, count
        self._idle: queue.LifoQueue[_Child] = queue.LifoQueue()  # the last one used: its caches are warm
        self._every: set[_Child] = set()
        self._starting: list[_Child] = []
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def start(self) -> None:
        """Start the children; they open the index while other things are done. None is asked before :meth:`wait`."""
        self._starting = [self._child() for _ in range(self._count)]
        threading.Thread(target=self._watch, name="watch", daemon=True).start()

    def wait(self) -> None:
        """Wait until all children can search. Raises :class:`SearcherError`."""
        for child in self._starting:
            child.ask(None)
            self._idle.put(child)

    def stop(self) -> None:
        """End them; what they are at is not finished."""
        self._stopped.set()
        with self._lock:
            children, self._every = self._every, set()
        for child in children:
            child.end()

    def renew(self) -> None:
        """Let others take their place, which open the index's files as they are now. If these cannot start, the old ones go on.

        Raises :class:`SearcherError` and :class:`OSError`.
        """
        fresh: list[_Child] = []
        try:
            for _ in range(self._count):
                fresh.append(self._child())
            for child in fresh:
                child.ask(None)
        except BaseException:
            for child in fresh:
                self._discard(child)
            raise
        old = [self._idle.get() for _ in range(self._count)]  # each as soon as it has answered what it is at
        for child in fresh:
            self._idle.put(child)
        for child in old:
            self._discard(child)

    def ask(self, query: Query, encoding: Encoding, until: float | None = None) -> Rendered:
        """The answer, before ``until`` on the clock of :func:`time.monotonic`.

        Raises what :func:`indexer.search` raises, and :class:`SearcherError`.
        """
        query = _timed(query, encoding, until)
        if not self._count:
            return rendered(search(self._collection, query, encoding))
        try:
            child = self._idle.get(timeout=_left(until))
        except queue.Empty as error:
            raise DeadlineError("no process was free to search in time: ask again in a moment") from error
        try:
            return child.ask((_timed(query, encoding, until), encoding), until)
        except DamagedError as error:
            self._collection.catalog.refuse(str(error))  # before another question reads what is right of it
            raise
        except SearcherError as error:
            if self._stopped.is_set():
                raise
            child = self._replacement(child)
            if until is not None and time.monotonic() >= until:  # it was ended because it went on for too long
                raise DeadlineError("the search took too long: ask for less, or again in a moment") from error
            log.exception("a process that searched has ended; another takes its place")
            # Once: a question that ends every process must not go on for ever.
            return child.ask((_timed(query, encoding, until), encoding), until)
        finally:
            self._idle.put(child)

    def ask_all(self, queries: Sequence[Query], encodings: Sequence[Encoding], until: float | None = None) -> list[Rendered]:
        """The answer of each, as many at once as there are children."""
        with ThreadPoolExecutor(max(1, self._count)) as threads:
            return list(threads.map(lambda query, encoding: self.ask(query, encoding, until), queries, encodings))

    def _child(self) -> _Child:
        child = _Child(self._collection.where, self._collection.model)
        with self._lock:
            self._every.add(child)
        if self._stopped.is_set():
            child.end()
        return child

    def _replacement(self, ended: _Child) -> _Child:
        self._discard(ended)
        return self._child()

    def _discard(self, child: _Child) -> None:
        with self._lock:
            self._every.discard(child)
        child.end()

    def _watch(self) -> None:
        """Ends children that go on after their time: a search looks at the clock itself, but not while native code runs."""
        while not self._stopped.wait(_LOOK_S):
            with self._lock:
                overdue = [child for child in self._every if time.monotonic() > child.until + _GRACE_S]
            for child in overdue:
                child.kill()


class _Child:
    """One process; one question at a time. ``until`` is when what it is at must have ended."""

    def __init__(self, where: Where, model: str) -> None:
        level, messages = logs.in_force()
        told = [model, level, *(["messages"] if messages else [])]
        command = child_command("service.searchers", *told)
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603
        self.until = math.inf
        with suppress(OSError):  # one that has ended already is told of by the first question
            self._send(where)  # not an argument, which others on this machine see: it may hold a password

    def ask(self, request: tuple[Query, Encoding] | None, until: float | None = None) -> Rendered:
        self.until = math.inf if until is None else until
        try:
            self._send(request)
            reply = pickle.load(cast("IO[bytes]", self._process.stdout))  # noqa: S301  # what this program's own child wrote
        except (OSError, EOFError, ValueError, pickle.UnpicklingError) as error:
            raise SearcherError("the process that searched has ended: ask again; the server's log may say why") from error
        finally:
            self.until = math.inf
        if isinstance(reply, BaseException):
            raise reply
        return cast("Rendered", reply)

    def _send(self, what: object) -> None:
        pickle.dump(what, cast("IO[bytes]", self._process.stdin))
        cast("IO[bytes]", self._process.stdin).flush()

    def kill(self) -> None:
        """It only reads, so there is nothing that it must finish."""
        self._process.kill()

    def end(self) -> None:
        """Ends it at once; its pipes are closed after, since who reads from them holds them until then."""
        self.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):  # a question may be half sent
                cast("IO[bytes]", pipe).close()


def _left(until: float | None) -> float | None:
    """Seconds that are left, not below 0."""
    return None if until is None else max(0.0, until - time.monotonic())


def _timed(query: Query, encoding: Encoding, until: float | None) -> Query:
    """The query with the time that is left, to which a search adds what the encoder took. Raises :class:`DeadlineError`."""
    left = _left(until)
    if left is None:
        return query
    if left <= 0:
        raise DeadlineError("no time is left to search: ask again in a moment")
    return replace(query, timeout_s=left + encoding.took_ms / 1000)


def _serve(collection: Engine, questions: IO[bytes], answers: IO[bytes]) -> None:
    """Answer what comes until nothing comes any more; None asks only whether all is loaded."""
    while True:
        try:
            request = pickle.load(questions)  # noqa: S301  # from the process that started this one
        except EOFError:
            return
        pickle.dump(_reply(collection, *request) if request else None, answers)
        answers.flush()


def _reply(collection: Engine, query: Query, encoding: Encoding) -> Rendered | Exception:
    try:
        return rendered(search(collection, query, encoding))
    except Exception as error:
        if not isinstance(error, PassagesError):
            log.exception("a search failed")
        return error


def main(model: str, level: logs.Level, messages: str = "") -> None:
    """A child: answers on what was its standard output, and logs as the server does."""
    # Ctrl-C, and the end of a service, are for the server too, which finishes what is asked and then ends its children.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints must not do so among the answers
    logs.configure(level, bool(messages))
    try:
        where: Where = pickle.load(sys.stdin.buffer)  # noqa: S301  # from the process that started this one
        log.debug("process %d searches %s", os.getpid(), where)
        try:
            collection = open_engine(where, model)
            with collection.view():  # opens what searches need
                pass
        except PassagesError as error:  # such as a server that is away: who asks is told
            pickle.load(sys.stdin.buffer)  # noqa: S301  # as above
            pickle.dump(error, answers)
            answers.flush()
            return
        _serve(collection, sys.stdin.buffer, answers)
    except BrokenPipeError:  # nobody waits for the answer
        os._exit(0)
