"""The real server on a real port, and a real browser that must have nothing to complain of."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, sync_playwright

START_SECONDS = 150
MISSING = "the pages were NOT tested, there is no Chromium here; run: sudo apt-get install chromium"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Without the browser the tests skip; a lone "s" would not be noticed."""
    if any(MISSING in str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])):
        terminalreporter.section("skipped", sep="!", red=True, bold=True)
        terminalreporter.write_line(MISSING)


@contextmanager
def launched(folder: Path, **more: str) -> Iterator[str]:
    """`passages serve` over an index of its own in `folder`: its address, as soon as it answers, ready or not. What it says is
    in files there."""
    passages = Path(sys.executable).with_name("passages")
    settings = {"PASSAGES_INDEX": str(folder / "index"), "PASSAGES_PORT": "0", **more}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PASSAGES_")}
    said = folder / "stderr"
    with said.open("wb") as stderr, (folder / "stdout").open("wb") as stdout:
        # Its folder is its own: a developer's passages.toml must not decide what is tested.
        process = subprocess.Popen([passages, "serve"], env=inherited | settings, cwd=folder, stdout=stdout, stderr=stderr)
        try:
            address = _address(process, said)
            _until(lambda: _answers(f"{address}/livez"), f"{address} did not answer")
            yield address
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(20)


def wait_until_ready(address: str) -> None:
    """Return when the server answers questions."""
    _until(lambda: _answers(f"{address}/readyz"), f"{address} was not ready")


@pytest.fixture(scope="session")
def chromium() -> str:
    """Where the browser is; without one, whatever asks for this first skips, and fails in CI."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        (pytest.fail if "CI" in os.environ else pytest.skip)(MISSING)
    return path


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of one ready server over seeds/; what a test stores in it, other tests find too."""
    with launched(tmp_path_factory.mktemp("server")) as address:
        wait_until_ready(address)
        yield address


class GuardedServer(NamedTuple):
    """A server that demands keys: its address, its first key, the folder of its index."""

    address: str
    key: str
    folder: Path


@pytest.fixture(scope="package")
def guarded(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedServer]:
    """One for all tests that need keys."""
    folder = tmp_path_factory.mktemp("guarded")
    with launched(folder, PASSAGES_REQUIRE_KEY="true") as address:
        wait_until_ready(address)
        (key,) = re.findall(r"^  (passages_\S+)$", (folder / "stderr").read_text(), re.MULTILINE)
        yield GuardedServer(address, key, folder / "index")


@pytest.fixture(scope="package")
def browser(chromium: str) -> Iterator[Browser]:
    """One Chromium. Not for the whole session: Playwright's event loop would be in the way of other tests."""
    with sync_playwright() as playwright:
        launched_browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield launched_browser
        launched_browser.close()


@dataclass
class Seen:
    """What the browser said and where it went."""

    complaints: list[str] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)

    def forgive(self, containing: str) -> None:
        """Take away one complaint that the test provoked, which must be there."""
        self.complaints.remove(next(one for one in self.complaints if containing in one))

    def watch(self, context: BrowserContext) -> None:
        """Listen to every page of the context."""

        def said(message: ConsoleMessage) -> None:
            self.complaints.append(f"{message.type}: {message.text}")

        def failed(request: Request) -> None:
            # The page cancels an answer that nobody waits for any more, as the browser does on leaving.
            if request.failure != "net::ERR_ABORTED":
                self.complaints.append(f"failed: {request.url} {request.failure}")

        context.on("console", said)
        context.on("weberror", lambda error: self.complaints.append(f"thrown: {error.error}"))
        context.on("requestfailed", failed)
        context.on("request", lambda request: self.urls.append(request.url))


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def context(chromium: str, browser: Browser, server: str, seen: Seen) -> Iterator[BrowserContext]:
    """A fresh browser profile on the server. Its console stays empty, and no request leaves the server."""
    made = browser.new_context(base_url=server)
    made.set_default_timeout(15_000)
    seen.watch(made)
    yield made
    made.close()
    assert seen.complaints == []
    assert seen.urls
    assert [url for url in seen.urls if not url.startswith(f"{server}/")] == []


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


def _address(process: subprocess.Popen[bytes], said: Path) -> str:
    found: list[str] = []

    def is_said() -> bool:
        assert process.poll() is None, said.read_text()
        found.extend(re.findall(r"^Passages on (\S+) ", said.read_text(), re.MULTILINE))
        return bool(found)

    _until(is_said, "the server did not say where it listens")
    return found[0]


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:  # the address is said a moment before the server accepts
        return False


def _until(is_so: Callable[[], bool], otherwise: str) -> None:
    end = time.monotonic() + START_SECONDS
    while not is_so():
        assert time.monotonic() < end, f"{otherwise} within {START_SECONDS} s"
        time.sleep(0.05)
