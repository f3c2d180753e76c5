"""``passages watch``: the index follows folders until it is told to end."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service import interruption
from service.options import IndexOption, ModelOption

if TYPE_CHECKING:
    from indexer.synced import Change, Failure
    from indexer.watch import Event, Watch


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog="Example: passages watch ~/papers ~/mail --index papers-index")(watch)


def watch(
    folders: Annotated[list[Path], typer.Argument(help="Folders to follow.")],
    index: IndexOption = None,
    model: ModelOption = None,
    poll: Annotated[
        bool, typer.Option("--poll", help="Look at every file each two seconds: for network drives, which tell nothing.")
    ] = False,
) -> None:
    """Sync folders, then follow them: a line for each file that was added, changed, moved or deleted, until Ctrl-C."""
    from service.settings import load

    settings = load(index=index, model=model)
    from indexer.watch import Watch
    from service.index_command import limits_of, opened

    collection = opened(settings, create=True)
    collection.check_model()
    teller = _Teller()
    watching = Watch(collection, folders, teller, limits_of(settings), polls=poll)
    try:
        _begin(watching)
        teller.tells_files = True
        watching.run()
    except KeyboardInterrupt:
        raise typer.Exit(interruption.status()) from None


def _begin(watching: Watch) -> None:
    """The first sync, which is counted instead of told file by file."""
    from service.progress import progress
    from service.summaries import print_summary

    began = time.monotonic()
    with progress(quiet=False) as report:
        summary = watching.sync(report)
    if summary is not None:
        print_summary(summary, time.monotonic() - began, interrupted=False, as_json=False)
    print(f"following {', '.join(map(str, watching.folders))}; Ctrl-C ends", flush=True)


class _Teller:
    """Prints what happens: files on standard output, trouble on standard error."""

    def __init__(self) -> None:
        self.tells_files = False

    def __call__(self, event: Event) -> None:
        from indexer.watch import Trouble
        from service.terminal import one_line

        if isinstance(event, Trouble):
            print(f"passages: {one_line(event.reason)}", file=sys.stderr, flush=True)
        elif self.tells_files:
            print(_line(event), flush=True)


def _line(event: Change | Failure) -> str:
    from indexer.synced import Failure
    from service.summaries import failure
    from service.terminal import one_line

    if isinstance(event, Failure):
        return failure(*event)
    return one_line(f"{event.kind}: {event.before + ' -> ' if event.before else ''}{event.path}")
