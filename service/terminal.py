"""What a person sees in a terminal: text that cannot steer it, links, bars. Colours, bold and links are left out by themselves
where the output is no terminal."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

if TYPE_CHECKING:
    from rich.console import Console

_LINKED = re.compile(r"(?:https?|file)://[\x21-\x7e]+", re.IGNORECASE)
_EIGHTHS = " ▏▎▍▌▋▊▉"
_NARROWEST = 40
_LONGEST = 1_000_000


def console() -> Console:
    """Standard output. Where it is no terminal, lines are as long as their text: who reads them may be a program."""
    from rich.console import Console

    made = Console(highlight=False, emoji=False, markup=False)
    if not made.is_terminal:
        made.width = _LONGEST
    return made


def safe(text: str) -> str:
    """The text without characters that steer a terminal, at the same offsets: a document may hold any."""
    from indexer.controls import printable

    return printable(text)


def one_line(text: str) -> str:
    """The text as :func:`safe` gives it, without line ends too: a name that has one must not pass for two lines."""
    return safe(text).replace("\n", "␊")


def link_to(uri: str, page: int | None) -> str | None:
    """What a terminal may open for a document; None where its address is none, or is not written as one. A viewer of PDF files
    goes to the ``page``."""
    if not _LINKED.fullmatch(uri):
        return None
    return f"{uri}#page={page}" if page is not None and "#" not in uri else uri


def path_of(uri: str) -> str:
    """An address as a person writes it: a file's path."""
    return one_line(unquote(uri.removeprefix("file://")) if uri.startswith("file:///") else uri)


def bar(share: float, width: int) -> str:
    """A bar of ``share`` (0 to 1) of ``width`` characters, as long as its text; never empty for what is there."""
    eighths = max(round(share * width * 8), 1 if share > 0 else 0)
    full, rest = divmod(eighths, 8)
    return "█" * full + (_EIGHTHS[rest] if rest else "")


def counted(count: int, noun: str) -> str:
    """How many of what, in words."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def size(count: int) -> str:
    """Bytes in words."""
    amount, units = float(count), iter(("bytes", "KB", "MB", "GB", "TB"))
    unit = next(units)
    while amount >= 999.5 and unit != "TB":
        amount, unit = amount / 1000, next(units)
    return f"{count:,} bytes" if unit == "bytes" else f"{amount:,.1f} {unit}" if amount < 10 else f"{amount:,.0f} {unit}"


def width_of(shown: Console) -> int:
    """How many characters a drawing may take."""
    return max(_NARROWEST, min(shown.width, 100))


def print_record(record: dict[str, Any], as_json: bool, words: str) -> None:
    """The outcome of a command: one JSON object, or words."""
    print(json.dumps(record, indent=2, ensure_ascii=False) if as_json else safe(words))
