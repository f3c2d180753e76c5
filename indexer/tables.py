"""Comma, semicolon or tab separated values -> canonical text, or rows; rows of any table -> lines."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from indexer.errors import UnreadableError
from indexer.fields import json_name
from indexer.formats import Content, decode, squeeze


class Columns(NamedTuple):
    """Which columns of a table make a document of each row, by their names in its first row; "" for none."""

    text: tuple[str, ...]
    id: str = ""
    title: str = ""
    date: str = ""


class Row(NamedTuple):
    """A row of a table as a document's parts; `number` counts rows, the header is 1; `id` is that if no column is one."""

    number: int
    id: str
    title: str
    text: str
    date: str | None
    fields: Mapping[str, str]  # of the other columns, without empty ones
    spare: int = 0  # cells that the first row has no name for


def columns_of(chosen: Any) -> Columns:
    """The columns that a sidecar names: `{"text": "body"}` or `{"text": ["question", "answer"], "title": ...}`.

    Raises `UnreadableError` if it names none for the text, or something else."""
    advice = 'write "columns": {"text": "the name of a column", "id": ..., "title": ..., "date": ...}'
    if not isinstance(chosen, Mapping):
        raise UnreadableError(f'has "columns" in its sidecar that are {json_name(chosen)}; {advice}')
    text = chosen.get("text")
    names = [text] if isinstance(text, str) else text
    others = {name: value for name, value in chosen.items() if name != "text"}
    wrong = others.keys() - set(Columns._fields) or [name for name, value in others.items() if not isinstance(value, str)]
    if wrong or not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        named = f'"{sorted(wrong)[0]}"' if wrong else '"text"'
        raise UnreadableError(f'has "columns" in its sidecar whose {named} cannot be used; {advice}')
    return Columns(tuple(names), **others)


def table_rows(text: str, columns: Columns) -> Iterator[Row]:
    """The rows below the first, which names the columns; those without text are left out.

    Raises `UnreadableError` for a table that has no such column, or is no table."""
    # A separator that the first row does not have is one of the text: rows of one column may hold commas.
    rows = _reader(text, text[: text.find("\n") + 1] or text)
    try:
        names = [squeeze(name) for name in next(rows, [])]
        _check(names, columns)
        for number, cells in enumerate(rows, 2):
            row = _row(number, dict(zip(names, cells, strict=False)), columns)
            if row.text:
                yield row._replace(spare=sum(map(bool, cells[len(names) :])))
    except csv.Error as error:
        raise UnreadableError(f"is no table that can be read: {error}; export it again as CSV") from None


def _check(names: Sequence[str], columns: Columns) -> None:
    for name in filter(None, (*columns.text, columns.id, columns.title, columns.date)):
        if name not in names:
            raise UnreadableError(f'has no column "{name}"; its first row names: {", ".join(filter(None, names))}')


def _row(number: int, cells: Mapping[str, str], columns: Columns) -> Row:
    taken = {*columns.text, columns.id, columns.title}
    texts = [cell for cell in (cells.get(name, "").strip("\n ") for name in columns.text) if cell.strip()]
    fields = {name: value for name, cell in cells.items() if name and name not in taken and (value := cell.strip())}
    return Row(
        number,
        cells.get(columns.id, "").strip() or str(number),
        squeeze(cells.get(columns.title, "")),
        "\n\n".join(texts),
        fields.get(columns.date or "date"),
        fields,
    )


def read_csv(data: bytes) -> Content:
    """Comma, semicolon or tab separated values: one line a row."""
    rows = _reader(decode(data))
    return Content("\n".join(row_lines([[squeeze(cell) for cell in row] for row in rows])))


def _reader(text: str, separated: str = "") -> Iterator[list[str]]:
    """Its rows, by the separator that they have; if ``separated`` is given, by one that this has too."""
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    return csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text, separated))


def _delimiter(text: str, separated: str) -> str:
    """The one of comma, semicolon and tab that cuts most of the first rows into the same number of cells, more than one."""

    def agreement(delimiter: str) -> tuple[int, int]:
        sample = csv.reader(io.StringIO(text[:65536], newline=""), delimiter=delimiter)
        widths = Counter(len(row) for row, _ in zip(sample, range(50), strict=False) if len(row) > 1)
        return max(((count, width) for width, count in widths.items()), default=(0, 0))

    possible = [one for one in ",;\t" if not separated or one in separated]
    return max(possible, key=agreement, default="\t")


def row_lines(rows: Sequence[Sequence[str]]) -> list[str]:
    """One line a row: "column: value; column: value" if the first row is a header, else the cells; empty cells are left out."""
    filled = [row for row in rows if any(row)]
    if not _has_header(filled):
        return ["; ".join(cell for cell in row if cell) for row in filled]
    names = filled[0]
    return [
        "; ".join(f"{names[i]}: {cell}" if i < len(names) and names[i] else cell for i, cell in enumerate(row) if cell)
        for row in filled[1:]
    ]


def _has_header(rows: Sequence[Sequence[str]]) -> bool:
    """A header names at least two columns, each once, in words (a number or date is a value) and has a row below it."""
    names = [name for name in rows[0] if name] if rows else []
    width = max((i + 1 for row in rows[1:] for i, cell in enumerate(row) if cell), default=0)
    return (
        len(rows) > 1
        and len(names) > 1
        and len(set(names)) == len(names) >= width
        and all(len(name) <= 100 and any(c.isalpha() for c in name) for name in names)
    )
