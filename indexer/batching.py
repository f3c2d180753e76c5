"""Requests that come while another one is served are served together; one that comes alone is served at once."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")


class Batcher(Generic[Item, Made]):
    """Calls ``serve`` with up to ``most`` items, in at most ``lanes`` threads at once, which are those of its callers.

    Nobody waits on purpose: a batch is what came while all lanes were busy. An error of ``serve`` is raised for each of its
    items.
    """

    def __init__(self, serve: Callable[[Sequence[Item]], Sequence[Made]], most: int, lanes: int = 1) -> None:
        self._serve, self._most, self._lanes = serve, most, lanes
        self._lock = threading.Lock()
        # Invariant, under the lock: something waits only while all lanes are taken; a batch belongs to one lane.
        self._waiting: deque[_Entry[Item, Made]] = deque()
        self._serving = 0

    def __call__(self, item: Item) -> Made:
        """What ``serve`` makes of the item."""
        entry: _Entry[Item, Made] = _Entry(item)
        with self._lock:
            is_free = self._serving < self._lanes
            self._serving += is_free
            if not is_free:
                self._waiting.append(entry)
        batch = [entry]
        if not is_free:
            entry.woken.wait()  # it is served by then, or has been given a lane and a batch that begins with it
            batch = entry.batch
        if batch:
            self._serve_all(batch)
        return entry.result()

    def _serve_all(self, batch: list[_Entry[Item, Made]]) -> None:
        """Serves a batch, then hands the lane to those that wait."""
        try:
            for entry, made in zip(batch, self._serve([entry.item for entry in batch]), strict=True):
                entry.made = [made]
        except BaseException as error:
            for entry in batch:
                entry.error = error
        finally:
            with self._lock:
                following = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
                self._serving -= not following
            if following:
                following[0].batch = following
                following[0].woken.set()
            for entry in batch:
                entry.woken.set()


class _Entry(Generic[Item, Made]):
    """An item that waits, and what became of it."""

    def __init__(self, item: Item) -> None:
        self.item = item
        self.woken = threading.Event()
        self.batch: list[_Entry[Item, Made]] = []  # what its thread is to serve
        self.made: list[Made] = []
        self.error: BaseException | None = None

    def result(self) -> Made:
        if self.error is not None:
            raise self.error
        return self.made[0]
