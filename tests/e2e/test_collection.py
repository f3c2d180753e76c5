"""The collection's page: what is indexed, what failed, adding and deleting, and what others commit meanwhile."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from tests.e2e.conftest import Seen
from tests.e2e.test_page import delete, put, rewritten

pytestmark = pytest.mark.browser

TITLE = "Small Group of the Global Coalition to Defeat Daesh"
FAILURE = {"path": "/archive/scan.pdf", "record": "", "reason": "has no text layer (a scan?); run OCR first"}


@pytest.fixture
def opened(page: Page) -> Page:
    """The page, when it shows the list."""
    page.goto("/collection")
    expect(page.get_by_role("link", name=TITLE)).to_be_visible()
    return page


@pytest.fixture
def tidy(server: str) -> Iterator[None]:
    """What a test adds is gone after it."""
    before = {one["id"] for one in httpx.get(f"{server}/v1/documents?limit=100").json()["documents"]}
    yield
    for one in httpx.get(f"{server}/v1/documents?limit=100").json()["documents"]:
        if one["id"] not in before:
            delete(server, one["id"])


def files(**contents: str) -> list[Any]:
    return [
        {"name": name.replace("__", "."), "mimeType": "text/plain", "buffer": text.encode()} for name, text in contents.items()
    ]


def test_it_tells_what_is_indexed_with_what_and_when(opened: Page, server: str) -> None:
    status = httpx.get(f"{server}/v1/status").json()
    expect(opened.locator(".holdings")).to_contain_text(
        re.compile(rf"^{status['documents']} documents?, {status['passages']} passages, [\d,]+ characters\.$")
    )
    facts = opened.locator(".facts")
    expect(facts).to_contain_text(f"commit {status['generation']}")
    expect(facts).to_contain_text("all-MiniLM-L6-v2")
    expect(facts.locator("time")).to_have_attribute("datetime", status["last_commit"])
    expect(opened.get_by_text("could not be read")).to_be_hidden()  # all of seeds/ was


def test_what_could_not_be_read_is_shown_with_its_reason(page: Page) -> None:
    page.route(
        "**/v1/failures*", rewritten(lambda body: body.update(count=102, failures=[FAILURE, FAILURE | {"record": "line 3"}]))
    )
    page.goto("/collection")
    page.get_by_text("102 files or records could not be read").click()
    shown = page.locator(".failures li")
    expect(shown).to_have_count(3)
    expect(shown.nth(0)).to_contain_text("/archive/scan.pdf")
    expect(shown.nth(0)).to_contain_text("run OCR first")
    expect(shown.nth(1)).to_contain_text("/archive/scan.pdf, line 3")
    expect(shown.nth(2)).to_have_text("and 100 more, which passages status lists")


def test_documents_are_found_by_words_of_their_title_and_opened(opened: Page, server: str, tidy: None) -> None:
    put(server, "ferry", title="Überfahrt der Fähre", text="The ferry sails at noon.")
    box = opened.get_by_label("Words of a title or name")
    box.fill("FÄHRE über")
    expect(opened.locator("document-row .title")).to_have_text(["Überfahrt der Fähre"])
    expect(opened.locator(".count")).to_have_text("1 document found")
    box.fill("nothing like it")
    expect(opened.locator(".count")).to_have_text("0 documents found")
    box.fill("fähre")
    opened.get_by_role("link", name="Überfahrt der Fähre").click()
    expect(opened.get_by_role("heading", level=1)).to_have_text("Überfahrt der Fähre")


def test_a_long_list_goes_on_where_it_ended(page: Page) -> None:
    def pages(route: Route) -> None:
        response = route.fetch()
        body = response.json()
        first = 100 if "after=99" in route.request.url else 0
        limit = int(re.findall(r"limit=(\d+)", route.request.url)[0])
        one = body["documents"][0] if body["documents"] else {}
        many = [one | {"id": f"{n}", "title": f"Title {n}"} for n in range(first, min(first + limit, 120))]
        last = many[-1]["id"]
        route.fulfill(response=response, json=body | {"count": 120, "documents": many, "next": None if last == "119" else last})

    page.route("**/v1/documents?*", pages)
    page.goto("/collection")
    titles = page.locator("document-row .title a")
    expect(titles).to_have_count(50)
    page.get_by_role("button", name="More").click()
    expect(titles).to_have_count(100)
    expect(titles.nth(50)).to_be_focused()
    page.get_by_role("button", name="More").click()
    expect(titles).to_have_text([f"Title {n}" for n in range(120)])
    expect(page.get_by_role("button", name="More")).to_be_hidden()


def test_documents_can_be_listed_by_where_they_come_from(opened: Page, server: str, tidy: None) -> None:
    put(server, "page", title="A page of a site", text="The site tells of herring.", uri="https://example.org/herring")
    select = opened.get_by_label("From")
    expect(select.locator("option").filter(has_text="example.org (1)")).to_have_count(1)
    select.select_option("from example.org")
    expect(opened.locator("document-row .title")).to_have_text(["A page of a site"])


def test_a_commit_of_somebody_else_is_shown_without_a_reload_and_moves_nothing_that_stays(
    opened: Page, server: str, tidy: None
) -> None:
    opened.evaluate("window.stays = document.querySelector('document-row')")
    put(server, "zebra", title="Zebra crossing", text="A zebra crossed.")
    expect(opened.get_by_role("link", name="Zebra crossing")).to_be_visible()
    assert opened.evaluate("window.stays.isConnected")
    delete(server, "zebra")
    expect(opened.get_by_role("link", name="Zebra crossing")).to_have_count(0)


def test_files_that_are_chosen_are_added_with_a_bar_and_told_one_by_one_if_they_fail(
    opened: Page, tidy: None, seen: Seen
) -> None:
    def slowly(route: Route) -> None:
        opened.wait_for_timeout(300)
        route.continue_()

    opened.route("**/v1/documents?job=*", slowly)
    bar = opened.get_by_role("progressbar")
    with opened.expect_file_chooser() as chosen:
        opened.get_by_role("button", name="Choose files").click()
    bad = [{"name": "cut.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.4 cut"}]
    bad += [{"name": "film.mp4", "mimeType": "video/mp4", "buffer": b"x"}]
    chosen.value.set_files([*files(seal__txt="A seal was seen.", whale__md="# Whale\n\nA whale was seen."), *bad])
    expect(opened.locator(".doing")).to_contain_text("Adding ")
    expect(bar).to_be_visible()
    expect(opened.locator(".doing")).to_have_text("2 added, 2 not added.", timeout=15_000)
    assert opened.locator("progress").evaluate("one => one.value") == 1
    expect(bar).to_be_hidden()
    seen.forgive("status of 422")  # Chromium reports the file that was refused
    refused = opened.locator(".refused li")
    expect(refused.filter(has_text="cut.pdf")).to_contain_text("damaged")
    expect(refused.filter(has_text="film.mp4")).to_contain_text("is of no format that is read: csv,")
    expect(opened.get_by_role("link", name="Whale")).to_be_visible()


def test_the_bar_follows_what_the_server_tells_of_this_upload(opened: Page) -> None:
    def held(route: Route) -> None:
        job = route.request.url.partition("job=")[2]
        share = "document.querySelector('document-upload').progressed"
        bar = opened.get_by_role("progressbar")
        expect(bar).to_have_class("reading")  # it is read, and nobody knows how far
        assert opened.evaluate(f"{share}('another', .9)") is False
        assert opened.evaluate(f"{share}('{job}', .5)") is True
        assert bar.evaluate("one => one.value") == 0.5
        expect(bar).not_to_have_class("reading")
        route.fulfill(json={"generation": 1, "documents": [], "failed": []})

    opened.route("**/v1/documents?job=*", held)
    opened.locator(".files").set_input_files(files(seal__txt="A seal."))
    expect(opened.locator(".doing")).not_to_contain_text("Adding")


def test_what_is_told_late_of_an_own_upload_is_not_taken_for_somebody_elses(opened: Page) -> None:
    jobs: list[str] = []

    def refused(route: Route) -> None:
        jobs.append(route.request.url.partition("job=")[2])
        route.fulfill(json={"generation": 1, "documents": [], "failed": [{"name": "a.txt", "record": "", "reason": "no"}]})

    opened.route("**/v1/documents?job=*", refused)
    opened.locator(".files").set_input_files(files(a__txt="A."))
    expect(opened.locator(".doing")).to_have_text("1 not added.")
    assert opened.evaluate(f"document.querySelector('document-upload').progressed('{jobs[0]}', 1)") is True
    expect(opened.locator(".doing")).to_have_text("1 not added.")


@pytest.mark.parametrize("end", ["done", "failed"])
def test_the_upload_of_somebody_else_is_told_while_it_lasts(page: Page, end: str) -> None:
    states = ["indexing", end]

    def told(route: Route) -> None:
        one = {"job": "b", "name": "barges.txt", "done": 4, "total": 10, "state": states[0], "detail": None}
        body = f"retry: 100\nevent: progress\ndata: {json.dumps(one)}\n\n"  # and the browser comes again
        route.fulfill(content_type="text/event-stream", body=body)

    page.route("**/v1/events", told)
    page.goto("/collection")
    expect(page.locator(".elsewhere")).to_have_text("Being indexed: barges.txt (40 %)")
    states.pop(0)
    expect(page.locator(".elsewhere")).to_be_hidden()


def test_files_that_are_dropped_anywhere_are_added_and_one_of_the_same_name_replaces(opened: Page, tidy: None) -> None:
    for words, told in (("torn", "1 added."), ("torn", "1 there already."), ("mended", "1 replaced.")):
        opened.evaluate(
            """(text) => {
                const transfer = new DataTransfer();
                transfer.items.add(new File([text], "net.txt"));
                document.body.dispatchEvent(
                    new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: transfer }));
            }""",
            f"The net was {words}.",
        )
        expect(opened.locator(".doing")).to_have_text(told)


def test_a_sidecar_goes_with_its_file(opened: Page, tidy: None) -> None:
    sidecar = {"name": "old.txt.meta.json", "mimeType": "application/json", "buffer": b'{"title": "A title of its own"}'}
    given = [*files(old__txt="An old text."), sidecar]
    opened.locator(".files").set_input_files(given)
    expect(opened.locator(".doing")).to_have_text("1 added.")
    expect(opened.get_by_role("link", name="A title of its own")).to_be_visible()


def test_a_document_is_deleted_only_when_that_is_confirmed(opened: Page, server: str, tidy: None) -> None:
    put(server, "doomed", title="Doomed", text="This will go.")
    button = opened.get_by_role("button", name="Delete Doomed")
    button.click()
    dialog = opened.get_by_role("dialog", name="Delete “Doomed”?")
    expect(dialog.get_by_role("button", name="Keep it")).to_be_focused()
    opened.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    assert httpx.get(f"{server}/v1/documents/doomed").status_code == 200
    button.click()
    dialog.get_by_role("button", name="Delete it").click()
    expect(dialog).to_have_count(0)
    expect(opened.get_by_role("link", name="Doomed")).to_have_count(0)
    assert httpx.get(f"{server}/v1/documents/doomed").status_code == 404


def test_of_a_file_it_is_said_that_deleting_keeps_it(opened: Page) -> None:
    opened.get_by_role("button", name=f"Delete {TITLE}").click()
    expect(opened.get_by_role("dialog")).to_contain_text("Its file stays where it is")
    opened.get_by_role("button", name="Keep it").click()


def test_who_may_only_read_is_told_so_and_is_offered_nothing_else(page: Page) -> None:
    page.route("**/v1/session", rewritten(lambda said: said.update(scope="read", key="reader")))
    page.goto("/collection")
    expect(page.get_by_role("link", name=TITLE)).to_be_visible()
    expect(page.get_by_text("may only read")).to_be_visible()
    expect(page.get_by_role("button", name="Delete")).to_have_count(0)
    expect(page.get_by_role("button", name="Choose files")).to_be_hidden()


def test_a_phone_never_scrolls_sideways(context: BrowserContext, server: str, tidy: None) -> None:
    unbroken = "Rindfleischetikettierungs" * 12
    put(server, unbroken, title=unbroken, text="Long.", uri=f"https://{'long.' * 20}example.org/")
    page = context.new_page()
    page.set_viewport_size({"width": 360, "height": 740})
    page.route("**/v1/failures*", rewritten(lambda body: body.update(count=1, failures=[FAILURE | {"path": unbroken}])))
    page.goto("/collection")
    expect(page.get_by_role("link", name=unbroken)).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
