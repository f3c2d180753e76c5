"""A Haystack component (needs ``haystack-ai``).

    from service.integrations.haystack import PassagesRetriever

    pipeline = Pipeline()
    pipeline.add_component("retriever", PassagesRetriever("http://127.0.0.1:8080", top_k=5))
    found = pipeline.run({"retriever": {"query": "Who will host the next ministerial meeting?"}})

Beside ``documents`` it gives the ``verdict`` (answered, weak, nothing or uncalibrated), for a router to say so when nothing
answers. ``run_async`` asks without a thread. A document's ``score`` is the probability that it answers, its ``meta`` says where
it stands (``citation.py``). Haystack itself reports its use to its makers unless HAYSTACK_TELEMETRY_ENABLED is False.
"""

from __future__ import annotations

from typing import Any

from haystack import Document, component, default_from_dict, default_to_dict
from haystack.utils import Secret

from service.client import DEFAULT_URL, Answer, AsyncClient, Client
from service.integrations.citation import citation, kept


@component
class PassagesRetriever:
    """The passages that a server finds. Errors are those of :mod:`service.client`."""

    def __init__(
        self,
        url: str = DEFAULT_URL,
        key: Secret | None = None,
        top_k: int = 10,
        filters: dict[str, Any] | None = None,
        min_score: float = 0.0,
        drop_unanswered: bool = False,
    ) -> None:
        """``filters`` are the contract's (docs/http.md), not Haystack's own; ``drop_unanswered`` gives no documents where the
        verdict is that nothing answers."""
        self.url, self.key, self.top_k, self.filters = url, key, top_k, filters
        self.min_score, self.drop_unanswered = min_score, drop_unanswered

    @component.output_types(documents=list[Document], verdict=str)
    def run(self, query: str, filters: dict[str, Any] | None = None, top_k: int | None = None) -> dict[str, Any]:
        """Ask; ``filters`` and ``top_k`` instead of the component's own."""
        with Client(self.url, self._secret()) as client:
            return self._found(client.search(query, **self._options(filters, top_k)))

    @component.output_types(documents=list[Document], verdict=str)
    async def run_async(self, query: str, filters: dict[str, Any] | None = None, top_k: int | None = None) -> dict[str, Any]:
        """:meth:`run`, awaited."""
        async with AsyncClient(self.url, self._secret()) as client:
            return self._found(await client.search(query, **self._options(filters, top_k)))

    def to_dict(self) -> dict[str, Any]:
        """For a pipeline's file; a key that is not named by a variable is refused there."""
        return default_to_dict(
            self,
            url=self.url,
            key=self.key.to_dict() if self.key else None,
            top_k=self.top_k,
            filters=self.filters,
            min_score=self.min_score,
            drop_unanswered=self.drop_unanswered,
        )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> PassagesRetriever:
        """What :meth:`to_dict` described."""
        options = data["init_parameters"]
        key = options.get("key")
        return default_from_dict(cls, data | {"init_parameters": options | {"key": Secret.from_dict(key) if key else None}})

    def _secret(self) -> str | None:
        return self.key.resolve_value() if self.key is not None else None

    def _options(self, filters: dict[str, Any] | None, top_k: int | None) -> dict[str, Any]:
        chosen = self.filters if filters is None else filters
        return {"limit": self.top_k if top_k is None else top_k, "filter": chosen or {}, "min_score": self.min_score}

    def _found(self, answer: Answer) -> dict[str, Any]:
        documents = [
            Document(id=one.id, content=one.text, score=one.score, meta=citation(answer, one))
            for one in kept(answer, self.drop_unanswered)
        ]
        return {"documents": documents, "verdict": answer.verdict}
