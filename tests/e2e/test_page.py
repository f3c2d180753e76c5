"""The search page and the document page, as a person uses them. In every test the console stays empty (conftest)."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, Route, expect

from tests.e2e.conftest import Seen, launched

pytestmark = pytest.mark.browser

QUESTION = "Who will host the next ministerial meeting?"
SAUDI = "The Coalition welcomes Saudi Arabia’s announcement to host the next Ministerial Meeting of the Global Coalition."
TITLE = "Small Group of the Global Coalition to Defeat Daesh"
LINK = f"/?q={quote(QUESTION)}"
VERDICT = "Answered|Perhaps|Nothing in this collection answers that; the closest passages are:"
COUNTED = re.compile(rf"^\s*({VERDICT})?\s*\d+ passages? in \d+ ms\s*$")


def put(server: str, name: str, **record: Any) -> None:
    httpx.put(f"{server}/v1/documents/{quote(name, safe='')}", json=record).raise_for_status()


def delete(server: str, name: str) -> None:
    httpx.delete(f"{server}/v1/documents/{quote(name, safe='')}").raise_for_status()


def ask(page: Page, question: str) -> None:
    page.get_by_label("Ask this collection a question").fill(question)
    page.keyboard.press("Enter")


def body(request: Request) -> Any:
    """What the page sent, as JSON."""
    return json.loads(request.post_data or "null")


def rewritten(change: Callable[[dict[str, Any]], None]) -> Callable[[Route], None]:
    """The server's own answer with a change in it, where a test needs to know what is said."""

    def handle(route: Route) -> None:
        response = route.fetch()
        body = response.json()
        change(body)
        route.fulfill(response=response, json=body)

    return handle


def test_the_watch_hears_an_error(page: Page, seen: Seen) -> None:
    """Otherwise an empty console would mean nothing."""
    page.goto("/")
    with page.expect_event("pageerror"):
        page.evaluate("setTimeout(() => { console.warn('heard'); throw new Error('thrown on purpose'); })")
    seen.forgive("heard")
    seen.forgive("thrown on purpose")


def test_a_question_finds_its_paragraph_first(page: Page) -> None:
    page.goto("/")
    expect(page.get_by_text(re.compile(r"^This collection holds [\d,]+ passages? of "))).to_be_visible()
    ask(page, QUESTION)
    first = page.locator("passage-result").first
    expect(first.locator(".passage")).to_have_text(SAUDI)
    expect(first.locator(".rank")).to_have_text("1")
    expect(first.get_by_role("link", name=TITLE)).to_be_visible()
    expect(first.locator(".source")).to_contain_text("daesh-small-group.txt")
    expect(first.locator(".score")).to_have_text(re.compile(r"^score 0\.\d\d$"))
    expect(page.get_by_role("status")).to_have_text(COUNTED)
    expect(page).to_have_title(f"{QUESTION} – Passages")
    assert page.url.endswith("/?q=Who+will+host+the+next+ministerial+meeting%3F")


def test_the_source_opens_with_exactly_that_paragraph_marked(page: Page) -> None:
    page.goto(LINK)
    page.get_by_role("link", name=TITLE).first.click()
    mark = page.locator("mark")
    expect(mark).to_have_text([SAUDI])
    expect(mark).to_be_in_viewport()
    expect(mark).to_be_focused()
    expect(page.get_by_role("heading", level=1)).to_have_text(TITLE)
    expect(page.locator(".text p")).to_have_count(6)
    facts = page.locator(".facts")
    for fact in ("daesh-small-group.txt", "text/plain", "kind", "media note", "U.S. Department of State"):
        expect(facts.get_by_text(fact, exact=True)).to_be_visible()
    expect(page).to_have_title(f"{TITLE} – Passages")


def test_a_deep_link_asks_at_once(page: Page) -> None:
    page.goto(LINK)
    expect(page.get_by_role("searchbox")).to_have_value(QUESTION)
    expect(page.locator(".passage").first).to_have_text(SAUDI)


