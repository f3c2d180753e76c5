"""Documents are read in a child process, which can die alone: by a crash of native code, or for taking too long or too much.

The parent opens the file and hands over the descriptor; the child answers with the content, as JSON, or a reason. A child that
had to be ended costs one file, and the next file gets a new child. Invariant: nothing that a file holds is parsed by
native code in the process that writes the index.
"""

from __future__ import annotations

import json
import math
import os
import resource
import signal
import subprocess
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe
from multiprocessing.reduction import recv_handle, send_handle
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Self

from indexer.children import child_command
from indexer.errors import UnreadableError
from indexer.formats import FORMATS, LONGEST_TEXT, Content, Heading, Remark
from indexer.inputs import FILE_MIB, MIB, AgainError, read_whole

# Decoded by Python itself, in time and memory proportional to the file: for a small one the way to a child and back would
# gain nothing. A large one can take five times its size.
PLAIN = frozenset([".txt", ".text", ".log", ".rst"])
SMALL = MIB
_START_S = 60.0  # what a child may take to start, on a busy machine
_LONGEST_REPLY = 8 * LONGEST_TEXT  # bytes: four a character at most, and places of headings and pages
_NICE_TO_KILL = "1000"  # the kernel ends the child before anything else when memory runs out


class Limits(NamedTuple):
    """What one file may cost: seconds by the clock, bytes of the child's memory, bytes of the file."""

    seconds: float = 60.0  # a PDF of 1,000 full pages takes 11
    memory: int = 2048 * MIB  # of which an idle child uses 60 MiB
    file: int = FILE_MIB * MIB


DEFAULT_LIMITS = Limits()


class Extractor:
    """A child that reads files, started when the first one comes. Not for several threads at once. Use it as a context."""

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self.limits = limits
        self._child: _Child | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    @property
    def pid(self) -> int | None:
        """The child's process, if there is one now."""
        return self._child.pid if self._child else None

    def content(self, suffix: str, file: BinaryIO) -> Content:
        """What is in the open file, by the suffix of its format. Raises `UnreadableError`."""
        if suffix in PLAIN and os.fstat(file.fileno()).st_size <= SMALL:
            return bounded(FORMATS[suffix].read(read_whole(file)))
        try:
            child = self._given(suffix, file)
            reply = child.reply(self.limits.seconds)
        except BaseException as error:
            how = self._child.how_it_ended() if self._child and isinstance(error, EOFError | OSError) else ""
            self.end()
            if how:
                raise AgainError(f"ended the process that read it ({how}); {_ADVICE}") from None
            raise
        if reply.get("ended"):
            self.end()
        return _content(reply)

    def _given(self, suffix: str, file: BinaryIO) -> _Child:
        """The child that has the file now: another if the one before has ended. The file is not to blame for that: the kernel
        ends an idle child first."""
        if self._child is not None:
            with suppress(EOFError, OSError):
                self._child.hand_over(suffix, file)
                return self._child
        self.end()
        self._child = _Child(self.limits)
        self._child.hand_over(suffix, file)
        return self._child

    def end(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.end()
            self._child = None


_ADVICE = "it may be damaged or made to do that: open it in its own program and save it again"


class _Child:
    """One process; one file at a time."""

    def __init__(self, limits: Limits) -> None:
        self._connection, theirs = Pipe()
        command = child_command("indexer.extraction", str(theirs.fileno()), str(limits.memory), str(limits.seconds))
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )  # fmt: skip
        self.pid = self._process.pid
        self._ready = False

    def hand_over(self, suffix: str, file: BinaryIO) -> None:
        """Give it the file. Raises `EOFError` or `OSError` if it has ended, `AgainError` if its start took too long."""
        if not self._ready:
            self._wait(_START_S)
            self._connection.recv_bytes()
            self._ready = True
        self._connection.send_bytes(suffix.encode())
        send_handle(self._connection, file.fileno(), self.pid)

    def reply(self, seconds: float) -> dict[str, Any]:
        """What it says of the file. Raises `EOFError` or `OSError` if it ended, `AgainError` if it took too long."""
        self._wait(seconds)
        reply: dict[str, Any] = json.loads(self._connection.recv_bytes(_LONGEST_REPLY).decode("utf-8", "surrogatepass"))
        return reply

    def how_it_ended(self) -> str:
        """In words, once it has."""
        with suppress(subprocess.TimeoutExpired):
            code = self._process.wait(1)
            if code == -signal.SIGKILL:
                return "the system ended it, perhaps for want of memory"
            return f"by {signal.Signals(-code).name}" if code < 0 else f"with status {code}"
        return "its answer was too long"

    def end(self) -> None:
        self._process.kill()  # it only reads, so there is nothing that it must finish
        self._process.wait()
        self._connection.close()

    def _wait(self, seconds: float) -> None:
        if not self._connection.poll(seconds):
            raise AgainError(
                f"took more than {seconds:g} s to be read; divide it, or raise PASSAGES_EXTRACTION_TIMEOUT_S, "
                "and index it again"
            )


def bounded(content: Content) -> Content:
    """The content. Raises `UnreadableError` if its text is longer than what is indexed as one document."""
    if len(content.text) > LONGEST_TEXT:
        raise UnreadableError(
            f"holds {len(content.text):,} characters of text, more than the {LONGEST_TEXT:,} of one document; divide it"
        )
    return content


def _content(reply: dict[str, Any]) -> Content:
    if reason := reply.get("reason"):
        raise (AgainError if reply.get("again") else UnreadableError)(str(reason))
    text, title, date, metadata, pages, headings, remarks = reply["content"]
    placed = tuple(Heading(*one) for one in headings)
    return Content(text, title, date, metadata, tuple(pages), placed, tuple(Remark(*one) for one in remarks))


def _reply(suffix: str, file: BinaryIO, memory: int) -> dict[str, Any]:
    from indexer.documents import reason_of

    try:
        return {"content": bounded(FORMATS[suffix].read(read_whole(file)))}
    except MemoryError:
        needs = f"needs more than {memory // MIB:,} MiB of memory to be read; {_ADVICE}, or divide it"
        return {"reason": needs, "again": True, "ended": True}
    except BaseException as error:  # noqa: BLE001, RUF100  # native libraries report a panic as one
        return {"reason": reason_of(error), "again": isinstance(error, AgainError)}


def _confine(memory: int) -> None:
    """Limits that the system holds: of memory, of what it writes when it crashes, and of files that it could write: none."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this process
    for kind, most in ((resource.RLIMIT_DATA, memory), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, 0)):
        with suppress(OSError, ValueError):  # a system that does not know it, or a lower limit that is there already
            resource.setrlimit(kind, (most, most))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_NICE_TO_KILL, encoding="ascii")


def main(descriptor: str, memory: str, seconds: str) -> None:
    """A child: reads the files that it is given until none come any more."""
    connection = Connection(int(descriptor))
    connection.send_bytes(b"ready")
    _confine(int(memory))
    with suppress(EOFError, OSError):  # the parent has ended
        while True:
            suffix = connection.recv_bytes().decode()
            with os.fdopen(recv_handle(connection), "rb") as file:
                # By itself it ends a little later than it would be ended: also when nobody is left to do that.
                signal.alarm(math.ceil(float(seconds)) + 5)
                reply = _reply(suffix, file, int(memory))
            connection.send_bytes(json.dumps(reply, ensure_ascii=False).encode("utf-8", "surrogatepass"))
            signal.alarm(0)
            if reply.get("ended"):
                return
