"""The client, both kinds of it, against a real server that demands keys; and what it does when a server is busy or away."""

from __future__ import annotations

import inspect
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import fields
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import pytest
from pydantic import BaseModel
from pydantic.dataclasses import is_pydantic_dataclass

import service.client as client_package
from indexer.models import DEFAULT_MODEL
from service import contract, document_contract, facet_contract, feedback_routes
from service.app import create_app
from service.client import (
    Answer,
    AsyncClient,
    Client,
    ClientError,
    Event,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    ProblemError,
    Question,
    UnauthorizedError,
    UnavailableError,
    UnexpectedAnswerError,
    UnreachableError,
    answers,
    calls,
    clients,
)
from service.client.calls import Call
from service.client.exchange import MAX_WAIT_S, Outcome, Reply, Wait, exchange
from tests.conftest import Keyed

QUESTION = "Who will host the next ministerial meeting?"
Ask = Callable[..., Any]


class Kind(NamedTuple):
    """Makes one call with a client of one kind."""

    name: str
    ask: Ask


def waiting(keyed: Keyed, name: str, *args: Any, key: str | None = None, **options: Any) -> Any:
    with Client(keyed.url, key or keyed.write) as client:
        return getattr(client, name)(*args, **options)


def awaiting(keyed: Keyed, name: str, *args: Any, key: str | None = None, **options: Any) -> Any:
    async def ask() -> Any:
        async with AsyncClient(keyed.url, key or keyed.write) as client:
            return await getattr(client, name)(*args, **options)

    return anyio.run(ask)


@pytest.fixture(params=[waiting, awaiting], ids=["sync", "async"])
def ask(request: pytest.FixtureRequest, keyed: Keyed) -> Ask:
    """``ask("search", ...)``: a call of a client of either kind, once the server is ready."""
    request.param(keyed, "wait_until_ready", 90.0)
    return lambda name, *args, **options: request.param(keyed, name, *args, **options)


def test_a_question_is_answered_as_over_http(ask: Ask) -> None:
    answer = ask("search", QUESTION, limit=2, explain=True)
    best = answer.results[0]
    assert (answer.verdict, len(answer.results), best.document.id) == ("answered", 2, "daesh-small-group.txt")
    assert best.evidence.text.startswith("The Coalition welcomes Saudi Arabia’s")
    assert best.score > 0.5
    assert set(best.signals) < set(answer.weights)
    assert ask("document", best.document.id).text[best.start : best.end] == best.text


def test_every_option_of_a_search_is_sent(ask: Ask) -> None:
    seen = {one.id for one in ask("search", QUESTION, limit=6).results}
    assert not ask("search", QUESTION, filter={"title": "another"}).results
    assert len(seen & {one.id for one in ask("search", QUESTION, limit=3, offset=3).results}) == 3
    assert all(one.score >= 0.3 for one in ask("search", QUESTION, min_score=0.3).results)
    documents = [one.document.id for one in ask("search", QUESTION, group="document").results]
    assert len(documents) == len(set(documents))
    with pytest.raises(InvalidError, match="limit"):
        ask("search", QUESTION, limit=0)


def test_a_batch_is_answered_in_its_order(ask: Ask) -> None:
    answered, nothing = ask("batch", [QUESTION, Question("How do I repair a bicycle tyre?", limit=1)])
    assert (answered.verdict, nothing.verdict, len(nothing.results)) == ("answered", "nothing", 1)


def test_a_passage_its_like_and_its_explanation_are_read(ask: Ask) -> None:
    best = ask("search", QUESTION, limit=1).results[0]
    assert ask("passage", best.id).text == best.text
    like = ask("similar", best.id, limit=2)
    assert len(like) == 2
    assert best.id not in [one.id for one in like]
    explained = ask("explain", QUESTION, best.id)
    assert (explained.step, explained.rank, explained.passage.id) == ("returned", 1, best.id)


