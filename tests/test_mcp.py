"""The tools, through the official client: over standard input and output of the real command, and over HTTP."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

import indexer
from indexer.collection import Collection
from indexer.encoder import Encoder
from service import client as passages
from service.client import answers as client_answers
from service.mcp.answers import NOT_FOUND, SAYS, part
from tests.conftest import Keyed
from tests.servers import PASSAGES, environment

QUESTION = "Who will host the next ministerial meeting?"
SAUDI = "The Coalition welcomes Saudi Arabia’s announcement"
TOOLS = {"search", "read_passage", "read_document", "list_sources"}
EMOJI = "Protokoll 😀\n\nDas Gremium beschloss den Umzug des Zettelkastens in den Keller.\n\nDanach gab es Kuchen."

Work = Callable[[Client], Awaitable[Any]]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory, encoder: Encoder) -> Path:
    """An index of one document, with an emoji before what is asked for."""
    folder = tmp_path_factory.mktemp("mcp") / "index"
    with Collection(folder, create=True, encoder=encoder) as collection:
        document = indexer.Document(
            id="a/protokoll.md", title="Protokoll", text=EMOJI, uri="file:///a/protokoll.md", date="2022-05-03"
        )
        indexer.put(collection, document)
    return folder


def over_stdio(work: Work, *options: str, mode: str = "auto", cwd: Path, **env: str) -> Any:
    """What ``work`` makes with the command that a desktop program would start."""
    command = StdioServerParameters(command=str(PASSAGES), args=["mcp", *options], env=environment(**env), cwd=cwd)

    async def run() -> Any:
        async with Client(command, mode=mode) as client:
            return await work(client)

    return anyio.run(run)


@asynccontextmanager
async def connected(url: str, key: str | None, mode: str = "auto", **headers: str) -> AsyncIterator[Client]:
    own = {"Authorization": f"Bearer {key}"} if key else {}
    async with (
        httpx2.AsyncClient(headers=own | headers, timeout=30) as http,
        Client(streamable_http_client(f"{url}/mcp", http_client=http), mode=mode) as client,
    ):
        yield client


@pytest.fixture
def url(keyed: Keyed) -> str:
    """Of the server, once it is ready."""
    with passages.Client(keyed.url, keyed.read) as client:
        client.wait_until_ready(90)
    return keyed.url


def over_http(work: Work, url: str, key: str | None, mode: str = "auto") -> Any:
    async def run() -> Any:
        async with connected(url, key, mode) as client:
            return await work(client)

    return anyio.run(run)


async def called(client: Client, tool: str, **arguments: Any) -> Any:
    """What a tool gives, which is the same as structure and as text, for programs that show either."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    (text,) = result.content
    assert json.loads(text.text) == result.structured_content  # type: ignore[union-attr]
    return result.structured_content


async def refused(client: Client, tool: str, **arguments: Any) -> str:
    result = await client.call_tool(tool, arguments)
    assert result.is_error
    assert result.structured_content is None
    return str(result.content[0].text)  # type: ignore[union-attr]


async def searched_and_read(client: Client) -> None:
    found = await called(client, "search", question="Wohin zieht der Zettelkasten um?", limit=1)
    (best,) = found["passages"]
    assert found["says"] == SAYS[found["verdict"]]
    assert (best["document_id"], best["title"], best["date"]) == ("a/protokoll.md", "Protokoll", "2022-05-03")
    assert EMOJI[best["start"] : best["end"]] == best["text"] == best["evidence"]

    read = await called(client, "read_passage", passage_id=best["passage_id"], around=12)
    assert read["before"] + read["text"] + read["after"] == EMOJI[best["start"] - 12 : best["end"] + 12]

    parts: list[str] = []
    start: int | None = 0
    while start is not None:
        part = await called(client, "read_document", document_id="a/protokoll.md", start=start, length=40)
        assert (part["start"], part["end"], part["characters"]) == (start, start + len(part["text"]), len(EMOJI))
        parts.append(part["text"])
        start = part["next_start"]
    assert "".join(parts) == EMOJI
    assert len(parts) == 3


