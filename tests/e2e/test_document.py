"""The document view: what was found in a long text, stepped through, with its headings, its pages and its file."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Seen
from tests.e2e.test_page import LINK, QUESTION, SAUDI, delete, put, rewritten

pytestmark = pytest.mark.browser

FOG = "Fog 🌫️ lay on the sound. The keeper 🚢 counted 41 ships in the fog."
MORE = "In March the keeper 🚢 counted 17 ships more."
LOG = "\n\n".join(
    [
        "# The log 🗼",
        "First 😀 words.",
        "## January",
        FOG,
        "## February",
        "Butter was dear, and bread was not.",
        "## March",
        MORE,
    ]
)
COUNT = "How many ships did the keeper count?"


@pytest.fixture
def log(server: str) -> Any:
    put(server, "log 🗼", title="The log 🗼", text=LOG)
    yield "log 🗼"
    delete(server, "log 🗼")


def answering(*passages: str) -> Any:
    """Makes exactly these passages of the log answer, the sentence that counts as evidence."""

    def change(answer: dict[str, Any]) -> None:
        for one in answer["results"]:
            one["verdict"] = "answered" if one["text"] in passages else "nothing"
            if one["text"] in passages:
                sentence = next(part for part in re.split(r"(?<=\.) ", one["text"]) if "counted" in part)
                at, word = LOG.index(sentence), LOG.index("ships", one["start"])
                one["evidence"] = {"start": at, "end": at + len(sentence), "text": sentence}
                one["matches"] = [{"start": word, "end": word + len("ships")}]

    return rewritten(change)


def opened(page: Page, text: str) -> str:
    start = LOG.index(text)
    return f"/document?id={quote('log 🗼')}&start={start}&end={start + len(text)}&q={quote(COUNT)}"


def test_passage_evidence_and_matches_are_marked_apart_at_their_code_points(page: Page, log: str) -> None:
    page.route("**/v1/search", answering(MORE, FOG))
    page.goto(opened(page, FOG))
    current = page.locator("mark")
    expect(current).to_have_text([FOG])
    expect(current.locator(".evidence")).to_have_text(["The keeper 🚢 counted 41 ships in the fog."])
    expect(current.locator(".evidence .match")).to_have_text(["ships"])
    expect(page.locator(".found")).to_have_text([FOG, MORE])


def test_next_and_previous_step_through_the_passages_that_answer_and_round(page: Page, log: str) -> None:
    page.route("**/v1/search", answering(MORE, FOG))
    page.goto(opened(page, FOG))
    current, at = page.locator("mark"), page.locator(".at")
    expect(at).to_have_text("1 of 2")
    page.keyboard.press("n")
    expect(current).to_have_text([MORE])
    expect(current).to_be_focused()
    expect(current).to_be_in_viewport()
    expect(at).to_have_text("2 of 2")
    page.reload()  # the address goes along
    expect(current).to_have_text([MORE])
    page.get_by_role("button", name="Next passage").click()
    expect(current).to_have_text([FOG])
    page.keyboard.press("p")
    expect(current).to_have_text([MORE])


def test_the_server_says_itself_which_passages_of_a_document_answer(page: Page) -> None:
    page.goto(LINK)
    with page.expect_response(lambda one: '"filter":{"id"' in (one.request.post_data or "")) as asked:
        page.locator("passage-result .title").first.click()
    request, results = json.loads(asked.value.request.post_data or ""), asked.value.json()["results"]
    assert request["filter"] == {"id": "daesh-small-group.txt"}
    answering = [one["text"] for one in sorted(results, key=lambda one: one["start"]) if one["verdict"] in ("answered", "weak")]
    assert SAUDI in answering
    expect(page.locator(".found")).to_have_text(answering)
    expect(page.locator("mark .evidence")).to_have_text([SAUDI])


def test_steps_lead_back_to_the_results_as_they_were_left(page: Page) -> None:
    page.goto(LINK)
    page.locator("passage-result .title").first.click()
    expect(page.locator("mark")).to_be_focused()
    page.keyboard.press("n")
    page.keyboard.press("Escape")
    expect(page.locator("passage-result .title").first).to_be_focused()
    expect(page.get_by_role("searchbox").first).to_have_value(QUESTION)


def test_headings_are_listed_and_lead_to_their_places(page: Page, log: str) -> None:
    def change(document: dict[str, Any]) -> None:
        places = [
            (LOG.index(name), name, level)
            for name, level in (("The log 🗼", 1), ("January", 2), ("February", 2), ("March\n", 2))
        ]
        document["headings"] = [[start, start + len(name.strip()), level] for start, name, level in places]

    page.route("**/v1/documents/**", rewritten(change))
    page.goto(f"/document?id={quote(log)}")
    outline = page.locator(".outline")
    expect(outline.get_by_role("button")).to_have_count(0)  # closed: it is no clutter
    outline.get_by_text("Contents (4 headings)").click()
    expect(outline.get_by_role("button")).to_have_text(["The log 🗼", "January", "February", "March"])
    outline.get_by_role("button", name="March").click()
    expect(page.get_by_role("heading", name="March")).to_be_focused()
    expect(page.get_by_role("heading", name="March")).to_be_in_viewport()


def test_a_text_without_headings_has_no_outline_and_no_steps_without_a_question(page: Page) -> None:
    page.goto("/document?id=daesh-small-group.txt")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.locator(".outline, .steps").locator("visible=true")).to_have_count(0)


def test_the_file_can_be_opened_and_a_pdf_at_the_page_of_the_passage(page: Page, log: str) -> None:
    page.goto("/document?id=daesh-small-group.txt")
    link = page.get_by_role("link", name="Open daesh-small-group.txt", exact=True)
    response = page.request.get(f"{page.url.partition('/document')[0]}{link.get_attribute('href')}")
    assert (response.status, response.headers["content-type"]) == (200, "text/plain; charset=utf-8")

    def change(document: dict[str, Any]) -> None:
        document |= {"pages": [0, LOG.index("## January"), LOG.index("## March")]}
        document["original"] = {"name": "The log.pdf", "bytes": 1234567, "shown": True}

    page.route("**/v1/documents/**", rewritten(change))
    page.route("**/v1/search", answering(MORE, FOG))
    page.goto(opened(page, FOG))
    link = page.locator(".original a")
    expect(page.locator(".original")).to_have_text("Open The log.pdf at page 2 1.2 MB")
    expect(link).to_have_attribute("href", f"/v1/originals/{quote('log 🗼')}#page=2")
    page.keyboard.press("n")
    expect(link).to_have_attribute("href", f"/v1/originals/{quote('log 🗼')}#page=3")
    expect(page.locator(".facts")).to_contain_text("3 of 3")


def test_what_came_from_no_file_offers_none(page: Page, log: str) -> None:
    page.goto(f"/document?id={quote(log)}")
    expect(page.get_by_role("heading", level=1)).to_have_text("The log 🗼")
    expect(page.locator(".original")).to_be_hidden()


@pytest.mark.parametrize("paragraph", [60, 5_000_000])
def test_a_text_of_five_million_characters_opens_at_its_passage(page: Page, log: str, paragraph: int) -> None:
    """In paragraphs, and in one. It is a text that no window lays out whole."""
    line = "The tide turned at four o'clock. "
    whole = (line * (paragraph // len(line) + 1) + "\n\n") * (5_000_000 // paragraph)
    start = whole.index(line, 3_000_000)

    def change(document: dict[str, Any]) -> None:
        document["text"] = whole

    page.route("**/v1/documents/**", rewritten(change))
    page.goto(f"/document?id={quote(log)}&start={start}&end={start + len(line) - 1}")
    expect(page.locator("mark")).to_have_text([line.strip()], timeout=20_000)
    expect(page.locator("mark")).to_be_in_viewport()
    assert page.locator(".text").evaluate("one => one.textContent.length") > 4_000_000


def test_the_text_is_shown_also_if_the_question_cannot_be_asked(page: Page, log: str, seen: Seen) -> None:
    page.route("**/v1/search", lambda route: route.fulfill(status=503, json={"detail": "busy"}))
    page.goto(opened(page, FOG))
    expect(page.locator("mark")).to_have_text([FOG])
    seen.forgive("status of 503")


def test_a_document_that_is_opened_for_a_question_alone_shows_what_answers_best(page: Page, log: str) -> None:
    """As from "Also in": there are steps to it too, to come back after reading on."""
    page.route("**/v1/search", answering(MORE))
    page.goto(f"/document?id={quote(log)}&q={quote(COUNT)}")
    expect(page.locator("mark")).to_have_text([MORE])
    expect(page.locator("mark")).to_be_focused()
    page.get_by_role("heading", level=1).evaluate("one => { scrollTo(0, 0); document.activeElement.blur(); }")
    page.keyboard.press("n")
    expect(page.locator("mark")).to_be_focused()


def test_places_behind_the_end_are_counted_in_code_points(page: Page, log: str, seen: Seen) -> None:
    end = len(LOG)  # the emoji make it longer in UTF-16
    page.goto(f"/document?id={quote(log)}&passage=gone&start={end}&end={end + 1}")
    expect(page.get_by_role("status")).to_have_text(re.compile("changed since it was found, and nothing stands in its place"))
    expect(page.locator("mark")).to_have_count(0)
    seen.forgive("status of 404")


def test_an_address_without_a_document_says_so(page: Page, seen: Seen) -> None:
    page.goto("/document")
    expect(page.get_by_role("status")).to_contain_text("This address names no document.")
    seen.forgive("status of 404")
