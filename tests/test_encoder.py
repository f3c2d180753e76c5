from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.encoder import Encoder, PassageInput, TooLongError, batches
from indexer.models import DEFAULT_WEIGHTS, ModelError, fetch, locate
from indexer.runtimes import Batch, Output, Runtime

TEXTS = [
    "The Coalition welcomes Saudi Arabia’s announcement.",
    "😀 naïve café 東京",
    "A longer text. " * 20,
    "x",
]


@pytest.fixture(scope="module")
def exact() -> Encoder:
    """The default model in 32-bit floats."""
    return Encoder.of(runtime="float32")


def test_pooled_vectors_are_those_of_sentence_transformers(exact: Encoder) -> None:
    from sentence_transformers import SentenceTransformer

    expected = SentenceTransformer(str(locate().folder), local_files_only=True).encode(TEXTS, normalize_embeddings=True)
    pooled = exact.passages([PassageInput("", text) for text in TEXTS]).pooled
    np.testing.assert_allclose(pooled, expected, atol=1e-5)


def test_a_batch_gives_each_text_the_vectors_that_it_gets_alone(exact: Encoder) -> None:
    together = exact.passages([PassageInput("A title", text) for text in TEXTS])
    for row, text in enumerate(TEXTS):
        alone = exact.passages([PassageInput("A title", text)])
        np.testing.assert_allclose(together.pooled[row], alone.pooled[0], atol=1e-5)
        np.testing.assert_allclose(together.tokens[row], alone.tokens[0], atol=1e-4)


def test_token_vectors_are_of_unit_length_and_stand_at_their_characters(encoder: Encoder) -> None:
    encoded = encoder.passages([PassageInput("A title\nA heading", text) for text in TEXTS])
    for text, tokens, offsets in zip(TEXTS, encoded.tokens, encoded.offsets, strict=True):
        assert tokens.shape == (len(offsets), encoder.contract.dimension)
        np.testing.assert_allclose(np.linalg.norm(tokens, axis=1), 1, atol=1e-5)
        own = offsets[offsets[:, 0] >= 0]
        words = [(start, end) for start, end in encoder.token_offsets(text) if any(map(str.isalnum, text[start:end]))]
        assert [tuple(pair) for pair in own] == (words or encoder.token_offsets(text))
        assert (offsets[: len(offsets) - len(own)] == -1).all()  # the context comes first, and has no place
    assert [TEXTS[1][start:end] for start, end in encoded.offsets[1] if start >= 0] == ["naïve", "café", "東", "京"]


@pytest.mark.parametrize(
    ("context", "text", "expected"),
    [
        ("", "Stop! 50% (off)", ["Stop", "50", "off"]),
        ("A title: part 2\nA heading", "Stop!", [None] * 6 + ["Stop"]),  # the colon has no vector either
        ("", "?!", ["?", "!"]),
        ("Title", "?!", [None, "?", "!"]),
        ("", "\u200b", [None, None]),  # the special tokens
        ("Title", "\u200b", [None]),
    ],
)
def test_the_context_s_tokens_come_first_without_a_place_and_punctuation_has_none(
    encoder: Encoder, context: str, text: str, expected: list[str | None]
) -> None:
    encoded = encoder.passages([PassageInput(context, text)])
    found = [text[start:end] if start >= 0 else None for start, end in encoded.offsets[0].tolist()]
    assert found == expected
    assert encoded.tokens[0].shape == (len(expected), 384)


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("the lighthouse", 1),
        ("", 1),
        ("1911, 50%!", 1),  # no letters
        ("the xqzvw", 3 / 8),  # the second word is in pieces
        ("маяк the", 3 / 7),  # single letters
        ("東京", 0),  # single characters
        ("𐎀𐎁 the", 3 / 5),  # a script that the vocabulary does not have
    ],
)
def test_the_whole_share_counts_letters_of_words_that_the_vocabulary_has(encoder: Encoder, text: str, share: float) -> None:
    assert encoder.whole_share(text) == pytest.approx(share)


def test_context_changes_the_vectors_but_is_not_part_of_them(encoder: Encoder) -> None:
    bare = encoder.passages([PassageInput("", TEXTS[0])])
    read = encoder.passages([PassageInput("Bananas", TEXTS[0])])
    assert 0.7 < float(bare.pooled[0] @ read.pooled[0]) < 0.9999
    assert len(read.tokens[0]) == len(bare.tokens[0]) + 1
    assert (read.offsets[0][0] == -1).all()
    bananas = encoder.question("Bananas").pooled[0]
    # Were the title pooled too, one token in ten would be the banana and the cosine far higher.
    assert float(bananas @ read.pooled[0]) < 0.4


