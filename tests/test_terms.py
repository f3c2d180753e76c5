"""Text to terms: words of every script, folded and stemmed alike in passages and questions."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.languages import FUNCTION_WORDS, SCRIPT_STEMMERS
from indexer.terms import DIVIDER, codes, language_of, places, term_code, terms, word_spans


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
        ("ทะเล", ["ทะ", "ะเ", "เล"]),
        ("GPU東京", ["GPU", "東京"]),
        ("العَرَبِيَّة لغة", ["العَرَبِيَّة", "لغة"]),
        ("Москва, Αθήνα", ["Москва", "Αθήνα"]),
        ("cafe\u0301 au lait", ["cafe\u0301", "au", "lait"]),
        ("1.234.567 v2.0 3,5%", ["1.234.567", "v2", "0", "3,5"]),
        ("C++ = €", ["C"]),
        ("€ ± →", ["€", "±", "→"]),
        ("", []),
        (" \n\t", []),
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


@pytest.mark.parametrize(
    ("language", "forms"),
    [
        ("german", "Vertrag Vertrages Verträge Verträgen"),
        ("german", "Haus Hauses Häuser HÄUSERN"),
        ("spanish", "canción canciones cancion"),
        ("spanish", "compraron comprar compraba"),
        ("french", "général générale généraux"),
        ("english", "книга книги книгой книгами"),
        ("english", "كتاب الكتاب كتابها"),
        ("english", "θάλασσα θάλασσας ΘΆΛΑΣΣΑ"),
        ("english", "1,234,567 1.234.567 1234567 １２３４５６７"),
        ("english", "cafés cafe\u0301 CAFE"),
        ("english", "ﬁle file ＦＩＬＥＳ"),
    ],
)
def test_inflected_words_share_a_term(language: str, forms: str) -> None:
    assert len({term_code(form, language) for form in forms.split()}) == 1


@pytest.mark.parametrize("word", ["книгами", "الكتاب", "θάλασσα", "किताबें", "東京", "1,500"])
def test_only_latin_script_goes_by_the_documents_language(word: str) -> None:
    assert len({tuple(codes(word, language).tolist()) for language in FUNCTION_WORDS}) == 1


@pytest.mark.parametrize(("one", "other"), [("3.14", "314"), ("1,50", "150"), ("दिन", "दान"), ("が", "か"), ("€", "$")])
def test_what_means_something_else_has_another_term(one: str, other: str) -> None:
    assert codes(one, "english").tolist() != codes(other, "english").tolist()


def test_a_word_of_a_text_has_the_term_that_it_has_alone() -> None:
    text = "São Paulo, Москва: «Ёлка» الكِتاب हिन्दी Straße 1,500"
    for term in terms(text, "german"):
        assert codes(text[term.start : term.end], "german").tolist() == [term.code]


scripts = st.text(st.sampled_from("aÉß1.,-' \u0301жЁσقَّकि東ーきがกี서€😀"), max_size=40)


@given(st.one_of(scripts, st.text(max_size=60)))
def test_places_are_those_of_the_terms(text: str) -> None:
    assert places(text) == [(term.start, term.end) for term in terms(text, "english")]
    assert len(codes(text, "english")) == len(places(text))


@given(scripts)
def test_the_same_words_in_any_case_have_the_same_terms(text: str) -> None:
    assert codes(text.casefold(), "english").tolist() == codes(text, "english").tolist()


@given(scripts)
def test_words_stand_apart_and_hold_every_letter(text: str) -> None:
    spans = [(start, end) for start, end, _ in word_spans(text)]
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    held = {at for start, end in spans for at in range(start, end)}
    assert all(at in held for at, char in enumerate(text) if char.isalnum())


@given(st.text(st.characters(max_codepoint=127), max_size=60))
def test_plain_text_has_the_terms_that_it_has_among_other_scripts(text: str) -> None:
    """Plain text has an expression of its own; a character of another script behind it goes through the general one."""
    among = text + " é"
    assert terms(among, "english")[:-1] == [term for term in terms(text, "english") if re.search(r"[A-Za-z0-9]", text)]
    assert places(among)[:-1] == (places(text) if re.search(r"[A-Za-z0-9]", text) else [])
