"""<passages-search> on a page of another site: another origin, a strict policy of its own, and styles that want to reach in."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import Browser, Page, Request, Route, expect

from service.keys import KeyFile
from tests.e2e.conftest import GuardedServer, Seen
from tests.e2e.test_page import QUESTION, SAUDI, rewritten

pytestmark = pytest.mark.browser

PAGE = """<!doctype html><html lang="fr"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Theirs</title><link rel="icon" href="data:,"><link rel="stylesheet" href="/theirs.css">
<script type="module" src="{server}/web/passages-search.js"></script><script type="module" src="/theirs.js"></script>
<h1>Theirs</h1><passages-search {attributes}></passages-search></html>"""
STYLE = "* { color: red !important; text-transform: uppercase } mark, input, ol { display: none !important }"
SCRIPT = """document.addEventListener("passages-open", (event) => {
  event.preventDefault();
  document.title = `${event.detail.question} ${event.detail.result.document.id} ${event.detail.href}`;
});"""
POLICY = (
    "default-src 'none'; script-src 'self' {server}; style-src 'self'; img-src data:; connect-src {server}; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)


class Site(NamedTuple):
    """Somebody's site."""

    origin: str
    pages: dict[str, tuple[str, str]]  # by path: kind, content


@contextmanager
def served(server: str) -> Iterator[Site]:
    """A site on a port, and so an origin, of its own."""
    pages = {"/theirs.css": ("text/css", STYLE), "/theirs.js": ("text/javascript", SCRIPT)}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind, content = pages[self.path]
            self.send_response(200)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Security-Policy", POLICY.format(server=server))
            self.end_headers()
            self.wfile.write(content.encode())

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    site = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=site.serve_forever)
    thread.start()
    try:
        yield Site(f"http://127.0.0.1:{site.server_port}", pages)
    finally:
        site.shutdown()
        thread.join()
        site.server_close()


class Theirs(NamedTuple):
    """A visitor's page, and what it sent."""

    page: Page
    site: Site
    server: GuardedServer
    sent: list[Request]

    def shows(self, attributes: str) -> None:
        """Open the site's page with an element of these attributes."""
        content = PAGE.format(server=self.server.address, attributes=attributes)
        self.site.pages["/"] = ("text/html", content)
        self.page.goto(self.site.origin)


@pytest.fixture
def theirs(browser: Browser, guarded: GuardedServer, seen: Seen) -> Iterator[Theirs]:
    """In the end the console is empty and nothing went to a third place."""
    with served(guarded.address) as site:
        context = browser.new_context(viewport={"width": 360, "height": 740})
        context.set_default_timeout(15_000)
        seen.watch(context)
        sent: list[Request] = []

        def note(request: Request) -> None:
            sent.append(request)

        context.on("request", note)
        yield Theirs(context.new_page(), site, guarded, sent)
        context.close()
        assert seen.complaints == []
        known = (f"{guarded.address}/", f"{site.origin}/", "data:,")
        assert [url for url in seen.urls if not url.startswith(known)] == []


def test_a_site_with_a_key_of_its_own_searches_and_shares_key_and_question_with_nobody(theirs: Theirs) -> None:
    page, server = theirs.page, theirs.server
    key = KeyFile(server.folder).add("theirs", "read", [theirs.site.origin])
    theirs.shows(f'key="{key}" link="/archive/{{id}}#{{start}}" text-answered="Répondu" text-label="Chercher" limit="2"')
    page.keyboard.press("Tab")
    expect(page.get_by_role("searchbox", name="Chercher")).to_be_focused()
    page.keyboard.type(QUESTION)
    page.keyboard.press("Enter")

    expect(page.locator("mark").first).to_have_text(SAUDI)
    expect(page.get_by_role("status")).to_contain_text("2 found")
    expect(page.get_by_role("list", name="Passages found").get_by_role("listitem")).to_have_count(2)
    style = "(mark) => ['display', 'color', 'textTransform'].map((name) => getComputedStyle(mark)[name])"
    evidence = page.locator("mark").first.evaluate(style)
    assert evidence == ["inline", "rgb(30, 29, 27)", "none"]  # whatever the page's styles want
    assert page.evaluate("document.documentElement.scrollWidth") == 360

    page.keyboard.press("Tab")  # the button
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    where = f"{theirs.site.origin}/archive/daesh-small-group.txt#2066"
    expect(page).to_have_title(f"{QUESTION} daesh-small-group.txt {where}")

    asked = [request for request in theirs.sent if "authorization" in request.all_headers()]
    assert [(one.url, one.method) for one in asked] == [(f"{server.address}/v1/search", "POST")]
    assert "referer" not in asked[0].all_headers()
    assert [one.url for one in theirs.sent if key in one.url or "ministerial" in one.url] == []
    others = [one.post_data for one in theirs.sent if one not in asked]
    assert set(others) == {None}


