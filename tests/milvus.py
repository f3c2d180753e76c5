"""Milvus servers as processes of their own, on loopback, each ended by its own id whatever happens."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from indexer.engines.address import Address

LITE = Path(sys.executable).with_name("milvus-lite")
START_S = 60.0
_END_S = 20.0


class MilvusServer:
    """milvus-lite's server over a folder; it can be killed and started again on the same port."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def address(self, collection: str) -> Address:
        """A collection on it."""
        return Address("127.0.0.1", self.port, collection)

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [LITE, "server", "--data-dir", self.folder / "data", "--host", "127.0.0.1", "--port", str(self.port)],
                stdout=log,
                stderr=log,
            )
        until = time.monotonic() + START_S
        while not _listens(self.port):
            if time.monotonic() > until or self._process.poll() is not None:
                raise RuntimeError((self.folder / "log").read_text(errors="replace")[-2000:])
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop it for a moment: its connections stay, and nothing answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """End a stop."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """As a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def end(self) -> None:
        """End it."""
        if self._process is None or self._process.poll() is not None:
            return
        self.go_on()
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_S)
        self.kill()


@contextmanager
def milvus(folder: Path) -> Iterator[MilvusServer]:
    """A server over a new folder."""
    folder.mkdir(parents=True, exist_ok=True)
    server = MilvusServer(folder)
    try:
        server.start()
        yield server
    finally:
        server.end()


def free_port() -> int:
    """One that nobody listens on now."""
    with closing(socket.socket()) as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _listens(port: int) -> bool:
    with closing(socket.socket()) as one:
        one.settimeout(1)
        return one.connect_ex(("127.0.0.1", port)) == 0