@pytest.mark.parametrize("document_id", ["Protokoll/§ 3 😀", "..", "a%2Fb?c#d", "line\nbreak"])
def test_a_document_of_any_id_is_stored_read_and_deleted(ask: Ask, document_id: str) -> None:
    text = "😀 Das Gremium beschloss den Umzug des Zettelkastens in den Keller."
    stored = ask("put", document_id, text, title="Protokoll", date="2022-05-03", metadata={"kind": "minutes"})
    assert (stored.id, stored.passages) == (document_id, 1)
    read = ask("document", document_id)
    assert (read.text, read.title, read.date, read.metadata["kind"]) == (text, "Protokoll", "2022-05-03", "minutes")
    (found,) = ask("search", '"Umzug des Zettelkastens"').results
    assert (found.document.id, found.text) == (document_id, text)
    assert ask("delete", document_id) is None
    with pytest.raises(NotFoundError, match="there is no document"):
        ask("document", document_id)


def test_documents_are_sent_together_listed_and_read_back_as_files(ask: Ask) -> None:
    sent = ask("put_all", [{"id": "several/1", "text": "One."}, {"id": "several/2", "text": "Two."}, {"id": "several/3"}])
    assert [(one.id, one.state) for one in sent.documents] == [("several/1", "added"), ("several/2", "added")]
    assert len(sent.failed) == 1
    uploaded = ask("upload", {"several €.md": "# Größe\n\nDrei.".encode()}, job="several")
    first = ask("documents", match="several", limit=2)
    second = ask("documents", match="several", after=first.next)
    assert (first.count, [one.id for one in first.documents]) == (3, [uploaded.documents[0].id, "several/1"])
    assert ([one.id for one in second.documents], second.next) == (["several/2"], None)
    assert ask("documents", source="nowhere").documents == ()
    for one in (*first.documents, *second.documents):
        ask("delete", one.id)
    assert ask("failures").failures == ()
    assert ask("original", "daesh-small-group.txt").startswith(b"The Kingdom")


def test_facets_are_counted_for_the_collection_and_for_an_answer(ask: Ask) -> None:
    (kind,) = ask("facets", "kind")
    assert (kind.field, kind.values[0].value) == ("kind", "media note")
    assert ask("facets") is not None
    (found,) = ask("search", QUESTION, facets=["kind"]).facets
    assert found.values[0].value == "media note"


def test_a_passage_is_judged_and_the_judgement_taken_back(ask: Ask) -> None:
    best = ask("search", QUESTION, limit=1).results[0]
    kept = ask("feedback", QUESTION, best.id, "answers")
    assert (kept.verdict, kept.passage.id, kept.passage.text) == ("answers", best.id, best.text)
    assert [one.id for one in ask("judged", QUESTION).judgements] == [kept.id]
    assert ask("judgements", limit=1).total == 1
    assert ask("forget", kept.id) is None
    assert ask("feedback", "How do I repair a bicycle tyre?", None, "nothing").passage is None
    assert ask("forget_all") is None
    assert ask("judgements").judgements == ()


def test_metadata_cannot_pose_as_a_field_of_the_document(ask: Ask) -> None:
    with pytest.raises(ValueError, match="metadata cannot be named title"):
        ask("put", "a", "text", metadata={"title": "b"})


def test_status_says_what_is_served(ask: Ask) -> None:
    status = ask("status")
    assert (status.state, status.model["name"]) == ("ready", DEFAULT_MODEL)
    assert status.documents >= 1


def test_a_read_key_reads_and_does_not_write(ask: Ask, keyed: Keyed) -> None:
    assert ask("search", QUESTION, key=keyed.read).verdict == "answered"
    with pytest.raises(ForbiddenError, match="may only read"):
        ask("put", "a", "text", key=keyed.read)
    with pytest.raises(UnauthorizedError, match="not known") as raised:
        ask("search", QUESTION, key="wrong")
    assert raised.value.status == 401


