"""``python -m eval``: one subcommand a file."""

from __future__ import annotations

import typer

from eval import ablation, ann, calibrate, evidence, gate, load, overload, page, peers, report, retrieval, speed, verdict

# Plain messages: an error is a line that a program can read, not a box.
app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False, no_args_is_help=True)
for command in (retrieval, evidence, verdict, ablation, speed, ann, load, overload, page, peers, calibrate, report, gate):
    app.command(command.__name__.removeprefix("eval."))(command.command)


@app.callback()
def main() -> None:
    """Measure how good and how fast the search is."""


if __name__ == "__main__":
    app(prog_name="python -m eval")
