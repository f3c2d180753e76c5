"""Late interaction: token vectors as sign bits, and how well each question token is met by a passage (MaxSim).

Invariants: the code of a token is the sign of each of its d values, d / 8 bytes; nothing is trained, so six passages and six
million take the same code. A token's place is the character of the passage where it begins; tokens of the context (title
and headings, which every passage is read with) come first and have no place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from indexer.sentences import Span, sentences

Floats = npt.NDArray[np.float32]
Offsets = npt.NDArray[np.int32]
Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.uint16]

# Part of the model contract: raise it when the same vectors would give other codes.
CODE_FORMAT = "sign bits of words, context first; 1"

# A place has 15 bits for a character of the passage (PASSAGE_CHARS is below that) and one that says: a sentence begins here.
_BEGINS = np.uint16(1 << 15)
_CONTEXT = np.uint16(_BEGINS - 1)
# Tokens that are decoded at once: their floats stay in the second-level cache (measured: 3.5 times as fast as all at once).
_BLOCK = 128


class TokenCodes(NamedTuple):
    """A passage's t tokens: ``codes`` uint8 [t, d / 8], ``places`` uint16 [t], and for each of its s sentences the length of
    the sum of its decoded tokens, ``norms`` float16 [s], which turns a sum of inner products into a cosine."""

    codes: Bytes
    places: Places
    norms: npt.NDArray[np.float16]


class TokenBlock(NamedTuple):
    """The tokens of n passages, one passage after the other: as in :class:`TokenCodes`, with how many tokens, int64 [n], and
    how many sentences, int64 [n], each has."""

    codes: Bytes
    places: Places
    norms: npt.NDArray[np.float16]
    lengths: npt.NDArray[np.int64]
    sentences: npt.NDArray[np.int64]

    def split(self) -> list[TokenCodes]:
        """Each passage's own, sharing memory."""
        ends, last = np.cumsum(self.lengths).tolist(), np.cumsum(self.sentences).tolist()
        bounds = zip([0, *ends], ends, [0, *last], last, strict=False)
        return [TokenCodes(self.codes[a:b], self.places[a:b], self.norms[c:d]) for a, b, c, d in bounds]


class QuestionTokens(NamedTuple):
    """A question's m tokens: ``vectors`` float32 [m, d] of unit length, their ``weights`` float32 [m], which are not negative
    and sum to 1, and the ``pooled`` vector float32 [d]."""

    vectors: Floats
    weights: Floats
    pooled: Floats


class TokenSignals(NamedTuple):
    """What tokens say of n passages. Each is float32; the first two [n], cosines (with signs, so at most about .8).

    ``maxsim``: the weighted mean over question tokens of each one's best passage token, also of the context (Khattab &
    Zaharia 2020, ColBERT, there an unweighted sum). ``sentence``: the cosine of the pooled question with the passage's nearest
    sentence, which is the mean of its tokens. ``met`` [t, m] are the inner products of all their tokens with the question's.
    """

    maxsim: Floats
    sentence: Floats
    met: Floats


def compress(vectors: Floats, offsets: Offsets, text: str) -> TokenCodes:
    """The codes of token vectors float32 [t, d] of a passage; ``offsets`` [t, 2] are characters of ``text``, or -1: context."""
    starts = offsets[:, 0]
    own = np.flatnonzero(starts >= 0)
    begins = np.fromiter((span.start for span in sentences(text)), np.int64)
    sentence = np.searchsorted(begins, starts[own], side="right")
    places = np.where(starts >= 0, starts, _CONTEXT).astype(np.uint16)
    first = np.ones(len(own), dtype=bool)
    first[1:] = sentence[1:] != sentence[:-1]
    places[own[first]] |= _BEGINS
    bits = vectors > 0
    return TokenCodes(np.packbits(bits, axis=1, bitorder="little"), places, _norms(bits[own], np.flatnonzero(first)))


def similarities(codes: Bytes, questions: Floats) -> Floats:
    """Inner products float32 [t, m] of t coded tokens, as vectors of unit length, with ``questions`` float32 [m, d]."""
    if not len(codes):
        return np.empty((0, len(questions)), np.float32)
    bits = codes.shape[1] * 8
    wanted = np.zeros((bits, len(questions)), np.float32)
    wanted[: questions.shape[1]] = _in_steps(questions.T)
    found = np.empty((len(codes), len(questions)), np.float32)
    decoded = np.empty((_BLOCK * codes.shape[1], 8), np.float32)
    for at in range(0, len(codes), _BLOCK):
        block = codes[at : at + _BLOCK].reshape(-1)
        np.take(_SIGNS, block, axis=0, out=decoded[: len(block)], mode="clip")  # "clip" skips the check of bounds
        np.matmul(decoded[: len(block)].reshape(-1, bits), wanted, out=found[at : at + _BLOCK])
    found /= np.float32(np.sqrt(questions.shape[1]))
    return found


