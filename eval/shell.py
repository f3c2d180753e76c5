"""What the commands share: their options, one way to print an outcome, and errors as one line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from eval.errors import EvalError

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="A judged set in BEIR layout.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
IndexFolder = Annotated[Path | None, typer.Option("--index", metavar="FOLDER", help="Keep the index here, for the next run.")]
Model = Annotated[str | None, typer.Option(help="A model's folder, or a name in the local cache.")]
Corpora = Annotated[
    list[Path] | None, typer.Option(metavar="PATH", help="JSON lines, or a folder of them, to search too. Repeatable.")
]

EXTRA = frozenset({"ir_measures", "scipy"})  # of a measurement, not of a plain install


@contextmanager
def errors() -> Iterator[None]:
    """What a user can act on is one line on standard error, and exit status 1."""
    from indexer import PassagesError

    try:
        yield
    except (EvalError, PassagesError) as error:
        from indexer import printable

        typer.echo(f"error: {printable(str(error))}", err=True)
        raise typer.Exit(1) from error
    except ModuleNotFoundError as error:
        if error.name not in EXTRA:
            raise
        advice = "install the extra in the checkout: python -m pip install -c constraints.txt -e '.[eval]'"
        typer.echo(f"error: {error.name} is not installed; {advice}", err=True)
        raise typer.Exit(1) from error


def model_of(given: str | None) -> str:
    """The model that was named, or the default one."""
    from indexer import DEFAULT_MODEL

    return given or DEFAULT_MODEL


def show(record: dict[str, Any], as_json: bool, rows: Callable[[], list[tuple[str, ...]]]) -> None:
    """Print the outcome: one JSON object, or a table whose first row is its head."""
    if as_json:
        typer.echo(json.dumps(record))
        return
    from rich.console import Console
    from rich.table import Table

    head, *body = rows()
    table = Table(*head, title=f"{record.get('set', '')} {record['what']}".strip())
    for row in body:
        table.add_row(*row)
    Console().print(table)


def interval(record: dict[str, float]) -> tuple[str, str]:
    """A value and its interval, in words."""
    return f"{record['value']:.3f}", f"{record['low']:.3f} to {record['high']:.3f}"
