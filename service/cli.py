"""The command line. What is heavy is imported inside the commands, so that ``--help`` is instant."""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from service import (
    copy_command,
    evaluation,
    feedback_commands,
    index_command,
    key_commands,
    maintenance,
    search_command,
    status_command,
    watch_command,
)
from service.mcp import command as mcp_command
from service.options import IndexOption, ModelOption

app = typer.Typer(
    name="passages",
    help="Ask a question in plain language, get the paragraphs of your own documents that answer it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog="Example: passages index ~/papers && passages search 'what did we decide?'",
)
model_app = typer.Typer(help="The model that reads questions and passages.", no_args_is_help=True)
index_command.register(app)
search_command.register(app)
watch_command.register(app)
mcp_command.register(app)
evaluation.register(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"passages {version('passages')}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and end.")
    ] = False,
) -> None:
    """Ask a question in plain language, get the paragraphs of your own documents that answer it."""


@app.command(epilog="Example: passages serve --port 8080")
def serve(
    index: IndexOption = None,
    host: Annotated[
        str | None, typer.Option(help="The address to listen on (PASSAGES_HOST).", show_default="127.0.0.1")
    ] = None,
    port: Annotated[int | None, typer.Option(help="The port; 0 takes a free one (PASSAGES_PORT).", show_default="8080")] = None,
    model: ModelOption = None,
) -> None:
    """Serve the search page and the HTTP interface. An empty index is given the documents of seeds/ first."""
    from service.settings import load

    settings = load(index=index, model=model, host=host, port=port)
    from service.server import run

    run(settings)


status_command.register(app)
app.add_typer(model_app, name="model")
maintenance.register(app)
copy_command.register(app)
app.add_typer(key_commands.app, name="key")
app.add_typer(feedback_commands.app, name="feedback")


@model_app.command(epilog="Example: passages model fetch BAAI/bge-small-en-v1.5")
def fetch(name: Annotated[str, typer.Argument(help="A sentence-transformers model's name on the hub.")]) -> None:
    """Download a model into the local cache: the only thing in Passages that uses the network."""
    from indexer.models import fetch as download

    files = download(name)
    print(f"{files.name} is in {files.folder}; use it with --model {files.name}")


def main() -> None:
    """The ``passages`` command: an error that a user can act on is one line, not a traceback."""
    try:
        app()
    except Exception as error:
        from indexer.errors import PassagesError

        if not isinstance(error, PassagesError):
            raise
        from service.terminal import safe

        print(f"passages: {safe(str(error))}", file=sys.stderr)
        sys.exit(1)
