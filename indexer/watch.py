"""Follows folders: what the system tells of changed files becomes a sync of the folder that they are in.

Invariants: the writer lock is held during a sync alone. A folder that is away, or that holds no document any more, loses
nothing: an unmounted disk looks like either, and whoever means it deletes by ``passages index``. What could not be done is
done again.
"""

from __future__ import annotations

import stat
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

from watchfiles import watch
from watchfiles._rust_notify import WatchfilesRustInternalError

from indexer.engines.contract import Engine
from indexer.errors import PassagesError
from indexer.extraction import DEFAULT_LIMITS, Limits
from indexer.folders import IGNORE_FILE, SyncError
from indexer.lock import LockedError
from indexer.sync import Sync
from indexer.synced import Change, Failure, Progress, Summary

QUIET_MS = 300  # without a change, until what changed is synced: an editor saves in several steps
LONGEST_MS = 3000  # but no longer, where something changes all the time
LOOK_MS = 1000  # how often the folders themselves are looked at
POLL_MS = 2000
RESCAN_S = 600.0  # all is looked at again: a network drive tells nothing of what another machine changes
LOCK_S = 10.0
AGAIN_S = 30.0  # after a sync that failed: it may have encoded much for nothing
LOCKED_S = 2.0
_EMPTY = (
    "{folder} holds no document now, as when a disk is away: what was indexed of it is kept; if you emptied it, "
    "passages index {folder} deletes it from the index too"
)


class WatchError(PassagesError):
    """The folders cannot be followed."""


class Trouble(NamedTuple):
    """Why something was not done, or not deleted; it is told once, and tried again."""

    reason: str


Event = Change | Failure | Trouble
Identity = tuple[int, int]  # device and number: another disk in the same place is another folder


class Watch:
    """Some folders, followed. ``tell`` hears of each file that was committed, each that cannot be read, and of trouble."""

    def __init__(
        self,
        collection: Engine,
        folders: Sequence[Path],
        tell: Callable[[Event], None],
        limits: Limits = DEFAULT_LIMITS,
        polls: bool = False,
    ) -> None:
        """``polls``: look at every file now and then, where the system tells nothing. Raises :class:`SyncError` if one of
        ``folders`` is none."""
        self.folders = [_folder(path) for path in folders]
        self._collection, self._tell, self._limits, self._polls = collection, tell, limits, polls
        index = collection.upload_folder()
        self._index = index and index.resolve()
        self._due = set(self.folders)
        self._not_before = self._retry_at = 0.0
        self._failed: set[Failure] = set()
        self._troubles: dict[Path | None, str] = {}  # of a folder, or of all

    def run(self) -> None:
        """Follow them, until an exception such as `KeyboardInterrupt` ends it. Raises :class:`WatchError`."""
        while True:
            there = self._there()
            self._due |= there.keys()  # what changed before the system was asked to tell is found by a look
            rescan = time.monotonic() + RESCAN_S
            with closing(self._changes(list(there))) as changes:
                for paths in changes:
                    self._due |= {folder for folder in there if any(self._concerns(folder, path) for path in paths)}
                    self.sync()
                    if self._there() != there or time.monotonic() > rescan:
                        break

    def sync(self, report: Callable[[Progress], None] | None = None) -> Summary | None:
        """Sync the folders that are due and there; what it did, or None if there is nothing to do or it failed."""
        there = self._there()
        away = [folder for folder in self.folders if folder not in there]
        for folder in away:
            self._say(folder, f"{folder} is not there: what was indexed of it is kept, and it is followed once it is back")
        # With a folder, those of its folders that are followed too: each by itself may be the place of a disk.
        due = [one for one in there if any(one.is_relative_to(each) for each in self._due)]
        if not due or time.monotonic() < self._not_before:
            return None
        # With every change of another file, one that takes a minute to fail would keep the lock for a minute.
        retries = time.monotonic() >= self._retry_at
        sync = Sync(self._collection, report, self._limits, changed=self._tell, spare_empty=True, retries=retries)
        try:
            sync.run(due, LOCK_S, away)
        except PassagesError as error:
            self._not_before = time.monotonic() + (LOCKED_S if isinstance(error, LockedError) else AGAIN_S)
            self._say(None, f"{error}; tried again in a moment")
            return None
        self._due -= set(due)
        if retries:
            self._retry_at = time.monotonic() + RESCAN_S
        self._say(None, None)
        for folder in due:
            self._say(folder, _EMPTY.format(folder=folder) if folder in sync.spared else None)
        self._tell_failed(due, sync.summary.failed)
        return sync.summary

    def _say(self, subject: Path | None, reason: str | None) -> None:
        """Tells of trouble when it begins; ``reason`` None ends it."""
        if reason is None:
            self._troubles.pop(subject, None)
        elif self._troubles.get(subject) != reason:
            self._troubles[subject] = reason
            self._tell(Trouble(reason))

    def _tell_failed(self, synced: Sequence[Path], failed: Sequence[Failure]) -> None:
        """Tells what fails since this sync: a sync lists what failed before, too."""
        for one in failed:
            if one not in self._failed:
                self._tell(one)
        others = (one for one in self._failed if not any(Path(one.path).is_relative_to(folder) for folder in synced))
        self._failed = {*others, *failed}

    def _there(self) -> dict[Path, Identity]:
        """The folders that are there, in their order; one that cannot be looked at, as of a network that is down, is not."""
        found: dict[Path, Identity] = {}
        for folder in self.folders:
            with suppress(OSError):
                if stat.S_ISDIR((status := folder.stat()).st_mode):
                    found[folder] = (status.st_dev, status.st_ino)
        return found

    def _changes(self, folders: Sequence[Path]) -> Generator[set[Path]]:
        """What changed in them, or nothing, at least once in ``LOOK_MS``."""
        told = watch(
            *folders, watch_filter=None, step=QUIET_MS, debounce=LONGEST_MS, rust_timeout=LOOK_MS, yield_on_timeout=True,
            force_polling=self._polls, poll_delay_ms=POLL_MS, ignore_permission_denied=True,
        )  # fmt: skip
        try:
            for changes in told if folders else ():
                yield {Path(path) for _, path in changes}
        except FileNotFoundError:  # it went away just now
            pass
        except (OSError, WatchfilesRustInternalError) as error:
            raise WatchError(
                f"the system does not tell what changes: {error}; raise its limit of watched folders "
                "(sysctl fs.inotify.max_user_watches), or let passages look by itself: --poll"
            ) from error
        time.sleep(LOOK_MS / 1000)
        yield set()

    def _concerns(self, folder: Path, path: Path) -> bool:
        """Whether a change of ``path`` can matter to the sync of ``folder``, which leaves hidden names out. The index itself
        may lie there, and changes with every sync."""
        if not path.is_relative_to(folder) or (self._index and path.is_relative_to(self._index)):
            return False
        name = path.relative_to(folder)
        return str(name) == IGNORE_FILE or not any(part.startswith(".") for part in name.parts)


def _folder(path: Path) -> Path:
    try:
        found = path.expanduser().resolve(strict=True)
    except (OSError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise SyncError(f"{path} cannot be followed: {reason}; nothing was indexed or deleted") from error
    if not found.is_dir():
        raise SyncError(f"{path} is no folder, and only folders are followed: name the one that it is in")
    return found
