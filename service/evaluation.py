"""``passages eval``: how good the search is on the questions that people judged here.

The measuring is :mod:`eval`'s, which this package does not import: it runs as the program that it is, in this one's place.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from service.options import IndexOption, JsonOption, ModelOption


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("eval", epilog="Example: passages eval --against other-index")(evaluate)


def evaluate(
    against: Annotated[Path | None, typer.Option("--against", help="Another index folder: which of the two to serve.")] = None,
    questions: Annotated[
        Path | None, typer.Option("--questions", help="JSON lines of questions and answers, in place of judged ones.")
    ] = None,
    worst: Annotated[int, typer.Option("--worst", min=0, help="How many of the worst questions to show.")] = 5,
    index: IndexOption = None,
    model: ModelOption = None,
    against_model: Annotated[
        str | None, typer.Option("--against-model", help="The model of the other index, if its name does not find it.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure the search on the questions that were judged here, and compare it with another index on them."""
    from indexer.children import child_command
    from indexer.models import DEFAULT_MODEL
    from service.settings import load

    settings = load(index=index, model=model)
    named = settings.model if settings.model != DEFAULT_MODEL else None  # else the model that the index was made with
    options = {
        "--model": named, "--runtime": settings.runtime, "--against": against, "--against-model": against_model,
        "--questions": questions, "--worst": worst,
    }  # fmt: skip
    told = [part for name, value in options.items() if value is not None for part in (name, str(value))]
    command = child_command("eval.__main__", "own", *told, *["--json"] * as_json, "--", str(settings.folder))
    sys.stdout.flush()
    os.execv(command[0], command)  # noqa: S606  # our own interpreter and package
