"""Milvus servers as processes of their own, on loopback, each ended by its own id whatever happens.

milvus-lite, one for each that asks; or, where ``MILVUS_CORE`` names the folder that :mod:`tests.core` has unpacked, the server
core of 2.3.5, one for all, since it takes fixed ports.
"""

from __future__ import annotations

import atexit
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import cache
from pathlib import Path

from indexer.encoder import Encoder
from indexer.engines.address import Address
from indexer.engines.milvus.collection import MilvusCollection
from indexer.engines.milvus.connection import Connection

LITE = Path(sys.executable).with_name("milvus-lite")
CORE = Path(os.environ["MILVUS_CORE"]).resolve() if "MILVUS_CORE" in os.environ else None
CORE_PORT = 19530
START_S = 120.0
_END_S = 20.0


class MilvusServer:
    """A server over a folder; it can be killed and started again on the same port."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self._process: subprocess.Popen[bytes] | None = None

    def address(self, collection: str) -> Address:
        """A collection on it; what was written is found at once."""
        return Address("127.0.0.1", self.port, collection, consistency="Strong")

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        with (self.folder / "log").open("ab") as log:
            self._process = self._started(log.fileno())
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

    def _started(self, log: int) -> subprocess.Popen[bytes]:
        data = ["--data-dir", str(self.folder / "data"), "--host", "127.0.0.1", "--port", str(self.port)]
        return subprocess.Popen([str(LITE), "server", *data], stdout=log, stderr=log)


class CoreServer(MilvusServer):
    """The same of the server core: the program alone, without the wrapper, which moves to another port after a kill."""

    def wait_until_ready(self) -> None:
        """It takes connections long before it answers."""
        with closing(Connection(self.address("any"), START_S)) as connection:
            connection.call(lambda client, left: client.list_collections(timeout=left))

    def _started(self, log: int) -> subprocess.Popen[bytes]:
        env = {
            "LD_LIBRARY_PATH": str(self.folder / "bin"), "METRICS_PORT": "9091", "DEPLOY_MODE": "STANDALONE",
            "MILVUS_RUN_DIR": str(self.folder / "run"),
        }  # fmt: skip
        command = [str(self.folder / "bin" / "milvus"), "run", "standalone"]
        return subprocess.Popen(command, cwd=self.folder, env=os.environ | env, stdout=log, stderr=log)


def emptied(server: MilvusServer, test: str, encoder: Encoder) -> MilvusCollection:
    """An empty collection of a test's own, named as it."""
    name = "".join(char if char.isalnum() else "_" for char in test)
    return MilvusCollection(server.address(name), "", create=True, encoder=encoder, patience_s=START_S)


@contextmanager
def milvus(folder: Path) -> Iterator[MilvusServer]:
    """A server, over a new folder if it can be."""
    if CORE is not None:
        yield _core(CORE)
        return
    folder.mkdir(parents=True, exist_ok=True)
    server = MilvusServer(folder, free_port())
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


@cache
def _core(folder: Path) -> MilvusServer:
    server = CoreServer(folder, CORE_PORT)
    server.start()
    atexit.register(server.end)
    server.wait_until_ready()
    return server


def _listens(port: int) -> bool:
    with closing(socket.socket()) as one:
        one.settimeout(1)
        return one.connect_ex(("127.0.0.1", port)) == 0
