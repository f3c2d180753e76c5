"""Late interaction: codes, MaxSim and sentences against plain computations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.encoder import Encoder, PassageInput
from indexer.sentences import sentences
from indexer.tokens import NO_TOKENS, Floats, QuestionTokens, TokenCodes, compress, sentence_scores, signals, similarities

TEXT = "Ships sail. The harbour 😀 is deep! Who rows?"
NEAR = PassageInput("The harbour", "The ships were built in 1911. Their masts are of oak.")
FAR = PassageInput("A kitchen", "Onions are cut. Then the stock simmers for an hour.")


def decoded(codes: TokenCodes, dimension: int) -> Floats:
    """The coded tokens as vectors of unit length, float32 [t, d]."""
    bits = np.unpackbits(codes.codes, axis=1, bitorder="little")[:, :dimension]
    return np.asarray((2.0 * bits - 1) / np.sqrt(dimension), np.float32)


def question(vectors: Floats, weights: list[float]) -> QuestionTokens:
    return QuestionTokens(vectors, np.array(weights, np.float32), vectors.mean(axis=0))


def coded(encoder: Encoder, one: PassageInput) -> TokenCodes:
    encoded = encoder.passages([one])
    return compress(encoded.tokens[0], encoded.offsets[0], one.text)


@given(st.integers(0, 400), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_similarities_are_inner_products_with_the_signs(tokens: int, questions: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    vectors = random.standard_normal((tokens, 24)).astype(np.float32)
    wanted = random.standard_normal((questions, 24)).astype(np.float32)
    codes = np.packbits(vectors > 0, axis=1, bitorder="little")
    expected = np.where(vectors > 0, 1, -1) / np.sqrt(24) @ wanted.T
    np.testing.assert_allclose(similarities(codes, wanted), expected, atol=1e-5)


def test_a_token_is_its_signs_48_bytes_for_384_dimensions(encoder: Encoder) -> None:
    codes = coded(encoder, NEAR)
    assert codes.codes.shape == (len(codes.places), 48)
    assert codes.codes.nbytes + codes.places.nbytes + codes.norms.nbytes <= 52 * len(codes.places)


def test_places_are_characters_and_mark_where_a_sentence_begins() -> None:
    offsets = np.array([[-1, -1], [0, 5], [6, 10], [12, 15], [16, 23], [26, 28], [35, 38]], np.int32)
    codes = compress(np.ones((7, 8), np.float32), offsets, TEXT)
    begins = codes.places >= 1 << 15
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
        found = signals(tokens, [codes])
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
    together = signals(tokens, [far, NO_TOKENS, near, far])
    alone = signals(tokens, [near])
    assert (together.maxsim[2], together.sentence[2]) == pytest.approx((alone.maxsim[0], alone.sentence[0]), abs=1e-6)
    assert (together.maxsim[1], together.sentence[1]) == (0, 0)
    assert together.maxsim[2] > together.maxsim[0]
    assert signals(tokens, []).maxsim.shape == (0,)


def test_signs_order_passages_as_floats_do(encoder: Encoder) -> None:
    texts = ["The ships were built in 1911.", "The ships were sold.", "Trains were built.", "Onions are cut."]
    asked = encoder.question("When were the ships built?")
    weights = np.full(len(asked.tokens[0]), 1 / len(asked.tokens[0]), np.float32)
    tokens = QuestionTokens(asked.tokens[0], weights, asked.pooled[0])
    encoded = encoder.passages([PassageInput("", text) for text in texts])
    floats = [float((vectors @ tokens.vectors.T).max(axis=0).mean()) for vectors in encoded.tokens]
    signs = signals(tokens, [coded(encoder, PassageInput("", text)) for text in texts]).maxsim
    assert np.argsort(signs).tolist() == np.argsort(floats).tolist()


@pytest.mark.parametrize("text", ["x", "!!!", "\u200b", "😀", "東京", "a" * 3999 + "b"])
def test_any_passage_has_a_token(encoder: Encoder, text: str) -> None:
    codes = coded(encoder, PassageInput("", text))
    assert len(codes.places) >= 1
    tokens = question(np.ones((1, 384), np.float32) / np.sqrt(384).astype(np.float32), [1.0])
    assert np.isfinite(signals(tokens, [codes]).maxsim).all()


def test_a_sentence_scores_by_its_own_tokens_alone(encoder: Encoder) -> None:
    asked = encoder.question("Of what are the masts?")
    tokens = question(asked.tokens[0], [1 / len(asked.tokens[0])] * len(asked.tokens[0]))
    scores = sentence_scores(tokens, coded(encoder, NEAR), sentences(NEAR.text))
    assert scores.shape == (2,)
    assert scores[1] > scores[0] > 0
    assert sentence_scores(tokens, NO_TOKENS, sentences("One. Two.")).tolist() == [0, 0]
