"""``passages key``: make, list and revoke the keys of one index."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from service.options import IndexOption, JsonOption
from service.terminal import print_record

if TYPE_CHECKING:
    from service.keys import KeyFile
    from service.settings import Settings

app = typer.Typer(help="API keys: who may ask and change this collection over HTTP.", no_args_is_help=True)


class Allowed(StrEnum):
    """What a key is for."""

    READ = "read"
    WRITE = "write"


@app.command(epilog="Example: passages key add website --scope read --origin https://www.example.org")
def add(
    name: Annotated[str, typer.Argument(help="What the key is called in lists and logs.")],
    scope: Annotated[Allowed, typer.Option(help="read: ask. write: also store and delete.")] = Allowed.READ,
    origin: Annotated[list[str] | None, typer.Option(help="A site whose pages use the key, which then only reads.")] = None,
    index: IndexOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a key. It is shown this once; a server that runs takes it at once."""
    keys = _file(index)
    others = len(keys.current())
    secret = keys.add(name, scope.value, origin or ())
    words = f"{secret}\nThis is the key {name}, shown this once: only its hash is kept. Send it as Authorization: Bearer KEY"
    if not others:
        words += "\nIt is the first key: from now on everybody needs one, the search page on this machine too."
    if not others and origin:
        words += "\nMake one of your own, since this one is refused there: passages key add me --scope write"
    print_record({"name": name, "scope": scope.value, "origins": origin or [], "key": secret}, as_json, words)


@app.command("list", epilog="Example: passages key list --json")
def list_keys(index: IndexOption = None, as_json: JsonOption = False) -> None:
    """The keys, without what is secret."""
    keys = _file(index).current()
    shown = [{name: value for name, value in asdict(key).items() if name != "sha256"} for key in keys]
    lines = [" ".join([key.name, key.scope, key.created or "", *key.origins]) for key in keys]
    print_record({"keys": shown}, as_json, "\n".join(lines) or "there is no key; make one: passages key add NAME")


@app.command(epilog="Example: passages key revoke website")
def revoke(
    name: Annotated[str, typer.Argument(help="The key's name.")], index: IndexOption = None, as_json: JsonOption = False
) -> None:
    """Delete a key. It, and every session that began with it, is refused from the next request on."""
    keys = _file(index)
    keys.revoke(name)
    words = f"the key {name} is revoked"
    if not keys.current():
        words += "; it was the last one, and a server that runs lets nobody in until it is started again"
    print_record({"revoked": name}, as_json, words)


def _file(index: str | None) -> KeyFile:
    from service.keys import KeyFile, KeysError
    from service.settings import load

    settings: Settings = load(index=index)
    if settings.api_keys is not None or settings.api_keys_file is not None:
        raise KeysError("keys come from PASSAGES_API_KEYS or PASSAGES_API_KEYS_FILE here: change them there")
    return KeyFile(settings.folder)
