"""`passages watch`, the real command, over real folders that change as people and programs change them."""

from __future__ import annotations

import shutil
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import pytest

from indexer.collection import Collection
from indexer.encoder import Encoder
from indexer.extraction import Extractor
from indexer.folders import SyncError
from indexer.formats import Content
from indexer.inputs import AgainError
from indexer.lock import LockedError, WriterLock
from indexer.models import ModelError
from indexer.sync import Sync
from indexer.synced import Change, Failure
from indexer.watch import Event, Trouble, Watch
from tests.servers import PASSAGES, environment

LINE_S = 60.0  # a busy machine; a quiet one takes one second


class Watched:
    """A `passages watch` that runs over a folder, and what it has said."""

    def __init__(self, folder: Path, index: Path) -> None:
        self.root, self.index = folder / "papers", index
        self._said = [folder / "stdout", folder / "stderr"]
        command = [str(PASSAGES), "watch", str(self.root), "--index", str(self.index)]
        with self._said[0].open("wb") as out, self._said[1].open("wb") as errors:
            self.process = subprocess.Popen(command, env=environment(), cwd=folder, stdout=out, stderr=errors)

    def said(self) -> list[str]:
        """Its lines, with paths below the folder."""
        text = "".join(file.read_text(encoding="utf-8") for file in self._said)
        return text.replace(f"{self.root}/", "").replace(str(self.root), "ROOT").splitlines()

    def says(self, beginning: str) -> bool:
        """Waits for a line."""
        until = time.monotonic() + LINE_S
        while not any(line.startswith(beginning) for line in self.said()):
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < until, (beginning, self.said())
            time.sleep(0.05)
        return True

    def ends(self, how: signal.Signals) -> int:
        """Its status."""
        self.process.send_signal(how)
        return self.process.wait(30)


Start = Callable[[Path], Watched]


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Start]:
    """Starts one."""
    started: list[Watched] = []

    def start(index: Path) -> Watched:
        started.append(Watched(tmp_path, index))
        return started[-1]

    (tmp_path / "papers" / "old").mkdir(parents=True)
    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


def texts(index: Path) -> dict[str, str]:
    with Collection(index) as collection, collection.catalog.read() as snapshot:
        found = (snapshot.document(one) for one in snapshot.document_ids())
        return {one.id: one.text for one in found if one}


def test_what_people_do_to_files_is_in_the_index_and_told_in_a_line(watched: Start, tmp_path: Path) -> None:
    one = watched(tmp_path / "papers" / "index")  # which must not set itself off
    root = one.root
    (root / "old" / "fruit.txt").write_text("Bananas are yellow.")
    (root / "sea.txt").write_text("Whales breathe air.")
    assert one.says("following ROOT; Ctrl-C ends")

    (root / "new").mkdir()
    (root / "new" / "sky.txt").write_text("Swifts sleep on the wing.")
    assert one.says("added: new/sky.txt")

    (root / ".fruit.txt.swp").write_text("Bananas are brown by now.")  # as editors save
    (root / ".fruit.txt.swp").replace(root / "old" / "fruit.txt")
    assert one.says("changed: old/fruit.txt")

    (root / "sea.txt").rename(root / "new" / "ocean.txt")
    assert one.says("moved: sea.txt -> new/ocean.txt")

    (root / "new" / "sky.txt").unlink()
    assert one.says("deleted: new/sky.txt")

    (root / "empty.md").touch()
    assert one.says("failed: empty.md: is empty (0 bytes)")
    (root / "after.md").write_text("The rest goes on.")
    assert one.says("added: after.md")
    assert sum(line.startswith("failed") for line in one.said()) == 1  # not at every sync

    assert texts(one.index) == {
        "old/fruit.txt": "Bananas are brown by now.",
        "sea.txt": "Whales breathe air.",
        "after.md": "The rest goes on.",
    }
    with WriterLock(one.index).held(5):  # it holds nothing between changes
        (root / "late.md").write_text("The other writer comes first.")
        time.sleep(1)
    assert one.says("added: late.md")
    time.sleep(0.5)
    last = (one.index / "writer.pid").stat().st_mtime_ns
    time.sleep(1.5)
    assert (one.index / "writer.pid").stat().st_mtime_ns == last  # a sync changes the index, which is no reason for a sync
    assert one.ends(signal.SIGINT) == 130


def test_a_folder_that_is_away_or_empty_loses_nothing_and_is_followed_again(watched: Start, tmp_path: Path) -> None:
    one = watched(tmp_path / "index")
    (one.root / "old" / "fruit.txt").write_text("Bananas are yellow.")
    assert one.says("following ROOT; Ctrl-C ends")
    one.root.rename(tmp_path / "away")
    assert one.says("passages: ROOT is not there: what was indexed of it is kept")
    (tmp_path / "away").rename(one.root)
    (one.root / "sea.txt").write_text("Whales breathe air.")
    assert one.says("added: sea.txt")

    (one.root / "sea.txt").unlink()
    shutil.rmtree(one.root / "old")
    assert one.says("passages: ROOT holds no document now, as when a disk is away")
    assert texts(one.index).keys() >= {"old/fruit.txt"}
    assert one.ends(signal.SIGTERM) == 143


class Followed:
    """Folders that a thread follows, and what it told."""

    def __init__(self, watch: Watch) -> None:
        self.watch, self.told = watch, deque[Event]()

    def hears(self, expected: Event) -> None:
        """Waits for it."""
        until = time.monotonic() + LINE_S
        while expected not in self.told:
            assert time.monotonic() < until, self.told
            time.sleep(0.05)


