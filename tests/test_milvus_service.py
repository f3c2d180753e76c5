"""Services over a Milvus server, as processes: they share it, tell of its outages, and outlive them."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from indexer import Document
from indexer.encoder import Encoder
from indexer.engines.address import Address
from indexer.ingest import put
from indexer.models import DEFAULT_MODEL
from service.admission import Limits
from service.service import Service
from tests.milvus import CORE, MilvusServer, emptied, milvus
from tests.servers import Reply, Server, serving

DEADLINE_S = 3.0
BOUND_S = 10.0  # twice the bound of a server's defaults
BACK_S = 120.0  # the server core loads its tables for half a minute


def service(address: Address, folder: Path, name: str, consistency: str = "Strong", ready: bool = True) -> Any:
    """`passages serve` over it."""
    env = {
        "PASSAGES_INDEX": str(address), "PASSAGES_PROCESSES": "1", "PASSAGES_DEADLINE_MS": str(int(DEADLINE_S * 1000)),
        "PASSAGES_MILVUS_CONSISTENCY": consistency,
    }  # fmt: skip
    return serving(folder / "index", name, env, ready)


def test_what_one_service_stores_another_finds_and_both_outlive_the_server(tmp_path: Path, encoder: Encoder) -> None:
    with milvus(tmp_path / "milvus") as server:
        address = server.address("shared")
        server.kill()
        with (
            service(address, tmp_path, "first", ready=False) as first,
            service(address, tmp_path, "second", "Bounded", ready=False) as second,
        ):
            _started(server, address, encoder, first)
            second.wait_until_ready()
            assert first.put("otter", "The otter lives in rivers and eats fish.").status == 200
            found = _within_the_bound(second, "What does the otter eat?", "otter")
            assert found.body["results"][0]["document"]["id"] == "otter"
            assert found.body["results"][0]["score"] == first.search("What does the otter eat?").body["results"][0]["score"]
            with first.api() as api:
                status = api.call("GET", "/v1/status").body
                assert (status["index"], status["exact"], status["notes"] == []) == (str(address), False, CORE is None)
                refused = api.call("POST", "/v1/feedback", {"question": "x", "verdict": "nothing"})
                assert (refused.status, api.call("GET", "/v1/feedback").body["total"]) == (501, 0)
            assert "kept in an index folder" not in _log(first)  # who asked for it was told
            _killed(server, first)
            _stopped(server, second)
            _asked_by_many(server, first)
            _killed_while_writing(server, first, second)


def test_a_server_that_goes_away_while_a_service_starts_is_waited_for(
    tmp_path: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    warm = Encoder.warm
    with milvus(tmp_path / "milvus") as server:
        with closing(emptied(server, "starting", encoder)) as engine:
            put(engine, Document("one", "", "An otter sleeps."))

        def killed_first(self: Encoder) -> None:
            monkeypatch.setattr(Encoder, "warm", warm)
            server.kill()
            warm(self)

        monkeypatch.setattr(Encoder, "warm", killed_first)
        one = Service(server.address("starting"), DEFAULT_MODEL, Limits(processes=0, deadline_s=1))
        try:
            one.start()
            until = time.monotonic() + BACK_S
            while one.waiting is None:
                assert time.monotonic() < until
                time.sleep(0.05)
            assert "does not answer" in one.waiting
            assert one.failure is None
            server.start()
            assert one.ready.wait(BACK_S)
            while one.seen.counts.documents == 0:  # nobody has asked: what is seen is told also in an outage that comes first
                assert time.monotonic() < until
                time.sleep(0.05)
            assert one.waiting is None
        finally:
            one.close()


def _started(server: MilvusServer, address: Address, encoder: Encoder, one: Server) -> None:
    """A service waits for its server, then until somebody makes the collection, and puts nothing into it."""
    _says(one, "/readyz", 503, "the service is starting: the Milvus server at")
    _says(one, "/v1/status", 200, "does not answer")
    server.start()
    _says(one, "/readyz", 503, "the service is starting: there is no index at")
    emptied(server, address.collection, encoder).close()
    one.wait_until_ready()
    with one.api() as api:
        assert api.call("GET", "/v1/status").body["documents"] == 0
    log = _log(one).splitlines()
    assert [line for line in log if "does not answer" in line]
    assert [line for line in log if "answers again" in line]
    assert len(log) < 10  # once for each time, however often it was asked


def _says(one: Server, path: str, status: int, detail: str) -> None:
    until = time.monotonic() + BACK_S
    with one.api() as api:
        while detail not in str((reply := api.call("GET", path)).body["detail"]):
            assert time.monotonic() < until, reply
            time.sleep(0.2)
    assert reply.status == status


def _log(one: Server) -> str:
    return one.said.read_text(encoding="utf-8")


def _within_the_bound(one: Server, question: str, document: str) -> Reply:
    """The answer, as soon as the document is its first: the server promises that for some seconds later."""
    until = time.monotonic() + BOUND_S
    while True:
        found = one.search(question)
        if found.status == 200 and found.body["results"] and found.body["results"][0]["document"]["id"] == document:
            return found
        assert time.monotonic() < until, found.body
        time.sleep(0.2)


def _killed(server: MilvusServer, one: Server) -> None:
    """Between writes: what was acknowledged is there after the restart, and a request ends in time meanwhile."""
    assert one.put("heron", "The heron stands in the water.").status == 200
    server.kill()
    assert _unavailable(one)["documents"] == 1  # as of the last look
    server.start()
    _recovered(one)
    with one.api() as api:
        assert api.call("GET", "/v1/documents/heron").status == 200
    assert one.search("Who stands in the water?").body["results"][0]["document"]["id"] == "heron"


def _stopped(server: MilvusServer, one: Server) -> None:
    """A server that takes connections and answers nothing."""
    server.stop()
    try:
        _unavailable(one)
    finally:
        server.go_on()
    _recovered(one)


def _asked_by_many(server: MilvusServer, one: Server) -> None:
    """More at once than the service has threads, of a server that takes connections: none waits for another's wait."""
    asked: list[tuple[str, str, Any]] = [("POST", "/v1/search", {"question": "What does the otter eat?"})] * 40
    asked += [("GET", path, None) for path in ("/v1/passages/x", "/v1/documents/otter", "/v1/documents", "/v1/facets")] * 20
    asked += [("PUT", "/v1/documents/otter", {"text": "The otter sleeps."})] * 4

    def ask(method: str, path: str, body: Any) -> tuple[int, float]:
        began = time.monotonic()
        with one.api() as api:
            return api.call(method, path, body).status, time.monotonic() - began

    server.stop()
    try:
        with ThreadPoolExecutor(len(asked)) as many:
            answers = list(many.map(ask, *zip(*asked, strict=True)))
    finally:
        server.go_on()
    assert {status for status, _ in answers} == {503}
    assert max(took for _, took in answers) < 2 * DEADLINE_S, sorted(took for _, took in answers)[-5:]
    _recovered(one)


