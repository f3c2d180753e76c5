"""One real server, with a key, that logs all it can: what leaks of questions, and what a rude client gains."""

from __future__ import annotations

import http.client
import json
import os
import re
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from indexer.graph import cache_folder

MARKER = "zanzibarquokka"
# The real command, but for questions that make it fail or wait, and shorter patience with rude clients, of whom the
# system takes less.
START = '''
import socket, time
import service.protocol, service.searchers, service.server, service.service
service.protocol.HEAD_S = service.protocol.BODY_S = service.protocol.STALL_S = 1.0
service.protocol.STALL_BYTES = 4096
service.protocol.MAX_CONNECTIONS = 64
listen = service.server._listen
def narrow(host, port):
    listener = listen(host, port)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
    return listener
service.server._listen = narrow
encoded = service.service.encoded
def faulty(collection, query):
    if "sleeps" in query.question:
        time.sleep(2.5)
    if "faulty" in query.question:
        raise ValueError(f"cannot encode {query.question}")
    return encoded(collection, query)
service.service.encoded = faulty
command = service.searchers.child_command
def with_fault(module, *told):
    made = command(module, *told)
    made[3] = FAULT + made[3]
    return made
service.searchers.child_command = with_fault
FAULT = """
import service.searchers
search = service.searchers.search
def faulty(collection, query, encoding):
    if "breaks" in query.question:
        raise ValueError(f"cannot search {query.question}")
    return search(collection, query, encoding)
service.searchers.search = faulty
"""
from service.cli import main
main()
'''
SETTINGS = {
    "PASSAGES_REQUIRE_KEY": "true", "PASSAGES_QUEUE": "0", "PASSAGES_DEADLINE_MS": "2000", "PASSAGES_LOG_LEVEL": "debug",
    "PASSAGES_PORT": "0", "PASSAGES_RATE": "0", "PASSAGES_MAX_BODY_BYTES": "100000",
}  # fmt: skip


