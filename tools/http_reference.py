"""docs/http-reference.md, from the application's OpenAPI document."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from indexer.models import DEFAULT_MODEL
from service.app import create_app

Schema = Mapping[str, Any]

_HEAD = """\
# HTTP reference

Made from the server's own `/openapi.json` by `make docs`; do not edit. [http.md](http.md) tells how to use it.

Every route can also answer one of the errors {refusals}, as a [Problem](#problem).
"""
_BOUNDS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "less than {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} of them",
    "maxItems": "at most {} of them",
}


def page() -> str:
    """The page, as Markdown."""
    openapi = create_app(Path("unused"), DEFAULT_MODEL).openapi()
    operations = [(path, verb, operation) for path, verbs in openapi["paths"].items() for verb, operation in verbs.items()]
    refusals = sorted({code for *_, operation in operations for code in operation["responses"] if code >= "400"})
    parts = [_HEAD.format(refusals=", ".join(refusals)), "## Routes\n"]
    parts += [_operation(path, verb, operation) for path, verb, operation in operations]
    parts.append("## Bodies\n")
    parts += [_model(name, schema) for name, schema in sorted(openapi["components"]["schemas"].items()) if _is_body(schema)]
    return "\n".join(parts)


def _operation(path: str, verb: str, operation: Schema) -> str:
    lines = [f"### `{verb.upper()} {path}`\n", operation.get("description", operation["summary"]) + "\n"]
    if parameters := operation.get("parameters"):
        lines += ["| parameter | in | type | |", "|---|---|---|---|", *map(_parameter, parameters), ""]
    lines += [f"Body: {body}.\n" for body in _contents(operation.get("requestBody", {}))]
    lines += [f"Answer {code}: {', '.join(_contents(one)) or 'empty'}.\n" for code, one in _answers(operation)]
    return "\n".join(lines)


def _parameter(one: Schema) -> str:
    notes = _notes(one["schema"], one.get("required", False), one.get("description"))
    return f"| `{one['name']}` | {one['in']} | {_type(one['schema'])} | {notes} |"


def _answers(operation: Schema) -> Iterator[tuple[str, Schema]]:
    return ((code, one) for code, one in operation["responses"].items() if code < "400")


def _contents(body: Schema) -> list[str]:
    """Each kind of body with its media type, if that is not JSON."""
    kinds = body.get("content", {}).items()
    return [_type(one.get("schema", {})) + ("" if kind == "application/json" else f" as `{kind}`") for kind, one in kinds]


def _model(name: str, schema: Schema) -> str:
    lines = [f"### {name}\n", _cell(schema.get("description", "")) + "\n", "| field | type | |", "|---|---|---|"]
    needed = schema.get("required", ())
    for field, one in schema["properties"].items():
        lines.append(f"| `{field}` | {_type(one)} | {_notes(one, field in needed, one.get('description'))} |")
    if schema.get("additionalProperties") not in (None, False):
        lines.append("| any other | any | |")
    return "\n".join(lines) + "\n"


def _is_body(schema: Schema) -> bool:
    return "properties" in schema


def _type(schema: Schema) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return "any JSON" if name == "JsonValue" else f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return " or ".join(f"`{json.dumps(one)}`" for one in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}" if "items" in schema else "list"
    if schema.get("type") == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_type(schema['additionalProperties'])}"
    return str(schema.get("type", "any JSON"))


def _notes(schema: Schema, needed: bool, description: str | None) -> str:
    notes = [description] if description else []
    if needed:
        notes.append("required")
    notes += [text.format(f"{schema[name]:g}") for name, text in _BOUNDS.items() if name in schema]
    if schema.get("default") is not None:
        notes.append(f"by default `{json.dumps(schema['default'])}`")
    return _cell("; ".join(notes))


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("``", "`").replace("|", "\\|")
