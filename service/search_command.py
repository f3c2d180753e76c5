"""``passages search``: a question, a few options, and the answer in the terminal."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from service.options import IndexOption, JsonOption, ModelOption

if TYPE_CHECKING:
    from indexer.search import Query


class Group(StrEnum):
    """What stands once in an answer."""

    DOCUMENT = "document"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog="Example: passages search 'who hosts the meeting?' --filter tags=isis --after 2021")(search)


def search(
    question: Annotated[str, typer.Argument(help="A question, in plain language.")],
    limit: Annotated[int, typer.Option(help="How many passages.")] = 5,
    offset: Annotated[int, typer.Option(help="How many of the best to leave out.")] = 0,
    condition: Annotated[
        list[str] | None,
        typer.Option("--filter", help="Only documents with this field, such as tags=isis, year>=2020 or tags!=draft."),
    ] = None,
    before: Annotated[str | None, typer.Option(help="Only documents dated before this day, month or year.")] = None,
    after: Annotated[str | None, typer.Option(help="Only documents dated after this day, month or year.")] = None,
    group: Annotated[Group | None, typer.Option(help="Only the best passage of each document.")] = None,
    min_score: Annotated[float, typer.Option(help="Leave out passages below this score, 0 to 1.")] = 0.0,
    explain: Annotated[bool, typer.Option("--explain", help="Also why each passage stands where it does.")] = False,
    index: IndexOption = None,
    model: ModelOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask a question; the passages that answer it, best first."""
    from service.settings import load

    settings = load(index=index, model=model)
    from indexer.engines.opening import open_engine
    from indexer.search import search as ask

    query = _query(question, condition or [], (before, after), group, limit, offset, min_score, explain or as_json)
    answer = ask(open_engine(settings.where, settings.model, runtime=settings.runtime), query)
    if as_json:
        from service.contract import search_response

        print(search_response(answer).model_dump_json(indent=2))
    else:
        from service.answers import print_answer

        print_answer(answer, offset)


def _query(
    question: str, conditions: list[str], dates: tuple[str | None, str | None], group: Group | None,
    limit: int, offset: int, min_score: float, explain: bool,
) -> Query:  # fmt: skip
    from indexer.search import Query
    from service.conditions import filter_of

    dated = [_dated(name, date) for name, date in zip(("before", "after"), dates, strict=True) if date is not None]
    return Query(
        " ".join([question, *dated]), limit, offset, filter_of(conditions), explain, min_score, "document" if group else None
    )


def _dated(name: str, date: str) -> str:
    """The option as a question says it, which checks it. Raises :class:`QuestionError`."""
    from indexer.question import QuestionError

    if len(date.split()) != 1:
        raise QuestionError(f"--{name} {date!r} names no date; write --{name} 2022, 2022-05 or 2022-05-01")
    return f"{name}:{date.strip()}"