@contextmanager
def followed(collection: Collection, *folders: Path, polls: bool = False) -> Iterator[Followed]:
    """Follows until the block ends."""
    last = folders[0] / "last.txt"

    def tell(event: Event) -> None:
        one.told.append(event)
        if event == Change("added", str(last)):
            raise KeyboardInterrupt

    def run() -> None:
        with suppress(KeyboardInterrupt):
            one.watch.run()

    one = Followed(Watch(collection, folders, tell, polls=polls))
    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield one
    finally:
        last.write_text("The last one.")
        thread.join(LINE_S)
    assert not thread.is_alive()


def listeners() -> int:
    """How often this process asks the system to tell what changes."""
    found = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # closed meanwhile
            found += "inotify" in str(descriptor.readlink())
    return found


def test_a_folder_is_looked_at_where_the_system_is_not_to_be_asked(collection: Collection, tmp_path: Path) -> None:
    root = tmp_path / "papers"
    root.mkdir()
    with followed(collection, root, polls=True) as one:
        (root / "fruit.txt").write_text("Bananas are yellow.")
        one.hears(Change("added", str(root / "fruit.txt")))
        time.sleep(0.2)
        (root / "sea.txt").write_text("Whales breathe air.")
        one.hears(Change("added", str(root / "sea.txt")))
        assert listeners() == 0


def test_what_another_writer_or_the_disk_forbids_is_told_once_and_done_later(
    encoder: Encoder, unprivileged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.watch.LOCK_S", 0.01)
    monkeypatch.setattr("indexer.watch.LOCKED_S", 0)
    monkeypatch.setattr("indexer.watch.AGAIN_S", 0)
    root, index, told = unprivileged / "papers", unprivileged / "index", list[Event]()
    root.mkdir()
    (root / "fruit.txt").write_text("Bananas are yellow.")
    added = Change("added", str(root / "fruit.txt"))
    with Collection(index, create=True, encoder=encoder) as collection:
        watch = Watch(collection, [root], told.append)
        with WriterLock(index).held(0):
            assert (watch.sync(), watch.sync()) == (None, None)
        assert [type(one) for one in told] == [Trouble]
        (index / "writer.pid").chmod(0o400)
        assert (watch.sync(), watch.sync()) == (None, None)
        assert [type(one) for one in told] == [Trouble, Trouble]
        assert "cannot be written" in str(told[1])
        (index / "writer.pid").chmod(0o600)
        summary = watch.sync()
        assert summary is not None
        assert (summary.added, told[2:]) == (1, [added])


def test_a_folder_below_another_that_is_away_loses_nothing(collection: Collection, tmp_path: Path) -> None:
    root, told = tmp_path / "papers", list[Event]()
    disk = root / "disk"
    disk.mkdir(parents=True)
    (root / "fruit.txt").write_text("Bananas are yellow.")
    (disk / "sea.txt").write_text("Whales breathe air.")
    sync = Watch(collection, [root, disk], told.append).sync
    assert sync() is not None
    for away in ((disk / "sea.txt").unlink, disk.rmdir):
        watch = Watch(collection, [root, disk], told.append)
        away()
        assert watch.sync() is not None
        assert texts(collection.folder).keys() == {"fruit.txt", "disk/sea.txt"}
    assert [type(one) for one in told[2:]] == [Trouble, Trouble]
    assert Sync(collection).run([root]).deleted == 1  # by who means it


def test_a_file_that_takes_too_long_is_not_tried_again_with_every_change_of_another(
    collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, told, read = tmp_path / "papers", list[Event](), Extractor.content
    tried: list[str] = []

    def content(self: Extractor, suffix: str, file: BinaryIO) -> Content:
        tried.append(suffix)
        if suffix == ".md":
            raise AgainError("took more than 60 s to be read")
        return read(self, suffix, file)

    monkeypatch.setattr(Extractor, "content", content)
    root.mkdir()
    (root / "slow.md").write_text("For ever.")
    watch = Watch(collection, [root], told.append)
    for number in range(3):
        (root / f"fruit{number}.txt").write_text(f"Banana {number} is yellow.")
        watch._due.add(root)
        assert watch.sync() is not None
    assert (tried.count(".md"), tried.count(".txt")) == (1, 3)
    assert [one.path for one in told if isinstance(one, Failure)] == [str(root / "slow.md")]

    (root / "slow.md").write_text("For ever, and longer.")
    watch._due.add(root)
    assert watch.sync() is not None
    assert tried.count(".md") == 2
    watch._due.add(root)
    watch._retry_at = 0.0  # ten minutes later
    assert watch.sync() is not None
    assert tried.count(".md") == 3


@pytest.mark.parametrize("name", ["missing", "file.txt"])
def test_only_a_folder_that_is_there_is_followed(collection: Collection, tmp_path: Path, name: str) -> None:
    (tmp_path / "file.txt").write_text("Bananas are yellow.")
    with pytest.raises(SyncError, match="followed"):
        Watch(collection, [tmp_path / name], lambda _: None)


def test_a_sync_loads_the_model_before_it_takes_the_lock(tmp_path: Path) -> None:
    """Others may write meanwhile: here for ever, since the model is none."""
    (tmp_path / "fruit.txt").write_text("Bananas are yellow.")
    index = tmp_path / "index"
    with Collection(index, "no/such", create=True) as collection, WriterLock(index).held(0):
        with pytest.raises(ModelError, match="no/such"):
            Sync(collection).run([tmp_path / "fruit.txt"])
        (tmp_path / "fruit.txt").unlink()
        with pytest.raises(LockedError):
            Sync(collection).run([tmp_path])