def test_context_beyond_its_share_is_cut_from_the_outside_in(encoder: Encoder) -> None:
    text = "word " * (encoder.passage_tokens * 2 // 3 - 1)
    long, short = encoder.passages(
        [PassageInput("outer " * 500 + "inner", text), PassageInput("outer " * 400 + "inner", text)]
    ).pooled
    np.testing.assert_allclose(long, short, atol=1e-5)


def test_a_text_that_the_model_cannot_read_whole_is_an_error_not_a_cut(encoder: Encoder) -> None:
    with pytest.raises(TooLongError, match=r"300 tokens and the model reads 254: ask it in fewer words"):
        encoder.question("word " * 300)
    with pytest.raises(TooLongError, match="split it first"):
        encoder.passages([PassageInput("", "word " * 300)])


def test_questions_that_come_together_get_the_vectors_that_they_get_alone(exact: Encoder) -> None:
    questions = [
        "who?",
        "a longer question about the lighthouse at the harbour and its keeper " * 3,
        "why?",
        "when?",
        "x " * 100,
    ]
    texts = exact._texts([PassageInput("", one) for one in questions], "")
    together = exact._encode_questions(texts)
    for question, found in zip(questions, together, strict=True):
        alone = exact.question(question)
        np.testing.assert_allclose(found.pooled, alone.pooled, atol=1e-5)
        np.testing.assert_allclose(found.tokens[0], alone.tokens[0], atol=1e-4)
        assert (found.offsets[0] == alone.offsets[0]).all()


def test_a_question_that_was_asked_before_is_not_encoded_again(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    first = encoder.question("Was this asked before?")
    monkeypatch.setattr(encoder._runtime, "one", None)
    assert encoder.question("Was this asked before?") is first
    with pytest.raises(TypeError):
        encoder.question("And this?")


def test_the_runtime_sees_no_shape_that_it_was_not_warmed_with(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes: list[tuple[int, ...]] = []
    one = type(encoder._runtime).one

    def record(self: Runtime, batch: Batch) -> Output:
        shapes.append(batch.ids.shape)
        return one(self, batch)

    monkeypatch.setattr(type(encoder._runtime), "one", record)
    encoder.warm()
    warmed = set(shapes)
    shapes.clear()
    for words in (1, 3, 14, 15, 30, 61, 62, 63, 100, 200, 250, 254):
        encoder.question(f"word {words} " + "word " * (words - 2))
    texts = encoder._texts([PassageInput("", "word " * count) for count in (1, 5, 20, 250, 100, 7, 90, 254, 14)], "")
    for count in range(1, len(texts) + 1):
        encoder._encode_questions(texts[:count])
    assert len(shapes) > 12
    assert set(shapes) <= warmed


@given(st.lists(st.integers(1, 300), max_size=60), st.integers(1, 2000))
@settings(max_examples=200)
def test_batches_hold_every_text_once_within_the_budget_longest_first(lengths: list[int], budget: int) -> None:
    found = list(batches(lengths, budget))
    assert sorted(i for batch in found for i in batch) == list(range(len(lengths)))
    for batch in found:
        assert len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= budget
    flat = [lengths[i] for batch in found for i in batch]
    assert flat == sorted(flat, reverse=True)


def test_the_contract_names_what_the_vectors_depend_on(encoder: Encoder) -> None:
    contract = encoder.contract
    assert (contract.weights, contract.dimension, contract.pooling) == (DEFAULT_WEIGHTS, 384, "mean")
    assert (contract.question_prefix, contract.passage_prefix, contract.token_limit) == ("", "", 256)


def test_a_model_that_is_not_here_is_an_error_that_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="passages model fetch somebody/some-model"):
        locate("somebody/some-model")


def test_only_safetensors_are_loaded(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickled")
    with pytest.raises(ModelError, match=r"no \*\.safetensors"):
        locate(str(tmp_path))


def test_a_folder_that_is_no_model_is_an_error_not_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(ModelError, match="does not load"):
        Encoder.of(str(tmp_path))


def test_a_fetch_that_fails_says_which_model() -> None:
    with pytest.raises(ModelError, match="could not fetch the model 'somebody/some-model'"):
        fetch("somebody/some-model")


def test_a_context_whose_words_are_cut_in_two_still_fits(encoder: Encoder) -> None:
    for lead in range(1, 8):
        context = "alpha " * 60 + "a" * lead + "schович " + "word " * 81
        encoder.passages([PassageInput(context, "word " * 160)])  # would be a TooLongError


def test_pickled_weights_of_any_module_are_refused(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "2_Dense").mkdir()
    (tmp_path / "2_Dense" / "pytorch_model.bin").write_bytes(b"pickled")
    with pytest.raises(ModelError, match="pickled weights"):
        locate(str(tmp_path))
