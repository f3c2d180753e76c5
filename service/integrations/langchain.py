"""A LangChain retriever (needs ``langchain-core``).

    from service.integrations.langchain import PassagesRetriever

    retriever = PassagesRetriever(url="http://127.0.0.1:8080", k=5, drop_unanswered=True)
    documents = retriever.invoke("Who will host the next ministerial meeting?")
    chain = {"context": retriever, "question": RunnablePassthrough()} | prompt | model

``ainvoke`` asks without a thread. Each document's ``metadata`` says where the passage stands (``citation.py``), its ``score``
(the probability that it answers) and the ``verdict`` on the whole.
"""

from __future__ import annotations

from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import Field, SecretStr

from service.client import DEFAULT_URL, Answer, AsyncClient, Client
from service.integrations.citation import citation, kept


class PassagesRetriever(BaseRetriever):
    """The passages that a server finds. Errors are those of :mod:`service.client`."""

    url: str = DEFAULT_URL
    key: SecretStr | None = None
    k: int = Field(10, ge=1, le=100, description="how many passages")
    filter: dict[str, Any] = Field(default_factory=dict, description="field to condition, as in docs/http.md")
    min_score: float = Field(0.0, ge=0, le=1)
    drop_unanswered: bool = Field(False, description="no documents where the verdict is that nothing answers")

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:  # noqa: ARG002
        with Client(self.url, self._secret()) as client:
            return self._documents(client.search(query, **self._options()))

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,  # noqa: ARG002
    ) -> list[Document]:
        async with AsyncClient(self.url, self._secret()) as client:
            return self._documents(await client.search(query, **self._options()))

    def _secret(self) -> str | None:
        return self.key.get_secret_value() if self.key is not None else None

    def _options(self) -> dict[str, Any]:
        return {"limit": self.k, "filter": self.filter, "min_score": self.min_score}

    def _documents(self, answer: Answer) -> list[Document]:
        return [
            Document(id=one.id, page_content=one.text, metadata=citation(answer, one))
            for one in kept(answer, self.drop_unanswered)
        ]
