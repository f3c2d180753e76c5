"""One writer at a time: who is refused is told by whom, and a lock ends with its process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from indexer.errors import PassagesError
from indexer.lock import LockedError, WriterLock

HOLDER = """
import sys, time
from pathlib import Path
from indexer.lock import WriterLock

with WriterLock(Path(sys.argv[1])).held(0):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock of ``tmp_path``."""
    with subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_process_is_told_who_writes(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    lock = WriterLock(tmp_path)
    entered: list[str] = []
    message = rf"^process {holder.pid} .* is writing this index: wait until it is done, or end it$"
    with pytest.raises(LockedError, match=message), lock.held(0.1):
        entered.append("the second")
    assert entered == []
    assert lock.holder().startswith(f"process {holder.pid} ")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_the_lock_of_a_process_that_was_killed_is_free(
    holder: subprocess.Popen[str], tmp_path: Path, how: signal.Signals
) -> None:
    holder.send_signal(how)
    holder.wait(10)
    lock = WriterLock(tmp_path)
    with lock.held(0):
        assert lock.holder().startswith(f"process {os.getpid()} ")


def test_a_second_thread_of_the_same_process_waits_its_turn(tmp_path: Path) -> None:
    lock = WriterLock(tmp_path)
    inside: list[int] = []
    most: list[int] = []

    def write() -> None:
        with lock.held(10):
            inside.append(1)
            most.append(len(inside))
            inside.pop()

    threads = [threading.Thread(target=write) for _ in range(8)]
    with lock.held(0):
        for thread in threads:
            thread.start()
        assert most == []
    for thread in threads:
        thread.join(20)
    assert most == [1] * 8


def test_a_second_thread_that_does_not_wait_is_refused(tmp_path: Path) -> None:
    lock = WriterLock(tmp_path)
    with lock.held(0), pytest.raises(LockedError, match="another request is writing this index"), lock.held(0.05):
        pass
    with lock.held(0):
        pass


def test_two_locks_of_one_process_on_one_folder_exclude_each_other(tmp_path: Path) -> None:
    with WriterLock(tmp_path).held(0), pytest.raises(LockedError), WriterLock(tmp_path).held(0.05):
        pass


def test_an_error_inside_frees_the_lock(tmp_path: Path) -> None:
    lock = WriterLock(tmp_path)
    with pytest.raises(KeyboardInterrupt), lock.held(0):
        raise KeyboardInterrupt
    with WriterLock(tmp_path).held(0):
        pass


def test_a_folder_that_may_not_be_written_is_told(unprivileged: Path) -> None:
    unprivileged.chmod(0o500)
    message = rf"the index folder {unprivileged} cannot be written: Permission denied; mend that, or choose another --index"
    with pytest.raises(PassagesError, match=message), WriterLock(unprivileged).held(0):
        pass
    assert list(unprivileged.iterdir()) == []


def test_a_holder_that_has_not_signed_yet_is_another_process(tmp_path: Path) -> None:
    (tmp_path / "writer.pid").touch()
    assert WriterLock(tmp_path).holder() == "another process"
