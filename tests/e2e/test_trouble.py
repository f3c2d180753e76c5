"""What goes wrong while somebody reads: a server that is away or busy, a browser that keeps nothing."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, Route, expect

from tests.e2e.conftest import Seen
from tests.e2e.test_page import LINK, QUESTION, SAUDI, delete, put

pytestmark = pytest.mark.browser

AWAY = "net::ERR_FAILED"  # which is said twice
WITHOUT_STORAGE = """for (const store of ["localStorage", "sessionStorage"]) {
  Object.defineProperty(window, store, { get() { throw new DOMException("denied", "SecurityError"); } });
}"""


def away(route: Route) -> None:
    route.abort()


def refused(times: int, status: int, pause: str) -> tuple[list[Route], object]:
    """Refuses so many questions, as a server does that is asked too much; who was refused is in the list."""
    those: list[Route] = []

    def handle(route: Route) -> None:
        if len(those) == times:
            route.continue_()
            return
        those.append(route)
        route.fulfill(status=status, headers={"Retry-After": pause}, json={"detail": "too many wait; come again"})

    return those, handle


def test_a_document_opens_in_a_browser_that_keeps_nothing(page: Page) -> None:
    page.add_init_script(WITHOUT_STORAGE)
    page.goto(LINK)
    page.locator("passage-result .title").first.click()
    expect(page.locator("mark")).to_have_text([SAUDI])
    page.keyboard.press("Escape")
    expect(page.get_by_role("searchbox")).to_have_value(QUESTION)


@pytest.mark.parametrize("status", [503, 429])
def test_a_busy_server_is_asked_again_when_it_said(page: Page, seen: Seen, status: int) -> None:
    those, handle = refused(2, status, "1")
    page.route("**/v1/search", handle)  # type: ignore[arg-type]
    page.goto(LINK)
    expect(page.get_by_role("status")).to_contain_text("Waiting: too many wait")
    expect(page.locator(".passage").first).to_have_text(SAUDI)
    assert len(those) == 2
    for _ in those:
        seen.forgive(f"status of {status}")


def test_who_is_to_come_back_much_later_is_told_so_at_once(page: Page, seen: Seen) -> None:
    those, handle = refused(9, 429, "300")
    page.route("**/v1/search", handle)  # type: ignore[arg-type]
    page.goto(LINK)
    expect(page.get_by_role("status")).to_contain_text("Not answered: too many wait; come again")
    assert len(those) == 1
    seen.forgive("status of 429")


def test_what_was_found_stays_when_more_cannot_be_fetched(page: Page, server: str, seen: Seen) -> None:
    for number in range(12):
        put(server, f"tides/{number}", title=f"Tide {number}", text=f"High water on day {number} was at {number} o'clock.")
    page.goto("/?q=when+was+high+water")
    results, more = page.locator("passage-result"), page.get_by_role("button", name="More passages")
    expect(results).to_have_count(10)
    before = page.get_by_role("status").text_content()
    page.route("**/v1/search", away)
    more.click()
    expect(page.locator(".announced")).to_have_text(
        "No more passages: the server cannot be reached; see whether it is running, then try again"
    )
    expect(results).to_have_count(10)
    expect(more).to_be_focused()
    assert page.get_by_role("status").text_content() == before
    page.unroute("**/v1/search")
    more.click()
    expect(results.nth(10).locator(".title")).to_be_focused()
    seen.forgive(AWAY)
    seen.forgive(AWAY)
    for number in range(12):
        delete(server, f"tides/{number}")


def test_more_that_comes_late_takes_the_focus_from_nobody(page: Page, server: str) -> None:
    for number in range(12):
        put(server, f"tides/{number}", title=f"Tide {number}", text=f"High water on day {number} was at {number} o'clock.")
    page.goto("/?q=when+was+high+water")
    expect(page.locator("passage-result")).to_have_count(10)
    held: list[Route] = []
    page.route("**/v1/search", lambda route: held.append(route))  # noqa: PLW0108  # Playwright marks what it is given
    page.get_by_role("button", name="More passages").click()
    why = page.get_by_role("button", name="Why this?").first
    why.focus()
    held[0].continue_()
    expect(page.locator("passage-result").nth(10)).to_be_visible()
    expect(why).to_be_focused()
    for number in range(12):
        delete(server, f"tides/{number}")


def test_the_collection_is_itself_again_when_the_server_is(page: Page, server: str, seen: Seen) -> None:
    page.goto("/collection")
    expect(page.locator("document-row").first).to_be_visible()
    page.route("**/v1/status", away)
    put(server, "skiff", text="A skiff.")
    said = page.locator(".holdings")
    expect(said).to_contain_text("The collection cannot be shown: the server cannot be reached")
    expect(said).to_have_class("holdings problem")
    page.unroute("**/v1/status")
    delete(server, "skiff")
    expect(said).to_contain_text("characters.")
    expect(said).to_have_class("holdings")
    seen.forgive(AWAY)
    seen.forgive(AWAY)


def test_a_list_that_fails_late_does_not_hide_a_later_one(page: Page, seen: Seen) -> None:
    page.goto("/collection")
    expect(page.locator("document-row").first).to_be_visible()
    held: list[Route] = []
    page.route("**/v1/documents?*match=old*", lambda route: held.append(route))  # noqa: PLW0108
    box = page.get_by_label("Words of a title or name")
    with page.expect_request("**/v1/documents?*match=old*"):
        box.fill("old")
    box.fill("Daesh")
    expect(page.locator(".count")).to_have_text("1 document found")
    held[0].abort()
    page.wait_for_timeout(200)
    expect(page.locator(".count")).to_have_text("1 document found")
    seen.forgive(AWAY)
    seen.forgive(AWAY)


def test_a_menu_that_the_focus_has_left_does_not_lie_over_the_page(page: Page) -> None:
    page.goto(f"{LINK}&f.kind=media+note")
    expect(page.locator(".passage").first).to_have_text(SAUDI)
    menu = page.locator("details.menu").first
    menu.locator("summary").first.click()
    menu.get_by_role("checkbox").first.focus()
    expect(menu).to_have_attribute("open", "")
    page.locator("passage-result .title").first.focus()
    expect(menu).not_to_have_attribute("open", "")


def test_what_is_said_of_nothing_and_the_button_beside_it_do_not_overlap_on_a_phone(page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(f"{LINK}&f.kind=none")
    said = page.get_by_text("Nothing found within these limits")
    expect(said).to_be_visible()
    ends = said.evaluate(
        """(said) => {
          const words = document.createRange();
          words.selectNodeContents(said);
          const button = document.querySelector(".share").getBoundingClientRect();
          const beside = [...words.getClientRects()].filter(({ bottom }) => bottom > button.top + 4);
          return beside.map(({ right }) => right - button.left);
        }"""
    )
    assert max(ends) <= 0
