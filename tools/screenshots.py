"""``python -m tools.screenshots``: docs/images/*.png, of a real server over a real collection.

The collection is the press releases of PASSAGES_DATA and the documents of seeds/, or these alone; indexing takes minutes, once.
Needs Chromium.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from io import BytesIO
from pathlib import Path
from tempfile import gettempdir
from typing import Annotated, NamedTuple
from urllib.parse import urlencode

import typer
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from eval.serving import serving
from indexer.models import DEFAULT_MODEL

ROOT = Path(__file__).parent.parent
IMAGES = ROOT / "docs" / "images"
_INDEX = ROOT / "build" / "screenshots" / "index"
_PRESS = Path(os.environ.get("PASSAGES_DATA", ROOT.parent / "shared" / "data")) / "state-press-releases" / "corpus.jsonl"
_ANSWERED = "How many were killed in the attack on Kabul airport?"
_NOTHING = "How do I remove limescale from a kettle?"
_ARGUMENTS = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --hide-scrollbars".split()
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_COLOURS = 128  # of an image: text and flat areas need no more, and it is a third of the size
_QUIET_MS = 1000  # nothing moves on the page any more

# A page that keeps a stream of events open is never without requests, so what counts is that nothing changes.
_SETTLED = """quiet => new Promise(done => {
  let timer = setTimeout(done, quiet);
  new MutationObserver(() => { clearTimeout(timer); timer = setTimeout(done, quiet); })
    .observe(document, { subtree: true, childList: true, characterData: true, attributes: true });
})"""


class Shot(NamedTuple):
    """A state of a page: how it is reached, what must be seen there, and on which screen."""

    reach: Callable[[Page], object]
    seen: str
    width: int = 1080
    height: int = 760
    is_dark: bool = False


def _ask(question: str) -> Callable[[Page], object]:
    return lambda page: page.goto(f"/?{urlencode({'q': question})}")


def _open_first(page: Page) -> None:
    _ask(_ANSWERED)(page)
    page.locator("passage-result a").first.click()


SHOTS = {
    "answered": Shot(_ask(_ANSWERED), "passage-result"),
    "nothing": Shot(_ask(_NOTHING), "passage-result"),
    "document": Shot(_open_first, "main mark"),
    "collection": Shot(lambda page: page.goto("/collection"), "main a[href^='/document']"),
    "phone": Shot(_ask(_ANSWERED), "passage-result", 360, 760),
    "dark": Shot(_ask(_ANSWERED), "passage-result", is_dark=True),
}


def main(
    only: Annotated[list[str] | None, typer.Option(help="Only this one. Repeatable.")] = None,
    index: Annotated[Path, typer.Option(help="The index, brought up to date first.")] = _INDEX,
) -> None:
    """Take the pictures and write them."""
    index = index.resolve()
    collected = [
        ROOT / "seeds",
        _papers(Path(gettempdir()) / "passages-papers"),
        *([_PRESS.resolve()] if _PRESS.is_file() else []),
    ]
    command = [str(Path(sys.executable).with_name("passages")), "index", *map(str, collected), "--index", str(index)]
    subprocess.run(command, check=True)  # noqa: S603
    IMAGES.mkdir(parents=True, exist_ok=True)
    # From beside the index: a page shows where it lies, and this machine's folders are nobody's business.
    with chdir(index.parent), serving(Path(index.name), DEFAULT_MODEL) as server, _browser() as browser:
        for name in only or SHOTS:
            picture = _taken(browser, server.address.url, SHOTS[name])
            (IMAGES / f"{name}.png").write_bytes(picture)
            print(f"{name}.png: {len(picture) >> 10} KiB")


def _papers(folder: Path) -> Path:
    """A folder with a file that is read, and a scan, which is not: a collection shows both."""
    folder.mkdir(parents=True, exist_ok=True)
    minutes = "# Minutes of the archive committee\n\nThe committee decided to move the map collection to the north cellar.\n"
    (folder / "minutes.md").write_text(minutes, encoding="utf-8")
    Image.new("L", (600, 800), 240).save(folder / "scan of a letter.pdf")
    return folder


@contextmanager
def _browser() -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if path is None:
        sys.exit("there is no Chromium here; run: sudo apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_ARGUMENTS)
        yield browser
        browser.close()


def _taken(browser: Browser, address: str, shot: Shot) -> bytes:
    """The picture, at two dots a pixel."""
    context = browser.new_context(
        base_url=address, device_scale_factor=2, viewport={"width": shot.width, "height": shot.height},
        color_scheme="dark" if shot.is_dark else "light", reduced_motion="reduce", locale="en-GB",
    )  # fmt: skip
    page = context.new_page()
    for _ in range(2):  # the first question after a start takes longer than those that follow, and the page says how long
        shot.reach(page)
        page.locator(shot.seen).first.wait_for()
        page.evaluate(_SETTLED, _QUIET_MS)
    picture = page.screenshot(animations="disabled", caret="hide")
    context.close()
    return _small(picture)


def _small(picture: bytes) -> bytes:
    with Image.open(BytesIO(picture)) as image, BytesIO() as file:
        flat = image.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE)
        flat.save(file, "PNG", optimize=True)
        return file.getvalue()


if __name__ == "__main__":
    typer.run(main)
