"""Run by test_network in a network namespace of its own: the whole product on a machine without any network."""

import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

SIOCSIFFLAGS, IFF_UP = 0x8914, 0x1
PASSAGES = Path(sys.executable).with_name("passages")


def main(folder: Path) -> None:
    """Index, ask, tell, serve. Raises whatever goes wrong."""
    _loopback_up()
    _assert_cut()
    (folder / "fruit.txt").write_text("Bananas are yellow when they are ripe.", encoding="utf-8")
    _passages(folder, "index", "fruit.txt")
    found = json.loads(_passages(folder, "search", "What colour is a banana?", "--json"))
    assert found["results"][0]["document"]["id"] == "fruit.txt"
    assert json.loads(_passages(folder, "status", "--json"))["documents"] == 1
    server = subprocess.Popen([PASSAGES, "serve", "--port", "0"], cwd=folder, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr is not None
        address = server.stderr.readline().split()[2]
        assert b"fruit.txt" in _answer(f"{address}/v1/search?q=banana")
        assert b"search-page" in _answer(f"{address}/")
    finally:
        server.terminate()
        server.wait(30)


def _loopback_up() -> None:
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


def _assert_cut() -> None:
    """Not by a patch, as elsewhere in the tests: the system itself knows no way out."""
    assert [name for _, name in socket.if_nameindex()] == ["lo"]
    with socket.socket() as probe:
        try:
            probe.connect(("192.0.2.1", 80))
        except OSError as error:
            assert "unreachable" in str(error), error  # noqa: PT017
        else:
            raise AssertionError("there is a network")


def _passages(folder: Path, *arguments: str) -> str:
    done = subprocess.run([PASSAGES, *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _answer(url: str) -> bytes:
    until = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10) as response:
                return bytes(response.read())
        except OSError:
            assert time.monotonic() < until
            time.sleep(0.1)


if __name__ == "__main__":
    os.environ.pop("PYTHONPATH", None)  # the tests' own block, which covers Python alone
    main(Path(sys.argv[1]))
