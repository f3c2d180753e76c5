"""Files of one record a line, JSON or tab-separated, gzipped or not; an error names the file and the line."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from eval.errors import EvalError


class Line(NamedTuple):
    """Where a record stands, for errors; ``number`` counts from 1."""

    path: Path
    number: int

    def error(self, what: str) -> EvalError:
        """An error that begins with the place."""
        return EvalError(f"{self.path}, line {self.number}: {what}")


def json_lines(path: Path) -> Iterator[tuple[Line, dict[str, Any]]]:
    """The objects of a JSON-lines file. Raises :class:`EvalError`."""
    for line, text in _lines(path):
        try:
            record = json.loads(text)
        except ValueError as error:
            raise line.error(f"is not JSON ({error}); mend or remove the line") from error
        if not isinstance(record, dict):
            raise line.error('is not a JSON object; write {"_id": ..., "text": ...}')
        yield line, record


def tab_separated(path: Path) -> Iterator[tuple[Line, list[str]]]:
    """The rows of a tab-separated file, its header among them. Raises :class:`EvalError`."""
    for line, text in _lines(path):
        yield line, text.split("\t")


def text_of(line: Line, record: dict[str, Any], *fields: str) -> str:
    """The first of ``fields`` that the record has, as text; a whole number will do. Raises :class:`EvalError`."""
    value = next((record[field] for field in fields if record.get(field) is not None), None)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value.strip():
        raise line.error(f'has no "{fields[0]}"; add it, a text that is not empty')
    return value


def _lines(path: Path) -> Iterator[tuple[Line, str]]:
    """Lines end at \\n alone: JSON text may hold the other characters that ``str.splitlines`` breaks at."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for number, raw in enumerate(file, 1):
                if raw.strip():
                    yield Line(path, number), _decoded(Line(path, number), raw)
    except (OSError, EOFError) as error:  # EOFError: a gzip file that ends too early
        reason = getattr(error, "strerror", None) or error
        raise EvalError(f"{path} cannot be read: {reason}; name a folder that holds it") from error


def _decoded(line: Line, raw: bytes) -> str:
    try:
        return raw.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise line.error(f"is not UTF-8 (byte {error.start}); convert the file with iconv") from error