def test_questions_go_by_post(page: Page) -> None:
    page.goto("/")
    with page.expect_request("**/v1/search") as sent:
        ask(page, QUESTION)
    assert sent.value.method == "POST"
    assert body(sent.value)["question"] == QUESTION
    expect(page.get_by_role("status")).to_have_text(COUNTED)


def test_the_keyboard_alone_is_enough(page: Page) -> None:
    page.goto("/")
    box, press = page.get_by_role("searchbox"), page.keyboard.press
    expect(box).to_be_focused()
    press("Tab")
    press("/")
    expect(box).to_be_focused()
    page.keyboard.type(QUESTION)
    press("Enter")
    titles = page.locator("passage-result .title")
    expect(titles).not_to_have_count(0)
    press("ArrowDown")
    expect(titles.nth(0)).to_be_focused()
    press("ArrowDown")
    expect(titles.nth(1)).to_be_focused()
    press("ArrowUp")
    press("Escape")
    expect(box).to_be_focused()
    press("ArrowDown")
    press("Enter")
    expect(page.locator("mark")).to_be_focused()
    press("Escape")
    expect(titles.nth(0)).to_be_focused()  # where the reader was
    expect(box).to_have_value(QUESTION)
    press("/")
    expect(box).to_be_focused()


def test_a_slash_in_a_question_is_typed(page: Page) -> None:
    page.goto("/")
    page.keyboard.type("Daesh/ISIS")
    expect(page.get_by_role("searchbox")).to_have_value("Daesh/ISIS")


def test_back_and_forward_restore_question_and_passages(page: Page) -> None:
    page.goto("/")
    ask(page, QUESTION)
    expect(page.locator(".passage").first).to_have_text(SAUDI)
    before = page.locator(".passage").all_text_contents()
    ask(page, "Which organisation screens returnees?")
    expect(page.locator(".passage").first).to_contain_text("INTERPOL")
    page.go_back()
    expect(page.get_by_role("searchbox")).to_have_value(QUESTION)
    expect(page.locator(".passage")).to_have_text(before)
    page.go_forward()
    expect(page.locator(".passage").first).to_contain_text("INTERPOL")
    expect(page).to_have_title("Which organisation screens returnees? – Passages")
    page.go_back()
    expect(page.locator(".passage")).to_have_text(before)
    page.go_back()
    expect(page.locator(".passage")).to_have_count(0)
    expect(page).to_have_title("Passages")


def test_more_goes_on_where_the_page_ended(page: Page, server: str) -> None:
    for number in range(14):
        put(
            server, f"tides/{number}", title=f"Tide table {number}", text=f"High water on day {number} was at {number} o'clock."
        )
    page.goto("/?q=when+was+high+water")
    titles = page.locator("passage-result .title")
    expect(titles).to_have_count(10)
    page.get_by_role("button", name="More passages").click()
    expect(titles.nth(10)).to_be_focused()
    shown = titles.count()
    assert shown > 13
    assert page.locator(".rank").all_text_contents() == [str(rank) for rank in range(1, shown + 1)]
    assert len(set(page.locator(".passage").all_text_contents())) == shown
    titles.nth(12).click()
    expect(page.locator("mark")).to_be_visible()
    page.go_back()
    expect(titles.nth(12)).to_be_focused()
    for number in range(14):
        delete(server, f"tides/{number}")


def test_emoji_before_a_passage_do_not_move_its_mark(page: Page, server: str) -> None:
    passage = "The keeper counted 41 ships 🚢 in January."
    text = f"🗼🏝️ Log of the light 👩‍🚒\n\nFirst 😀😀😀 came fog, for nine days.\n\n{passage}\n\nThen 🌊 gales."
    put(server, "lighthouse 🗼/log#1?.txt", title="The log 🗼", text=text)
    page.goto("/?q=how+many+ships+did+the+keeper+count")
    page.get_by_role("link", name="The log 🗼").first.click()
    expect(page.locator("mark")).to_have_text([passage])
    expect(page.locator(".text")).to_contain_text("First 😀😀😀 came fog")
    delete(server, "lighthouse 🗼/log#1?.txt")


