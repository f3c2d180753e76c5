"""Late interaction: codes, MaxSim and sentences against plain computations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.encoder import Encoder, PassageInput
from indexer.passages import PASSAGE_CHARS
from indexer.sentences import sentences
from indexer.tokens import (
    NO_TOKENS,
    Floats,
    QuestionTokens,
    TokenBlock,
    TokenCodes,
    compress,
    joined,
    sentence_scores,
    signals,
    similarities,
)

BEGINS, CONTEXT = 1 << 15, (1 << 15) - 1  # a sentence begins with the token; the token has no place
ODD = 20  # dimensions: not a whole number of bytes

TEXT = "Ships sail. The harbour 😀 is deep! Who rows?"
NEAR = PassageInput("The harbour", "The ships were built in 1911. Their masts are of oak.")
FAR = PassageInput("A kitchen", "Onions are cut. Then the stock simmers for an hour.")


def decoded(codes: TokenCodes, dimension: int) -> Floats:
    """The coded tokens as vectors of unit length, float32 [t, d]."""
    bits = np.unpackbits(codes.codes, axis=1, bitorder="little")[:, :dimension]
    return np.asarray((2.0 * bits - 1) / np.sqrt(dimension), np.float32)


def block(passages: Sequence[TokenCodes]) -> TokenBlock:
    """Passages as the catalog gives them: from bytes, in one block."""
    made = joined(
        [one.codes.tobytes() for one in passages], [one.places.tobytes() for one in passages],
        [one.norms.tobytes() for one in passages],
    )  # fmt: skip
    for one, again in zip(passages, made.split(), strict=True):
        assert [part.tobytes() for part in one] == [part.tobytes() for part in again]
    return made


def question(vectors: Floats, weights: list[float]) -> QuestionTokens:
    return QuestionTokens(vectors, np.array(weights, np.float32), vectors.mean(axis=0))


def coded(encoder: Encoder, one: PassageInput) -> TokenCodes:
    encoded = encoder.passages([one])
    return compress(encoded.tokens[0], encoded.offsets[0], one.text)


class Sample(NamedTuple):
    """A passage of random tokens: some of the context, then some in each sentence."""

    context: int
    sentences: list[int]

    @property
    def text(self) -> str:
        return "".join("Ab " * count + "So. " for count in self.sentences)

    def vectors(self, random: np.random.Generator) -> Floats:
        return random.standard_normal((self.context + sum(self.sentences), ODD)).astype(np.float32)

    def coded(self, vectors: Floats) -> TokenCodes:
        sizes = [3 * count + 4 for count in self.sentences]  # characters of a sentence and the space behind it
        offsets = [(-1, -1)] * self.context
        for sentence, count in enumerate(self.sentences):
            start = sum(sizes[:sentence])
            offsets += [(start + 3 * number, start + 3 * number + 2) for number in range(count)]
        return compress(vectors, np.array(offsets, np.int32).reshape(-1, 2), self.text)

    def expected(self, vectors: Floats, asked: QuestionTokens) -> tuple[float, float]:
        """MaxSim and the nearest sentence's cosine, one number after the other."""
        signs = [[(1.0 if value > 0 else -1.0) / ODD**0.5 for value in vector] for vector in vectors]
        if not signs:
            return 0, 0
        best = [max(float(np.dot(sign, vector)) for sign in signs) for vector in asked.vectors]
        cosines, at = [-1.0], self.context
        for count in self.sentences:
            if count:
                mean = np.sum(signs[at : at + count], axis=0)
                cosines.append(float(mean @ asked.pooled) / (float(np.linalg.norm(mean)) or 1))
            at += count
        return sum(one * float(weight) for one, weight in zip(best, asked.weights, strict=True)), max(cosines)


SAMPLES = st.builds(Sample, st.integers(0, 2), st.lists(st.integers(0, 3), max_size=3))
SEEDS = st.integers(0, 2**32 - 1)


def random_question(random: np.random.Generator) -> QuestionTokens:
    vectors = random.standard_normal((4, ODD))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return QuestionTokens(vectors[:3].astype(np.float32), np.array([0.5, 0.5, 0], np.float32), vectors[3].astype(np.float32))