def test_a_site_without_a_key_is_told_that_the_search_failed(theirs: Theirs, seen: Seen) -> None:
    KeyFile(theirs.server.folder).add("for-modules", "read", [theirs.site.origin])  # who has no key gets no script either
    theirs.shows(f'key="wrong" question="{QUESTION}"')
    expect(theirs.page.get_by_role("status")).to_contain_text("The search failed: the key is not known, or was revoked")
    expect(theirs.page.locator("passages-search li")).to_have_count(0)
    seen.forgive("status of 401")


def test_an_origin_without_a_key_gets_no_script(theirs: Theirs, seen: Seen) -> None:
    theirs.shows("")
    theirs.page.wait_for_load_state("networkidle")
    assert theirs.page.evaluate("customElements.get('passages-search') === undefined")
    seen.forgive("blocked by CORS policy")
    seen.forgive("net::ERR_FAILED")  # which is said twice
    seen.forgive("net::ERR_FAILED")


def test_the_demo_page_searches_its_own_server_in_two_languages(page: Page) -> None:
    page.goto("/web/demo.html")
    boxes = page.locator("passages-search")
    boxes.first.get_by_role("searchbox", name="Search these documents").fill(QUESTION)
    page.keyboard.press("Enter")
    expect(boxes.first.locator("mark").first).to_have_text(SAUDI)
    expect(boxes.last.get_by_role("button", name="Suchen")).to_be_visible()
    boxes.first.get_by_role("link").first.click()
    expect(page.locator("document-page mark")).to_have_text([SAUDI])


def test_the_element_dresses_up_nothing_that_does_not_answer(page: Page) -> None:
    verdicts = ["answered", "weak", "nothing"]

    def change(answer: dict[str, Any]) -> None:
        for one, verdict in zip(answer["results"], verdicts, strict=False):
            one |= {"verdict": verdict, "evidence": {"start": one["start"], "end": one["end"], "text": one["text"]}}

    page.route("**/v1/search", rewritten(change))
    page.goto("/web/demo.html")
    box = page.locator("passages-search").first
    box.evaluate("(one, question) => one.setAttribute('question', question)", QUESTION)
    marks = box.locator("mark")
    expect(marks.nth(2)).to_be_visible()
    grounds = marks.evaluate_all("all => all.slice(0, 3).map((one) => getComputedStyle(one).backgroundColor)")
    assert len(set(grounds)) == 3
    assert grounds[2] == "rgba(0, 0, 0, 0)"
    assert [marks.nth(place).get_attribute("part") for place in range(3)] == [f"evidence {verdict}" for verdict in verdicts]


def test_the_element_is_busy_only_while_it_asks(page: Page) -> None:
    page.goto("/web/demo.html")
    box = page.locator("passages-search").first
    held: list[Route] = []
    page.route("**/v1/search", lambda route: held.append(route))  # noqa: PLW0108  # Playwright marks what it is given
    root = box.locator(".root")
    box.evaluate("(one) => { one.search('first'); }")
    expect(root).to_have_attribute("aria-busy", "true")
    box.evaluate("(one) => { one.search(''); }")
    expect(root).not_to_have_attribute("aria-busy", "true")

    box.evaluate("(one, question) => { one.lang = 'en_GB'; one.search(question); }", QUESTION)  # which is no language
    page.unroute("**/v1/search")
    box.evaluate("(one) => document.querySelector('main').append(one)")  # as frameworks do
    moved = page.locator("passages-search").last
    expect(moved.locator("mark").first).to_have_text(SAUDI)
    expect(moved.locator(".root")).not_to_have_attribute("aria-busy", "true")