def test_offsets_are_code_points_whatever_the_script(page: Page) -> None:
    seeded = random.Random(7)  # noqa: S311  # nothing secret
    texts = ["".join(seeded.choices("aé中ش\u0301😀🗼\U0001d54f\n", k=seeded.randrange(40))) for _ in range(200)]
    page.goto("/")
    cut = page.evaluate(
        """async (texts) => {
            const { unitsIn } = await import("/web/text.js");
            return texts.map((text) => {
                const units = unitsIn(text);
                return Array.from({ length: [...text].length }, (_, i) => text.slice(units(i), units(i + 1)));
            });
        }""",
        texts,
    )
    assert cut == [list(text) for text in texts]


def test_a_hostile_document_is_text(page: Page, server: str) -> None:
    hostile = "<script>window.owned = 1</script><img src=x onerror='window.owned = 2'><b>fjord</b>"
    put(
        server,
        hostile,
        title=f"{hostile} fjord",
        text=f"{hostile} A fjord & its ferry.",
        uri="javascript:window.owned=3",
        by=hostile,
    )
    page.goto("/?q=fjord+ferry")
    title = page.locator("passage-result .title").first
    expect(title).to_have_text(f"{hostile} fjord")
    expect(page.locator(".passage").first).to_have_text(f"{hostile} A fjord & its ferry.")
    expect(page.locator("passage-result a:not(.title)")).to_have_count(0)
    title.click()
    expect(page.locator("mark")).to_have_text([f"{hostile} A fjord & its ferry."])
    expect(page.get_by_role("heading", level=1)).to_have_text(f"{hostile} fjord")
    expect(page.locator(".facts").get_by_text("javascript:window.owned=3", exact=True)).to_be_visible()
    expect(page.locator("article :is(a, script, img, b)")).to_have_count(0)
    assert page.evaluate("window.owned") is None
    delete(server, hostile)


def test_only_web_addresses_become_links(page: Page, server: str) -> None:
    put(
        server,
        "ferry",
        title="Ferry",
        text="The ferry over the fjord sails at noon.",
        uri="https://example.org/ferry",
        date="2022-05-11",
    )
    page.goto("/?q=when+does+the+ferry+sail")
    first = page.locator("passage-result").first
    expect(first.locator("time")).to_have_text("2022-05-11")
    expect(first.get_by_role("link", name="example.org")).to_have_attribute("href", "https://example.org/ferry")
    first.locator(".title").click()
    expect(page.get_by_role("link", name="https://example.org/ferry")).to_be_visible()
    delete(server, "ferry")


def test_an_error_shows_what_to_do(page: Page, seen: Seen) -> None:
    page.goto(LINK)
    expect(page.locator(".passage").first).to_have_text(SAUDI)
    ask(page, "why " * 1250)
    status = page.get_by_role("status")
    expect(status).to_contain_text("at most 4000 are read; ask it in fewer words")
    expect(page.locator("passage-result")).to_have_count(0)  # the answer to another question would mislead
    seen.forgive("status of 422")  # Chromium reports every refused request
    ask(page, QUESTION)
    expect(page.locator(".passage").first).to_have_text(SAUDI)
    expect(status).to_have_text(COUNTED)


def test_a_server_that_is_gone_is_said(page: Page, seen: Seen) -> None:
    page.goto("/")
    expect(page.get_by_text("This collection holds")).to_be_visible()
    page.route("**/v1/search", lambda route: route.abort("connectionrefused"))
    ask(page, QUESTION)
    expect(page.get_by_role("status")).to_contain_text("the server cannot be reached")
    seen.forgive("net::ERR_CONNECTION_REFUSED")
    seen.forgive("net::ERR_CONNECTION_REFUSED")  # once from the console, once from the network


