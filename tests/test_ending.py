"""How processes begin and end: `passages serve` and `passages index` under SIGTERM, SIGINT and SIGKILL, with work under way."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from indexer.catalog import Catalog
from service.ending import GRACE_S
from tests.servers import PASSAGES, Server, children, ended, environment, serving

DEADLINE_S = 3
SENTENCE = "The {} harbour was dredged by {} barges in {}.\n\n"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path / "index", env={"PASSAGES_DEADLINE_MS": str(1000 * DEADLINE_S)}) as server:
        yield server


def big_text(paragraphs: int) -> str:
    return "".join(SENTENCE.format(f"x{number}", number * 7, 1700 + number % 300) for number in range(paragraphs))


def texts(index: Path) -> dict[str, str]:
    """The documents of the index, by id."""
    catalog = Catalog(index)
    try:
        with catalog.read() as snapshot:
            found = [snapshot.document(one) for one in snapshot.document_ids()]
    finally:
        catalog.close()
    return {one.id: one.text for one in found if one}


def test_sigterm_answers_what_was_asked_refuses_what_comes_and_ends_in_time_with_status_0(
    server: Server, tmp_path: Path
) -> None:
    text = big_text(6000)  # takes longer than the deadline and the grace
    below = children(server.pid)
    assert below
    with server.api() as idle, ThreadPoolExecutor(16) as threads:
        assert idle.call("GET", "/livez").status == 200  # a kept-alive connection must not hold the end up
        put = threads.submit(server.put, "big", text)
        time.sleep(1)
        asked = [threads.submit(server.search, f"Who hosts meeting {number}?") for number in range(12)]
        time.sleep(0.4)  # a request that the server has not read is not in flight
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        statuses = [one.result().status for one in asked]
        assert 200 in statuses
        assert set(statuses) <= {200, 503}  # answered, or told that there was no time left: never cut off
        time.sleep(0.5)  # it looks ten times a second whether to end
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", server.port), 5).close()
        assert server.process.wait(20) == 0
        assert time.monotonic() - began < DEADLINE_S + GRACE_S + 3
        error = put.exception(5)
    assert all(map(ended, below))
    stored = texts(tmp_path / "index").get("big")
    assert stored is None or stored.strip() == text.strip()
    if error is None and put.result().status == 200:
        assert stored is not None
    assert "Traceback" not in server.said.read_text()


def test_a_second_interrupt_ends_the_server_at_once_and_without_a_traceback(server: Server) -> None:
    below = children(server.pid)
    with ThreadPoolExecutor(1) as threads:
        put = threads.submit(server.put, "big", big_text(6000))
        time.sleep(1)
        server.process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        began = time.monotonic()
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(5) == 130
        assert time.monotonic() - began < 2
        assert put.exception(5) is not None
    said = server.said.read_text()
    assert "Traceback" not in said
    assert "CancelledError" not in said
    assert all(map(ended, below))


def test_a_server_that_cannot_start_ends_with_a_reason_and_status_1(tmp_path: Path) -> None:
    ran = subprocess.run(
        [PASSAGES, "serve", "--port", "0", "--index", tmp_path / "index", "--model", "no/such-model"],
        env=environment(), cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ran.returncode == 1
    assert re.search(r"^passages: the server cannot start: .*no/such-model", ran.stderr, re.MULTILINE)
    assert "Traceback" not in ran.stderr
    assert not re.search("^ready: ", ran.stderr, re.MULTILINE)


def test_an_indexer_told_to_end_keeps_what_it_committed_and_says_so(tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    for number in range(40):
        (files / f"{number}.txt").write_text(big_text(300 + number))
    index = tmp_path / "index"
    command = [str(PASSAGES), "index", str(files), "--index", str(index), "--json"]
    process = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True)
    until = time.monotonic() + 60
    while not ((index / "catalog.sqlite").exists() and texts(index)) and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(0.5)  # so that it has counted what it committed
    process.send_signal(signal.SIGTERM)  # Ctrl-C is in test_sync
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM
    summary = json.loads(output)
    assert summary["interrupted"]
    assert 0 < summary["added"] <= len(texts(index)) < 40
