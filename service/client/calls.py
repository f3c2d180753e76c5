"""Each call of the contract as data: what is sent, and what reads the answer. Nothing here does input or output, so that the
client that waits and the one that awaits share all of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Generic, Literal, TypeVar
from urllib.parse import quote

from service.client.answers import (
    Answer,
    Answers,
    Document,
    DocumentPage,
    Explanation,
    Facet,
    Facets,
    Failures,
    Judgement,
    Judgements,
    Passage,
    SimilarPassage,
    SimilarPassages,
    Status,
    Stored,
    Upload,
    reader,
)

Made = TypeVar("Made")
# Whether a call may be made again: always; only if it was refused, so that nothing was done; or never.
Repeat = Literal["always", "refused", "never"]
FeedbackVerdict = Literal["answers", "does_not", "nothing"]
_FEEDBACK = "/v1/feedback"
_RESERVED = ("id", "_id", "text", "title", "date", "uri")


@dataclass(frozen=True, slots=True)
class Call(Generic[Made]):
    """One request. ``path`` is percent-encoded; ``read`` makes the answer of its body. ``files`` are parts of a form."""

    method: str
    path: str
    read: Callable[[bytes], Made]
    params: Mapping[str, Any] = field(default_factory=dict)
    json: Any = None
    files: Sequence[tuple[str, tuple[str, bytes]]] = ()
    repeat: Repeat = "always"


@dataclass(frozen=True, slots=True)
class Question:
    """A question of a batch; the fields are those of ``search``."""

    question: str
    limit: int = 10
    offset: int = 0
    filter: Mapping[str, Any] = field(default_factory=dict)
    explain: bool = False
    min_score: float = 0.0
    group: Literal["document"] | None = None
    facets: Sequence[str] | bool = False

    def body(self) -> dict[str, Any]:
        """As it is sent. Facets only if asked for: a server of an earlier release knows none."""
        return {name: value for name, value in asdict(self).items() if name != "facets" or value}


def search(
    question: str,
    *,
    limit: int = 10,
    offset: int = 0,
    filter: Mapping[str, Any] | None = None,  # noqa: A002  # the contract's name
    explain: bool = False,
    min_score: float = 0.0,
    group: Literal["document"] | None = None,
    facets: Sequence[str] | bool = False,
) -> Call[Answer]:
    """Ask a question: the passages that answer it, best first. ``filter`` maps fields to conditions (docs/http.md)."""
    asked = Question(question, limit, offset, filter or {}, explain, min_score, group, facets)
    return Call("POST", "/v1/search", reader(Answer), json=asked.body())


def batch(questions: Iterable[str | Question]) -> Call[tuple[Answer, ...]]:
    """Ask up to 64 questions at once; their answers, in the same order."""
    searches = [(Question(one) if isinstance(one, str) else one).body() for one in questions]
    answers = reader(Answers)
    return Call("POST", "/v1/search/batch", lambda body: answers(body).answers, json={"searches": searches})


def explain(question: str, passage_id: str, *, limit: int = 10, offset: int = 0) -> Call[Explanation]:
    """Why a passage was returned for a question, or which step dropped it."""
    params = {"q": question, "passage": passage_id, "limit": limit, "offset": offset}
    return Call("GET", "/v1/explain", reader(Explanation), params)


def passage(passage_id: str) -> Call[Passage]:
    """One passage."""
    return Call("GET", f"/v1/passages/{_quoted(passage_id)}", reader(Passage))


def similar(passage_id: str, *, limit: int = 10) -> Call[tuple[SimilarPassage, ...]]:
    """Passages like a given one, best first."""
    found = reader(SimilarPassages)
    return Call("GET", f"/v1/passages/{_quoted(passage_id)}/similar", lambda body: found(body).results, {"limit": limit})


def document(document_id: str) -> Call[Document]:
    """One document, whole."""
    return Call("GET", _document(document_id), reader(Document))


def put(
    document_id: str,
    text: str,
    *,
    title: str | None = None,
    date: str | None = None,
    uri: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Call[Stored]:
    """Add or replace a document. It is found when this returns. Raises :class:`ValueError` for metadata that is named as one
    of the document's own fields."""
    metadata = metadata or {}
    if reserved := [name for name in metadata if name in _RESERVED]:
        raise ValueError(f"metadata cannot be named {', '.join(reserved)}: give it as an argument, or another name")
    own = {"title": title, "date": date, "uri": uri}
    body = {**metadata, "text": text, **{name: value for name, value in own.items() if value is not None}}
    return Call("PUT", _document(document_id), reader(Stored), json=body)