def test_a_program_that_starts_the_command_searches_and_reads(index: Path, tmp_path: Path) -> None:
    async def work(client: Client) -> None:
        assert client.instructions
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(tools) == TOOLS
        for tool in tools.values():
            assert tool.description
            assert tool.output_schema
            assert tool.annotations
            assert tool.annotations.read_only_hint
            assert all("description" in one for one in tool.input_schema["properties"].values()), tool.name
        await searched_and_read(client)
        assert "no document 'nosuch'" in await refused(client, "read_document", document_id="nosuch")

    over_stdio(work, "--index", str(index), cwd=tmp_path)


def test_the_command_asks_a_server_that_runs(url: str, keyed: Keyed, tmp_path: Path) -> None:
    async def work(client: Client) -> Any:
        return await called(client, "search", question=QUESTION, limit=1)

    assert SAUDI in over_stdio(work, "--url", url, cwd=tmp_path, PASSAGES_KEY=keyed.read)["passages"][0]["text"]

    async def without_key(client: Client) -> str:
        return await refused(client, "search", question=QUESTION)

    assert "this server needs a key" in over_stdio(without_key, "--url", url, mode="legacy", cwd=tmp_path)


def test_standard_output_holds_the_protocol_alone(index: Path, tmp_path: Path) -> None:
    """Of a process that logs all it can, and is told to end before its model is loaded."""
    hello = {
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
    }  # fmt: skip
    done = subprocess.run(
        [PASSAGES, "mcp"],
        input=json.dumps(hello) + "\n",
        env=environment(PASSAGES_INDEX=str(index), PASSAGES_LOG_LEVEL="debug"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    (answer,) = done.stdout.splitlines()
    assert json.loads(answer)["result"]["serverInfo"]["name"] == "passages"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)])
