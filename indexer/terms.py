"""Text to terms: what the word index counts. One function for passages and questions, so that equal words meet.

Invariants: every text with a non-space character has a term; a term is a 32-bit code of a folded, stemmed word, so a
collection's terms are plain numbers in its catalog. Two different words share a code once in four billion pairs: what is shown
as matched and what is promised of phrases is therefore read from the text.
"""

from __future__ import annotations

import hashlib
import re
import threading
import unicodedata
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import regex

from indexer.languages import DEFAULT, FUNCTION_WORDS, SCRIPT_STEMMERS

Codes = npt.NDArray[np.uint32]

# Part of the model contract: raise it when the same text would give other terms.
TERMS_VERSION = 1
# Between the terms of a passage's context and its own: no term has this code.
DIVIDER = 0

# Scripts that write no space between words, or glue particles to them: pairs of characters are their terms.
_UNSPACED = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}ー]"
_WORD = regex.compile(
    rf"(?P<run>{_UNSPACED}[{_UNSPACED[1:-1]}\p{{M}}]*)|\p{{N}}+(?:[.,]\p{{N}}+)+|[\p{{L}}\p{{M}}\p{{N}}--{_UNSPACED}--[ʼʻʹ]]+",
    regex.V1,
)
# The same for ASCII, in Python's own engine, which is three times as fast.
_ASCII_WORD = re.compile(r"[0-9]+(?:[.,][0-9]+)+|[A-Za-z0-9]+")
_SYMBOL = regex.compile(r"\S")
_THOUSANDS = regex.compile(r"\p{N}{1,3}(?:[.,]\p{N}{3})+")
_SCRIPT = regex.compile("|".join(rf"(?P<{script}>\p{{{script}}})" for script in (*SCRIPT_STEMMERS, "Latin", "Hebrew")))
_BARE = frozenset({"Latin", "Greek", "Cyrillic", "Arabic", "Hebrew"})  # a mark over a letter makes no other word
_SAMPLE = 4000  # characters that tell a document's language


class Term(NamedTuple):
    """A term and the characters of the text that it stands for."""

    code: int
    start: int
    end: int


def terms(text: str, language: str) -> list[Term]:
    """The terms of ``text`` in order. ``language`` is Snowball's name of the stemmer for words in Latin script."""
    found: list[Term] = []
    for match in (_ASCII_WORD if text.isascii() else _WORD).finditer(text):
        if match.lastgroup is None:  # a word
            found.append(Term(term_code(match[0], language), *match.span()))
        else:
            found += [Term(_code(_folded(text[start:end])), start, end) for start, end in _pairs(*match.span())]
    return found or [Term(_code(match[0]), *match.span()) for match in _SYMBOL.finditer(text)]


def places(text: str) -> list[tuple[int, int]]:
    """Start and end of each of the :func:`terms`, in characters: where a text's terms are known, what is left to ask."""
    if text.isascii():
        return [match.span() for match in _ASCII_WORD.finditer(text)] or [match.span() for match in _SYMBOL.finditer(text)]
    found: list[tuple[int, int]] = []
    for match in _WORD.finditer(text):
        if match.lastgroup is None:
            found.append(match.span())
        else:
            found += _pairs(*match.span())
    return found or [match.span() for match in _SYMBOL.finditer(text)]


def codes(text: str, language: str) -> Codes:
    """The terms' codes alone, uint32 [n], in order."""
    return np.fromiter((term.code for term in terms(text, language)), dtype=np.uint32)


def word_spans(text: str) -> Iterator[tuple[int, int, bool]]:
    """Start and end of each word, in characters, and whether it is a run of a script that writes no space between words."""
    for match in _WORD.finditer(text):
        yield *match.span(), match["run"] is not None


def language_of(text: str) -> str:
    """Which stemmer reads the words in Latin script, told by the most frequent words of each language."""
    counts = Counter(match[0].casefold() for match in _WORD.finditer(text, 0, _SAMPLE))
    scores = {language: sum(counts[word] for word in words.split()) for language, words in FUNCTION_WORDS.items()}
    best = max(scores, key=lambda language: (scores[language], language == DEFAULT))
    return best if scores[best] else DEFAULT


def _pairs(start: int, end: int) -> Iterator[tuple[int, int]]:
    """Places of the terms of a run of a script that writes no space between words: pairs of characters, or a lone one."""
    size = min(2, end - start)
    for at in range(start, end - size + 1):
        yield at, at + size


@lru_cache(maxsize=1 << 17)
def term_code(word: str, language: str) -> int:
    """The code of one word."""
    folded = _folded(word)
    if _THOUSANDS.fullmatch(folded):
        return _code(folded.replace(",", "").replace(".", ""))
    script = next(iter(_SCRIPT.finditer(folded)), None)
    name = script.lastgroup if script else None
    stemmer = language if name == "Latin" else SCRIPT_STEMMERS.get(name or "")
    stemmed = _stem(folded, stemmer) if stemmer else folded
    return _code(_without_marks(stemmed) if name in _BARE else stemmed)


def _folded(word: str) -> str:
    return unicodedata.normalize("NFKC", word).casefold()


def _without_marks(word: str) -> str:
    return "".join(char for char in unicodedata.normalize("NFD", word) if not unicodedata.combining(char)) or word


def _code(term: str) -> int:
    digest = hashlib.blake2b(term.encode("utf-8", "surrogatepass"), digest_size=4).digest()
    return int.from_bytes(digest, "little") or 1  # 0 is the divider


_stemmers = threading.local()  # a Snowball stemmer has state: one a thread


def _stem(word: str, language: str) -> str:
    import Stemmer

    if not hasattr(_stemmers, language):
        setattr(_stemmers, language, Stemmer.Stemmer(language))
    stemmed: str = getattr(_stemmers, language).stemWord(word)
    return stemmed
