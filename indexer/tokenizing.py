"""The model's tokenizer alone, which says how much of a text the model reads: what splitting needs, without the model."""

from __future__ import annotations

from indexer.models import ModelContract

_LONG_CHARS = 4000  # some milliseconds of the tokenizer


class ModelTokens:
    """The tokenizer of a model. Safe to share between threads. ``serialized`` makes the same one in another process."""

    def __init__(self, serialized: str, contract: ModelContract) -> None:
        from tokenizers import Tokenizer

        self.serialized, self.contract = serialized, contract
        self._tokenizer = Tokenizer.from_str(serialized)
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    @property
    def passage_tokens(self) -> int:
        """How many tokens of context and text together a passage may have."""
        return self._room(self.contract.passage_prefix)

    @property
    def question_tokens(self) -> int:
        """How many tokens a question may have."""
        return self._room(self.contract.question_prefix)

    def token_offsets(self, text: str) -> list[tuple[int, int]]:
        """Each token's start and end in ``text``, in characters, without special tokens."""
        if len(text) < _LONG_CHARS:
            offsets: list[tuple[int, int]] = self._tokenizer.encode(text, add_special_tokens=False).offsets
        else:
            # Alone, a text is tokenised without letting other threads run, which a search would wait for.
            offsets = self._tokenizer.encode_batch([text], add_special_tokens=False)[0].offsets
        return offsets

    def _room(self, prefix: str) -> int:
        specials = self._tokenizer.num_special_tokens_to_add(is_pair=False)
        return self.contract.token_limit - specials - len(self.token_offsets(prefix))
