"""Returned passages -> ranked judged units (documents or paragraphs): which of them a passage counts for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from eval.sets import JudgedSet, Paragraph


class Hit(NamedTuple):
    """A returned passage; ``start`` and ``end`` are characters of the document's text."""

    document: str
    start: int
    end: int


if TYPE_CHECKING:
    from indexer import Result

Credit = Callable[[Hit], Sequence[str]]


def credit_of(judged: JudgedSet) -> Credit:
    """How the set gives credit."""
    return by_document if judged.paragraphs is None else by_paragraph(judged.paragraphs)


def places(result: Result) -> list[Hit]:
    """A result's passage, then the other places of the same text, which it names: as if they had been returned after it."""
    return [Hit(one.document.id, one.start, one.end) for one in (result.passage, *result.also_in)]


def by_document(hit: Hit) -> Sequence[str]:
    """A passage counts for the document that it lies in."""
    return (hit.document,)


def by_paragraph(paragraphs: Mapping[str, Sequence[Paragraph]]) -> Credit:
    """A passage counts for the paragraphs that :func:`counts_for` says, in the order of the text.

    Where there are none it counts for an id of its own, which nothing judges: it takes its rank all the same.
    """

    def credit(hit: Hit) -> Sequence[str]:
        units = [one.id for one in paragraphs.get(hit.document, ()) if counts_for(hit, one)]
        return units or (f"{hit.document}@{hit.start}-{hit.end}",)

    return credit


def counts_for(hit: Hit, paragraph: Paragraph) -> bool:
    """Whether the passage covers at least half of the paragraph's characters, or lies inside it."""
    shared = min(hit.end, paragraph.end) - max(hit.start, paragraph.start)
    inside = paragraph.start <= hit.start and hit.end <= paragraph.end
    return inside or 2 * shared >= paragraph.end - paragraph.start


def ranking(hits: Iterable[Hit], credit: Credit) -> list[str]:
    """Units in the order in which they are first credited, each once.

    A passage whose units were all credited before takes no rank: every rank is one unit.
    """
    return list(dict.fromkeys(unit for hit in hits for unit in credit(hit)))
