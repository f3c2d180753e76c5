"""Load: the loops on servers whose times are known, the client against broken replies, the command against the real server."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import islice, pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner

from eval import load, serving
from eval.__main__ import app
from eval.client import Address, Client, Reply, address_of, post
from eval.errors import EvalError
from eval.load import Asking, Plan, Target, distinct
from eval.loops import Outcome, Run, arrivals, closed_loop, open_loop, summary
from eval.report import page
from eval.serving import Served, running
from eval.sets import read_set
from indexer import DEFAULT_MODEL

GATE = Path(__file__).parents[1] / "eval" / "gate"
OK = Reply(200, False, False, b"{}")


class Slow:
    """A server that answers one question at a time, each after ``seconds``; ``most`` is how many were under way at once."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._turn, self._under_way, self.most = seconds, asyncio.Lock(), 0, 0

    async def ask(self, _: bytes) -> Reply:
        self._under_way += 1
        self.most = max(self.most, self._under_way)
        async with self._turn:
            await asyncio.sleep(self._seconds)
        self._under_way -= 1
        return OK


class Scripted:
    """A server that gives these replies, or raises these errors, in turn."""

    def __init__(self, *replies: Reply | OSError) -> None:
        self._replies = iter(replies)

    async def ask(self, _: bytes) -> Reply:
        reply = next(self._replies)
        if isinstance(reply, OSError):
            raise reply
        return reply


def outcomes(*took_ms: float) -> list[Outcome]:
    return [Outcome("200", False, one) for one in took_ms]


# Figures


def test_percentiles_are_those_of_the_known_times() -> None:
    found = summary(Run(outcomes(*map(float, reversed(range(101)))), 20.2))
    assert (found["p50"], found["p95"], found["p99"]) == (50, 95, 99)
    assert found["per_second"] == 5


def test_only_answers_count_for_times_and_throughput() -> None:
    refused = [Outcome("503", True, 900.0), Outcome("503", False, 900.0)]
    failed = [Outcome("500", False, 900.0), Outcome("timeout", False, 900.0)]
    found = summary(Run([*outcomes(10, 10), *refused, *failed], 2.0))
    assert (found["p99"], found["per_second"], found["answered"], found["asked"]) == (10, 1, 2, 6)
    assert found["refused"] == {"count": 2, "with_retry_after": 1}
    assert found["errors"] == {"500": 1, "timeout": 1}
    assert found["error_rate"] == pytest.approx(1 / 3, abs=1e-4)


def test_no_answer_has_no_percentile() -> None:
    found = summary(Run([Outcome("connection", False, 3.0)], 1.0))
    assert (found["p50"], found["per_second"], found["error_rate"]) == (None, 0, 1)


# Loops


def test_waiting_counts_from_when_a_question_was_due() -> None:
    async def ask() -> Run:
        return await open_loop(Slow(0.05), [b""] * 5, [0.0] * 5)

    took = sorted(one.took_ms for one in asyncio.run(ask()).outcomes)
    # All five are due at once and answered one after the other: the last waited for four. Timers may be a millisecond early.
    assert all(one > 50 * turn - 2 for turn, one in enumerate(took, 1))


def test_a_late_generator_does_not_shorten_waiting() -> None:
    class Blocking:
        async def ask(self, _: bytes) -> Reply:
            import time

            time.sleep(0.1)  # nothing else runs meanwhile, so the next question is sent late
            return OK

    async def ask() -> Run:
        return await open_loop(Blocking(), [b""] * 3, [0.0, 0.001, 0.002])

    last = asyncio.run(ask()).outcomes[-1]
    assert last.took_ms >= 290
    assert last.late_ms >= 190


def test_an_open_loop_sends_nothing_before_it_is_due() -> None:
    async def ask() -> Run:
        return await open_loop(Slow(0), [b""] * 2, [0.1, 0.2])

    run = asyncio.run(ask())
    assert run.seconds >= 0.2
    assert all(one.late_ms >= 0 for one in run.outcomes)


@pytest.mark.parametrize("clients", [1, 4])
def test_a_closed_loop_has_as_many_questions_under_way_as_clients(clients: int) -> None:
    async def ask() -> tuple[Run, int]:
        server = Slow(0.002)
        return await closed_loop(server, [b""] * 20, clients), server.most

    run, most = asyncio.run(ask())
    assert (len(run.outcomes), most) == (20, clients)


def test_errors_are_counted_by_what_they_were_and_end_no_loop() -> None:
    server = Scripted(
        OK, TimeoutError(), ConnectionRefusedError(), Reply(503, True, False, b""), Reply(500, False, False, b""), OK
    )

    async def ask() -> Run:
        return await closed_loop(server, [b""] * 6, 1)

    found = summary(asyncio.run(ask()))
    assert (found["answered"], found["errors"]) == (2, {"500": 1, "connection": 1, "timeout": 1})
    assert found["refused"] == {"count": 1, "with_retry_after": 1}


