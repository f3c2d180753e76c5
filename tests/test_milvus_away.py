"""A Milvus server that stalls in the middle, or is slow once it is back: nothing waits without an end or gives up early."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from indexer.engines.milvus.connection import Connection, Tables
from indexer.errors import AwayError
from tests.milvus import MilvusServer, milvus


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MilvusServer]:
    with milvus(tmp_path / "milvus") as server:
        yield server


@pytest.fixture
def connection(server: MilvusServer) -> Iterator[Connection]:
    """To a server that is there."""
    with closing(Connection(server.address("papers"), 10)) as connection:
        connection.call(_call)
        yield connection


def test_who_reads_by_pages_waits_no_longer_than_it_may(server: MilvusServer, connection: Connection) -> None:
    from indexer.engines.milvus.tables import META, make_named

    make_named(connection)
    assert list(Tables(connection).pages(META, "", ["key"])) == []
    server.stop()
    began = time.monotonic()
    try:
        with pytest.raises(AwayError):
            next(Tables(connection, until=began + 2).pages(META, "", ["key"]))
        assert time.monotonic() - began < 6
    finally:
        server.go_on()


def test_a_server_that_is_slow_once_it_is_back_is_back(
    server: MilvusServer, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.engines.milvus.connection._LOOK_S", 0.5)
    _stalled(server, connection)
    time.sleep(0.5)
    assert connection.call(_after(1.5), time.monotonic() + 10) == []
    assert not connection.is_away


def test_who_asks_alone_of_a_server_that_is_away_is_told_at_once_but_now_and_then(
    server: MilvusServer, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.engines.milvus.connection._LOOK_S", 8.0)
    _stalled(server, connection)
    server.stop()
    try:
        took_s = [_took_s(connection, 4) for _ in range(3)]
        assert max(took_s) < 2.5, took_s
        time.sleep(8)
        assert _took_s(connection, 4) > 3  # it may be back and slow, so one looks for longer
        assert _took_s(connection, 4) < 2.5
    finally:
        server.go_on()


def test_while_a_server_is_away_who_has_an_end_is_told_at_once_and_who_has_none_waits(
    server: MilvusServer, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.engines.milvus.connection._LOOK_S", 0.0)
    _stalled(server, connection)
    server.stop()
    holds = threading.Thread(target=_caught, args=(lambda: connection.call(_call, time.monotonic() + 6),))
    writes = threading.Thread(target=connection.call, args=(_call,))
    try:
        holds.start()
        writes.start()
        time.sleep(0.2)
        assert _took_s(connection, 6) < 3
        assert writes.is_alive()
    finally:
        server.go_on()
    writes.join(20)  # it was waited for, and succeeded
    holds.join(20)
    assert not connection.is_away


def test_a_call_without_time_says_nothing_of_the_server(server: MilvusServer, connection: Connection) -> None:
    for _ in range(3):
        with pytest.raises(AwayError, match="no time was left"):
            connection.call(_call, time.monotonic() - 1)
        time.sleep(1)
    assert not connection.is_away


def _took_s(connection: Connection, most_s: float) -> float:
    """How long who may take so long is told nothing but that the server is away."""
    began = time.monotonic()
    with pytest.raises(AwayError):
        connection.call(_call, began + most_s)
    return time.monotonic() - began


def _call(client: object, left: float) -> object:
    return client.list_collections(timeout=left)  # type: ignore[attr-defined]


def _after(seconds: float) -> Callable[[object, float], object]:
    """A call that takes longer: it fails with less time, as the client's own do."""

    def call(client: object, left: float) -> object:
        if left < seconds:
            time.sleep(left)
            raise TimeoutError
        time.sleep(seconds)
        return _call(client, left - seconds)

    return call


def _caught(work: Callable[[], object]) -> None:
    with suppress(AwayError):
        work()


def _stalled(server: MilvusServer, connection: Connection) -> None:
    """An outage that is known of, and over."""
    server.stop()
    try:
        with pytest.raises(AwayError):
            connection.call(_call, time.monotonic() + 3.5)
        _caught(lambda: connection.call(_call, time.monotonic() + 1.5))
    finally:
        server.go_on()
    assert connection.is_away
