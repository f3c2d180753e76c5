"""Everything else in this suite means little without this: nothing that it runs can reach another machine."""

import socket
import subprocess
import sys
import urllib.error
import urllib.request

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
