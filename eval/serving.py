"""The real server as a child process: started on a free port, waited for, and ended by its own process id."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, NamedTuple

from eval.client import Address, address_of
from eval.errors import EvalError

START_S = 180.0  # a large index and a slow disk
END_S = 20.0
_SAID_CHARS = 600  # of standard error, for a message


class Served(NamedTuple):
    """A running server; ``pid`` and ``ready_s``, seconds from its start until ``/readyz``, of a child of ours only."""

    address: Address
    pid: int | None = None
    ready_s: float | None = None

    def cpu_s(self) -> float | None:
        """CPU seconds that the process and its children took so far; None where that cannot be known."""
        try:
            children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text(encoding="ascii").split()
            return sum(_cpu_s(pid) for pid in (self.pid, *children))
        except OSError:
            return None

    def pss_mib(self) -> float | None:
        """MiB that the process and its children hold, what they share counted once; None where that cannot be known."""
        try:
            children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text(encoding="ascii").split()
            return round(sum(_pss_mib(pid) for pid in (self.pid, *children)), 1)
        except (OSError, StopIteration):
            return None

    def passages(self) -> int:
        """How many passages it holds. Raises :class:`EvalError`."""
        url = f"{self.address.url}/v1/status"
        try:
            with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310  # http alone, see address_of
                return int(json.load(response)["passages"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise EvalError(
                f"{url} does not tell how many passages there are ({error}); is it a server of passages?"
            ) from error


def _cpu_s(pid: int | str | None) -> float:
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    fields = stat.rpartition(")")[2].split()  # the name before it may hold spaces; user and system time are fields 14 and 15
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _pss_mib(pid: int | str | None) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii", errors="replace").splitlines()
    return float(next(line for line in lines if line.startswith("Pss:")).split()[1]) / 1024


@contextmanager
def serving(index: Path, model: str) -> Iterator[Served]:
    """``passages serve`` over ``index``, ready for questions, ended whatever happens. Raises :class:`EvalError`."""
    began = time.perf_counter()
    with TemporaryFile() as said:
        command = [str(Path(sys.executable).with_name("passages")), "serve"]
        try:
            process = subprocess.Popen(command, env=_environment(index, model), stdout=said, stderr=said)  # noqa: S603
        except OSError as error:
            raise EvalError(
                f"{command[0]} cannot be started ({error.strerror}); install passages beside this Python"
            ) from error
        try:
            address = _address(process, said, began + START_S)
            _wait_ready(process, said, address, began + START_S)
            with _terminable():
                yield Served(address, process.pid, time.perf_counter() - began)
        finally:
            end(process)


def running(url: str) -> Served:
    """The server at ``url``, which must be ready. Raises :class:`EvalError`."""
    address = address_of(url)
    if (status := _readiness(address)[0]) != 200:
        raise EvalError(f"{url} is not ready ({status or 'nothing listens'}); start it with passages serve")
    return Served(address)


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM ends this process as an exception does, so that it ends its children: without this they would go on alone."""
    if threading.current_thread() is not threading.main_thread():  # where Python lets nobody set a handler
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _environment(index: Path, model: str) -> Mapping[str, str]:
    ours = {"INDEX": str(index), "HOST": "127.0.0.1", "PORT": "0", "MODEL": model}
    others = {name: value for name, value in os.environ.items() if not name.startswith("PASSAGES_")}
    return others | {f"PASSAGES_{name}": value for name, value in ours.items()}


def _address(process: subprocess.Popen[bytes], said: IO[bytes], until: float) -> Address:
    """From the line in which the server says where it listens."""
    while time.perf_counter() < until:
        for line in _said(said).splitlines():
            if line.startswith("Passages on ") and line.endswith(")"):
                return address_of(line.split()[2])
        _check(process, said)
        time.sleep(0.02)
    raise EvalError(f"the server did not say where it listens: {_said(said) or 'it said nothing'}")


def _wait_ready(process: subprocess.Popen[bytes], said: IO[bytes], address: Address, until: float) -> None:
    while time.perf_counter() < until:
        status, detail = _readiness(address)
        if status == 200:
            return
        if detail is not None:
            raise EvalError(f"the server failed to start: {detail}")
        _check(process, said)
        time.sleep(0.05)
    raise EvalError(f"the server was not ready after {START_S:.0f} s: {_said(said)}")


def _readiness(address: Address) -> tuple[int, str | None]:
    """The status of ``/readyz``, 0 without one; and why the server never will be ready, where it says so."""
    try:
        with urllib.request.urlopen(f"{address.url}/readyz", timeout=5) as response:  # noqa: S310  # http alone, see address_of
            return response.status, None
    except urllib.error.HTTPError as error:
        with error:
            # A server that is starting asks to be tried again; one that failed does not.
            return error.code, None if "Retry-After" in error.headers else _detail(error.read())
    except OSError:
        return 0, None


def _detail(body: bytes) -> str:
    try:
        return str(json.loads(body)["detail"])
    except (ValueError, KeyError, TypeError):
        return body.decode("utf-8", "replace")[:_SAID_CHARS]


def _check(process: subprocess.Popen[bytes], said: IO[bytes]) -> None:
    if process.poll() is not None:
        raise EvalError(f"the server ended with status {process.returncode}: {_said(said) or 'it said nothing'}")


def _said(said: IO[bytes]) -> str:
    """The end of what the server wrote, read without moving its own place in the file."""
    size = os.fstat(said.fileno()).st_size
    text = os.pread(said.fileno(), size, 0).decode("utf-8", "replace").strip()
    return text[-_SAID_CHARS:]


def end(process: subprocess.Popen[bytes], within_s: float = END_S) -> int:
    """End it as a process manager does, at once if that takes longer than ``within_s`` seconds; its exit status."""
    process.terminate()
    try:
        return process.wait(within_s)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