def test_a_refusal_has_the_servers_own_words(ask: Ask) -> None:
    with pytest.raises(InvalidError, match="the question is empty; ask something"):
        ask("search", " ")
    with pytest.raises(NotFoundError, match="search again"):
        ask("passage", "nosuch")


def test_both_clients_have_the_same_calls_with_the_same_arguments() -> None:
    def described(kind: type) -> dict[str, list[str]]:
        methods = inspect.getmembers(kind, inspect.isfunction)
        return {name: [*inspect.signature(method).parameters] for name, method in methods if not name.startswith("_")}

    ours, theirs = described(Client), described(AsyncClient)
    assert ours.pop("close") == theirs.pop("aclose")
    assert ours == theirs
    assert ours["search"][:2] == ["self", "question"]


NOT_CALLED = {"/v1/session", "/livez", "/metrics", "/v1/events"}  # the page's, a manager's, Prometheus'; events is a stream
SAMPLES: dict[str, tuple[Any, ...]] = {
    "search": ("q",), "batch": (["q"],), "explain": ("q", "id"), "passage": ("id",), "similar": ("id",), "document": ("id",),
    "put": ("id", "text"), "delete": ("id",), "original": ("id",), "put_all": ([],), "upload": ({},),
    "feedback": ("q", None, "nothing"), "judged": ("q",), "forget": ("id",),
}  # fmt: skip


def every_call() -> list[Call[Any]]:
    own = [
        (name, build)
        for name, build in inspect.getmembers(calls, inspect.isfunction)
        if build.__module__ == calls.__name__ and not name.startswith("_")
    ]
    return [build(*SAMPLES.get(name, ())) for name, build in own]


def test_every_route_of_the_contract_has_a_call_and_every_call_a_route() -> None:
    paths = create_app(Path("unused"), DEFAULT_MODEL).openapi()["paths"]
    routes = {(method.upper(), path) for path, methods in paths.items() if path not in NOT_CALLED for method in methods} - {
        ("GET", "/v1/search")
    }  # a question by URL ends up in logs
    called = set()
    for call in every_call():
        ids = ("document_id", "passage_id", "judgement_id")
        forms = [call.path.replace("/id", f"/{{{name}}}") for name in ids] if "/id" in call.path else [call.path]
        matching = [(call.method, form) for form in forms if (call.method, form) in routes]
        assert matching, f"{call.method} {call.path} is no route"
        called.update(matching)
    assert called == routes


PAIRS: list[tuple[type[Any], type[BaseModel]]] = [
    (answers.Answer, contract.SearchResponse),
    (answers.Result, contract.ResultResponse),
    (answers.Evidence, contract.Evidence),
    (answers.Range, contract.Range),
    (answers.DocumentReference, contract.DocumentReference),
    (answers.Passage, contract.PassageResponse),
    (answers.Term, contract.Term),
    (answers.CandidateRanks, contract.CandidateRanks),
    (answers.Answers, contract.BatchResponse),
    (answers.Explanation, contract.ExplainResponse),
    (answers.SimilarPassage, contract.SimilarPassage),
    (answers.SimilarPassages, contract.SimilarResponse),
    (answers.Document, contract.DocumentResponse),
    (answers.Stored, contract.StoredResponse),
    (answers.Runtime, contract.RuntimeResponse),
    (answers.Recall, contract.RecallResponse),
    (answers.Status, contract.StatusResponse),
    (answers.Original, contract.OriginalReference),
    (answers.ListedDocument, document_contract.ListedResponse),
    (answers.DocumentPage, document_contract.DocumentsResponse),
    (answers.StoredDocument, document_contract.StoredDocument),
    (answers.Refused, document_contract.RefusedResponse),
    (answers.Upload, document_contract.UploadResponse),
    (answers.Failure, document_contract.FailureResponse),
    (answers.Failures, document_contract.FailuresResponse),
    (answers.Facet, facet_contract.FacetResponse),
    (answers.FacetValue, facet_contract.FacetValue),
    (answers.Facets, facet_contract.FacetsResponse),
    (answers.Judgement, feedback_routes.JudgementResponse),
    (answers.JudgedPassage, feedback_routes.JudgedPassageResponse),
    (answers.Judgements, feedback_routes.FeedbackResponse),
]


@pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=lambda kind: kind.__name__)
def test_an_answer_has_every_field_of_the_contract_and_no_other(ours: type[Any], theirs: type[BaseModel]) -> None:
    known = {one.name for one in fields(ours)}
    assert known == set(theirs.model_fields)
    assert not is_pydantic_dataclass(ours)  # plain: cheap to make, to pickle and to compare


def test_importing_the_client_loads_neither_library_nor_model() -> None:
    code = (
        "import sys, service.client; "
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'indexer', 'numpy', 'torch', 'faiss', 'fastapi'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there() -> None:
    assert all(hasattr(client_package, name) for name in client_package.__all__)


BUSY = Reply(503, {"retry-after": "2"}, b'{"detail": "80 requests wait: ask again in a moment"}')
BROKEN = UnreachableError("it broke", is_broken=True)
SLOW = UnreachableError("it was slow", is_broken=False)
FINE = Reply(200, {}, b"")


def after(call: Call[Any], *outcomes: Outcome, retries: int = 3) -> list[float]:
    """The waits until the exchange has ended; it raises what it raises."""
    steps, waits = exchange(call, retries), []
    next(steps)
    try:
        for outcome in outcomes:
            step = steps.send(outcome)
            assert isinstance(step, Wait)
            waits.append(step.seconds)
            assert steps.send(None) is call
    except StopIteration:
        return waits
    raise AssertionError("it goes on")


def test_what_is_refused_for_a_moment_is_asked_again_after_what_the_server_says_and_a_little_chance() -> None:
    waits = after(calls.ready(), BUSY, BUSY, FINE)
    assert all(2 <= one <= 3 for one in waits)
    assert len(set(waits)) == 2


def test_attempts_are_bounded_and_the_last_refusal_is_raised() -> None:
    with pytest.raises(UnavailableError, match="80 requests wait") as raised:
        after(calls.ready(), BUSY, BUSY, BUSY, retries=2)
    assert raised.value.retry_after_s == 2
    with pytest.raises(UnavailableError):
        after(calls.ready(), BUSY, retries=0)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(503, {}, b'{"detail": "the index was made with another model"}'),  # waiting does not help
        Reply(503, {"retry-after": str(MAX_WAIT_S + 1)}, b'{"detail": "come tomorrow"}'),
        Reply(507, {"retry-after": "1"}, b'{"detail": "the disk is full"}'),
        Reply(502, {}, b"<html>Bad Gateway</html>"),
    ],
)
def test_what_does_not_pass_by_itself_is_raised_at_once(reply: Reply) -> None:
    with pytest.raises(ProblemError):
        after(calls.ready(), reply)


def test_a_broken_connection_is_tried_again_only_where_twice_is_as_good_as_once() -> None:
    assert len(after(calls.put("a", "text"), BROKEN, Reply(200, {}, b'{"id": "a", "passages": 1, "generation": 2}'))) == 1
    with pytest.raises(UnreachableError):  # it may be deleted already, and "not found" would be wrong
        after(calls.delete("a"), BROKEN)
    assert len(after(calls.delete("a"), BUSY, FINE)) == 1
    with pytest.raises(UnreachableError, match="slow"):
        after(calls.ready(), SLOW)


def test_an_answer_of_something_else_is_told_apart() -> None:
    with pytest.raises(UnexpectedAnswerError, match="no Passages server"):
        after(calls.search("q"), Reply(200, {}, b"<html>Welcome</html>"))
    with pytest.raises(ProblemError, match="is something else in front"):
        after(calls.search("q"), Reply(404, {}, b"<html>not here</html>"))


def test_being_sent_elsewhere_is_no_success() -> None:
    """As by a proxy that wants TLS: nothing was deleted."""
    with pytest.raises(ProblemError, match="sent on to https://x/y: give the client the address") as raised:
        after(calls.delete("a"), Reply(301, {"location": "https://x/y"}, b"<html>Moved</html>"))
    assert raised.value.status == 301