@given(st.integers(0, 400), st.integers(1, 4), st.sampled_from([8, ODD, 24]), SEEDS)
@settings(deadline=None)
def test_similarities_are_inner_products_with_the_signs(tokens: int, questions: int, dimension: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    vectors = random.standard_normal((tokens, dimension)).astype(np.float32)
    wanted = random.standard_normal((questions, dimension)).astype(np.float32)
    codes = np.packbits(vectors > 0, axis=1, bitorder="little")
    expected = np.where(vectors > 0, 1, -1) / np.sqrt(dimension) @ wanted.T
    np.testing.assert_allclose(similarities(codes, wanted), expected, atol=1e-5)


@given(st.lists(SAMPLES, max_size=5), SEEDS)
@settings(deadline=None)
def test_signals_of_any_passages_equal_one_plain_computation_each(samples: list[Sample], seed: int) -> None:
    random = np.random.default_rng(seed)
    asked = random_question(random)
    vectors = [sample.vectors(random) for sample in samples]
    found = signals(asked, block([sample.coded(some) for sample, some in zip(samples, vectors, strict=True)]))
    expected = [sample.expected(some, asked) for sample, some in zip(samples, vectors, strict=True)]
    np.testing.assert_allclose(found.maxsim, [maxsim for maxsim, _ in expected], atol=1e-5)
    np.testing.assert_allclose(found.sentence, [sentence for _, sentence in expected], atol=2e-3)  # the norm is a 16-bit float


def test_only_the_context_is_met_but_is_no_sentence() -> None:
    right, left = np.array([[1] * 8, [-1] * 8], np.float32) / np.sqrt(8).astype(np.float32)
    context = compress(right[None], np.array([[-1, -1]], np.int32), "")
    one_token = compress(left[None], np.array([[0, 1]], np.int32), "x")
    found = signals(QuestionTokens(right[None], np.ones(1, np.float32), right), block([context, NO_TOKENS, one_token]))
    assert found.maxsim.tolist() == pytest.approx([1, 0, -1], abs=1e-6)
    assert found.sentence.tolist() == pytest.approx([-1, 0, -1], abs=1e-3)


@given(SAMPLES, SEEDS)
@settings(deadline=None)
def test_a_sentence_s_score_is_the_maxsim_of_its_tokens_without_the_context(sample: Sample, seed: int) -> None:
    random = np.random.default_rng(seed)
    asked = random_question(random)
    vectors = sample.vectors(random)
    spans = sentences(sample.text)
    assert len(spans) == len(sample.sentences)
    found = sentence_scores(asked, sample.coded(vectors), spans)
    own = np.split(vectors[sample.context :], np.cumsum(sample.sentences)[:-1]) if sample.sentences else []
    expected = [Sample(0, [len(some)]).expected(some, asked)[0] for some in own]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_token_is_its_signs_48_bytes_for_384_dimensions(encoder: Encoder) -> None:
    codes = coded(encoder, NEAR)
    (vectors,) = encoder.passages([NEAR]).tokens
    assert codes.codes.shape == (len(vectors), 48)
    assert (decoded(codes, 384) > 0).tolist() == (vectors > 0).tolist()
    assert codes.codes.nbytes + codes.places.nbytes + codes.norms.nbytes <= 52 * len(codes.places)


def test_places_are_characters_and_mark_where_a_sentence_begins() -> None:
    offsets = np.array([[-1, -1], [0, 5], [6, 10], [12, 15], [16, 23], [26, 28], [35, 38]], np.int32)
    codes = compress(np.ones((7, 8), np.float32), offsets, TEXT)
    begins = codes.places >= BEGINS
    assert int(codes.places[0]) == CONTEXT
    assert begins.tolist() == [False, True, False, True, False, False, True]
    assert (codes.places[1:] & 0x7FFF).tolist() == [0, 6, 12, 16, 26, 35]
    assert len(codes.norms) == 3
    np.testing.assert_allclose(codes.norms, [2, 3, 1], rtol=1e-3)  # equal unit vectors add up


def test_signals_equal_a_plain_computation(encoder: Encoder) -> None:
    asked = encoder.question("Who built the ships?")
    weights = np.arange(1, len(asked.tokens[0]) + 1, dtype=np.float32)
    tokens = QuestionTokens(asked.tokens[0], weights / weights.sum(), asked.pooled[0])
    for one in (NEAR, FAR):
        codes = coded(encoder, one)
        vectors = decoded(codes, 384)
        found = signals(tokens, block([codes]))
        maxsim = float((vectors @ tokens.vectors.T).max(axis=0) @ tokens.weights)
        assert found.maxsim[0] == pytest.approx(maxsim, abs=1e-5)
        starts = encoder.passages([one]).offsets[0][:, 0]
        means = [vectors[(starts >= span.start) & (starts < span.end)].sum(axis=0) for span in sentences(one.text)]
        cosines = [float(mean @ tokens.pooled / np.linalg.norm(mean)) for mean in means]
        assert found.sentence[0] == pytest.approx(max(cosines), abs=2e-3)  # the norm is a 16-bit float


def test_signals_do_not_depend_on_the_other_passages(encoder: Encoder) -> None:
    asked = encoder.question("Who built the ships?")
    tokens = question(asked.tokens[0], [1 / len(asked.tokens[0])] * len(asked.tokens[0]))
    near, far = coded(encoder, NEAR), coded(encoder, FAR)
    together = signals(tokens, block([far, NO_TOKENS, near, far]))
    alone = signals(tokens, block([near]))
    assert (together.maxsim[2], together.sentence[2]) == pytest.approx((alone.maxsim[0], alone.sentence[0]), abs=1e-6)
    assert (together.maxsim[1], together.sentence[1]) == (0, 0)
    assert together.maxsim[2] > together.maxsim[0]
    assert signals(tokens, block([])).maxsim.shape == (0,)


def test_signs_order_passages_as_floats_do(encoder: Encoder) -> None:
    texts = ["The ships were built in 1911.", "The ships were sold.", "Trains were built.", "Onions are cut."]
    asked = encoder.question("When were the ships built?")
    weights = np.full(len(asked.tokens[0]), 1 / len(asked.tokens[0]), np.float32)
    tokens = QuestionTokens(asked.tokens[0], weights, asked.pooled[0])
    encoded = encoder.passages([PassageInput("", text) for text in texts])
    floats = [float((vectors @ tokens.vectors.T).max(axis=0).mean()) for vectors in encoded.tokens]
    signs = signals(tokens, block([coded(encoder, PassageInput("", text)) for text in texts])).maxsim
    assert np.argsort(signs).tolist() == np.argsort(floats).tolist()


@pytest.mark.parametrize(
    ("asked", "texts"),
    [
        (
            "How long does the soup cook?",
            ["The stock simmers for an hour.", "Soup is eaten hot.", "A train takes an hour.", "Oak."],
        ),
        ("Who painted it?", ["It was painted by Vermeer.", "The painter is not known.", "Paint dries slowly.", "Ships sail."]),
    ],
)
def test_a_few_real_texts_are_in_the_same_order_by_signs_as_by_floats(encoder: Encoder, asked: str, texts: list[str]) -> None:
    found = encoder.question(asked)
    tokens = question(found.tokens[0], [1 / len(found.tokens[0])] * len(found.tokens[0]))
    floats = [float((vectors @ tokens.vectors.T).max(axis=0).mean()) for vectors in encoder.passages(bare(texts)).tokens]
    signs = signals(tokens, block([coded(encoder, one) for one in bare(texts)])).maxsim
    assert np.argsort(signs).tolist() == np.argsort(floats).tolist()
    assert np.corrcoef(signs, floats)[0, 1] > 0.95


def bare(texts: list[str]) -> list[PassageInput]:
    return [PassageInput("", text) for text in texts]


@pytest.mark.parametrize(
    ("context", "text", "places"),
    [
        ("", "x", [BEGINS]),
        ("", "One. Two.", [BEGINS, BEGINS + 5]),
        ("A title", "One?", [CONTEXT, CONTEXT, BEGINS]),
        ("", "!?", [BEGINS, 1]),  # of signs alone, they are all there is
        ("A title", "!?", [CONTEXT, CONTEXT, BEGINS, 1]),
        ("", "\u200b", [CONTEXT, CONTEXT]),  # the tokenizer sees nothing, so the special tokens stand for it
        ("A title", "\u200b", [CONTEXT, CONTEXT]),
        ("", "😀 東京。京", [BEGINS + 2, 3, BEGINS + 5]),
        ("", " " * (PASSAGE_CHARS - 1) + "x", [BEGINS + PASSAGE_CHARS - 1]),
        ("", "a" * PASSAGE_CHARS, [BEGINS]),
    ],
)
def test_any_passage_has_tokens_at_their_characters(encoder: Encoder, context: str, text: str, places: list[int]) -> None:
    codes = coded(encoder, PassageInput(context, text))
    assert codes.places.tolist() == places
    assert len(codes.codes) == len(places)
    assert len(codes.norms) == sum(place >= BEGINS for place in places)


def test_a_sentence_scores_by_its_own_tokens_alone(encoder: Encoder) -> None:
    asked = encoder.question("Of what are the masts?")
    tokens = question(asked.tokens[0], [1 / len(asked.tokens[0])] * len(asked.tokens[0]))
    scores = sentence_scores(tokens, coded(encoder, NEAR), sentences(NEAR.text))
    assert scores.shape == (2,)
    assert scores[1] > scores[0] > 0
    assert sentence_scores(tokens, NO_TOKENS, sentences("One. Two.")).tolist() == [0, 0]
