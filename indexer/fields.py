"""Values that files and records bring: what can be stored, and what is a date."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from indexer.errors import UnreadableError

DEEPEST = 50  # levels of metadata
PARTIAL_DATE = re.compile(r"\d{4}(-(0[1-9]|1[0-2]))?")


def json_name(value: Any) -> str:
    """What a JSON value is, in words."""
    names = {type(None): "null", bool: "true or false", int: "a number", float: "a number", str: "a string", list: "a list"}
    return names.get(type(value), "an object" if isinstance(value, Mapping) else type(value).__name__)


def check_storable(value: Any, depth: int = 0) -> None:
    """Raise `UnreadableError` for what neither UTF-8 nor JSON can hold, lone surrogates and infinite numbers, and for
    metadata that is nested deeper than any reader of JSON can be expected to follow."""
    if depth > DEEPEST:
        raise UnreadableError(f"holds metadata nested more than {DEEPEST} deep; flatten it")
    if isinstance(value, str):
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            raise UnreadableError("holds half of a surrogate pair (such as \\ud800 alone), which is no character; remove it")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise UnreadableError(f"holds the number {value}, which JSON does not know; use null or a string")
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            check_storable(key, depth + 1)
            check_storable(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            check_storable(inner, depth + 1)


def parse_json(raw: bytes) -> Any:
    """The JSON value. Raises `UnreadableError`, which says where it is wrong."""
    try:
        return json.loads(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        byte = raw[error.start]
        raise UnreadableError(f"is not UTF-8 (byte {error.start} of the line is 0x{byte:02x}); convert it with iconv") from None
    except json.JSONDecodeError as error:
        raise UnreadableError(f"is not JSON: {error.msg} at character {error.pos + 1}") from None
    except RecursionError:
        raise UnreadableError("is JSON nested too deeply to be read") from None
    except ValueError as error:  # a whole number of more digits than Python converts
        raise UnreadableError(f"holds a number that is too long [{error}]") from None


def iso_date(value: Any) -> str | None:
    """Return YYYY-MM-DD of an ISO 8601 or RFC 2822 date or time, as written (no change of time zone); None if it is neither.
    A year, or a year and a month, are dates too, and stay as short as they are: 1650, 1887-05."""
    if not isinstance(value, str):
        return None
    if PARTIAL_DATE.fullmatch(value.strip()):
        return value.strip()
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            return parse(value.strip()).date().isoformat()
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
    return None


def date_remark(value: Any, date: str | None) -> str:
    """What to tell of a ``date`` that was found in ``value``; "" if it is one, or there is none."""
    if date is not None or not isinstance(value, str) or not value.strip():
        return ""
    shown = value if len(value) <= 40 else value[:40] + "…"
    return f'its date, "{shown}", is not understood, so before: and after: do not find it; write 2024-05-31, 2024-05 or 2024'