def _in_steps(questions: Floats) -> Floats:
    """Vectors of unit length [d, m] in steps so wide (2^-18 for 384 dimensions) that every partial sum of their values, with
    whatever signs, is exact in 32 bits: so a token's product is the same in whatever block, and place of it, it is computed."""
    steps = np.float32(2.0 ** (23 - np.ceil(np.log2(len(questions)) / 2)))
    return np.asarray(np.rint(questions * steps) / steps, np.float32)


def joined(codes: Sequence[bytes], places: Sequence[bytes], norms: Sequence[bytes]) -> TokenBlock:
    """The tokens of passages from their bytes, as the catalog stores them: little-endian."""
    at = np.frombuffer(b"".join(places), "<u2")
    flat = np.frombuffer(b"".join(codes), np.uint8)
    lengths = np.fromiter(map(len, places), np.int64, len(places)) // 2
    count = np.fromiter(map(len, norms), np.int64, len(norms)) // 2
    return TokenBlock(
        flat.reshape(len(at), -1) if len(at) else NO_TOKENS.codes, at, np.frombuffer(b"".join(norms), "<f2"), lengths, count
    )


def signals(question: QuestionTokens, passages: TokenBlock) -> TokenSignals:
    """The token signals of n passages; 0 for one without tokens, and a ``sentence`` of -1 for one without any of its own."""
    there = np.flatnonzero(passages.lengths)
    maxsim, sentence = np.zeros(len(passages.lengths), np.float32), np.zeros(len(passages.lengths), np.float32)
    found = similarities(passages.codes, np.vstack([question.vectors, question.pooled]))
    if len(there):
        firsts = (np.cumsum(passages.lengths) - passages.lengths)[there]
        closest = np.maximum.reduceat(found[:, :-1], firsts).astype(np.float64)
        maxsim[there] = np.einsum("nm,m->n", closest, question.weights.astype(np.float64))
        sentence[there] = _nearest_sentence(found[:, -1], firsts, passages)
    return TokenSignals(maxsim, sentence, found[:, :-1])


def sentence_scores(question: QuestionTokens, passage: TokenCodes, spans: Sequence[Span], met: Floats | None = None) -> Floats:
    """MaxSim within each sentence's own tokens, float32 [s]; 0 for one without. ``spans`` are characters of the passage, and
    cover all of it but white space; ``met`` [t, m] is what is known from :func:`signals`."""
    own = passage.places != _CONTEXT
    scores = np.zeros(len(spans), np.float32)
    if not own.any() or not spans:
        return scores
    found = similarities(passage.codes[own], question.vectors) if met is None else met[own]
    begins = np.fromiter((span.start for span in spans), np.int64, len(spans))
    sentence = np.maximum(np.searchsorted(begins, passage.places[own] & _CONTEXT, side="right") - 1, 0)
    firsts = np.flatnonzero(np.diff(sentence, prepend=-1))  # tokens are in order, so those of a sentence stand together
    scores[sentence[firsts]] = np.maximum.reduceat(found, firsts) @ question.weights
    return scores


def _nearest_sentence(near: Floats, firsts: npt.NDArray[np.int64], passages: TokenBlock) -> Floats:
    """Each passage's greatest cosine of a sentence; ``near`` float32 [t] are its tokens' inner products with the question.

    -1 for a passage without a token of its own.
    """
    begins = passages.places >= _BEGINS
    is_first = np.zeros(len(begins), dtype=bool)
    is_first[firsts] = True
    runs = np.flatnonzero(begins | is_first)  # a run is a sentence, or the context before the first one
    cosines = np.full(len(runs), -1, np.float32)
    sums = np.add.reduceat(near, runs)[begins[runs]]
    cosines[begins[runs]] = sums / passages.norms.astype(np.float32)
    return np.asarray(np.maximum.reduceat(cosines, np.searchsorted(runs, firsts)), np.float32)


def _norms(bits: npt.NDArray[np.bool_], firsts: npt.NDArray[np.int64]) -> npt.NDArray[np.float16]:
    if not len(firsts):
        return np.empty(0, np.float16)
    sums = np.add.reduceat(np.where(bits, 1.0, -1.0), firsts) / np.sqrt(bits.shape[1])
    return np.asarray(np.maximum(np.linalg.norm(sums, axis=1), 1e-3), np.float16)


NO_TOKENS = TokenCodes(np.empty((0, 0), np.uint8), np.empty(0, np.uint16), np.empty(0, np.float16))
# Byte -> its eight signs, float32 [256, 8].
_SIGNS = (2.0 * np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little") - 1).astype(np.float32)
