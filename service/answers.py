"""An answer in a terminal: the verdict first, then each passage with its evidence in bold, its source and its score."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from indexer.ranking import BIAS
from indexer.search import page_of
from service.terminal import bar, console, link_to, one_line, path_of, safe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from indexer.records import StoredPassage
    from indexer.search import Answer, Result

_VERDICTS = {
    "answered": "Answered:",
    "weak": "Perhaps:",
    "nothing": "Nothing in this collection answers that; the closest passages are:",
    "uncalibrated": "",  # the scores of this model claim nothing
}
_NONE = "nothing was found: nothing is indexed, or nothing there meets the question's phrases and dates, or the filter"
_BAR = 24


def print_answer(answer: Answer, offset: int = 0) -> None:
    """Print it; ``offset`` results before the first were left out."""
    shown = console()
    if not answer.results:
        shown.print(_NONE)
    elif verdict := _VERDICTS[answer.verdict]:
        shown.print(Text(verdict, style="bold italic"), end="\n\n")
    for number, result in enumerate(answer.results, offset + 1):
        _print_result(shown, number, result)
        if result.signals is not None and answer.weights is not None:
            _print_reasons(shown, result, answer.weights)
        shown.print()
    if answer.weights is not None:
        stages = ", ".join(f"{name} {took:.1f}" for name, took in answer.stages.items())
        shown.print(Text(f"{answer.took_ms:.1f} ms: {stages}", style="dim"))


def _print_result(shown: Console, number: int, result: Result) -> None:
    passage, document = result.passage, result.passage.document
    page = page_of(document, passage.start)
    link = link_to(document.uri, page) if document.uri else None
    title = Text(one_line(document.title or document.id), style=f"bold link {link}" if link else "bold")
    shown.print(Text(f"{number}. ", style="bold").append_text(title).append(f"  {result.score:.3f}", style="dim"))
    shown.print(Text(" · ".join(_facts(result, page)), style="dim"))
    shown.print(_marked(result))


def _facts(result: Result, page: int | None) -> list[str]:
    passage, document = result.passage, result.passage.document
    place = f"{one_line(document.id)}, {f'page {page}, ' if page else ''}characters {passage.start} to {passage.end}"
    facts = [document.date, place, path_of(document.uri) if document.uri else None, one_line(passage.heading or "")]
    facts += [f"also in {_places(result.also_in)}"] if result.also_in else []
    facts += [f"{result.others:,} more of this document"] if result.others else []
    return [fact for fact in facts if fact]


def _places(places: Sequence[StoredPassage]) -> str:
    others = f" and {len(places) - 1:,} more" if len(places) > 1 else ""
    return one_line(places[0].document.id) + others


def _marked(result: Result) -> Text:
    """The passage, with the sentence that carries the answer in bold and the question's words underlined."""
    passage = result.passage
    text = Text(safe(passage.text))
    if result.evidence:
        text.stylize("bold", result.evidence.start - passage.start, result.evidence.end - passage.start)
    for start, end in result.matches:
        text.stylize("underline", start - passage.start, end - passage.start)
    return text


def _print_reasons(shown: Console, result: Result, weights: Mapping[str, float]) -> None:
    """What each signal adds to the score's logit, and which words of the question the passage holds."""
    parts = {name: weights[name] * value for name, value in (result.signals or {}).items() if weights[name] * value}
    most = max(map(abs, parts.values()), default=1.0)
    for name, part in sorted(parts.items(), key=lambda each: -abs(each[1])):
        drawn = bar(abs(part) / most, _BAR)
        shown.print(Text(f"   {name:<16}{part:+6.2f}  ").append(drawn, style="cyan" if part > 0 else "red"))
    shown.print(Text(f"   {BIAS:<16}{weights[BIAS]:+6.2f}", style="dim"))
    words = Text("   words           ")
    for term in result.terms or ():
        words.append(safe(term.word), style="underline" if term.held else "dim strike").append(" " if term.held else "✗ ")
    shown.print(words)
