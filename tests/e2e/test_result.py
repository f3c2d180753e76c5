"""What a result offers besides its text: why, more like it, where else it stands, a citation, a link to share."""

from __future__ import annotations

import math
import re
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import httpx
import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.e2e.test_page import LINK, QUESTION, SAUDI, TITLE, body, delete, put, rewritten

pytestmark = pytest.mark.browser


def explained(server: str, **more: Any) -> dict[str, Any]:
    asked = {"question": QUESTION, "explain": True, **more}
    return dict(httpx.post(f"{server}/v1/search", json=asked).json())


def test_why_draws_what_each_signal_adds(page: Page, server: str) -> None:
    page.goto(LINK)
    first = page.locator("passage-result").first
    button = first.get_by_role("button", name="Why this?")
    expect(button).to_have_attribute("aria-expanded", "false")
    with page.expect_request("**/v1/search") as sent:  # by POST: the question stays out of addresses
        button.click()
    assert body(sent.value)["explain"] is True
    expect(button).to_have_attribute("aria-expanded", "true")

    answer = explained(server)
    weights, signals = answer["weights"], answer["results"][0]["signals"]
    adds = {name: value * weights[name] for name, value in signals.items() if abs(value * weights[name]) >= 0.005}
    rows = first.locator(".signals > div")
    expect(rows).to_have_count(len(adds) + 1)
    numbers = [float(text) for text in rows.locator("dd").all_text_contents()]
    assert numbers == [*sorted((round(value, 1) for value in adds.values()), reverse=True), round(-weights["bias"], 1)]
    widths = rows.locator(".bar > span").evaluate_all("all => all.map((one) => parseFloat(one.style.inlineSize))")
    largest = max(*adds.values(), -weights["bias"])
    assert widths == pytest.approx(
        [100 * value / largest for value in [*sorted(adds.values(), reverse=True), -weights["bias"]]], 1e-3
    )
    score = 1 / (1 + math.exp(-sum(adds.values()) - weights["bias"]))
    expect(first.locator(".sum")).to_contain_text(f"a score of {score:.2f}.")

    terms = answer["results"][0]["terms"]
    held = [term["word"] for term in terms if term["held"]]
    expect(first.locator(".terms .held > :first-child")).to_have_text(held)
    expect(first.locator(".terms li")).to_have_count(len(terms))
    expect(first.locator(".ranks")).to_contain_text(f"{answer['results'][0]['ranks']['vector']} by meaning")
    button.click()
    expect(first.locator(".panel")).to_be_hidden()


def test_why_is_of_this_result_under_these_filters(page: Page, server: str) -> None:
    page.goto(f"{LINK}&f.kind=media+note")
    third = page.locator("passage-result").nth(2)
    with page.expect_request("**/v1/search") as sent:
        third.get_by_role("button", name="Why this?").click()
    asked = body(sent.value)
    assert (asked["offset"], asked["limit"], asked["filter"]) == (2, 1, {"kind": ["media note"]})
    expect(third.locator(".sum")).to_be_visible()


def test_a_model_that_was_not_measured_claims_nothing(page: Page) -> None:
    def change(answer: dict[str, Any]) -> None:
        answer["verdict"] = "uncalibrated"
        for result in answer["results"]:
            result["verdict"] = "uncalibrated"

    page.route("**/v1/search", rewritten(change))
    page.goto(LINK)
    first = page.locator("passage-result").first
    expect(first.locator(".passage")).to_have_text(SAUDI)
    expect(page.locator(".verdict")).to_have_text("")
    first.get_by_role("button", name="Why this?").click()
    expect(first.locator(".signals")).to_be_visible()
    expect(first.locator(".sum")).to_have_count(0)


def test_what_does_not_answer_is_not_dressed_up(page: Page) -> None:
    """The evidence of a passage that answers has a ground; of one that does not it has none, and its bar is nearly empty."""
    page.goto(LINK)
    results = page.locator("passage-result")
    expect(results.first).to_have_attribute("data-verdict", "answered")
    ground = "(one) => getComputedStyle(one.querySelector('.evidence')).backgroundColor"
    strong = results.first.evaluate(ground)
    page.goto(f"/?q={quote('What is the price of a litre of milk in Japan?')}")
    expect(page.locator(".verdict")).to_have_text(re.compile("^Nothing in this collection"))
    weakest = page.locator("passage-result[data-verdict=nothing]:has(.evidence)").first
    assert weakest.evaluate(ground) == "rgba(0, 0, 0, 0)" != strong
    filled = page.locator("passage-result .score .bar > span").evaluate_all(
        "all => all.map((one) => parseFloat(one.style.inlineSize))"
    )
    assert max(filled) < 5


