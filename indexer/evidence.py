"""Where in a passage the answer stands: the sentence that carries it, and the words that the question shares."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from indexer.question import occurs
from indexer.reading import Question
from indexer.records import StoredPassage
from indexer.sentences import Span, sentences
from indexer.terms import Codes, Term, places
from indexer.tokens import Floats, TokenCodes, sentence_scores

# A sentence's share of the question's words, beside its MaxSim: with it one more sentence in a hundred is right (squad-dev).
_COVERAGE = 0.25


# A word that is not a quarter as rare as the question's rarest ("the") is not marked.
_TELLING = 0.25


def shared(question: Question, text: str, codes: Codes) -> list[Term]:
    """The terms of a passage's ``text``, which are ``codes``, that the question has too."""
    asked = np.array(question.codes, np.uint32)
    held = np.flatnonzero((codes[:, None] == asked).any(axis=1))  # few of each: np.isin would sort them
    at = places(text) if len(held) else []
    return [Term(int(codes[number]), *at[number]) for number in held.tolist()]


def matches(question: Question, passage: StoredPassage, found: Sequence[Term]) -> tuple[Span, ...]:
    """The words that question and passage share, which are ``found``, and phrases, as characters of the document's text."""
    telling = _TELLING * question.rarity.max(initial=0)
    codes = {code for word, idf in zip(question.words, question.rarity, strict=True) if idf >= telling for code in word.codes}
    spans = [Span(term.start, term.end) for term in found if term.code in codes]
    spans += [Span(*span) for phrase in question.asked.phrases for span in occurs(phrase, passage.text)]
    return tuple(Span(start + passage.start, end + passage.start) for start, end in _joined(spans))


def evidence(
    question: Question, passage: StoredPassage, tokens: TokenCodes, found: Sequence[Term], met: Floats | None = None
) -> Span | None:
    """The sentence that carries the answer, as characters of the document's text: the one with the greatest MaxSim over its own
    tokens plus a share of the question's words, of the shared words ``found``; the first of equals. None where neither
    tells anything. ``met`` is what is known of the tokens from :class:`indexer.tokens.TokenSignals`."""
    text = passage.text
    spans = sentences(text)
    held = _coverage(question, spans, found)
    scores = (
        question.readable * sentence_scores(question.tokens, tokens, spans, met) + (_COVERAGE + 1 - question.readable) * held
    )
    if not spans or scores.max() <= 0:
        return None
    best = spans[int(np.argmax(np.round(scores, 6)))]
    return Span(best.start + passage.start, best.end + passage.start)


def _coverage(question: Question, spans: Sequence[Span], found: Sequence[Term]) -> npt.NDArray[np.float64]:
    """Each sentence's share of the question's words, weighted by rarity, float64 [s]."""
    total = float(question.rarity.sum()) or 1.0
    asked = {code: number for number, word in enumerate(question.words) for code in word.codes}
    begins = [span.start for span in spans]
    held = np.zeros((len(spans), len(question.words)))
    for term in found:
        if (word := asked.get(term.code)) is not None:
            held[bisect_right(begins, term.start) - 1, word] = 1
    return np.asarray(held @ question.rarity / total)


def _joined(spans: Iterable[Span]) -> list[Span]:
    """Spans in order, those that overlap made one (pairs of characters do, and words within phrases)."""
    joined: list[Span] = []
    for span in sorted(spans):
        if joined and span.start < joined[-1].end:
            joined[-1] = Span(joined[-1].start, max(joined[-1].end, span.end))
        else:
            joined.append(span)
    return joined
