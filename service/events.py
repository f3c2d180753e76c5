"""What happens to the collection, told to whoever listens: commits, also of other processes, and how far this server's own
indexing is.

Nobody can hold anybody up: of each thing only the latest word is kept for a listener, so one that reads slowly misses words,
never the last one. While nobody listens nothing is looked at.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Literal, NamedTuple

from anyio import to_thread

from indexer.errors import PassagesError
from service.admission import BusyError

MAX_LISTENERS = 64
LOOK_S = 0.5  # between two looks for a commit
LISTENING_S = 300.0  # then a listener comes again, as browsers do by themselves, and its key is looked at again

State = Literal["reading", "indexing", "done", "failed"]
log = logging.getLogger(__name__)


class Commit(NamedTuple):
    """What the collection holds as of a commit."""

    generation: int
    documents: int
    passages: int


class Progress(NamedTuple):
    """How far a job of this server is, in bytes of its files; ``detail`` says why it failed."""

    job: str
    name: str
    done: int
    total: int
    state: State
    detail: str | None = None


Event = Commit | Progress


class Listener:
    """One who listens: what is new for it, by what it is about."""

    def __init__(self) -> None:
        self._new: dict[str, Event] = {}
        self._called = asyncio.Event()
        self._closed = False

    def tell(self, event: Event) -> None:
        """Something happened; what was not yet taken about the same thing is forgotten."""
        self._new[_about(event)] = event
        self._called.set()

    def close(self) -> None:
        """There is nothing more."""
        self._closed = True
        self._called.set()

    async def events(self) -> AsyncIterator[Event]:
        """What happens, until the end."""
        until = time.monotonic() + LISTENING_S
        while not self._closed and (left := until - time.monotonic()) > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._called.wait(), left)
            self._called.clear()
            new, self._new = self._new, {}
            for event in new.values():
                yield event


class Events:
    """Who listens, and what they are told. All but :meth:`progress` is called in the event loop."""

    def __init__(self, look: Callable[[], Commit | None]) -> None:
        """``look`` tells the latest commit, None while there is none to tell of; it is called in a thread."""
        self._look = look
        self._listeners: set[Listener] = set()
        self._running: dict[str, Progress] = {}  # jobs that have not ended, for who comes while they last
        self._commit: Commit | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watch: asyncio.Task[None] | None = None
        self._ended = False

    def join(self) -> Listener:
        """Listen from now on, beginning with what is. Raises :class:`BusyError` if too many do, or the server is ending."""
        if self._ended or len(self._listeners) >= MAX_LISTENERS:
            raise BusyError(f"{len(self._listeners)} listen to events already: ask again later, or look at /v1/status")
        self._loop = asyncio.get_running_loop()
        listener = Listener()
        for event in (self._commit, *self._running.values()):
            if event is not None:
                listener.tell(event)
        self._listeners.add(listener)
        if self._watch is None:
            self._watch = self._loop.create_task(self._watching())
        return listener

    def leave(self, listener: Listener) -> None:
        """Listen no more."""
        self._listeners.discard(listener)
        if not self._listeners and self._watch is not None:
            self._watch.cancel()
            self._watch = self._commit = None  # it may be old when somebody comes again

    def end(self) -> None:
        """Let everybody go: the server is about to end."""
        self._ended = True
        for listener in self._listeners:
            listener.close()

    def progress(self, told: Progress) -> None:
        """A job has come further; in any thread."""
        if told.state in ("done", "failed"):
            self._running.pop(told.job, None)
        else:
            self._running[told.job] = told
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._tell, told)

    def _tell(self, event: Event) -> None:
        for listener in self._listeners:
            listener.tell(event)

    async def _watching(self) -> None:
        while True:
            commit = await to_thread.run_sync(self._looked)
            if commit is not None and commit != self._commit:
                self._commit = commit
                self._tell(commit)
            await asyncio.sleep(LOOK_S)

    def _looked(self) -> Commit | None:
        try:
            return self._look()
        except PassagesError:  # damaged, or not there for the moment: questions tell
            return None
        except Exception:
            log.exception("commits are not told")
            return None


def _about(event: Event) -> str:
    return f"job {event.job}" if isinstance(event, Progress) else "commit"
