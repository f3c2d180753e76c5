"""The retrievers, each in the real framework and against a real server. CI has no framework: `make test-integrations` does."""

from __future__ import annotations

from typing import Any, NamedTuple

import anyio
import pytest

from service.client import Client, UnauthorizedError
from tests.conftest import Keyed

QUESTION = "Who will host the next ministerial meeting?"
FAR = "How do I repair a bicycle tyre?"
ABSENT = "{} is not installed, so this was NOT tested; run: make test-integrations"

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the frameworks' own, of each other


class Served(NamedTuple):
    """A ready server, a key that reads, and what the client finds there: what each framework must give."""

    url: str
    key: str
    expected: list[tuple[str, str, float]]


@pytest.fixture
def served(keyed: Keyed, monkeypatch: pytest.MonkeyPatch) -> Served:
    monkeypatch.setenv("HAYSTACK_TELEMETRY_ENABLED", "False")
    monkeypatch.setenv("PASSAGES_TEST_KEY", keyed.read)
    with Client(keyed.url, keyed.read) as client:
        client.wait_until_ready(90)
        results = client.search(QUESTION, limit=3).results
    return Served(keyed.url, keyed.read, [(one.id, one.text, one.score) for one in results])


def check(found: list[tuple[str, str, float]], meta: dict[str, Any], served: Served) -> None:
    assert found == served.expected
    assert (meta["document_id"], meta["verdict"]) == ("daesh-small-group.txt", "answered")
    assert (meta["passage_id"], meta["score"]) == (found[0][0], found[0][2])
    assert meta["evidence"] in found[0][1]
    assert meta["end"] - meta["start"] == len(found[0][1])
    assert meta["publisher"] == "U.S. Department of State"  # the document's own metadata


def test_langchain_retrieves_what_the_client_finds(served: Served) -> None:
    pytest.importorskip("langchain_core", reason=ABSENT.format("langchain-core"))
    from langchain_core.documents import Document
    from langchain_core.runnables import RunnableLambda

    from service.integrations.langchain import PassagesRetriever

    def rows(documents: list[Document]) -> list[tuple[str, str, float]]:
        return [(str(one.id), one.page_content, one.metadata["score"]) for one in documents]

    retriever = PassagesRetriever(url=served.url, key=served.key, k=3)
    found = retriever.invoke(QUESTION)
    check(rows(found), found[0].metadata, served)
    assert rows(anyio.run(retriever.ainvoke, QUESTION)) == served.expected
    assert [len(one) for one in retriever.batch([QUESTION, FAR])] == [3, 3]
    assert (retriever | RunnableLambda(rows)).invoke(QUESTION) == served.expected
    assert served.key not in repr(retriever)
    honest = PassagesRetriever(url=served.url, key=served.key, drop_unanswered=True)
    assert (honest.invoke(FAR), bool(honest.invoke(QUESTION))) == ([], True)
    assert PassagesRetriever(url=served.url, key=served.key, filter={"kind": "letter"}).invoke(QUESTION) == []
    with pytest.raises(UnauthorizedError, match="needs a key"):
        PassagesRetriever(url=served.url).invoke(QUESTION)


def test_llama_index_retrieves_what_the_client_finds(served: Served) -> None:
    pytest.importorskip("llama_index.core", reason=ABSENT.format("llama-index-core"))
    from llama_index.core.schema import MetadataMode, NodeWithScore

    from service.integrations.llama_index import PassagesRetriever

    def rows(nodes: list[NodeWithScore]) -> list[tuple[str, str, float]]:
        return [(one.node.node_id, one.node.text, one.score) for one in nodes]

    retriever = PassagesRetriever(served.url, served.key, top_k=3)
    found = retriever.retrieve(QUESTION)
    check(rows(found), found[0].node.metadata, served)
    assert rows(anyio.run(retriever.aretrieve, QUESTION)) == served.expected
    prompted = found[0].node.get_content(MetadataMode.LLM)
    assert "Small Group of the Global Coalition" in prompted
    assert found[0].node.node_id not in prompted
    assert found[0].node.ref_doc_id == "daesh-small-group.txt"
    honest = PassagesRetriever(served.url, served.key, drop_unanswered=True)
    assert (honest.retrieve(FAR), bool(honest.retrieve(QUESTION))) == ([], True)
    assert PassagesRetriever(served.url, served.key, filter={"kind": "letter"}).retrieve(QUESTION) == []
    with pytest.raises(UnauthorizedError, match="needs a key"):
        PassagesRetriever(served.url).retrieve(QUESTION)


def test_haystack_retrieves_what_the_client_finds(served: Served) -> None:
    pytest.importorskip("haystack", reason=ABSENT.format("haystack-ai"))
    from haystack import Document, Pipeline
    from haystack.utils import Secret

    from service.integrations.haystack import PassagesRetriever

    def rows(documents: list[Document]) -> list[tuple[str, str, float]]:
        return [(one.id, str(one.content), float(one.score or 0)) for one in documents]

    key = Secret.from_env_var("PASSAGES_TEST_KEY")
    pipeline = Pipeline()
    pipeline.add_component("retriever", PassagesRetriever(served.url, key, top_k=3))
    saved = pipeline.dumps()
    assert served.key not in saved
    found = Pipeline.loads(saved, allowed_modules=["service.integrations.haystack"]).run({"retriever": {"query": QUESTION}})[
        "retriever"
    ]
    check(rows(found["documents"]), found["documents"][0].meta, served)
    assert found["verdict"] == "answered"
    retriever = PassagesRetriever(served.url, key)
    awaited = anyio.run(lambda: retriever.run_async(query=QUESTION, top_k=3))
    assert rows(awaited["documents"]) == served.expected
    assert retriever.run(query=QUESTION, filters={"kind": "letter"})["documents"] == []
    honest = PassagesRetriever(served.url, key, drop_unanswered=True)
    assert honest.run(query=FAR) == {"documents": [], "verdict": "nothing"}
    with pytest.raises(UnauthorizedError, match="needs a key"):
        PassagesRetriever(served.url).run(query=QUESTION)