def test_arrivals_are_poisson_and_the_same_every_time() -> None:
    due = arrivals(4000, 50.0)
    gaps = [later - earlier for earlier, later in pairwise([0.0, *due])]
    mean = sum(gaps) / len(gaps)
    assert mean == pytest.approx(1 / 50, rel=0.05)
    spread = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert spread == pytest.approx(mean, rel=0.1)  # as of an exponential distribution
    assert due == arrivals(4000, 50.0) == sorted(due)


# Questions


def test_no_question_is_asked_twice_and_the_sets_own_come_first() -> None:
    own = ["Who grows bananas?", "When is the harvest?", "Who grows bananas?"]
    drawn = list(islice(distinct(own, 3), 500))
    assert len(set(drawn)) == 500
    assert set(drawn[:2]) == set(own)
    assert drawn == list(islice(distinct(own, 3), 500))


def test_appended_words_are_no_operators() -> None:
    drawn = islice(distinct(['Where is "the harbour" -ship before:2020?'], 3), 50)
    assert all("-" not in one.removeprefix('Where is "the harbour" -ship before:2020?') for one in drawn)


def test_appended_questions_are_told_apart_in_the_record() -> None:
    asking = Asking(Served(Address("127.0.0.1", 1)), ["a?", "b?"], Scripted(*[OK] * 5))
    asyncio.run(asking.clients(1, 5))
    assert (asking.asked, asking.varied) == (5, 3)


# The client

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def replies_of(*connections: bytes | None) -> list[Reply | str]:
    """What the client makes of a server that sends these bytes, one reply a connection; None: it ends it without a word."""
    left = iter(connections)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raw = next(left)
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().split(b"content-length:")[1].split()[0]))
        for piece in [] if raw is None else [raw[:7], raw[7:30], raw[30:]]:  # a reply comes in pieces
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.005)
        writer.close()

    async def ask() -> list[Reply | str]:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        address = Address("127.0.0.1", server.sockets[0].getsockname()[1])
        client, found = Client(address), list[Reply | str]()
        for _ in connections:
            try:
                found.append(await client.ask(post(address, "?")))
            except OSError as error:
                found.append(str(error))
            while not all(connection.closed for connection in client._idle):  # until the end of the connection is seen
                await asyncio.sleep(0.005)
        client.close()
        server.close()
        return found

    return asyncio.run(ask())


def test_replies_in_pieces_are_whole_and_an_ended_connection_is_replaced() -> None:
    good = b"HTTP/1.1 200 OK\r\ncontent-type: a\r\nContent-Length: 4\r\n\r\nabcd"
    busy = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    assert replies_of(good, busy, good) == [
        Reply(200, False, False, b"abcd"),
        Reply(503, True, True, b""),
        Reply(200, False, False, b"abcd"),
    ]


def test_a_broken_reply_is_an_error_and_the_next_question_is_not_harmed() -> None:
    good = b"HTTP/1.1 200 OK\r\ncontent-type: a\r\ncontent-length: 1\r\n\r\na"
    first, second, third, last = replies_of(None, b"HTTP/1.1 200 OK\r\nserver: without length\r\n\r\n", good[:-1], good)
    assert "ended the connection" in str(first)
    assert "no Content-Length" in str(second)
    assert "ended the connection" in str(third)
    assert last == Reply(200, False, False, b"a")


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1:1", "127.0.0.1:1", "http://:1", "http://127.0.0.1:port", "http://127.0.0.1/a"]
)
def test_an_address_that_cannot_be_asked_is_an_error(url: str) -> None:
    with pytest.raises(EvalError, match=r"name (a server|one) as"):
        address_of(url)


def test_an_ipv6_address_keeps_its_brackets() -> None:
    assert address_of("http://[::1]:80/") == Address("::1", 80)
    assert b"Host: [::1]:80\r\n" in post(Address("::1", 80), "?")


# The page


def test_the_report_shows_load() -> None:
    closed = {"clients": 4} | summary(Run([*outcomes(10, 10), Outcome("503", True, 1.0), Outcome("500", False, 1.0)], 2.0))
    nothing = {"share": 1.2, "arriving_per_second": 6.0} | summary(Run([Outcome("timeout", False, 1.0)], 2.0))
    start = {"ready_s": 7.5, "first_ms": 31.0}
    text = page([{"what": "load", "set": "s", "passages": 9, "start": start, "closed": [closed], "open": [nothing]}])
    assert "<td>4 clients</td><td>4</td><td>1.0</td><td>10.0</td><td>10.0</td><td>10.0</td><td>1</td><td>1</td>" in text
    assert "<td>120%: 6.0 arrive a second</td><td>1</td><td>0.0</td><td></td>" in text
    assert "the first question took 31.0 ms, 7.5 s after the start" in text