def test_a_person_who_started_it_by_hand_can_end_it(index: Path, tmp_path: Path, number: int, status: int) -> None:
    command = [str(PASSAGES), "mcp", "--index", str(index)]
    with subprocess.Popen(command, env=environment(), cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}\n')
        process.stdin.flush()
        assert process.stdout.readline()
        process.send_signal(number)
        assert process.wait(10) == status


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--index", "nowhere"), "there is no index in nowhere"),
        (("--index", "nowhere", "--url", "http://127.0.0.1:1"), "not both"),
        (("--url", "localhost:8080"), "is not the address of a server"),
    ],
)
def test_what_cannot_be_served_is_said_to_the_person_who_set_it_up(tmp_path: Path, options: tuple[str, ...], says: str) -> None:
    done = subprocess.run(
        [PASSAGES, "mcp", *options], env=environment(), cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode != 0
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_a_read_key_is_enough_over_http(url: str, keyed: Keyed, mode: str) -> None:
    async def work(client: Client) -> None:
        found = await called(client, "search", question=QUESTION, limit=2)
        assert found["verdict"] == "answered"
        assert SAUDI in found["passages"][0]["text"]
        assert len(found["passages"]) == 2

    over_http(work, url, keyed.read, mode)
    over_http(work, url, keyed.write, mode)


def test_a_question_that_nothing_answers_is_said_so_in_words(url: str, keyed: Keyed) -> None:
    async def work(client: Client) -> None:
        far = await called(client, "search", question="How do I repair a bicycle tyre?", limit=1)
        assert (far["verdict"], far["says"]) == ("nothing", SAYS["nothing"])
        assert far["says"].startswith("Nothing in this collection answers")
        none = await called(client, "search", question=QUESTION, filter={"title": "another"})
        assert (none["passages"], none["says"]) == ([], NOT_FOUND)

    over_http(work, url, keyed.read)


def test_what_cannot_be_asked_is_an_error_that_says_what_to_do(url: str, keyed: Keyed) -> None:
    async def work(client: Client) -> None:
        assert "the question is empty; ask something" in await refused(client, "search", question=" ")
        assert "less than or equal to 20" in await refused(client, "search", question=QUESTION, limit=21)
        assert "search again" in await refused(client, "read_passage", passage_id="nosuch")
        assert "filter" in await refused(client, "search", question=QUESTION, filter={"date": {"near": "2022"}})
        assert "read_document" in await refused(client, "read_document", document_id="x", length=0)

    over_http(work, url, keyed.read)


def test_sources_are_listed_a_page_at_a_time_with_what_can_be_filtered(url: str, keyed: Keyed) -> None:
    with passages.Client(keyed.url, keyed.write) as client:
        for number in range(2):
            client.put(f"listed-{number}", "Something.", title="Listed", metadata={"kind": "list"})

    async def work(client: Client) -> None:
        first = await called(client, "list_sources", match="listed", limit=1)
        second = await called(client, "list_sources", match="listed", limit=1, after=first["next_after"])
        assert (first["matching"], second["next_after"]) == (2, None)
        assert [one["document_id"] for one in first["documents"] + second["documents"]] == ["listed-0", "listed-1"]
        (kind,) = [one for one in first["filters"] if one["field"] == "kind"]
        assert {"value": "list", "documents": 2} in kind["values"]

    try:
        over_http(work, url, keyed.read)
    finally:
        with passages.Client(keyed.url, keyed.write) as client:
            for number in range(2):
                client.delete(f"listed-{number}")


def posted(url: str, key: str | None, **headers: str) -> httpx2.Response:
    """A request as any MCP client begins with."""
    hello = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    accepted = {"accept": "application/json, text/event-stream"}
    own = {"authorization": f"Bearer {key}"} if key else {}
    return httpx2.post(f"{url}/mcp", json=hello, headers=accepted | own | headers)


def test_over_http_the_same_doors_stand_before_it(url: str, keyed: Keyed) -> None:
    assert posted(url, keyed.read).status_code == 200
    assert "this server needs a key" in posted(url, None).json()["detail"]
    assert posted(url, "wrong").status_code == 401
    assert posted(url, keyed.read, origin="https://elsewhere.example").status_code == 403
    assert posted(url, keyed.read, **{"content-type": "text/plain"}).status_code == 415
    assert posted(url, keyed.read, **{"x-large": "x" * 65_536}).status_code == 431
    assert (
        httpx2.post(
            f"{url}/mcp",
            content=b" " * 16_777_217,
            headers={"content-type": "application/json", "authorization": f"Bearer {keyed.read}"},
        ).status_code
        == 413
    )
    assert "content-security-policy" in posted(url, keyed.read).headers


def test_over_http_no_connection_stays_open(url: str, keyed: Keyed) -> None:
    """No stream, and no session that another server behind the same address would not know."""
    own = {"authorization": f"Bearer {keyed.read}", "accept": "text/event-stream"}
    listening = httpx2.get(f"{url}/mcp", headers=own, timeout=5)
    assert (listening.status_code, listening.headers["content-type"]) == (405, "application/problem+json")
    answer = posted(url, keyed.read)
    assert answer.headers["content-type"] == "application/json"
    assert "mcp-session-id" not in answer.headers


def test_nobody_can_say_that_he_was_let_in_already(url: str) -> None:
    for name in ("caller", "state", "x-caller"):
        assert posted(url, None, **{name: "writer"}).status_code == 401


def test_a_part_of_a_document_never_reaches_beyond_its_end() -> None:
    document = client_answers.Document(
        id="a", title="A", uri=None, date=None, media_type="text/plain", metadata={}, text="abc", pages=(), headings=()
    )
    assert (part(document, 1, 1).text, part(document, 1, 1).next_start) == ("b", 2)
    assert (part(document, 2, 9).text, part(document, 2, 9).next_start) == ("c", None)
    assert (part(document, 7, 9).text, part(document, 7, 9).start, part(document, 7, 9).next_start) == ("", 3, None)


def test_a_server_loads_the_protocol_only_when_it_is_asked() -> None:
    code = "import sys, service.server; print('mcp' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=dict(os.environ))
    assert done.stdout.strip() == "False"
