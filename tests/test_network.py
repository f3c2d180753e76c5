"""Everything else in this suite means little without this: nothing that it runs can reach another machine."""

import os
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest


def test_no_test_reaches_another_machine() -> None:
    with pytest.raises(OSError, match="the tests let nothing out"):
        socket.create_connection(("192.0.2.1", 80), timeout=1)
    with pytest.raises(urllib.error.URLError, match="the tests let nothing out"):
        urllib.request.urlopen("http://example.org", timeout=1)


def test_no_process_that_a_test_starts_reaches_another_machine() -> None:
    code = "import socket; socket.create_connection(('192.0.2.1', 80), timeout=1)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert "the tests let nothing out" in done.stderr


def test_this_machine_is_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()[:2], timeout=5).close()


def test_the_whole_product_works_with_the_network_cut(tmp_path: Path) -> None:
    """In a namespace that has only loopback: native code too finds no way out."""
    options = next((one for one in ("--net", "--map-root-user --net") if _can_unshare(one)), None)
    if options is None:
        pytest.skip("this system gives no network namespace (unshare --net): the network was NOT cut")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PASSAGES_", "PYTHONPATH"))}
    driver = [sys.executable, str(Path(__file__).with_name("cut_off.py")), str(tmp_path)]
    done = subprocess.run(
        ["unshare", *options.split(), *driver], env=inherited, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr


def _can_unshare(options: str) -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", *options.split(), "true"], capture_output=True, check=False).returncode == 0