class Server(NamedTuple):
    """Where it listens, its first key, and its folder."""

    port: int
    key: str
    folder: Path
    pid: int

    def client(self) -> httpx.Client:
        return httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}", headers={"authorization": f"Bearer {self.key}"}, timeout=30
        )

    def said(self) -> str:
        return "".join((self.folder / name).read_text(encoding="utf-8") for name in ("stdout", "stderr"))

    def socket(self, reads: bool = True) -> socket.socket:
        """A connection; one that hardly ``reads`` has a small buffer."""
        client = socket.socket()
        client.settimeout(8)
        if not reads:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", self.port))
        return client

    def descriptors(self) -> int:
        """How many files and connections it has open."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("private")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PASSAGES_")}
    with (folder / "stdout").open("wb") as stdout, (folder / "stderr").open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-c", START, "serve"], cwd=folder, env=inherited | SETTINGS, stdout=stdout, stderr=stderr
        )
    try:
        address = _matched(process, folder / "stderr", r"^Passages on http://127\.0\.0\.1:(\d+) ")
        key = _matched(process, folder / "stderr", r"^  (passages_\S+)$")
        _wait_ready(f"http://127.0.0.1:{address}")
        yield Server(int(address), key, folder, process.pid)
    finally:
        process.terminate()
        process.wait(20)


def _matched(process: subprocess.Popen[bytes], file: Path, pattern: str) -> str:
    for _ in range(600):
        if found := re.search(pattern, file.read_text(encoding="utf-8"), re.MULTILINE):
            return found[1]
        assert process.poll() is None, file.read_text(encoding="utf-8")
        time.sleep(0.1)
    raise AssertionError(f"{pattern} was not said: {file.read_text(encoding='utf-8')}")


def _wait_ready(address: str) -> None:
    for _ in range(600):
        try:
            if httpx.get(f"{address}/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError("it was not ready")


def test_the_first_key_is_said_once_and_kept_nowhere(server: Server) -> None:
    assert server.said().count(server.key) == 1
    assert _holding(server.folder / "index", server.key) == []
    with server.client() as client:
        assert client.get("/v1/status").status_code == 200
    assert httpx.get(f"http://127.0.0.1:{server.port}/v1/status").status_code == 401


def test_a_session_of_a_proxy_that_ends_tls_is_sent_back_over_tls_only(server: Server) -> None:
    with server.client() as client:
        for headers, is_secure in (({"x-forwarded-proto": "https"}, True), ({}, False)):
            cookie = client.post("/v1/session", headers=headers).headers["set-cookie"]
            assert ("Secure" in cookie) == is_secure


def _asked(client: httpx.Client, passage: str) -> list[int]:
    """The marker, by every way in and into every kind of error; the statuses."""
    long = f"{MARKER} " * 1000
    bodies: list[dict[str, Any]] = [
        {"question": MARKER}, {"question": MARKER, "explain": True}, {"question": long}, {"question": f"{MARKER} " * 300},
        {"question": MARKER, "limit": 0}, {"question": MARKER, MARKER: 1}, {"question": [MARKER]}, {"question": f"-{MARKER}"},
        {"question": f"before:{MARKER}"}, {"question": "who?", "filter": {MARKER: {MARKER: 1}}},
        {"question": f"\ud800{MARKER}"}, {"question": f"faulty {MARKER}"}, {"question": f"breaks {MARKER}"},
    ]  # fmt: skip
    answers = [
        *(client.post("/v1/search", content=json.dumps(one), headers={"content-type": "application/json"}) for one in bodies),
        client.post("/v1/search/batch", json={"searches": [{"question": MARKER}, {"question": f"{MARKER} again"}]}),
        client.post("/v1/search", content=f'{{"question": "{MARKER}', headers={"content-type": "application/json"}),
        client.post("/v1/search", content=MARKER, headers={"content-type": "text/plain"}),
        client.post("/v1/search", json={"question": MARKER, "filter": {"a": "x" * 100_000}}),
        client.get("/v1/search", params={"q": MARKER}),
        client.get("/v1/search", params={"q": f"faulty {MARKER}"}),
        client.get("/v1/search", params={"q": long}),
        client.get("/v1/search", params={"q": MARKER * 3600}),
        client.post("/v1/feedback", json={"question": MARKER, "passage": passage, "verdict": "answers"}),
        client.post("/v1/feedback", json={"question": MARKER, "passage": "none", "verdict": "answers"}),
        client.post("/v1/feedback", json={"question": long, "verdict": "nothing"}),
        client.post("/v1/feedback/about", json={"question": MARKER, MARKER: 1}),
        client.get("/v1/explain", params={"q": MARKER, "passage": passage}),
        client.get("/v1/explain", params={"q": MARKER, "passage": "none"}),
        client.get("/v1/search", params={"q": MARKER}, headers={"authorization": "Bearer wrong"}),
        client.get("/v1/search", params={"q": MARKER}, headers={"origin": "https://evil.example"}),
        client.post(f"/v1/status?q={MARKER}"),
    ]
    return [one.status_code for one in answers]


def test_what_was_asked_is_in_no_log_no_metric_and_no_file(server: Server) -> None:
    with server.client() as client:
        passage = client.post("/v1/search", json={"question": "Who will host?"}).json()["results"][0]["id"]
        statuses = _asked(client, passage)
        assert set(statuses) == {200, 401, 403, 404, 405, 413, 414, 415, 422, 500}
        assert _holding(server.folder, MARKER) != []  # what a person judged is kept, until it is deleted
        assert client.delete("/v1/feedback").status_code == 204
        with ThreadPoolExecutor(24) as threads:  # 16 are worked on until their time is up, none waits
            crowd = [threads.submit(client.post, "/v1/search", json={"question": f"{MARKER} sleeps {n}"}) for n in range(24)]
            details = {one.result().json()["detail"] for one in crowd}
        assert any("no time is left" in one or "no answer within" in one for one in details)
        assert any("requests are being answered" in one for one in details)
        assert MARKER not in client.get("/metrics").text
    said = server.said()
    assert MARKER not in said
    assert "POST /v1/search 200" in said
    assert "key=first" in said
    assert "a request failed" in said
    assert "builtins.ValueError" in said  # where and what it was is told
    assert "DEBUG service.searchers: process" in said  # everything that logs did, in the processes that search too
    assert "ERROR service.searchers: a search failed" in said
    assert _holding(server.folder, MARKER) == []
    assert _holding(cache_folder(), MARKER) == []


@pytest.mark.parametrize("version", ["2025-06-18", "2026-07-28", MARKER])
def test_what_a_model_asks_over_mcp_is_in_no_log_either(server: Server, version: str) -> None:
    calls: list[dict[str, Any]] = [
        {"name": "search", "arguments": {"question": MARKER}},
        {"name": "search", "arguments": {"question": f"faulty {MARKER}"}},
        {"name": "search", "arguments": {"question": f"before:{MARKER}"}},
        {"name": "search", "arguments": {"question": [MARKER]}},
        {"name": "list_sources", "arguments": {"match": MARKER}},
        {"name": MARKER, "arguments": {}},
        {"name": "search", "arguments": MARKER},
    ]
    bodies = [{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": one} for one in calls]
    bodies += [{"jsonrpc": "2.0", "id": MARKER, "method": MARKER}, {"jsonrpc": "2.0", "method": MARKER}, {MARKER: MARKER}]
    headers = {
        "accept": "application/json, text/event-stream", "content-type": "application/json", "mcp-protocol-version": version,
    }  # fmt: skip
    with server.client() as client:
        for content in [*map(json.dumps, bodies), f'{{"{MARKER}']:
            assert client.post("/mcp", content=content, headers=headers).status_code in (200, 202, 400, 404)
        assert MARKER not in client.get("/metrics").text
    assert MARKER not in server.said()
    assert "POST /mcp 200" in server.said() or version == MARKER
    assert _holding(server.folder, MARKER) == []


def _holding(folder: Path, word: str) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and word.encode() in path.read_bytes()]


# --- paths --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [
    "/web/../app.py", "/web/..%2fapp.py", "/web/%2e%2e/app.py", "/web/%2e%2e%2fapp.py", "/web/..%5capp.py", "/web//etc/passwd",
    "/web/%2fetc%2fpasswd", "/web/search.js%00.css", "/web/%00", "/web/....//app.py", "/web/..%c0%afapp.py", "/web/", "/web/.",
    "/web/../../pyproject.toml", "/document/../../app.py", "/v1/documents/..%2f..%2fapp.py", "/v1/documents/%2fetc%2fpasswd",
    "/v1/documents/../../../etc/passwd", "/v1/documents/%00", "/v1/passages/..%2f..%2fapp.py",
    "/v1/documents/file:%2f%2f%2fetc%2fpasswd",
])  # fmt: skip
def test_no_path_leads_out_of_the_page_files_and_the_catalog(server: Server, path: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)  # sends the path as it is
    connection.putrequest("GET", path)
    connection.putheader("authorization", f"Bearer {server.key}")
    connection.endheaders()
    response = connection.getresponse()
    body = response.read()
    connection.close()
    assert response.status in (400, 404, 422), body
    assert b"def " not in body
    assert b"root:" not in body


# --- rude clients -------------------------------------------------------------------------------------------------


HOST = b" HTTP/1.1\r\nHost: 127.0.0.1\r\n"
ASKED = b"GET /livez" + HOST + b"\r\n"
REFUSED = b"POST /v1/search" + HOST + b"Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n"


@pytest.mark.parametrize("sent", [
    [b""], [b"G"], [b"GET /livez" + HOST + b"X-A: b"],
    [b"PUT /v1/documents/x" + HOST + b"Content-Type: application/json\r\nContent-Length: 900\r\n\r\n{"],
    # What ends uvicorn's own patience with an idle connection, and begins no request:
    [ASKED, b"\r\n"], [REFUSED, b"{}"], [ASKED[:-2] + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n", b"\r\n"],
], ids=["nothing", "method", "head", "body", "empty-line", "late-body", "upgrade"])  # fmt: skip
def test_who_draws_out_a_request_is_let_go(server: Server, sent: list[bytes]) -> None:
    with server.socket() as client:
        client.sendall(sent[0])
        for more in sent[1:]:
            assert client.recv(65_536).startswith(b"HTTP/1.1 ")
            client.sendall(more)
        began = time.monotonic()
        while client.recv(65_536):
            pass
        assert time.monotonic() - began < 4  # seconds; a busy machine may be late, and uvicorn's patience is 5


def test_empty_lines_do_not_put_the_end_off(server: Server) -> None:
    with server.socket() as client:
        client.sendall(ASKED)
        assert _statuses(client, b"alive") == [b"200"]
        sent = 0
        while sent < 40 and not select.select([client], [], [], 0.1)[0]:  # readable: it was closed
            client.sendall(b"\r\n")
            sent += 1
        assert 2 < sent < 40


def test_a_request_that_follows_a_long_body_at_once_is_answered_too(server: Server) -> None:
    body = b'{"question": "' + b"x" * 70_000 + b'"}'
    head = b"POST /v1/search" + HOST + b"Authorization: Bearer " + server.key.encode()
    first = head + b"\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    with server.socket() as client:
        client.sendall(first + ASKED[:-2])
        assert _statuses(client, b"fewer words") == [b"422"]
        client.sendall(b"\r\n")
        assert _statuses(client, b"alive") == [b"200"]


def _statuses(client: socket.socket, end: bytes) -> list[bytes]:
    """Of the answers that come until ``end`` does."""
    received = b""
    while end not in received and (more := client.recv(65_536)):
        received += more
    return re.findall(rb"^HTTP/1.1 (\d+)", received, re.MULTILINE)


def test_headers_without_end_are_cut_off(server: Server) -> None:
    with server.socket() as client:
        client.sendall(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        with pytest.raises(ConnectionError):  # sending ends long before this
            client.sendall((b"X-A: " + b"b" * 8000 + b"\r\n") * 10_000)


STYLE = b"GET /web/style.css" + HOST + b"\r\n"  # 8 KB are answered
LAST = STYLE[:-2] + b"Connection: close\r\n\r\n"


def test_who_does_not_read_what_was_asked_for_is_let_go(server: Server) -> None:
    """However much the system's buffers take of it: what is left there is not the server's."""
    before = server.descriptors()
    with ExitStack() as stack:
        for number in range(12):
            client = stack.enter_context(server.socket(reads=False))
            client.sendall(STYLE * 4 * number + LAST)
        time.sleep(0.5)
        assert server.descriptors() > before  # some were closed at once: the system had taken all
        until = time.monotonic() + 6
        while server.descriptors() > before and time.monotonic() < until:
            time.sleep(0.1)
        assert server.descriptors() <= before


def test_who_reads_slowly_gets_all_of_it(server: Server) -> None:
    whole = httpx.get(f"http://127.0.0.1:{server.port}/openapi.json", headers={"authorization": f"Bearer {server.key}"}).text
    with server.socket(reads=False) as client:
        client.sendall(b"GET /openapi.json" + HOST + b"Authorization: Bearer " + server.key.encode() + b"\r\n\r\n")
        began, received = time.monotonic(), b""
        while not received.endswith(whole.encode()[-999:]) and (more := client.recv(2_000)):
            received += more
            time.sleep(len(more) / 20_000)
    assert received.endswith(whole.encode())
    assert time.monotonic() - began > 2  # twice the patience with who takes nothing


def test_more_connections_than_there_may_be_are_refused_and_the_others_go_on(server: Server) -> None:
    time.sleep(1.5)  # what the tests before left open has ended
    with ExitStack() as stack:
        sockets = [stack.enter_context(server.socket()) for _ in range(70)]
        assert 60 <= sum(_answers(one) for one in sockets) <= 64


def _answers(client: socket.socket) -> bool:
    try:
        client.sendall(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        return client.recv(65_536).startswith(b"HTTP/1.1 200")
    except ConnectionError:
        return False


def test_the_server_goes_on_after_all_that(server: Server) -> None:
    with server.client() as client:
        assert client.post("/v1/search", json={"question": "Who will host the next ministerial meeting?"}).status_code == 200
