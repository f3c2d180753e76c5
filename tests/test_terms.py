"""Text to terms: words of every script, folded and stemmed alike in passages and questions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.languages import FUNCTION_WORDS, SCRIPT_STEMMERS
from indexer.terms import DIVIDER, codes, language_of, term_code, terms


def pieces(text: str, language: str = "english") -> list[str]:
    return [text[term.start : term.end] for term in terms(text, language)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The U.S. paid $1,500 for I-24/7.", ["The", "U", "S", "paid", "1,500", "for", "I", "24", "7"]),
        ("हिन्दी में किताबें", ["हिन्दी", "में", "किताबें"]),
        ("東京タワー", ["東京", "京タ", "タワ", "ワー"]),
        ("水", ["水"]),
        ("서울시", ["서울", "울시"]),
        ("snake_case naïve café", ["snake", "case", "naïve", "café"]),
        ("😀 !", ["😀", "!"]),
    ],
)
def test_words_are_found_in_every_script(text: str, expected: list[str]) -> None:
    assert pieces(text) == expected


@pytest.mark.parametrize(
    ("one", "other", "language"),
    [
        ("ships", "Ship", "english"), ("São", "sao", "english"), ("ﬁnance", "finances", "english"),
        ("1,500", "1500", "english"),
        ("Häuser", "Haus", "german"), ("Straße", "STRASSE", "german"), ("canciones", "canción", "spanish"),
        ("домов", "дома", "english"), ("الكِتاب", "كتاب", "english"), ("ΣΟΦΊΑ", "σοφία", "english"), ("Ё", "е", "english"),
    ],
)  # fmt: skip
def test_forms_of_a_word_share_a_term(one: str, other: str, language: str) -> None:
    assert term_code(one, language) == term_code(other, language)


@pytest.mark.parametrize(("one", "other"), [("ship", "shop"), ("1,500", "1501"), ("東京", "京東"), ("на", "не")])
def test_different_words_have_different_terms(one: str, other: str) -> None:
    assert codes(one, "english").tolist() != codes(other, "english").tolist()


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The boat was sold to a merchant, and it sank in the harbour.", "english"),
        ("Das Boot wurde an einen Händler verkauft und sank im Hafen.", "german"),
        ("El barco fue vendido a un comerciante y se hundió en el puerto.", "spanish"),
        ("Le bateau a été vendu à un marchand et il a coulé dans le port.", "french"),
        ("Корабль был продан.", "english"),
        ("", "english"),
    ],
)
def test_a_language_is_told_by_its_most_frequent_words(text: str, language: str) -> None:
    assert language_of(text) == language


def test_every_language_has_a_stemmer() -> None:
    for language in {*FUNCTION_WORDS, *SCRIPT_STEMMERS.values()}:
        assert term_code("a", language)


@given(st.text(max_size=200))
def test_any_visible_text_has_terms_in_order_within_it(text: str) -> None:
    found = terms(text, "english")
    assert found or not text.strip()
    assert all(0 <= term.start < term.end <= len(text) for term in found)
    assert [term.start for term in found] == sorted(term.start for term in found)
    assert DIVIDER not in codes(text, "english")
