"""The same documents give the same content hash and, after a rebuild, the same answers, in whatever order they came."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexer import ingest
from indexer.collection import Collection
from indexer.contents import content_hash
from indexer.documents import Document, document_from_record
from indexer.encoder import Encoder
from indexer.search import Query, search
from service.contract import search_response

GATE = Path(__file__).parent.parent / "eval" / "gate"
ASKED = [json.loads(line)["text"] for line in (GATE / "queries.jsonl").read_text("utf-8").splitlines()][::2]
# Equal texts with equal and other titles, and texts that differ but have equal scores.
ALIKE = [
    Document(f"{kind}-{number}", title, text)
    for number in range(12)
    for kind, title, text in (
        ("same", "", "Pilots board at buoy nine."),
        ("titled", f"Notice {number}", "Pilots board at buoy nine."),
        ("level", "", f"The keeper of quay {'abcdefghijkl'[number]} counts ships."),
    )
]
OTHERS = [Document(f"other-{number}", "Passing", f"Ship {number} is at the north quay until May.") for number in range(30)]


@pytest.fixture(scope="module", autouse=True)
def few() -> Iterator[None]:
    """So few passages lie in files already."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("indexer.vectorstate.FILES_PASSAGES", 20)
        yield


def documents() -> list[Document]:
    records = [json.loads(line) for line in (GATE / "corpus.jsonl").read_text("utf-8").splitlines()]
    return [document_from_record(record) for record in records] + ALIKE


def at_once(collection: Collection, order: Sequence[Document]) -> None:
    write(collection, order)


def one_by_one(collection: Collection, order: Sequence[Document]) -> None:
    for document in order:
        ingest.put(collection, document)


def with_others_between(collection: Collection, order: Sequence[Document]) -> None:
    """Other documents come, are folded and go; some come with another text first."""
    write(collection, OTHERS)
    half = len(order) // 2
    write(collection, [*order[:half], *(Document(one.id, "Draft", one.text[::-1]) for one in order[half:])])
    ingest.fold(collection)
    for document in OTHERS:
        assert ingest.remove(collection, document.id)
    write(collection, order[half:])


def write(collection: Collection, order: Sequence[Document]) -> None:
    with collection.lock.held(1), ingest.Ingest(collection) as working:
        for document in order:
            working.document(document)
        working.flush()


def answers(collection: Collection) -> list[Any]:
    """All that is said of the questions, but for what counts commits and time, and the order of equals among candidates."""
    found = [search_response(search(collection, Query(text, limit=30, explain=True))) for text in ASKED]
    left_out: Any = {"generation": True, "took_ms": True, "stages": True, "results": {"__all__": {"ranks"}}}
    return [one.model_dump(exclude=left_out) for one in found]


def made(
    folder: Path, encoder: Encoder, way: Callable[[Collection, Sequence[Document]], None], order: Sequence[Document]
) -> tuple[str, list[Any]]:
    with Collection(folder, create=True, encoder=encoder) as collection:
        way(collection, order)
        collection.rebuild_derived()
        with collection.catalog.read() as snapshot:
            return content_hash(snapshot), answers(collection)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, encoder: Encoder) -> tuple[str, list[Any]]:
    return made(tmp_path_factory.mktemp("plain") / "index", encoder, at_once, documents())


@pytest.mark.parametrize("way", [at_once, one_by_one, with_others_between])
def test_order_and_commits_change_neither_the_content_hash_nor_an_answer(
    way: Callable[[Collection, Sequence[Document]], None], plain: tuple[str, list[Any]], encoder: Encoder, tmp_path: Path
) -> None:
    order = [documents()[at] for at in np.random.default_rng(7).permutation(len(documents()))]
    digest, found = made(tmp_path / "index", encoder, way, order)
    assert digest == plain[0]
    for one, expected in zip(found, plain[1], strict=True):
        assert one == expected


@pytest.mark.parametrize(
    "changed",
    [
        Document("n1", "Harbour notices", "Notice 417/B: the north quay is open."),
        Document("n1", "Other notices", "The same."),
        Document("more", "", "One more."),
    ],
)
def test_another_text_title_or_document_changes_the_content_hash(changed: Document, collection: Collection) -> None:
    at_once(collection, [Document("n1", "Harbour notices", "The same.")])
    with collection.catalog.read() as snapshot:
        before = content_hash(snapshot)
    ingest.put(collection, changed)
    with collection.catalog.read() as snapshot:
        assert content_hash(snapshot) != before
