"""Results as one types, and what that leaves in the address and the history."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, Request, Route, expect

from tests.e2e.test_page import QUESTION, SAUDI, ask, body

pytestmark = pytest.mark.browser

INTERPOL = "Which organisation screens returnees?"
LONGER_THAN_A_PAUSE = 450  # milliseconds


def questions(page: Page) -> list[str]:
    """What the page asks from now on."""
    asked: list[str] = []

    def note(request: Request) -> None:
        if request.url.endswith("/v1/search"):
            asked.append(body(request)["question"])

    page.on("request", note)
    return asked


def test_a_pause_is_enough_to_be_answered(page: Page) -> None:
    page.goto("/")
    asked = questions(page)
    page.get_by_role("searchbox").press_sequentially(QUESTION, delay=5)
    expect(page.locator(".passage").first).to_have_text(SAUDI)
    assert asked == [QUESTION]
    expect(page.get_by_role("searchbox")).to_be_focused()


def test_enter_does_not_wait_for_the_pause(page: Page) -> None:
    page.goto("/")
    page.clock.install()  # the pause never ends
    asked = questions(page)
    ask(page, QUESTION)
    expect(page.locator(".passage").first).to_have_text(SAUDI)
    assert asked == [QUESTION]


def test_a_letter_alone_asks_nothing_but_a_character_of_a_word_does(page: Page) -> None:
    page.goto("/")
    asked = questions(page)
    page.get_by_role("searchbox").fill("wh")
    page.wait_for_timeout(LONGER_THAN_A_PAUSE)
    with page.expect_request("**/v1/search"):
        page.get_by_role("searchbox").fill("船")
    assert asked == ["船"]


def test_nothing_is_asked_while_a_character_is_being_composed(page: Page) -> None:
    page.goto("/")
    asked = questions(page)
    keyboard = page.context.new_cdp_session(page)
    for text in ("f", "fu", "fun", "ふね"):
        keyboard.send("Input.imeSetComposition", {"text": text, "selectionStart": len(text), "selectionEnd": len(text)})
    page.wait_for_timeout(LONGER_THAN_A_PAUSE)
    expect(page.get_by_role("searchbox")).to_have_value("ふね")
    assert asked == []
    with page.expect_request("**/v1/search"):
        keyboard.send("Input.insertText", {"text": "船"})
    assert asked == ["船"]


def test_back_leads_from_question_to_question_not_from_letter_to_letter(page: Page) -> None:
    page.goto("/")
    box, first = page.get_by_role("searchbox"), page.locator(".passage").first
    for words in ("Who will host", "Who will host the next", QUESTION):
        with page.expect_response("**/v1/search"):
            box.fill(words)
    expect(first).to_have_text(SAUDI)
    page.keyboard.press("Enter")
    with page.expect_response("**/v1/search"):
        box.fill(INTERPOL)
    expect(page).to_have_url("/?q=Which+organisation+screens+returnees%3F")
    page.go_back()
    expect(box).to_have_value(QUESTION)
    expect(first).to_have_text(SAUDI)
    page.go_back()
    expect(box).to_have_value("")
    expect(page.get_by_text("This collection holds")).to_be_visible()


def test_an_answer_that_was_overtaken_is_never_shown(page: Page) -> None:
    page.goto("/")
    held: list[Route] = []
    page.route("**/v1/search", lambda route: held.append(route) if not held else route.continue_())
    box = page.get_by_role("searchbox")
    box.fill(INTERPOL)
    with page.expect_response("**/v1/search"):
        page.wait_for_timeout(LONGER_THAN_A_PAUSE)
        box.fill(QUESTION)
    held[0].abort()  # the page has let go of it
    expect(page.locator(".passage").first).to_have_text(SAUDI)


def test_an_emptied_box_shows_what_the_collection_holds(page: Page) -> None:
    page.goto("/")
    ask(page, QUESTION)
    expect(page.locator(".passage").first).to_have_text(SAUDI)
    page.get_by_role("searchbox").fill("")
    expect(page.get_by_text("This collection holds")).to_be_visible()
    expect(page.locator("passage-result")).to_have_count(0)
    expect(page).to_have_url("/")


def test_results_stay_where_they_are_while_the_next_are_awaited(page: Page) -> None:
    page.goto("/")
    ask(page, QUESTION)
    first = page.locator("passage-result").first
    expect(first).to_be_visible()
    before = first.bounding_box()
    held: list[Route] = []
    page.route("**/v1/search", lambda route: held.append(route))  # noqa: PLW0108  # Playwright marks what it is given
    page.get_by_role("searchbox").fill(INTERPOL)
    expect(page.locator("search-page")).to_have_attribute("aria-busy", "true")
    assert first.bounding_box() == before
    held[0].continue_()
    expect(page.locator(".passage").first).to_contain_text("INTERPOL")
    after = page.locator("passage-result").first.bounding_box()
    assert before is not None
    assert after is not None
    assert (after["x"], after["y"]) == (before["x"], before["y"])