def test_a_missing_document_says_so_with_a_way_back(page: Page, seen: Seen) -> None:
    page.goto(f"/document?id=no%2Fsuch&q={quote(QUESTION)}")
    expect(page.get_by_role("status")).to_contain_text("“no/such” is not in this collection")
    seen.forgive("status of 404")
    back = page.get_by_role("link", name="Back to the results")
    expect(back).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".passage").first).to_have_text(SAUDI)


def test_a_passage_is_found_after_an_edit_above_it(page: Page, server: str) -> None:
    passage = "The keeper wrote down the name of every ship that passed."
    put(server, "ledger", title="Ledger", text=f"The ledger was bound in Bergen.\n\n{passage}")
    page.goto("/?q=what+did+the+keeper+write+down")
    title = page.locator("passage-result .title").first
    expect(title).to_have_text("Ledger")
    put(server, "ledger", title="Ledger", text=f"A new beginning 📖.\n\nThe ledger was bound in Bergen.\n\n{passage}")
    title.click()
    expect(page.locator("mark")).to_have_text([passage])
    expect(page.get_by_role("status")).to_have_text("")
    delete(server, "ledger")


def test_a_passage_that_was_edited_is_said_to_be(page: Page, server: str, seen: Seen) -> None:
    put(server, "ledger", title="Ledger", text="The ledger was bound in Bergen by one Jens Dahl.")
    page.goto("/?q=where+was+the+ledger+bound")
    title = page.locator("passage-result .title").first
    expect(title).to_have_text("Ledger")
    put(server, "ledger", title="Ledger", text="The ledger was bound in Bodø.")
    title.click()
    expect(page.get_by_role("status")).to_contain_text("This passage has changed since it was found.")
    expect(page.locator("mark")).to_have_text(["The ledger was bound in Bodø."])
    seen.forgive("status of 404")
    delete(server, "ledger")


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        ("answered", "Answered"),
        ("weak", "Perhaps"),
        ("nothing", "Nothing in this collection answers that; the closest passages are:"),
    ],
)
def test_a_verdict_is_said_first(page: Page, verdict: str, words: str) -> None:
    page.route("**/v1/search", rewritten(lambda answer: answer.update(verdict=verdict)))
    page.goto(LINK)
    expect(page.locator(".verdict")).to_have_text(words)
    expect(page.get_by_role("status")).to_contain_text(re.compile(rf"^\s*{words}\s+\d+ passages in"))
    expect(page.locator(".passage").first).to_have_text(SAUDI)


def test_evidence_and_matches_are_marked_apart_at_their_code_points(page: Page, server: str) -> None:
    text = "Erste Zeile 🗼.\n\nFog 😀 lay on the sound. The keeper 🚢 counted 41 ships."
    put(server, "fog", title="Fog log", text=text)
    evidence, words = "The keeper 🚢 counted 41 ships.", ("41 ships", "sound. The")

    def change(answer: dict[str, Any]) -> None:
        spans = sorted((text.index(word), text.index(word) + len(word)) for word in words)
        start = text.index(evidence)
        answer["results"][0] |= {
            "evidence": {"start": start, "end": start + len(evidence), "text": evidence},
            "matches": [{"start": first, "end": last} for first, last in spans],
        }

    page.route("**/v1/search", rewritten(change))
    page.goto("/?q=how+many+ships+did+the+keeper+count+in+the+fog")
    first = page.locator("passage-result").first
    expect(first.locator("mark.evidence")).to_have_text([evidence])
    expect(first.locator("b.match")).to_have_text(["sound.", "The", "41 ships"])  # one reaches over the evidence's edge
    expect(first.locator(".passage")).to_have_text("Fog 😀 lay on the sound. The keeper 🚢 counted 41 ships.")
    delete(server, "fog")


