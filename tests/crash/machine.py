"""The machine that crashes: a shim that watches system calls, processes that it watches, and what a power cut leaves."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
NONE, KILL_BEFORE, KILL_AFTER, FAIL_ONCE, FAIL_FROM = range(5)
# Thresholds that a collection of tens of passages passes: it is folded, and its vectors lie in files.
CONSTANTS = {
    "indexer.ingest:COMMIT_PASSAGES": 16,
    "indexer.collection:FOLD_PASSAGES": 24,
    "indexer.collection:FOLD_VECTORS": 24,
    "indexer.collection:LONG_TAIL": 24,
    "indexer.vectorstate:FILES_PASSAGES": 24,
}
CHECKPOINT_PAGES = 24


class Call(NamedTuple):
    """A system call that changes files: the ``occurrence``-th (from 1) of its kind and pattern."""

    kind: str
    pattern: str
    occurrence: int


@dataclass(frozen=True)
class Plan:
    """What the shim does: ``action`` at the ``occurrence``-th call of one of ``kinds`` whose path has ``pattern`` ("": any)."""

    action: int = NONE
    kinds: str = ""
    pattern: str = ""
    occurrence: int = 1
    error: int = 0
    gate: str = ""  # nothing happens while this file is not there

    @classmethod
    def kill(cls, call: Call, action: int) -> Plan:
        """Kill before or after a call."""
        return cls(action, call.kind, call.pattern, call.occurrence)


@dataclass(frozen=True)
class Place:
    """Folders of one run: ``root`` is watched and holds the index; what a run says lies beside it."""

    folder: Path
    root: Path = field(init=False)
    index: Path = field(init=False)
    shadow: Path = field(init=False)
    trace: Path = field(init=False)
    stdout: Path = field(init=False)
    stderr: Path = field(init=False)

    def __post_init__(self) -> None:
        for name, path in (
            ("root", "root"), ("index", "root/index"), ("shadow", "shadow"), ("trace", "trace"), ("stdout", "stdout"),
            ("stderr", "stderr"),
        ):  # fmt: skip
            object.__setattr__(self, name, self.folder / path)

    @classmethod
    def made(cls, folder: Path, base: Path | None) -> Place:
        """A new place with a copy of the ``base`` root, all of which is on disk; power cuts can be seen from here on."""
        place = cls(folder)
        shutil.rmtree(folder, ignore_errors=True)
        place.shadow.mkdir(parents=True)
        if base is None:
            place.root.mkdir()
        else:
            shutil.copytree(base, place.root)
        _remember(place.root, place.shadow)
        return place

    def calls(self) -> list[Call]:
        """What was traced."""
        seen: dict[tuple[str, str], int] = {}
        calls = []
        for line in self.trace.read_text(encoding="utf-8").splitlines():
            kind, pattern, _ = line.split("\t")
            seen[kind, pattern] = seen.get((kind, pattern), 0) + 1
            calls.append(Call(kind, pattern, seen[kind, pattern]))
        return calls


def memory_folder() -> Path | None:
    """Where files lie in memory: syncing them costs nothing, and numbers of inodes are not used again."""
    return folder if (folder := Path("/dev/shm")).is_dir() else None  # noqa: S108


def compiled(folder: Path) -> Path:
    """The shim as a library. Raises :class:`RuntimeError` that says what is missing."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise RuntimeError("the crash tests need a C compiler: apt-get install gcc libc6-dev")
    library = folder / "shim.so"
    command = [compiler, "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", str(library), str(HERE / "shim.c")]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if built.returncode:
        raise RuntimeError(f"the crash tests' shim does not compile: {built.stderr}")
    return library