def test_more_like_this_lists_the_nearest_with_their_likeness(page: Page, server: str) -> None:
    page.goto(LINK)
    first = page.locator("passage-result").first
    first.get_by_role("button", name="More like this").click()
    items = first.locator(".similar li")
    expect(items).to_have_count(5)
    passage = explained(server)["results"][0]["id"]
    near = httpx.get(f"{server}/v1/passages/{passage}/similar?limit=5").json()["results"]
    expect(items.locator(".excerpt")).to_have_text([one["text"] for one in near])
    expect(items.locator(".likeness")).to_have_text([f"similarity {one['similarity']:.2f}" for one in near])
    first.get_by_role("button", name="Why this?").click()  # one panel, one thing in it
    expect(first.locator(".similar")).to_have_count(0)
    expect(first.get_by_role("button", name="More like this")).to_have_attribute("aria-expanded", "false")
    first.get_by_role("button", name="More like this").click()
    items.first.get_by_role("link").click()
    expect(page.locator("mark").first).to_be_visible()


def test_also_in_leads_to_the_other_documents(page: Page, server: str) -> None:
    text = "The zeppelin landed twice in Recife that winter."
    names = [f"zeppelin/{number}&.txt" for number in range(5)]
    for name in names:
        put(server, name, title="Log", text=text)
    page.goto(f"/?q={quote('Where did the zeppelin land?')}")
    first = page.locator("passage-result").first
    expect(first.locator(".passage")).to_have_text(text)
    others = httpx.post(f"{server}/v1/search", json={"question": "Where did the zeppelin land?"}).json()["results"][0][
        "also_in"
    ]
    assert len(others) == 4
    expect(first.locator("p.also")).to_have_text(f"Also in {', '.join(others[:3])}")
    first.locator(".also summary").click()
    first.get_by_role("link", name=others[3]).click()
    expect(page.locator(".facts")).to_contain_text(others[3])
    for name in names:
        delete(server, name)


def test_a_citation_has_quote_title_date_place_and_link(context: BrowserContext, page: Page, server: str) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    text = "Fog 😀 lay on the sound for days. The keeper 🚢 counted 41 ships in the fog."
    put(server, "fog", title="Fog log", text=text, date="1921-03-01", uri="https://example.org/fog")
    page.goto(f"/?q={quote('How many ships did the keeper count in the fog?')}")
    first = page.locator("passage-result").first
    quoted = first.locator(".evidence").text_content() or ""
    first.get_by_role("button", name="Copy citation").click()
    expect(page.locator(".announced")).to_have_text("Citation copied")
    quote_line, source, uri, link = page.evaluate("navigator.clipboard.readText()").split("\n")
    start = text.index(quoted)
    assert quote_line == f"“{quoted}”"
    assert source == f"— Fog log, 1921-03-01, characters {start}–{start + len(quoted)}"
    assert uri == "https://example.org/fog"
    assert parse_qs(urlsplit(link).query)["start"] == [str(start)]
    assert "q" not in parse_qs(urlsplit(link).query)  # who cites need not tell what was asked
    page.goto(link)
    expect(page.get_by_role("heading", level=1)).to_have_text("Fog log")
    expect(page.locator("mark").first).to_contain_text("41 ships")
    delete(server, "fog")


def test_without_a_clipboard_it_is_copied_from_a_selection(context: BrowserContext, page: Page) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.add_init_script(
        "window.real = navigator.clipboard; Object.defineProperty(navigator, 'clipboard', { value: undefined });"
    )
    page.goto(LINK)
    page.get_by_role("button", name="Copy citation").first.click()
    expect(page.locator(".announced")).to_have_text("Citation copied")
    assert page.evaluate("real.readText()").startswith(f"“{SAUDI}”\n— {TITLE}, ")


def test_what_cannot_be_copied_can_be_copied_by_hand(page: Page) -> None:
    page.add_init_script(
        "Object.defineProperty(navigator, 'clipboard', { value: undefined }); document.execCommand = () => false;"
    )
    page.goto(LINK)
    page.get_by_role("button", name="Copy citation").first.click()
    box = page.get_by_label("Copy this")
    expect(box).to_be_focused()
    expect(box).to_have_value(re.compile(f"^“{re.escape(SAUDI)}”"))


def test_the_link_that_is_shared_has_question_and_filters(context: BrowserContext, page: Page) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(LINK)
    page.locator("passage-result").first.wait_for()
    page.goto(f"{LINK}&f.kind=media+note&from=2000-01-01")
    page.get_by_role("button", name="Copy link").click()
    expect(page.locator(".announced")).to_contain_text("Link copied")
    shared = urlsplit(page.evaluate("navigator.clipboard.readText()"))
    assert parse_qs(shared.query) == {"q": [QUESTION], "f.kind": ["media note"], "from": ["2000-01-01"]}