def delete(document_id: str) -> Call[None]:
    """Delete a document. One that came from a file comes back when the file changes and is indexed again."""
    # Not made again when the connection broke: the first may have been done, and the second would say "not found".
    return Call("DELETE", _document(document_id), _nothing, repeat="refused")


def documents(*, limit: int = 50, after: str = "", match: str = "", source: str | None = None) -> Call[DocumentPage]:
    """A page of documents without their texts, by id: those ``after`` an id, whose title or id has the words of ``match``,
    which come from ``source`` (a value of that facet)."""
    params = {"limit": limit, "after": after, "match": match} | ({} if source is None else {"source": source})
    return Call("GET", "/v1/documents", reader(DocumentPage), params)


def put_all(records: Iterable[Mapping[str, Any]]) -> Call[Upload]:
    """Add or replace documents: each has ``id`` and ``text``, and may have ``title``, ``date``, ``uri`` and other fields. What
    cannot be used is in ``failed``, and the rest is stored."""
    return Call("POST", "/v1/documents", reader(Upload), json=[dict(one) for one in records])


def upload(files: Mapping[str, bytes], *, job: str | None = None) -> Call[Upload]:
    """Add or replace the documents of files of any format that is read: name to content. What cannot be read is in ``failed``,
    and the rest is stored. ``job`` is what ``progress`` events call it."""
    parts = [("file", (name, content)) for name, content in files.items()]
    return Call("POST", "/v1/documents", reader(Upload), {"job": job} if job else {}, files=parts)


def original(document_id: str) -> Call[bytes]:
    """The file that a document came from."""
    return Call("GET", f"/v1/originals/{_quoted(document_id)}", bytes)


def failures(*, limit: int = 100, offset: int = 0) -> Call[Failures]:
    """What could not be read when folders were indexed, and why."""
    return Call("GET", "/v1/failures", reader(Failures), {"limit": limit, "offset": offset})


def facets(*fields: str) -> Call[tuple[Facet, ...]]:
    """The values of some fields, each with how many documents have it; without any, of those worth offering."""
    found = reader(Facets)
    return Call("GET", "/v1/facets", lambda body: found(body).facets, {"field": list(fields)} if fields else {})


def feedback(
    question: str,
    passage_id: str | None,
    verdict: FeedbackVerdict,
    *,
    filter: Mapping[str, Any] | None = None,  # noqa: A002  # the contract's name
) -> Call[Judgement]:
    """Say that a passage answers a question, or does not, or (without a passage) that nothing in the collection does. The last
    word on a question and a passage counts. ``filter`` is what the question was asked with."""
    body = {"question": question, "filter": dict(filter or {}), "passage": passage_id, "verdict": verdict}
    return Call("POST", _FEEDBACK, reader(Judgement), json=body)


def judged(question: str, *, filter: Mapping[str, Any] | None = None) -> Call[Judgements]:  # noqa: A002
    """What was said of one question under one filter."""
    body = {"question": question, "filter": dict(filter or {})}
    return Call("POST", f"{_FEEDBACK}/about", reader(Judgements), json=body)


def judgements(*, limit: int = 1000, offset: int = 0) -> Call[Judgements]:
    """All that was said, a page of it."""
    return Call("GET", _FEEDBACK, reader(Judgements), {"limit": limit, "offset": offset})


def forget(judgement_id: str) -> Call[None]:
    """Take one word back."""
    return Call("DELETE", f"{_FEEDBACK}/{_quoted(judgement_id)}", _nothing, repeat="refused")


def forget_all() -> Call[None]:
    """Forget every judgement."""
    return Call("DELETE", _FEEDBACK, _nothing)


def status() -> Call[Status]:
    """What is served, and how far it has come; also while it starts."""
    return Call("GET", "/v1/status", reader(Status))


def ready() -> Call[None]:
    """Nothing, once questions are answered."""
    return Call("GET", "/readyz", _nothing)


def _nothing(_: bytes) -> None:
    return None


def _document(document_id: str) -> str:
    return f"/v1/documents/{_quoted(document_id)}"


def _quoted(text: str) -> str:
    """A whole id as one segment: its slashes too, and dots, of which a client would make a path of its own."""
    return quote(text, safe="") if text.strip(".") else text.replace(".", "%2E")
