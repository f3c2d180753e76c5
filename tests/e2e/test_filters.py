"""Filters on the search page: what they offer, count and keep, and how they are taken back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.test_page import body, delete, put

pytestmark = pytest.mark.browser

QUESTION = "Which ferries crossed the strait?"
LINK = f"/?q={quote(QUESTION)}"
NAMES = [f"ferries/{number}" for number in range(12)]


@pytest.fixture(scope="module")
def ferries(server: str) -> Iterator[str]:
    """Documents with dates, a source, and metadata of every kind."""
    for number, name in enumerate(NAMES):
        put(
            server,
            name,
            title=f"Ferry {number}",
            text=f"Ferry number {number} crossed the strait at {number + 6} o'clock.",
            date=f"{1920 + number // 6}-0{1 + number % 6}-01",
            uri=f"https://{'north' if number % 3 else 'south'}.example/{number}",
            harbour_master="Ann" if number % 4 else "Ben",
            crew=[10, 20][number % 2],
            steam=number < 3,
        )
    yield server
    for name in NAMES:
        delete(server, name)


def best(server: str, where: dict[str, Any]) -> list[dict[str, Any]]:
    """The documents of the best 100 results."""
    asked = {"question": QUESTION, "limit": 100, "filter": where}
    return [one["document"] for one in httpx.post(f"{server}/v1/search", json=asked).json()["results"]]


def menu(page: Page, name: str) -> Locator:
    opened = page.locator("details.menu", has=page.locator("summary", has_text=name))
    opened.locator("summary").first.click()
    return opened


def shown(values: Locator) -> dict[str, str]:
    """Each value with its count, as the menu has them."""
    return dict(
        values.locator(".choice").evaluate_all(
            "all => all.map((one) => [...one.querySelectorAll('span')].map((x) => x.textContent))"
        )
    )


def test_counts_are_those_of_the_best_hundred(page: Page, ferries: str) -> None:
    page.goto(LINK)
    everything = best(ferries, {})
    masters = [one["metadata"].get("harbour_master") for one in everything]
    assert shown(menu(page, "Harbour master")) == {name: str(masters.count(name)) for name in ("Ann", "Ben")}
    years = [(one["date"] or "")[:4] for one in everything]
    assert shown(menu(page, "Date")) == {year: str(years.count(year)) for year in ("1921", "1920")}
    hosts = {"north.example": "8", "south.example": "4", "(no folder)": "6"}
    assert shown(menu(page, "Source")) == hosts
    assert shown(menu(page, "Steam")) == {"no": "9", "yes": "3"}


def test_a_filter_leaves_what_it_says_and_stands_in_the_address(page: Page, ferries: str) -> None:
    page.goto(LINK)
    menu(page, "Harbour master").get_by_label("Ben").check()
    expect(page.locator("passage-result")).to_have_count(3)
    expect(page).to_have_url(f"/?q={quote(QUESTION).replace('%20', '+')}&f.harbour_master=Ben")
    expect(page.locator("details.menu[open]").get_by_label("Ann")).to_be_visible()  # another can still be chosen
    expect(page.locator("details.menu[open]").get_by_label("Ben")).to_be_focused()
    expect(page.locator("details.menu[open] .choice", has_text="Ben")).to_have_text("Ben3")
    page.reload()
    expect(page.locator("passage-result")).to_have_count(3)
    expect(page.get_by_role("button", name="Harbour master: Ben: remove this filter")).to_be_visible()


def test_values_of_a_field_are_alternatives_and_fields_add_up(page: Page, ferries: str) -> None:
    page.goto(LINK)
    masters = menu(page, "Harbour master")
    masters.get_by_label("Ben").check()
    masters.get_by_label("Ann").check()
    expect(page.locator(".chip")).to_have_count(2)
    menu(page, "Crew").get_by_label("20").check()
    expect(page.locator("passage-result")).to_have_count(6)
    menu(page, "Steam").get_by_label("yes").check()
    expect(page.locator("passage-result .title")).to_have_text(["Ferry 1"])
    expect(page).to_have_url(re.compile(r"f\.harbour_master=Ben&f\.harbour_master=Ann&f\.crew=20&f\.steam=true$"))


def test_a_chip_takes_its_filter_back_and_back_does_too(page: Page, ferries: str) -> None:
    page.goto(LINK)
    menu(page, "Steam").get_by_label("yes").check()
    expect(page.locator("passage-result")).to_have_count(3)
    page.locator(".chip").click()
    expect(page.locator("passage-result")).to_have_count(10)
    expect(page.locator(".chip")).to_have_count(0)
    page.go_back()
    expect(page.locator("passage-result")).to_have_count(3)
    page.go_back()
    expect(page.locator("passage-result")).to_have_count(10)


def test_dates_are_a_range_or_a_year(page: Page, ferries: str) -> None:
    page.goto(LINK)
    dates = menu(page, "Date")
    dates.get_by_label("1921").check()
    expect(page.locator("passage-result")).to_have_count(6)
    expect(page.get_by_role("button", name="1921: remove")).to_be_visible()
    dates.get_by_label("From").fill("1921-03-01")
    expect(page.locator("passage-result")).to_have_count(4)
    dates.get_by_label("To").fill("1921-04-01")
    expect(page.locator("passage-result time")).to_have_text(["1921-03-01", "1921-04-01"])
    expect(page).to_have_url(re.compile("&from=1921-03-01&to=1921-04-01$"))
    expect(page.get_by_role("button", name="1921-03-01 to 1921-04-01: remove")).to_be_visible()


def test_the_keyboard_opens_chooses_and_closes(page: Page, ferries: str) -> None:
    page.goto(LINK)
    expect(page.locator("passage-result").first).to_be_visible()
    press = page.keyboard.press
    summary = page.locator("summary", has_text="Steam")
    summary.focus()
    press("Enter")
    press("Tab")
    press("Space")
    expect(page.locator("passage-result")).to_have_count(9)
    press("Escape")
    expect(page.locator("details.menu[open]")).to_have_count(0)
    expect(summary).to_be_focused()
    press("Escape")
    expect(page.get_by_role("searchbox")).to_be_focused()


def test_one_menu_is_open_at_a_time_and_a_click_beside_it_closes_it(page: Page, ferries: str) -> None:
    page.goto(LINK)
    menu(page, "Steam")
    menu(page, "Crew")
    expect(page.locator("details.menu[open]")).to_have_count(1)
    page.locator("footer").first.click()
    expect(page.locator("details.menu[open]")).to_have_count(0)


def test_filters_that_leave_nothing_say_what_to_do(page: Page, ferries: str) -> None:
    page.goto(f"{LINK}&f.crew=10&f.crew=%2210%22&f.none=x&from=3000-01-01")
    expect(page.get_by_role("status")).to_contain_text("Nothing found within these limits: remove a filter")
    expect(page.locator(".chip")).to_have_text(
        ["since 3000-01-01×", "Crew: 10×", "Crew: 10×", "None: x×"]
    )  # a number and a text


def test_filters_go_along_to_the_next_question_and_to_more(page: Page, ferries: str) -> None:
    page.goto(f"{LINK}&f.steam=false")
    expect(page.locator("passage-result")).to_have_count(9)
    with page.expect_request("**/v1/search") as sent:
        page.get_by_role("searchbox").fill("Which ferry crossed at ten?")
    assert body(sent.value)["filter"] == {"steam": [False]}


def test_addresses_say_what_kind_a_value_is(page: Page, ferries: str) -> None:
    values = ["plain", "true", "17", '"quoted"', "", "-1", "a&b=c", 17, 1.5, -3, True, False, "{}", "tru"]
    page.goto("/")
    back = page.evaluate(
        """async (values) => {
            const { Filters } = await import("/web/filters.js");
            const address = new URLSearchParams([...new Filters({ values: new Map([["x", values]]) }).entries()]);
            return Filters.fromAddress(new URLSearchParams(String(address))).values.get("x");
        }""",
        values,
    )
    assert back == values
    assert list(map(type, back)) == list(map(type, values))
