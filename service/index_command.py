"""``passages index``: folders and files into the index, or all of it encoded again."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from service import columns, interruption
from service.options import IndexOption, JsonOption, ModelOption

if TYPE_CHECKING:
    from indexer.engines.contract import Engine
    from indexer.extraction import Limits
    from indexer.reader import Reader
    from indexer.synced import Summary
    from service.settings import Settings

LOCK_S = 10.0  # for another writer: a server that stores a document, or folds, is done sooner, and another indexer is not


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog="Example: passages index ~/papers notes.md --index papers-index")(index)


def index(
    paths: Annotated[list[Path] | None, typer.Argument(help="Folders and files. A folder is synced: deletions too.")] = None,
    index: IndexOption = None,
    model: ModelOption = None,
    reindex: Annotated[bool, typer.Option("--reindex", help="Encode everything in the index again, with this model.")] = False,
    text_column: columns.TextColumn = None,
    id_column: columns.IdColumn = None,
    title_column: columns.TitleColumn = None,
    date_column: columns.DateColumn = None,
    ray: Annotated[
        str | None,
        typer.Option(
            "--ray", metavar="ADDRESS", help="Read and encode on the Ray cluster at this address; docs/ray.md says how."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Bring the index up to date with folders and files: what was added, changed, moved or deleted."""
    from service.settings import load

    settings = load(index=index, model=model)
    if bool(paths) == reindex:
        raise typer.BadParameter("name what to index, such as: passages index ~/papers; or give --reindex alone")
    if ray is not None and reindex:
        raise typer.BadParameter("--reindex encodes on this machine; leave --ray out")
    columns.choose(paths or [], text_column, id=id_column, title=title_column, date=date_column)
    if reindex:
        _reindex(opened(settings, create=False), as_json)
    elif ray is None:
        _tell(_sync(settings, paths or [], as_json), as_json)
    else:
        from indexer.cluster import cluster

        with cluster(ray) as reader_of:  # before a folder is made for nothing
            done = _sync(settings, paths or [], as_json, reader_of)
        _tell(done, as_json)


def opened(settings: Settings, create: bool) -> Engine:
    """The collection, to be written by a command that SIGTERM ends as Ctrl-C does."""
    from indexer.engines.opening import open_engine
    from indexer.models import locate

    locate(settings.model)  # before a folder is made for nothing
    interruption.end_on_sigterm()
    return open_engine(settings.where, settings.model, create=create, runtime=settings.runtime)


def limits_of(settings: Settings) -> Limits:
    """What reading one file may cost."""
    from indexer.extraction import DEFAULT_LIMITS

    return DEFAULT_LIMITS._replace(seconds=settings.extraction_timeout_s, file=settings.file_mb << 20)


class _Done(NamedTuple):
    """What a sync did, and the status of the signal that ended it, or 0."""

    summary: Summary
    seconds: float
    status: int


def _sync(
    settings: Settings, paths: list[Path], quiet: bool, reader_of: Callable[[Engine, Limits], Reader] | None = None
) -> _Done:
    from indexer.sync import Sync
    from service.progress import progress

    collection, limits = opened(settings, create=True), limits_of(settings)
    began = time.monotonic()
    collection.check_model()
    reader = reader_of(collection, limits) if reader_of else None
    with progress(quiet) as report:
        sync = Sync(collection, report, limits, reader=reader)
        try:
            sync.run(paths, LOCK_S)
            status = 0
        except KeyboardInterrupt:
            status = interruption.status()
    return _Done(sync.summary, time.monotonic() - began, status)


def _tell(done: _Done, as_json: bool) -> None:
    from service.summaries import print_summary

    print_summary(done.summary, done.seconds, done.status != 0, as_json)
    if done.status:
        raise typer.Exit(done.status)


def _reindex(collection: Engine, as_json: bool) -> None:
    from indexer.ingest import Step, reindex
    from indexer.synced import Progress
    from service.progress import progress
    from service.terminal import print_record

    began = time.monotonic()
    with collection.catalog.read() as snapshot:
        done = Progress(total_bytes=snapshot.counts().characters)
    with progress(quiet=as_json) as report:

        def advance(step: Step) -> None:
            done.passages += step.passages
            done.done_bytes += step.characters
            if report:
                report(done)

        try:
            encoded = reindex(collection, advance).encoded
        except KeyboardInterrupt:
            typer.echo("interrupted: the index is as it was before", err=True)
            raise typer.Exit(interruption.status()) from None
    record = {"passages_encoded": encoded, "seconds": round(time.monotonic() - began, 2)}
    print_record(record, as_json, f"{encoded:,} passages encoded")