# The server


@contextmanager
def noted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The process ids of the servers that were started."""
    started: list[int] = []
    popen = subprocess.Popen

    def note(*arguments: object, **options: object) -> object:
        process = popen(*arguments, **options)  # type: ignore[call-overload]
        started.append(process.pid)
        return process

    monkeypatch.setattr(subprocess, "Popen", note)
    yield started


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_command_measures_the_real_server_and_ends_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with noted(monkeypatch) as started:
        arguments = [
            "load",
            str(GATE),
            "--json",
            "--questions",
            "12",
            "--clients",
            "1",
            "--clients",
            "3",
            "--index",
            str(tmp_path / "i"),
        ]
        ran = CliRunner().invoke(app, arguments)
    assert ran.exit_code == 0, ran.output
    record = json.loads(ran.stdout)
    assert (record["what"], record["set"], record["passages"]) == ("load", "gate", 40)
    assert [one["clients"] for one in record["closed"]] == [1, 3]
    assert [one["share"] for one in record["open"]] == [0.5, 0.8, 1.2]
    for one in [*record["closed"], *record["open"]]:
        assert (one["asked"], one["answered"], one["error_rate"]) == (12, 12, 0)
        assert 0 < one["p50"] <= one["p95"] <= one["p99"]
        assert one["cpu_s"]["server"] >= one["cpu_s"]["generator"] > 0
    assert record["most_per_second"] == max(one["per_second"] for one in record["closed"])
    assert record["questions"] == {"asked": 12 * 5 + load.WARM_UP + 1, "varied": 12 * 5 + load.WARM_UP + 1 - 52}
    assert record["start"]["ready_s"] > 0
    assert len(started) == 1
    assert not is_alive(started[0])


def test_the_server_is_ended_when_the_measurement_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with noted(monkeypatch) as started, pytest.raises(ZeroDivisionError):  # noqa: PT012, SIM117
        with load.target(read_set(GATE), tmp_path / "index", DEFAULT_MODEL) as found:
            assert is_alive(started[0])
            assert found.served.cpu_s() or not Path("/proc").is_dir()
            _ = 1 / 0
    assert not is_alive(started[0])


TERMINATED = """
import os, signal, sys
from pathlib import Path
from eval import serving
with serving.serving(Path(sys.argv[1]), sys.argv[2]) as served:
    print(served.pid, flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
"""


def test_the_server_is_ended_when_the_measurement_is_terminated(tmp_path: Path) -> None:
    command = [sys.executable, "-c", TERMINATED, str(tmp_path / "index"), DEFAULT_MODEL]
    ran = subprocess.run(command, cwd=GATE.parents[1], capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 128 + signal.SIGTERM, ran.stderr
    assert not is_alive(int(ran.stdout))


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(EvalError, match="the server") as raised, serving.serving(tmp_path / "file", DEFAULT_MODEL):
        pytest.fail("it started")
    assert str(tmp_path / "file") in str(raised.value)


def test_a_server_that_dies_while_it_is_asked_is_an_error_not_a_hang(tmp_path: Path) -> None:
    judged = read_set(GATE)
    with load.target(judged, tmp_path / "index", DEFAULT_MODEL) as found:
        assert found.served.pid is not None
        os.kill(found.served.pid, signal.SIGKILL)
        record = load.measure(Target(found.served, 40), judged, Plan([2], 5))
    assert record["closed"][0]["errors"] == {"connection": 5}
    assert (record["most_per_second"], record["open"]) == (0, [])


def test_a_running_server_is_measured_where_it_is_and_left_running() -> None:
    with stand_in() as url:
        ran = CliRunner().invoke(app, ["load", str(GATE), "--json", "--questions", "5", "--clients", "2", "--url", url])
        assert ran.exit_code == 0, ran.output
        record = json.loads(ran.stdout)
        assert (record["passages"], record["start"]["ready_s"]) == (7, None)
        assert record["closed"][0]["cpu_s"]["server"] is None
        assert running(url).passages() == 7
        table = CliRunner().invoke(
            app, ["load", str(GATE), "--questions", "5", "--clients", "2", "--url", url], env={"COLUMNS": "160"}
        )
        assert "2 clients" in table.stdout


def test_no_server_at_the_address_is_one_line() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    ran = CliRunner().invoke(app, ["load", str(GATE), "--url", url])
    assert (ran.exit_code, ran.stderr) == (1, f"error: {url} is not ready (nothing listens); start it with passages serve\n")


@contextmanager
def stand_in() -> Iterator[str]:
    """The address of something that answers as the service does, at once."""
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._reply(b'{"status": "ready", "passages": 7}')

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._reply(b'{"results": []}')

        def log_message(self, *_: object) -> None:
            """Nothing."""

        def _reply(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
