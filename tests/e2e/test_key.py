"""The page of a server that demands a key, and documents that want to run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from playwright.sync_api import Error as PlaywrightError

from tests.e2e.conftest import GuardedServer, Seen
from tests.e2e.test_page import LINK, SAUDI, delete, put, rewritten

pytestmark = pytest.mark.browser

REFUSED = "status of 401"  # Chromium reports every refused request
HOSTILE = "<script>window.owned=1</script><img src=x onerror='window.owned=2'><a href='javascript:window.owned=3'>quagga</a>"


@pytest.fixture
def locked(browser: Browser, guarded: GuardedServer, seen: Seen) -> Iterator[Page]:
    context = browser.new_context(base_url=guarded[0], viewport={"width": 360, "height": 740})
    context.set_default_timeout(15_000)
    seen.watch(context)
    yield context.new_page()
    context.close()
    assert seen.complaints == []
    assert [url for url in seen.urls if not url.startswith(f"{guarded[0]}/")] == []


def test_the_key_is_asked_for_once_and_forgotten_when_told(locked: Page, guarded: GuardedServer, seen: Seen) -> None:
    page, key = locked, guarded[1]
    page.goto(LINK)
    box = page.get_by_label("Key", exact=True)
    expect(page.get_by_role("dialog", name="This collection needs a key")).to_be_visible()
    expect(box).to_be_focused()
    seen.forgive(REFUSED)
    assert page.evaluate("document.documentElement.scrollWidth") == 360

    box.fill("wrong/key")  # the page's own shortcut must not take the slash away
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("This key is not known here. See whether all of it was copied.")
    expect(box).to_be_focused()
    expect(box).to_have_attribute("aria-invalid", "true")
    seen.forgive(REFUSED)

    box.fill(key)
    page.keyboard.press("Enter")
    expect(page.locator(".passage").first).to_have_text(SAUDI)  # what was asked before is answered
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.reload()
    expect(page.locator(".passage").first).to_have_text(SAUDI)
    page.locator("passage-result .title").first.click()
    expect(page.locator("mark")).to_have_text([SAUDI])

    assert key not in page.evaluate("document.cookie + JSON.stringify({ ...localStorage, ...sessionStorage })")
    (cookie,) = page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"], key in cookie["value"]) == (True, "Strict", False)

    page.get_by_role("button", name="Forget the key on this device").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    expect(page.locator("passage-result, mark")).to_have_count(0)
    assert page.context.cookies() == []
    assert page.evaluate("localStorage.length") == 0  # nor what was asked, which the next one here would read
    seen.forgive(REFUSED)


def test_who_has_no_key_is_told_so(locked: Page, seen: Seen) -> None:
    locked.goto(LINK)
    expect(locked.get_by_role("dialog")).to_be_visible()
    locked.keyboard.press("Escape")
    expect(locked.get_by_role("dialog")).to_have_count(0)
    expect(locked.get_by_role("status")).to_contain_text("this collection needs a key; ask again to enter it")
    expect(locked.get_by_role("button", name="Forget")).to_have_count(0)
    seen.forgive(REFUSED)


def test_another_sites_page_gets_nothing_by_a_visitors_session(browser: Browser, guarded: GuardedServer, server: str) -> None:
    """Another port of the same name is the same site: its requests carry the cookie, and are refused all the same."""
    address, key, _ = guarded
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{address}/livez")
    bearer = {"Authorization": f"Bearer {key}"}
    assert page.evaluate("headers => fetch('/v1/session', {method: 'POST', headers}).then(r => r.status)", bearer) == 204
    assert page.evaluate("fetch('/v1/status').then(r => r.status)") == 200
    page.goto(f"{server}/livez")
    for options in ({}, {"credentials": "include"}, {"method": "DELETE", "credentials": "include"}):
        script = "([url, options]) => fetch(url, options).then(r => r.status, () => 'refused')"
        assert page.evaluate(script, [f"{address}/v1/documents/daesh-small-group.txt", options]) == "refused"
    context.close()
    assert httpx.get(f"{address}/v1/documents/daesh-small-group.txt", headers=bearer).status_code == 200


def test_a_document_that_is_hostile_in_every_field_runs_nothing(context: BrowserContext, server: str) -> None:
    """The context's end asserts that the console is empty and nothing was asked of another site."""
    text = f"{HOSTILE}\n\nThe quagga, {HOSTILE}, grazed here."
    metadata = {HOSTILE: HOSTILE, "list": [HOSTILE, {HOSTILE: HOSTILE}]}
    put(server, HOSTILE, title=HOSTILE, text=text, uri="javascript:window.owned=4", date="2022-05-11", **metadata)

    def with_heading(answer: dict[str, Any]) -> None:
        for one in answer["results"]:
            one["heading"] = HOSTILE

    def with_headings(document: dict[str, Any]) -> None:
        document["headings"] = [[0, len(HOSTILE), 2]]

    page = context.new_page()
    page.route("**/v1/search", rewritten(with_heading))
    page.route("**/v1/documents/**", rewritten(with_headings))
    page.goto("/?q=where+did+the+quagga+graze")
    expect(page.locator(".heading").first).to_have_text(HOSTILE)
    expect(page.locator("passage-result :is(script, img), a[href^='javascript']")).to_have_count(0)
    page.locator("passage-result .title").filter(has_text="quagga").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text(HOSTILE)
    expect(page.locator(".text h3")).to_have_text(HOSTILE)
    expect(page.locator(".facts")).to_contain_text(HOSTILE)
    expect(page.locator("article :is(script, img, a)")).to_have_count(0)
    assert page.evaluate("window.owned") is None
    assert page.title().startswith(HOSTILE)
    page.unroute_all()
    delete(server, HOSTILE)


def test_a_string_that_would_become_html_is_an_error_of_the_browser(page: Page, seen: Seen) -> None:
    page.goto("/")
    for code, kind in (
        ("document.body.innerHTML = '<b>x</b>'", "TrustedHTML"),
        ("document.createElement('script').text = 'x'", "TrustedScript"),
    ):
        with pytest.raises(PlaywrightError, match=kind):
            page.evaluate(code)
        seen.forgive(kind)
