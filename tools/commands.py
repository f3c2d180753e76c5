"""docs/commands.md, from the command line itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from service.cli import app

_HEAD = """\
# Command line reference

Made from `passages --help` by `make docs`; do not edit. The [README](../README.md) tells what each is for.
"""


def page() -> str:
    """The page, as Markdown."""
    return "\n".join([_HEAD, *(_section(name, command) for name, command in commands())])


def commands() -> Iterator[tuple[str, Any]]:
    """Every command that does something, by what is typed for it: "passages key add"."""
    yield from _below("passages", typer.main.get_command(app))


def _below(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    for word, one in getattr(command, "commands", {}).items():
        if not one.hidden:
            yield from _below(f"{name} {word}", one)
    if not hasattr(command, "commands"):
        yield name, command


def _section(name: str, command: Any) -> str:
    shown = [one for one in command.params if not getattr(one, "hidden", False) and one.name != "help"]
    lines = [f"## `{' '.join([name, *(_usage(one) for one in shown if one.param_type_name == 'argument')])}`\n"]
    lines.append(f"{_plain(command.help)}\n")
    if command.epilog:
        lines.append(f"{_example(command.epilog)}\n")
    if shown:
        lines += ["| | |", "|---|---|", *(f"| `{_spelled(one)}` | {_told(one)} |" for one in shown), ""]
    return "\n".join(lines)


def _usage(argument: Any) -> str:
    name = (argument.metavar or argument.name.upper()) + ("..." if argument.nargs != 1 else "")
    return str(name if argument.required else f"[{name}]")


def _spelled(one: Any) -> str:
    if one.param_type_name == "argument":
        return _usage(one)
    value = "" if one.is_flag else f" {one.metavar or one.name.upper()}"
    return "`, `".join(f"{name}{value}" for name in [*one.opts, *one.secondary_opts])


def _told(one: Any) -> str:
    shown = one.show_default if isinstance(getattr(one, "show_default", None), str) else one.default
    told = _plain(one.help or "")
    has_default = shown not in (None, False, [], ()) and not callable(shown)
    return f"{told} By default {getattr(shown, 'value', shown)}." if has_default else told


def _plain(text: str) -> str:
    return " ".join((text or "").replace("``", "`").split()).replace("|", "\\|")


def _example(epilog: str) -> str:
    word, _, example = _plain(epilog).partition(": ")
    return f"{word}: `{example}`" if example else f"`{word}`"
