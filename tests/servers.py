"""The real `passages` commands as processes, on 127.0.0.1, each ended by its own id whatever happens."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import quote

from eval.serving import end

PASSAGES = Path(sys.executable).with_name("passages")
START_S = 90.0
END_S = 30.0
_IDLE_S = 3.0  # the server ends a connection that was not used for five


class Reply(NamedTuple):
    """``retry_after`` is the header, or None; ``body`` is what JSON said, or None where there was none."""

    status: int
    retry_after: str | None
    body: Any


class Api:
    """One kept-alive connection to a server; a thread has its own."""

    def __init__(self, port: int, timeout_s: float = 60) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
        self._used = time.monotonic()

    def call(self, method: str, path: str, body: Any = None) -> Reply:
        """Send and wait. Raises :class:`OSError`, :class:`http.client.HTTPException`."""
        if time.monotonic() - self._used > _IDLE_S:
            self._connection.close()  # it opens itself again
        content = None if body is None else json.dumps(body).encode()
        headers = {} if content is None else {"Content-Type": "application/json"}
        try:
            self._connection.request(method, path, content, headers)
            response = self._connection.getresponse()
            raw = response.read()
        except BaseException:
            self._connection.close()
            raise
        finally:
            self._used = time.monotonic()
        return Reply(response.status, response.getheader("Retry-After"), json.loads(raw) if raw else None)

    def search(self, question: str, limit: int = 10) -> Reply:
        """Ask."""
        return self.call("POST", "/v1/search", {"question": question, "limit": limit})

    def put(self, document_id: str, text: str, **fields: Any) -> Reply:
        """Add or replace."""
        return self.call("PUT", f"/v1/documents/{quote(document_id, safe='')}", {"text": text, **fields})

    def delete(self, document_id: str) -> Reply:
        """Delete."""
        return self.call("DELETE", f"/v1/documents/{quote(document_id, safe='')}")

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class Server:
    """A `passages serve` that runs; ``said`` is the file of its standard error."""

    def __init__(self, process: subprocess.Popen[bytes], said: Path) -> None:
        self.process, self.said = process, said
        self.port = int(self._line("Passages on ").split()[2].rpartition(":")[2])

    @property
    def pid(self) -> int:
        """Its process."""
        return self.process.pid

    def api(self, timeout_s: float = 60) -> Api:
        """A new connection."""
        return Api(self.port, timeout_s)

    def search(self, question: str) -> Reply:
        """Ask over a connection of its own."""
        with self.api() as api:
            return api.search(question)

    def put(self, document_id: str, text: str) -> Reply:
        """Add or replace over a connection of its own."""
        with self.api() as api:
            return api.put(document_id, text)

    def wait_until_ready(self) -> None:
        """Until it says so."""
        self._line("ready: ")

    def _line(self, beginning: str) -> str:
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            said = self.said.read_text(encoding="utf-8", errors="replace")
            for line in said.splitlines(keepends=True):
                if line.startswith(beginning) and line.endswith("\n"):
                    return line.strip()
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError(f"the server did not say {beginning!r}: {self.said.read_text(errors='replace')}")


def environment(**more: str) -> dict[str, str]:
    """This process's, without its settings of Passages, and ``more``."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PASSAGES_")} | more


@contextmanager
def serving(index: Path, name: str = "server", env: Mapping[str, str] | None = None, ready: bool = True) -> Iterator[Server]:
    """`passages serve` over ``index`` in a folder of its own; waits until it is ``ready``."""
    folder = index.parent / name
    folder.mkdir(exist_ok=True)
    said = folder / "stderr"
    settings = environment(**{"PASSAGES_INDEX": str(index.resolve()), "PASSAGES_PORT": "0", **(env or {})})
    with said.open("wb") as stderr:
        process = subprocess.Popen([PASSAGES, "serve"], env=settings, cwd=folder, stdout=stderr, stderr=stderr)
    try:
        server = Server(process, said)
        if ready:
            server.wait_until_ready()
        yield server
    finally:
        end(process, END_S)


def children(pid: int) -> list[int]:
    """The children of a process, as of now."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [int(child) for child in task.read_text().split()]
    return found


def is_running(pid: int) -> bool:
    """Whether the process is there and not just waiting to be collected."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def ended(pid: int, within_s: float = 10) -> bool:
    """Whether the process ends in time."""
    until = time.monotonic() + within_s
    while is_running(pid) and time.monotonic() < until:
        time.sleep(0.02)
    return not is_running(pid)
