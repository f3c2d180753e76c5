"""A question as the three readings see it: its pooled vector, its words with their rarity, its tokens with their weights."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from indexer.encoder import Encoded, Encoder
from indexer.languages import QUESTION_WORDS
from indexer.models import ModelContract
from indexer.question import Asked
from indexer.terms import terms, word_spans
from indexer.tokens import QuestionTokens

Floats = npt.NDArray[np.float32]

# A word that asks ("which") weighs at most this: statements hardly hold it, so its rarity means nothing.
_ASKING_IDF = 1.0
# Half of a question's letters in words that the model's vocabulary has whole is what it needs (measured: English .85 to .95,
# German .25, Spanish .32, Russian, Arabic and Chinese 0 with an English model).
_WHOLE_SHARE = 0.5


class Rarities(Protocol):
    """What tells how rare words are."""

    def rarities(self, words: Sequence[Sequence[int]]) -> list[float]:
        """The idf of each word; a word is the codes of its forms."""


class QuestionWord(NamedTuple):
    """A word of the question, characters ``start`` to ``end``; ``codes`` are its terms, one for each stemmer it went through.
    ``asks``: it only asks, and counts for no passage."""

    codes: tuple[int, ...]
    start: int
    end: int
    asks: bool


class Encoding(NamedTuple):
    """What the encoder makes of a question; ``readable``, 0 to 1, is how well the model reads its language. ``contract`` is the
    encoder's, and ``took_ms`` how long it took."""

    asked: Asked
    encoded: Encoded
    readable: float
    contract: ModelContract
    took_ms: float


class Question(NamedTuple):
    """A question against one commit. ``words`` count for passages, each once, and ``rarity`` float32 [w] is their idf."""

    asked: Asked
    readable: float
    words: list[QuestionWord]
    rarity: Floats
    tokens: QuestionTokens

    @property
    def groups(self) -> list[tuple[int, ...]]:
        """The terms of each word."""
        return [word.codes for word in self.words]

    @property
    def codes(self) -> list[int]:
        """All terms that count."""
        return [code for word in self.words for code in word.codes]


def encode(encoder: Encoder, asked: Asked) -> Encoding:
    """The question encoded. Raises :class:`indexer.encoder.TooLongError`."""
    began = time.perf_counter()
    encoded, readable = encoder.question(asked.text), min(1.0, encoder.whole_share(asked.text) / _WHOLE_SHARE)
    return Encoding(asked, encoded, readable, encoder.contract, (time.perf_counter() - began) * 1000)


def read(encoding: Encoding, words: Rarities, languages: Sequence[str]) -> Question:
    """The question as a commit's words weigh it; ``languages`` are the stemmers that made its terms."""
    text = encoding.asked.text
    found = question_words(text, languages)
    rarity = words.rarities([word.codes for word in found])
    unique = {word.codes: at for at, word in reversed(list(enumerate(found))) if not word.asks}
    counted = sorted(unique.values()) or sorted({word.codes: at for at, word in enumerate(found)}.values())
    weights = token_weights(encoding.encoded.offsets[0], found, rarity)
    tokens = QuestionTokens(encoding.encoded.tokens[0], weights, encoding.encoded.pooled[0])
    kept = [found[at] for at in counted]
    return Question(encoding.asked, encoding.readable, kept, np.array([rarity[at] for at in counted], np.float32), tokens)


def question_words(text: str, languages: Sequence[str]) -> list[QuestionWord]:
    """The words of a question in order, each with its terms under every one of the ``languages``."""
    codes: dict[tuple[int, int], dict[int, None]] = {}
    for language in languages:
        for term in terms(text, language):
            codes.setdefault((term.start, term.end), {})[term.code] = None
    return [
        QuestionWord(tuple(some), start, end, text[start:end].casefold() in QUESTION_WORDS)
        for (start, end), some in sorted(codes.items())
    ]


def phrase_forms(phrase: str, languages: Sequence[str]) -> list[list[int]] | None:
    """The terms of a phrase, one after the other, under each of the ``languages``: who holds one of them has its words, in
    whatever form. None where the word index cannot tell: of a single character in a script of pairs, or signs alone."""
    found: list[list[int]] = []
    for language in languages:
        parts = terms(phrase, language)
        if not all(phrase[part.start].isalnum() for part in parts) or _is_pair_cut_short(phrase):
            return None
        # A number at an end may go on in the text ("version 2" stands in "version 2.0"), where it is another term.
        while parts and phrase[parts[-1].start].isdecimal():
            parts.pop()
        while parts and phrase[parts[0].start].isdecimal():
            parts.pop(0)
        if not parts:
            return None
        found.append([part.code for part in parts])
    return found


def _is_pair_cut_short(phrase: str) -> bool:
    return any(is_run and end - start == 1 for start, end, is_run in word_spans(phrase))


def token_weights(offsets: npt.NDArray[np.int32], words: Sequence[QuestionWord], rarity: Sequence[float]) -> Floats:
    """For each question token, float32 [m], the root of its word's idf, made to sum to 1; equal weights if all are 0.

    The root is between the plain mean, best for paraphrases, and the idf itself, best for names (docs/design.md).
    """
    weights = np.zeros(len(offsets), np.float32)
    for at, (start, end) in enumerate(offsets.tolist()):
        over = [
            min(weight, _ASKING_IDF) if word.asks else weight
            for word, weight in zip(words, rarity, strict=True)
            if word.start < end and start < word.end
        ]
        weights[at] = np.sqrt(sum(over) / len(over)) if over else 0
    total = float(weights.sum())
    return weights / total if total > 0 else np.full(len(offsets), 1 / max(1, len(offsets)), np.float32)
