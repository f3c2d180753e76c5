"""Judging what was found, and the list of what was judged, as a person does it. In every test the console stays empty."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.e2e.conftest import Seen
from tests.e2e.test_page import LINK, QUESTION, SAUDI

pytestmark = pytest.mark.browser

ANSWERS, NOTHING = "This answers it", "Nothing here answers"
LIST = """async () => {
  await import("/web/judged.js");
  const style = Object.assign(document.createElement("link"), { rel: "stylesheet", href: "/web/feedback.css" });
  document.head.append(style);
  document.querySelector("main").replaceChildren(document.createElement("judged-questions"));
}"""


@pytest.fixture(autouse=True)
def _forgotten(server: str) -> Iterator[None]:
    """The server is the session's: what was judged goes again."""
    yield
    httpx.delete(f"{server}/v1/feedback").raise_for_status()


def kept(server: str) -> list[Any]:
    found: list[Any] = httpx.get(f"{server}/v1/feedback").raise_for_status().json()["judgements"]
    return found


def first(page: Page) -> Locator:
    """The button beside the first passage."""
    return page.locator("passage-result").first.get_by_role("button", name=ANSWERS)


def test_nothing_is_stored_unless_a_person_presses(page: Page, server: str) -> None:
    page.goto(LINK)
    expect(first(page)).to_have_attribute("aria-pressed", "false")
    expect(page.get_by_role("button", name=NOTHING)).to_have_attribute("aria-pressed", "false")
    assert kept(server) == []


def test_what_was_said_before_is_asked_for_once_for_what_is_shown(page: Page) -> None:
    """Not by each of the passages, nor when more of them come."""
    told: list[Any] = []
    page.on("request", lambda one: told.append(one.post_data_json) if one.url.endswith("/about") else None)
    page.goto("/")
    page.get_by_role("searchbox").press_sequentially(QUESTION, delay=5)
    expect(page.locator(".passage").first).to_have_text(SAUDI)
    page.wait_for_timeout(300)
    assert told == [{"question": QUESTION, "filter": {}}]


def test_a_passage_that_answers_is_kept_with_its_sentence_shown_on_return_and_taken_back(page: Page, server: str) -> None:
    page.goto(LINK)
    first(page).focus()
    before = first(page).bounding_box()
    page.keyboard.press("Enter")  # as everything else, by the keyboard too
    expect(first(page)).to_have_attribute("aria-pressed", "true")
    note = page.locator("passage-result").first.locator(".note")
    expect(note).to_have_text("Kept on this server with your question, to measure the search. Press again to take it back.")
    expect(note).to_have_attribute("aria-live", "polite")  # a screen reader says it
    after = first(page).bounding_box()
    assert before is not None
    assert after is not None
    assert abs(before["y"] - after["y"]) < 1  # what is said moves no button
    (one,) = kept(server)
    assert (one["question"], one["verdict"]) == (QUESTION, "answers")
    assert (one["passage"]["text"], one["passage"]["evidence"]["text"]) == (SAUDI, SAUDI)

    page.get_by_role("link", name="Small Group of the Global Coalition").first.click()
    expect(page.locator("mark")).to_be_visible()
    page.keyboard.press("Escape")
    expect(first(page)).to_have_attribute("aria-pressed", "true")
    second = page.locator("passage-result").nth(1).get_by_role("button", name=ANSWERS)
    expect(second).to_have_attribute("aria-pressed", "false")

    first(page).click()
    expect(first(page)).to_have_attribute("aria-pressed", "false")
    expect(note).to_have_text("Taken back.")
    assert kept(server) == []


def test_that_nothing_answers_ends_what_was_said_to_answer_and_the_other_way_round(page: Page, server: str) -> None:
    page.goto(LINK)
    nothing = page.get_by_role("button", name=NOTHING)
    first(page).click()
    expect(first(page)).to_have_attribute("aria-pressed", "true")
    nothing.click()
    expect(nothing).to_have_attribute("aria-pressed", "true")
    expect(first(page)).to_have_attribute("aria-pressed", "false")
    assert [(one["verdict"], one["passage"]) for one in kept(server)] == [("nothing", None)]
    first(page).click()
    expect(nothing).to_have_attribute("aria-pressed", "false")
    assert [one["verdict"] for one in kept(server)] == ["answers"]


def test_what_could_not_be_kept_is_told_beside_the_button(page: Page, seen: Seen, server: str) -> None:
    def refuse(route: Route) -> None:
        route.fulfill(status=507, content_type="application/problem+json", body='{"detail": "the file is full"}')

    page.route("**/v1/feedback", refuse)
    page.goto(LINK)
    first(page).click()
    expect(page.locator(".note.wrong")).to_have_text("Not kept: the file is full")
    expect(first(page)).to_have_attribute("aria-pressed", "false")
    seen.forgive("507")
    assert kept(server) == []


def test_the_list_shows_what_was_judged_exports_and_deletes(page: Page, server: str) -> None:
    page.goto(LINK)
    first(page).click()
    expect(first(page)).to_have_attribute("aria-pressed", "true")
    httpx.post(f"{server}/v1/feedback", json={"question": "Who won?", "passage": None, "verdict": "nothing"}).raise_for_status()
    page.evaluate(LIST)
    items = page.locator("judged-questions li")
    expect(items).to_have_count(2)
    expect(items.first).to_contain_text("Nothing in this collection answers it")
    expect(items.nth(1)).to_contain_text(SAUDI[:100])
    with page.expect_download() as download:
        page.get_by_role("link", name="Export as JSON").click()
    assert download.value.suggested_filename == "judged-questions.json"
    page.get_by_role("button", name="Delete: Who won?").click()
    expect(items).to_have_count(1)
    assert [one["question"] for one in kept(server)] == [QUESTION]
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete all").click()
    expect(page.get_by_text("No question was judged yet.")).to_be_visible()
    assert kept(server) == []
