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
        self._waiting: deque[_Entry[Item, Made]] = deque()
        self._serving = 0

    def __call__(self, item: Item) -> Made:
        """What ``serve`` makes of the item."""
        entry: _Entry[Item, Made] = _Entry(item)
        with self._lock:
            self._waiting.append(entry)
            is_free = self._serving < self._lanes
            self._serving += is_free
        if not is_free:
            entry.woken.wait()  # it is served by then, or its turn to serve
        if not entry.is_served:
            self._serve_next(entry)
        return entry.result()

    def _serve_next(self, first: _Entry[Item, Made]) -> None:
        """Serves ``first`` and those that wait, then hands the lane to the next that waits."""
        with self._lock:
            self._waiting.remove(first)
            batch = [first, *(self._waiting.popleft() for _ in range(min(self._most - 1, len(self._waiting))))]
        try:
            for entry, made in zip(batch, self._serve([entry.item for entry in batch]), strict=True):
                entry.made = [made]
        except BaseException as error:
            for entry in batch:
                entry.error = error
        finally:
            with self._lock:
                if self._waiting:
                    self._waiting[0].woken.set()
                else:
                    self._serving -= 1
            for entry in batch:
                entry.is_served = True
                entry.woken.set()


class _Entry(Generic[Item, Made]):
    """An item that waits, and what became of it."""

    def __init__(self, item: Item) -> None:
        self.item = item
        self.woken = threading.Event()
        self.is_served = False
        self.made: list[Made] = []
        self.error: BaseException | None = None

    def result(self) -> Made:
        if self.error is not None:
            raise self.error
        return self.made[0]
