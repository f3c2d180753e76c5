"""axe-core on every view, light and wide, dark and on a phone: nothing that is serious or critical.

A view is a line in ``VIEWS``: its name, and a function that brings a fresh page to it and waits until it is there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal
from urllib.parse import quote

import httpx
import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page, expect

from tests.e2e.test_page import LINK, QUESTION, SAUDI, ask, delete, put, rewritten

pytestmark = pytest.mark.browser

NOTHING = f"/?q={quote('What is the price of a litre of milk in Japan?')}"
NAMES = [f"axe/{number}" for number in range(4)]
Scheme = Literal["light", "dark"]
WIDE, PHONE = (1000, 800), (360, 740)
# Colours do not depend on the width, so each of both is looked at once.
LOOKS: tuple[tuple[Scheme, tuple[int, int]], ...] = (("light", WIDE), ("dark", PHONE))
IMPACTS = ("serious", "critical")


@pytest.fixture(scope="module", autouse=True)
def documents(server: str) -> Iterator[None]:
    """Some that share a text, and something to filter by."""
    for number, name in enumerate(NAMES):
        put(
            server,
            name,
            title="Axe",
            text="The axe fell twice.",
            date=f"192{number % 2}-01-01",
            tool=["axe", "saw"][number % 2],
        )
    yield
    httpx.delete(f"{server}/v1/feedback").raise_for_status()
    for name in NAMES:
        delete(server, name)


def welcome(page: Page) -> None:
    page.goto("/")
    ask(page, QUESTION)
    expect(page.locator("passage-result").first).to_be_visible()
    page.goto("/")
    expect(page.get_by_text("This collection holds")).to_be_visible()


def answered(page: Page) -> None:
    page.goto(LINK)
    expect(page.locator(".passage").first).to_have_text(SAUDI)


def nothing(page: Page) -> None:
    page.goto(NOTHING)
    expect(page.locator("passage-result[data-verdict=nothing] .evidence").first).to_be_visible()


def also_in(page: Page) -> None:
    page.goto("/?q=how+often+did+the+axe+fall")
    page.locator(".also").first.wait_for()


def why(page: Page) -> None:
    answered(page)
    page.get_by_role("button", name="Why this?").first.click()
    expect(page.locator(".terms")).to_be_visible()


def similar(page: Page) -> None:
    answered(page)
    page.get_by_role("button", name="More like this").first.click()
    expect(page.locator(".similar")).to_be_visible()


def filters(page: Page) -> None:
    page.goto(f"{LINK}&f.tool=axe&f.tool=saw&from=1920-01-01")
    expect(page.locator(".chip")).to_have_count(3)
    page.locator("summary", has_text="Tool").click()


def dates(page: Page) -> None:
    answered(page)
    page.locator("summary", has_text="Date").click()


def by_hand(page: Page) -> None:
    page.add_init_script("Object.defineProperty(navigator, 'clipboard', {}); document.execCommand = () => false;")
    answered(page)
    page.get_by_role("button", name="Copy citation").first.click()
    expect(page.get_by_label("Copy this")).to_be_focused()


def document(page: Page) -> None:
    answered(page)
    page.locator(".title").first.click()
    expect(page.locator("mark").first).to_be_visible()


def outline(page: Page) -> None:
    text = "\n\n".join(f"# Heading {number}\n\nWords." for number in range(4))

    def with_headings(found: dict[str, Any]) -> None:
        places = [text.index(f"Heading {number}") for number in range(4)]
        found |= {"text": text, "headings": [[place, place + 9, 1 + place % 2] for place in places]}

    page.route("**/v1/documents/**", rewritten(with_headings))
    page.goto("/document?id=daesh-small-group.txt")
    page.locator("summary", has_text="Contents").click()


def collection(page: Page) -> None:
    failure = {"path": "/archive/scan.pdf", "record": "line 3", "reason": "has no text layer"}
    page.route("**/v1/failures*", rewritten(lambda body: body.update(count=1, failures=[failure])))
    page.goto("/collection")
    expect(page.locator("document-row").first).to_be_visible()
    expect(page.get_by_text("has no text layer")).to_be_visible()


def judged(page: Page) -> None:
    feedback(page)
    page.request.post("/v1/feedback", data={"question": "Who won?", "passage": None, "verdict": "nothing"})
    page.goto("/collection")
    expect(page.locator("judged-questions li")).to_have_count(2)


def feedback(page: Page) -> None:
    """Pressed, and what is said then."""
    page.request.delete("/v1/feedback")  # of another view
    answered(page)
    button = page.get_by_role("button", name="This answers it").first
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")


def demo(page: Page) -> None:
    page.goto("/web/demo.html")
    for place, question in enumerate((QUESTION, "What is the price of a litre of milk in Japan?")):
        box = page.locator("passages-search").nth(place)
        box.locator("input").fill(question)
        page.keyboard.press("Enter")
        expect(box.locator("mark").first).to_be_visible()


def deleting(page: Page) -> None:
    page.goto("/collection")
    page.get_by_role("button", name="Delete Axe").first.click()
    expect(page.get_by_role("dialog")).to_be_visible()


VIEWS: dict[str, Callable[[Page], None]] = {
    "welcome": welcome,
    "answered": answered,
    "nothing": nothing,
    "also in": also_in,
    "why": why,
    "more like this": similar,
    "filters": filters,
    "dates": dates,
    "copy by hand": by_hand,
    "document": document,
    "outline": outline,
    "collection": collection,
    "deleting": deleting,
    "feedback": feedback,
    "judged": judged,
    "demo": demo,
}


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_has_no_serious_violation(page: Page, view: str) -> None:
    VIEWS[view](page)
    page.evaluate(AXE_SCRIPT)  # by the debugger, to which the page's policy on scripts does not apply
    assert {look: found for look in LOOKS if (found := violations(page, *look))} == {}


def test_the_check_finds_what_is_wrong(page: Page) -> None:
    """Otherwise that nothing is found would mean nothing."""
    answered(page)
    page.evaluate(AXE_SCRIPT)
    page.evaluate("document.querySelector('.said').style.color = '#ccc'")
    page.evaluate("document.querySelector('label').remove()")
    assert {rule for rule, _ in violations(page, "light", WIDE)} == {"color-contrast", "label"}


def violations(page: Page, scheme: Scheme, size: tuple[int, int]) -> list[tuple[str, Any]]:
    """The rules that the page breaks badly as it looks then, each with where."""
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.set_viewport_size({"width": size[0], "height": size[1]})
    found = page.evaluate("axe.run({ resultTypes: ['violations'] })")["violations"]
    return [(one["id"], [node["html"] for node in one["nodes"]]) for one in found if one["impact"] in IMPACTS]
