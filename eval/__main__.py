"""``python -m eval``: one subcommand a file."""

from __future__ import annotations

import typer

from eval import (
    ablation,
    ann,
    calibrate,
    engines,
    evidence,
    gate,
    load,
    overload,
    own,
    page,
    peers,
    report,
    retrieval,
    speed,
    verdict,
)  # fmt: skip

# Plain messages: an error is a line that a program can read, not a box.
app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False, no_args_is_help=True)
for command in (
    retrieval,
    evidence,
    verdict,
    own,
    ablation,
    speed,
    ann,
    load,
    overload,
    page,
    peers,
    calibrate,
    report,
    gate,
    engines,
):
    app.command(command.__name__.removeprefix("eval."))(command.command)


@app.callback()
def _help() -> None:
    """Measure how good and how fast the search is."""


def main(*arguments: str) -> None:
    """Run a command; ``passages eval`` starts this as a program of its own."""
    app(arguments or None, prog_name="python -m eval")


if __name__ == "__main__":
    main()
