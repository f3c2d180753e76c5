"""``passages copy``: a collection from one engine to another, without encoding it again."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated

import typer

from service import interruption
from service.options import JsonOption, ModelOption
from service.terminal import counted, print_record


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog="Example: passages copy index milvus://127.0.0.1:19530/papers")(copy)


def copy(
    source: Annotated[str, typer.Argument(metavar="FROM", help="An index folder, or milvus://HOST:19530/COLLECTION.")],
    target: Annotated[str, typer.Argument(metavar="TO", help="Another one, which is made if it is not there.")],
    model: ModelOption = None,
    as_json: JsonOption = False,
) -> None:
    """Copy an index from a folder to a Milvus server, or back, as it was encoded, and compare the two. Interrupted, it goes on
    where it was when it is started again. The index must not be written meanwhile."""
    from service.settings import load

    settings = load(model=model)
    from indexer.engines.address import Address, where_of
    from indexer.engines.copying import copy as copied
    from indexer.engines.opening import open_engine

    first, second = (settings.reached(where_of(one)) for one in (source, target))
    # What is compared is what is there now, whatever questions may be answered from.
    first, second = (replace(one, consistency="Strong") if isinstance(one, Address) else one for one in (first, second))
    if first == second:
        raise typer.BadParameter("FROM and TO are the same; name two")
    interruption.end_on_sigterm()
    began = time.monotonic()
    with open_engine(first, settings.model) as there, open_engine(second, settings.model, create=True) as here:
        try:
            done = copied(there, here, _told(quiet=as_json))
        except KeyboardInterrupt:
            typer.echo("interrupted: what is copied stays; the same command goes on with the rest, and compares", err=True)
            raise typer.Exit(interruption.status()) from None
    record = {"from": str(first), "to": str(second), **done._asdict(), "seconds": round(time.monotonic() - began, 2)}
    documents, passages = counted(done.written, "document"), counted(done.passages, "passage")
    words = f"{second}: {documents} copied, {done.there:,} were there; {passages}, all the same"
    print_record(record, as_json, words)


def _told(quiet: bool) -> Callable[[str, int, int], None]:
    """Tells a line for each tenth of the documents, of copying and then of comparing."""
    last: dict[str, int] = {}

    def told(what: str, done: int, of: int) -> None:
        if not quiet and (tenths := 10 * done // max(1, of)) > last.get(what, -1):
            last[what] = tenths
            typer.echo(f"{what}: {done:,} of {of:,} documents", err=True)

    return told
