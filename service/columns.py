"""`passages index TABLE --text-column NAME`: the choice is kept beside the table, where every later run finds it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

TextColumn = Annotated[
    list[str] | None,
    typer.Option("--text-column", help="Of a .csv or .tsv file: each row is a document, this column its text; also several."),
]
IdColumn = Annotated[str | None, typer.Option("--id-column", help="Its id; without, the row's number.")]
TitleColumn = Annotated[str | None, typer.Option("--title-column", help="Its title.")]
DateColumn = Annotated[str | None, typer.Option("--date-column", help="Its date; without, a column named date.")]


def choose(paths: Sequence[Path], text: Sequence[str] | None, **others: str | None) -> None:
    """Write the chosen columns into the sidecar of each table. Raises `typer.BadParameter` for what is no table, a column that
    it does not have, and a choice without a text."""
    chosen = {name: value for name, value in others.items() if value is not None}
    if not text:
        if chosen:
            raise typer.BadParameter("name the column of the text too, such as: --text-column body")
        return
    columns = {"text": text[0] if len(text) == 1 else list(text), **chosen}
    for path in paths:
        _check(path, columns)
    for path in paths:
        _write(path, columns)


def _check(path: Path, columns: Mapping[str, object]) -> None:
    from indexer.documents import is_table
    from indexer.errors import UnreadableError
    from indexer.formats import decode
    from indexer.tables import columns_of, table_rows

    if not path.is_file() or not is_table(path):
        raise typer.BadParameter(f"{path} is no .csv or .tsv file; name the files whose rows are documents")
    try:
        next(table_rows(decode(path.read_bytes()), columns_of(columns)), None)
    except UnreadableError as error:
        raise typer.BadParameter(f"{path} {error}") from None


def _write(path: Path, columns: Mapping[str, object]) -> None:
    from indexer.documents import sidecar

    beside = sidecar(path)
    try:
        fields = json.loads(beside.read_text(encoding="utf-8")) if beside.exists() else {}
        if fields.get("columns") != columns:
            beside.write_text(json.dumps({**fields, "columns": columns}, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except (OSError, ValueError, AttributeError) as error:
        raise typer.BadParameter(f'{beside} cannot be written: {error}; write "columns" into it yourself') from None
