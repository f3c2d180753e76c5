"""The reader's own questions: kept by the browser alone, and only if wanted."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.test_page import QUESTION, SAUDI, ask

pytestmark = pytest.mark.browser

OTHER = "Which organisation screens returnees?"


def test_own_questions_are_offered_again_latest_first(page: Page) -> None:
    page.goto("/")
    for question in (QUESTION, OTHER, QUESTION):
        ask(page, question)
        expect(page.locator("passage-result").first).to_be_visible()
    page.goto("/")
    links = page.locator("own-questions a")
    expect(links).to_have_text([QUESTION, OTHER])
    links.first.click()
    expect(page.locator(".passage").first).to_have_text(SAUDI)


def test_what_was_only_typed_is_not_kept_but_what_led_to_a_document_is(page: Page) -> None:
    page.goto("/")
    box = page.get_by_role("searchbox")
    box.fill("Who will host the")
    expect(page.locator("passage-result").first).to_be_visible()
    box.fill("")
    expect(page.locator("own-questions")).to_be_visible()
    expect(page.locator("own-questions a")).to_have_count(0)
    box.fill(QUESTION)
    page.locator("passage-result .title").first.click()
    expect(page.locator("mark").first).to_be_visible()
    page.goto("/")
    expect(page.locator("own-questions a")).to_have_text([QUESTION])


def test_they_can_be_forgotten_and_not_be_kept_at_all(page: Page) -> None:
    page.goto("/")
    ask(page, QUESTION)
    expect(page.locator("passage-result").first).to_be_visible()
    page.goto("/")
    page.get_by_role("button", name="Forget them").click()
    expect(page.locator("own-questions a")).to_have_count(0)
    assert page.evaluate("localStorage.length") == 0
    page.get_by_label("Keep my questions in this browser").uncheck()
    ask(page, QUESTION)
    expect(page.locator("passage-result").first).to_be_visible()
    page.goto("/")
    expect(page.get_by_label("Keep my questions in this browser")).not_to_be_checked()
    expect(page.locator("own-questions a")).to_have_count(0)
    assert page.evaluate("JSON.stringify(localStorage)") == '{"questions-off":"true"}'


def test_they_are_never_sent(page: Page) -> None:
    page.goto("/")
    ask(page, "an earlier question of mine")
    expect(page.locator("passage-result").first).to_be_visible()
    sent: list[str] = []
    page.on("request", lambda request: sent.append(f"{request.url} {request.post_data} {request.headers}"))
    page.goto("/")
    expect(page.locator("own-questions a")).to_have_count(1)
    ask(page, QUESTION)
    expect(page.locator(".passage").first).to_have_text(SAUDI)
    assert len(sent) > 5
    assert [one for one in sent if "earlier" in one] == []


@pytest.mark.parametrize("stored", ["{", '{"a": 1}', '[1, null, "kept"]'])
def test_a_store_that_another_program_wrote_does_no_harm(page: Page, stored: str) -> None:
    page.goto("/")
    page.evaluate("(stored) => localStorage.setItem('questions', stored)", stored)
    page.goto("/")
    expect(page.get_by_label("Keep my questions in this browser")).to_be_visible()
    expect(page.locator("own-questions a")).to_have_text(["kept"] if "kept" in stored else [])
