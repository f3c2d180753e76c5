"""The search page as a reader has it: from the pause in typing until the first passage is painted, in a real browser."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eval.errors import EvalError
from eval.load import target
from eval.shell import AsJson, Corpora, Folder, IndexFolder, Model, errors, model_of, show

if TYPE_CHECKING:
    from playwright.sync_api import Page

GOAL_MS = 150
WARM_UP = 10  # questions before those that count
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]

# The pause has ended when the page asks. What is there as a frame begins is painted by that frame, and a task that is put off
# then runs after that.
_CLOCK = """
const ask = window.fetch;
window.fetch = (...request) => {
  if (String(request[0]).endsWith("/v1/search")) window.asked = performance.now();
  return ask(...request);
};
window.nextAnswer = () => new Promise((resolve) => {
  const painted = () => resolve(performance.now() - window.asked);
  const seen = new MutationObserver(() => {
    if (!document.querySelector("passage-result")) return;
    seen.disconnect();
    requestAnimationFrame(() => setTimeout(painted));
  });
  seen.observe(document.querySelector(".results"), { childList: true });
});
"""

Url = Annotated[str | None, typer.Option(metavar="URL", help="Measure the server that runs here, with what it holds.")]


def command(
    folder: Folder, as_json: AsJson = False, index_folder: IndexFolder = None, model: Model = None, corpus: Corpora = None,
    url: Url = None,
) -> None:  # fmt: skip
    """Type the set's questions into the real page, and measure how long the first passage takes after the pause."""
    from eval.sets import read_set

    with errors():
        judged = read_set(folder)
        with target(judged, index_folder, model_of(model), corpus or [], url) as found, _page(found.served.address.url) as page:
            taken = timed(page, [question.text for question in judged.questions])
            record = {"what": "page", "set": judged.name, "passages": found.passages, **_summary(taken[WARM_UP:] or taken)}
    show(record, as_json, lambda: _rows(record))


def timed(page: Page, questions: Sequence[str]) -> list[float]:
    """Milliseconds from the pause until the first passage is painted, of each question, put into an empty box."""
    page.add_init_script(_CLOCK)
    page.goto("/")
    box, taken = page.get_by_role("searchbox"), list[float]()
    for question in questions:
        box.fill("")
        page.locator("passage-result").first.wait_for(state="detached")
        page.evaluate("() => { window.answer = nextAnswer(); }")
        box.fill(question)
        taken.append(float(page.evaluate("answer")))
    return taken


@contextmanager
def _page(url: str) -> Iterator[Page]:
    """A page of a browser of its own. Raises :class:`EvalError`."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise EvalError("Playwright is missing; install it: pip install playwright") from error
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        raise EvalError("there is no Chromium here; install it, on Debian: sudo apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_ARGUMENTS)
        yield browser.new_page(base_url=url)
        browser.close()


def _summary(taken: Sequence[float]) -> dict[str, Any]:
    import numpy as np

    shares = {f"p{share}_ms": round(float(np.percentile(taken, share)), 1) for share in (50, 95, 99)}
    within = sum(one <= GOAL_MS for one in taken) / len(taken)
    return {"questions": len(taken), **shares, "goal_ms": GOAL_MS, "within_goal": round(within, 3)}


def _rows(record: dict[str, Any]) -> list[tuple[str, ...]]:
    names = ("passages", "questions", "p50_ms", "p95_ms", "p99_ms", "within_goal")
    return [names, tuple(str(record[name]) for name in names)]
