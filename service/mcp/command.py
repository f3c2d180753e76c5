"""The command ``passages mcp``. What is heavy is imported inside it."""

from __future__ import annotations

from typing import Annotated

import typer

from service.options import IndexOption, ModelOption


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog="Example: passages mcp --index papers-index")(mcp)


def mcp(
    index: IndexOption = None,
    model: ModelOption = None,
    url: Annotated[
        str | None, typer.Option("--url", help="A server that runs, to ask instead of opening an index (PASSAGES_URL).")
    ] = None,
    key: Annotated[
        str | None, typer.Option("--key", help="Its key. Better as PASSAGES_KEY: others on this machine see options.")
    ] = None,
) -> None:
    """Give a language model tools to search the index: the Model Context Protocol over standard input and output. A program
    that speaks it starts this command; a running server has the same tools at /mcp."""
    if url is not None and index is not None:
        raise typer.BadParameter("give --index to open an index here, or --url to ask a server: not both")
    from service.settings import load

    settings = load(index=index, model=model, url=url, key=key)
    from service.mcp.stdio import run

    run(settings)