def _killed_while_writing(server: MilvusServer, first: Server, second: Server) -> None:
    acknowledged: list[str] = []
    ended = threading.Event()

    def write() -> None:
        number = 0
        while not ended.is_set():
            number += 1
            name = f"note-{number}"
            with suppress(OSError):
                if first.put(name, f"This is note {number}.\n\nIt has a second paragraph.").status == 200:
                    acknowledged.append(name)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(2):
            _wait_for_another(acknowledged)
            time.sleep(0.05)  # the next one is on its way
            server.kill()
            server.start()
        _wait_for_another(acknowledged)
    finally:
        ended.set()
        writer.join()
    _recovered(second)
    with second.api() as api:
        for name in acknowledged:
            reply = api.call("GET", f"/v1/documents/{name}")
            assert reply.status == 200, name
            assert reply.body["text"].endswith("It has a second paragraph.")


def _wait_for_another(acknowledged: list[str]) -> None:
    before, until = len(acknowledged), time.monotonic() + BACK_S
    while len(acknowledged) == before:
        assert time.monotonic() < until
        time.sleep(0.02)


def _unavailable(one: Server) -> dict[str, Any]:
    """What /v1/status says then."""
    began = time.monotonic()
    reply = one.search("What does the otter eat?")
    assert (reply.status, reply.retry_after) == (503, "2"), reply.body
    assert time.monotonic() - began < 2 * DEADLINE_S
    with one.api() as api:
        status = api.call("GET", "/v1/status")
    assert (status.status, status.body["state"]) == (200, "away")
    with urlopen(f"http://127.0.0.1:{one.port}/metrics") as metrics:
        assert "passages_server_away 1.0" in metrics.read().decode()
    assert "does not answer" in status.body["detail"]
    return dict(status.body)


def _recovered(one: Server) -> None:
    until = time.monotonic() + BACK_S
    while (reply := one.search("What does the otter eat?")).status != 200:
        assert reply.status == 503, reply.body
        assert time.monotonic() < until
        time.sleep(0.2)
    assert reply.body["results"][0]["document"]["id"] == "otter"