class Zygote:
    """A process that forks children with everything imported; see :mod:`tests.crash.zygote`. One thread may use it."""

    def __init__(self, library: Path, environment: Mapping[str, str]) -> None:
        self._library = library
        variables = {**os.environ, **environment, "LD_PRELOAD": str(library), "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.zygote"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
            env=variables,
        )  # fmt: skip

    def start(self, call: str, arguments: Sequence[str], place: Place, plan: Plan | None = None) -> int:
        """Start ``call`` (module:function) in a child; its process id. Without a plan it is not watched."""
        watch = plan and asdict(plan) | {
            "library": str(self._library), "trace": str(place.trace), "root": str(place.root), "shadow": str(place.shadow),
        }  # fmt: skip
        return int(
            self._asked(
                call=call, arguments=[*arguments], folder=str(place.folder), stdout=str(place.stdout), stderr=str(place.stderr),
                constants=CONSTANTS, checkpoint_pages=CHECKPOINT_PAGES, watch=watch,
            )
        )  # fmt: skip

    def wait(self, pid: int, timeout_s: float = 60.0) -> int | None:
        """The exit status, negative for a signal; None if it has not ended in time."""
        status = self._asked(wait=pid, timeout_s=timeout_s)
        return None if status is None else int(status)

    def run(self, call: str, arguments: Sequence[str], place: Place, plan: Plan | None = None) -> int:
        """The exit status of a child. Raises :class:`TimeoutError`."""
        pid = self.start(call, arguments, place, plan)
        if (status := self.wait(pid)) is None:
            os.kill(pid, 9)
            self.wait(pid)
            raise TimeoutError(f"{call} {arguments} goes on and on: {place.stderr.read_text(encoding='utf-8')}")
        return status

    def close(self) -> None:
        """End it."""
        cast("IO[str]", self._process.stdin).close()
        self._process.wait(20)
        cast("IO[str]", self._process.stdout).close()

    def _asked(self, **request: Any) -> Any:
        stdin, stdout = cast("IO[str]", self._process.stdin), cast("IO[str]", self._process.stdout)
        stdin.write(json.dumps(request) + "\n")
        stdin.flush()
        if not (line := stdout.readline()):
            raise RuntimeError("the process that forks others has ended")
        return json.loads(line)


def _remember(folder: Path, shadow: Path) -> None:
    """All that lies in ``folder`` counts as synced."""
    for at, folders, files in os.walk(folder):
        _list(Path(at), shadow, {*folders}, files)
        for name in files:
            shutil.copyfile(Path(at, name), shadow / str(Path(at, name).stat().st_ino))


def _list(folder: Path, shadow: Path, folders: set[str], files: Sequence[str]) -> None:
    entries = [(folder / name, int(name in folders)) for name in (*folders, *files)]
    lines = [f"{path.stat().st_ino} {is_folder} {path.name}\n" for path, is_folder in entries]
    (shadow / str(folder.stat().st_ino)).write_text("".join(lines), encoding="utf-8")


class _Entry(NamedTuple):
    inode: int
    is_folder: bool
    live: Path | None  # where it lies at the moment of the cut, if it still does


POWER_CUTS = (
    "nothing unsynced",
    "unsynced names",
    "unsynced names, zeros",
    "unsynced contents",
    "no unsynced deletion",
    "mixed",
)


@contextmanager
def after_power_cut(place: Place, kind: str, target: Path) -> Iterator[Place]:
    """What a power cut left of the root, at another place.

    File systems promise of what was not synced nothing, in any order: so names and contents are kept or dropped each by itself.
    ``nothing unsynced``: only what fsync was called for. ``unsynced names``: folders as they were, files as last synced (a file
    never synced is empty); ``zeros``: and of their last length. ``unsynced contents``: names as last synced, contents as they
    were. ``no unsynced deletion``: what was deleted or renamed away is there again, too. ``mixed``: every second file has
    its last content.
    """
    shutil.rmtree(target, ignore_errors=True)
    cut = Place(target)
    cut.folder.mkdir(parents=True)
    live = {path.stat().st_ino: path for path in [place.root, *place.root.rglob("*")]}
    _restore(place, kind, _Entry(place.root.stat().st_ino, True, place.root), cut.root, live)
    try:
        yield cut
    finally:
        shutil.rmtree(target, ignore_errors=True)


def _restore(place: Place, kind: str, entry: _Entry, to: Path, live: Mapping[int, Path]) -> None:
    if not entry.is_folder:
        to.write_bytes(_content(place.shadow / str(entry.inode), entry, kind))
        return
    to.mkdir()
    synced = _synced_entries(place.shadow / str(entry.inode), live)
    now = {path.name: _Entry(path.stat().st_ino, path.is_dir(), path) for path in entry.live.iterdir()} if entry.live else {}
    entries = {
        "nothing unsynced": synced, "unsynced contents": synced, "no unsynced deletion": {**synced, **now},
    }.get(kind, now)  # fmt: skip
    for name, one in entries.items():
        _restore(place, kind, one, to / name, live)


def _synced_entries(listing: Path, live: Mapping[int, Path]) -> dict[str, _Entry]:
    entries: dict[str, _Entry] = {}
    if listing.exists():
        for line in listing.read_text(encoding="utf-8").splitlines():
            inode, is_folder, name = line.split(" ", 2)
            entries[name] = _Entry(int(inode), is_folder == "1", live.get(int(inode)))
    return entries


def _content(synced: Path, entry: _Entry, kind: str) -> bytes:
    durable = synced.read_bytes() if synced.exists() else b""
    now = entry.live.read_bytes() if entry.live else durable
    if kind == "unsynced names, zeros":
        return durable + bytes(max(0, len(now) - len(durable)))
    keeps = kind == "unsynced contents" or (kind == "mixed" and entry.inode % 2)
    return now if keeps else durable