def test_fields_of_a_newer_server_are_left_out() -> None:
    body = b'{"question": "q", "verdict": "weak", "exact": true, "took_ms": 1, "generation": 2, "results": [], "mood": "good"}'
    assert calls.search("q").read(body) == Answer(question="q", verdict="weak", exact=True, took_ms=1, generation=2, results=())


@contextmanager
def saying(*said: bytes) -> Iterator[str]:
    """A server that answers each connection with the next of some bytes, and ends it."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        for answer in said:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    thread.join(10)
    listener.close()


def test_a_connection_that_breaks_is_made_anew() -> None:
    with saying(b"", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}") as url, Client(url) as client:
        client.run(exchange(calls.ready(), retries=1))


EVENTS = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
    b': keep-alive\n\nevent: commit\ndata: {"generation": 3, "documents": 2, "passages": 7}\n\n'
    b'event: progress\ndata: {"job": "j", "name": "\xe2\x82\xac.pdf", "done": 1, "total": 2, "state": "", "detail": ""}\n\n'
)


def test_events_are_read_as_they_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that has ended, as each does after minutes, is begun anew."""
    monkeypatch.setattr(clients, "_AGAIN_S", 0.01)

    async def awaited(url: str) -> list[Event]:
        async with AsyncClient(url) as client, aclosing(client.events()) as events:  # type: ignore[type-var]
            return [await anext(events) for _ in range(4)]

    with saying(*[EVENTS] * 4) as url, Client(url) as client:
        commit, progress, *again = islice(client.events(), 4)
        assert (commit.name, commit.data["generation"], progress.data["name"]) == ("commit", 3, "€.pdf")
        assert again == [commit, progress]
        assert anyio.run(awaited, url) == [commit, progress] * 2


@pytest.mark.parametrize("data", [b"{", b"3"])
def test_an_event_that_is_none_is_told_apart(data: bytes) -> None:
    said = EVENTS.partition(b"\r\n\r\n")[0] + b"\r\n\r\nevent: commit\ndata: " + data + b"\n\n"
    with saying(said) as url, Client(url) as client, pytest.raises(UnexpectedAnswerError, match="holds no JSON object"):
        next(client.events())


def test_an_answer_that_cannot_be_unpacked_is_an_error_that_a_program_can_catch() -> None:
    said = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\nnone"
    with saying(said) as url, Client(url, retries=0) as client, pytest.raises(UnreachableError):
        client.status()


def test_events_that_are_refused_say_why() -> None:
    refusal = b'HTTP/1.1 503 No\r\nretry-after: 2\r\ncontent-length: 26\r\n\r\n{"detail": "it is starting"}'
    with saying(refusal) as url, Client(url) as client, pytest.raises(UnavailableError):
        next(client.events())


def test_a_server_that_is_not_there_is_named_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with Client(url, retries=1) as client, pytest.raises(UnreachableError, match=f"{url} cannot be reached .*`passages serve`"):
        client.search("q")
    with Client(url) as client, pytest.raises(UnreachableError):
        client.wait_until_ready(0)


def test_a_server_that_does_not_answer_in_time_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with Client(url, timeout_s=0.2) as client, pytest.raises(UnreachableError, match="did not answer in time"):
            client.search("q")


@pytest.mark.parametrize("url", ["localhost:8080", "ftp://host", ""])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="write it as http://"):
        Client(url)


def test_no_proxy_sees_a_question_for_this_machine(keyed: Keyed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # nothing listens there
    monkeypatch.delenv("NO_PROXY", raising=False)
    with Client(keyed.url, keyed.read) as client:
        client.wait_until_ready(90)
        assert client.search(QUESTION).results


def test_every_error_is_one_that_a_program_can_catch() -> None:
    kinds = [kind for kind in vars(client_package).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert all(issubclass(kind, ClientError) for kind in kinds)
