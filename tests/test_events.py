"""Server-sent events: what is told, to how many, and that nobody who listens holds the server up."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

import indexer
from indexer.collection import Collection
from indexer.documents import Document
from indexer.encoder import Encoder
from service.admission import BusyError
from service.ending import GRACE_S
from service.events import MAX_LISTENERS, Commit, Events, Listener, Progress
from service.keys import KeyFile
from tests.servers import Server, serving

HEADERS: dict[str, str] = {}  # of a key that may write; the server has it once it is there


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    index = tmp_path_factory.mktemp("events") / "index"
    index.mkdir()
    keys = KeyFile(index)
    HEADERS["authorization"] = f"Bearer {keys.add('writer', 'write')}"
    with serving(index) as server:
        yield server


def told(response: httpx.Response) -> Iterator[tuple[str, Any]]:
    """Events of an open stream, as they come."""
    kind = ""
    for line in response.iter_lines():
        if line.startswith("event: "):
            kind = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield kind, json.loads(line.removeprefix("data: "))


def listening(server: Server, stack: ExitStack, key: str | None = None) -> httpx.Response:
    headers = {"authorization": f"Bearer {key}"} if key else HEADERS
    client = stack.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=20, headers=headers))
    return stack.enter_context(client.stream("GET", "/v1/events"))


def test_a_commit_of_another_process_and_an_upload_are_told_to_who_listens(server: Server, encoder: Encoder) -> None:
    address = f"http://127.0.0.1:{server.port}"
    with ExitStack() as stack:
        response = listening(server, stack)
        assert response.headers["content-type"].startswith("text/event-stream")
        events = told(response)
        kind, first = next(events)
        assert (kind, first["documents"], first["passages"]) == ("commit", 1, 6)
        with Collection(server.said.parent.parent / "index", encoder=encoder) as collection:
            indexer.put(collection, Document("other", "", "Written by another process."))
        assert next(events) == ("commit", {"generation": first["generation"] + 1, "documents": 2, "passages": 7})
        files = [("file", ("tide.txt", b"The tide turned."))]
        httpx.post(f"{address}/v1/documents", files=files, params={"job": "mine"}, headers=HEADERS).raise_for_status()
        seen: list[Any] = []
        while not seen or seen[-1]["state"] != "done":
            kind, data = next(events)
            if kind == "progress":
                seen.append(data)
        assert {one["job"] for one in seen} == {"mine"}
        assert seen[-1] == {"job": "mine", "name": "", "done": 16, "total": 16, "state": "done", "detail": None}


def test_nothing_is_told_any_more_to_a_key_that_was_revoked(server: Server) -> None:
    keys = KeyFile(server.said.parent.parent / "index")
    with ExitStack() as stack:
        guest = told(listening(server, stack, keys.add("guest", "read")))
        assert next(guest)[0] == "commit"
        keys.revoke("guest")
        url = f"http://127.0.0.1:{server.port}/v1/documents/secret"
        httpx.put(url, json={"text": "A secret."}, headers=HEADERS).raise_for_status()
        assert list(guest) == []  # and the stream ends


def test_a_bounded_number_listens_and_the_end_of_the_server_waits_for_none(server: Server) -> None:
    with ExitStack() as stack:
        responses = [listening(server, stack) for _ in range(MAX_LISTENERS)]
        assert [one.status_code for one in responses] == [200] * MAX_LISTENERS
        refused = listening(server, stack)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
        refused.read()
        assert "listen to events already" in refused.json()["detail"]
        responses[0].close()
        until = time.monotonic() + 10
        while (again := listening(server, stack)).status_code == 503 and time.monotonic() < until:
            again.close()
            time.sleep(0.05)
        assert again.status_code == 200  # a place is free again
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0
        assert time.monotonic() - began < GRACE_S + 3
    said = server.said.read_text()
    assert "cut off" not in said
    assert "Traceback" not in said


def test_who_reads_slowly_misses_words_but_never_the_last() -> None:
    async def listen() -> list[Any]:
        listener = Listener()
        for number in range(1000):
            listener.tell(Commit(number, 1, 1))
            listener.tell(Progress("job", "file", number, 1000, "indexing"))
        events = listener.events()
        heard = [await anext(events), await anext(events)]
        listener.close()
        return [*heard, *[one async for one in events]]

    heard = asyncio.run(listen())
    assert heard == [Commit(999, 1, 1), Progress("job", "file", 999, 1000, "indexing")]


def test_who_comes_while_a_job_runs_is_told_of_it_and_not_of_one_that_ended() -> None:
    async def join() -> list[Any]:
        events = Events(lambda: None)
        events.progress(Progress("long", "a", 5, 10, "indexing"))
        events.progress(Progress("short", "b", 1, 1, "indexing"))
        events.progress(Progress("short", "", 1, 1, "done"))
        listener = events.join()
        heard = [await anext(listener.events())]
        events.leave(listener)
        events.end()
        with pytest.raises(BusyError):
            events.join()
        return heard

    assert asyncio.run(join()) == [Progress("long", "a", 5, 10, "indexing")]
