"""A LlamaIndex retriever (needs ``llama-index-core``).

    from service.integrations.llama_index import PassagesRetriever

    retriever = PassagesRetriever("http://127.0.0.1:8080", top_k=5, drop_unanswered=True)
    nodes = retriever.retrieve("Who will host the next ministerial meeting?")
    engine = RetrieverQueryEngine.from_args(retriever, llm=llm)

``aretrieve`` asks without a thread. A node's ``start_char_idx`` and ``end_char_idx`` are characters of the document's text,
its ``score`` is the probability that it answers, its ``metadata`` says where it stands (``citation.py``); ids and places stay
out of prompts.
"""

from __future__ import annotations

from typing import Any

from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import NodeRelationship, NodeWithScore, QueryBundle, RelatedNodeInfo, TextNode

from service.client import DEFAULT_URL, Answer, AsyncClient, Client, Result
from service.integrations.citation import PLACE, citation, kept


class PassagesRetriever(BaseRetriever):
    """The passages that a server finds. Errors are those of :mod:`service.client`."""

    def __init__(
        self,
        url: str = DEFAULT_URL,
        key: str | None = None,
        *,
        top_k: int = 10,
        filter: dict[str, Any] | None = None,  # noqa: A002  # the contract's name
        min_score: float = 0.0,
        drop_unanswered: bool = False,
        **options: Any,
    ) -> None:
        """``filter`` is the contract's (docs/http.md); ``drop_unanswered`` gives no nodes where the verdict is that nothing
        answers; ``options`` are the base class's."""
        super().__init__(**options)
        self._url, self._key, self._drop_unanswered = url, key, drop_unanswered
        self._options: dict[str, Any] = {"limit": top_k, "filter": filter or {}, "min_score": min_score}

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        with Client(self._url, self._key) as client:
            return self._nodes(client.search(query_bundle.query_str, **self._options))

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        async with AsyncClient(self._url, self._key) as client:
            return self._nodes(await client.search(query_bundle.query_str, **self._options))

    def _nodes(self, answer: Answer) -> list[NodeWithScore]:
        results = kept(answer, self._drop_unanswered)
        return [NodeWithScore(node=_node(answer, one), score=one.score) for one in results]


def _node(answer: Answer, result: Result) -> TextNode:
    return TextNode(
        id_=result.id,
        text=result.text,
        metadata=citation(answer, result),
        excluded_llm_metadata_keys=list(PLACE),
        excluded_embed_metadata_keys=list(PLACE),
        start_char_idx=result.start,
        end_char_idx=result.end,
        relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=result.document.id)},
    )
