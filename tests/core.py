"""``unshare -rn python -m tests.core FOLDER TEST...``: tests over the server core of Milvus 2.3.5, in a network of its own.

FOLDER is a virtual environment with ``milvus==2.3.5``; the server is unpacked below it once. Some of its ports are open on all
interfaces whatever its settings say, so it runs where there is none but loopback, and the tests with it.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

_SIOCSIFFLAGS, _UP = 0x8914, 1 | 64  # see netdevice(7)
_UNPACK_S = 120.0
_CHANNELS = 512  # tables that share one lack rows after a restart (docs/cluster.md); all tests together make fewer


def alone() -> None:
    """Brings loopback up. Exits if there is any other interface."""
    if [name for _, name in socket.if_nameindex()] != ["lo"]:
        sys.exit("tests.core: this network is not its own; run it with: unshare -rn")
    with socket.socket() as one:
        fcntl.ioctl(one, _SIOCSIFFLAGS, struct.pack("16sh", b"lo", _UP))


def unpacked(environment: Path) -> Path:
    """The server's folder: its wrapper is run once, which unpacks it. Its settings are changed to listen on loopback, and
    to have a channel for each table."""
    folder = environment.resolve() / "core"
    settings = folder / "configs" / "milvus.yaml"
    if not (folder / "run").exists():
        command = [str(environment / "bin" / "milvus-server"), "--data", str(folder), "--proxy-port", "19530"]
        wrapper = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        until = time.monotonic() + _UNPACK_S
        while not _has_started(folder) and time.monotonic() < until and wrapper.poll() is None:
            time.sleep(0.2)
        children = Path(f"/proc/{wrapper.pid}/task/{wrapper.pid}/children").read_text().split()
        wrapper.kill()
        wrapper.wait()
        for child in children:
            os.kill(int(child), 9)
        (folder / "run").mkdir()
    text = re.sub(r"(?m)^(\s*)ip:( #.*)?$", r"\1ip: 127.0.0.1", settings.read_text(encoding="utf-8"))
    settings.write_text(re.sub(r"dmlChannelNum: \d+", f"dmlChannelNum: {_CHANNELS}", text), encoding="utf-8")
    shutil.rmtree(folder / "data", ignore_errors=True)  # tests begin with nothing
    return folder


def _has_started(folder: Path) -> bool:
    return (folder / "configs" / "milvus.yaml").exists() and any((folder / "logs").glob("*"))


if __name__ == "__main__":
    alone()
    os.environ["MILVUS_CORE"] = str(unpacked(Path(sys.argv[1])))
    sys.exit(pytest.main(sys.argv[2:]))