def test_headings_pages_and_wrapped_lines_are_kept(page: Page, server: str) -> None:
    wrapped = "Typed on a machine with a narrow\ncarriage, so every line ends early."
    text = f"# Notes 🗼\n\nFirst words.\n\n## Weather\n\n{wrapped}\n\n" + "A long line. " * 12 + "\n" + "Another one. " * 12
    put(server, "notes", title="Notes", text=text)

    def change(document: dict[str, Any]) -> None:
        weather = text.index("Weather")
        document |= {"headings": [[2, 9, 1], [weather, weather + 7, 2]], "pages": [0, weather]}

    page.route("**/v1/documents/notes", rewritten(change))
    page.goto(f"/document?id=notes&start={text.index(wrapped)}&end={text.index(wrapped) + len(wrapped)}")
    expect(page.get_by_role("heading", level=2)).to_have_text("Notes 🗼")
    expect(page.get_by_role("heading", level=3)).to_have_text("Weather")
    expect(page.locator(".text p")).to_have_count(4)
    assert page.locator("mark").text_content() == wrapped
    expect(page.locator(".facts")).to_contain_text("2 of 2")
    assert page.locator("[data-page]").evaluate_all("all => all.map((one) => one.textContent + one.dataset.page)") == [
        "Notes 🗼1",
        "Weather2",
    ]
    delete(server, "notes")


@pytest.mark.parametrize("path", ["/", LINK, "/document?id=wide", "/?q=" + "longword" * 40])
def test_a_phone_never_scrolls_sideways(context: BrowserContext, server: str, path: str) -> None:
    unbroken = "Rindfleischetikettierungs" * 12
    put(
        server,
        "wide",
        title=unbroken,
        text=f"{QUESTION} {unbroken}",
        uri=f"https://example.org/{unbroken}",
        **{unbroken: unbroken},
    )
    page = context.new_page()
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(path)
    expect(page.locator(".holdings, passage-result, article").locator("visible=true").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    delete(server, "wide")


def test_the_page_waits_while_the_service_starts(browser: Browser, tmp_path: Path) -> None:
    seen = Seen()
    with launched(tmp_path) as address:
        context = browser.new_context(base_url=address)
        seen.watch(context)
        page = context.new_page()
        page.goto(LINK)
        expect(page.get_by_role("status")).to_contain_text("the service is starting")
        expect(page.locator(".passage").first).to_have_text(SAUDI, timeout=60_000)
        context.close()
    seen.forgive("status of 503")
    assert seen.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_light_and_dark(context: BrowserContext, scheme: Any) -> None:
    """WCAG AA: 4.5 to 1."""
    page = context.new_page()
    page.emulate_media(color_scheme=scheme)
    page.goto(LINK)
    expect(page.locator(".passage").first).to_have_text(SAUDI)
    names = ["paper", "field", "found", "ink", "quiet", "link", "problem", "match"]
    colors = page.evaluate(
        "names => names.map((name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`))", names
    )
    light = dict(zip(names, map(luminance, colors), strict=True))
    pairs = [
        ("ink", "paper"),
        ("quiet", "paper"),
        ("link", "paper"),
        ("problem", "paper"),
        ("ink", "field"),
        ("match", "paper"),
    ]
    for front, back in [*pairs, ("ink", "found"), ("match", "found")]:
        high, low = sorted((light[front], light[back]), reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 4.5, (scheme, front, back)


def luminance(color: str) -> float:
    """Relative luminance of #rgb or #rrggbb, https://www.w3.org/TR/WCAG21/#dfn-relative-luminance."""
    digits = color.strip().removeprefix("#")
    wide = digits if len(digits) == 6 else "".join(digit * 2 for digit in digits)
    channels = [int(wide[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    red, green, blue = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
