"""A judged set's index: made or brought up to date, opened for the measurement, and closed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal, NamedTuple

import typer

from eval.errors import EvalError

if TYPE_CHECKING:  # these are loaded when they are first used: --help must be instant
    from eval.sets import JudgedSet
    from indexer import Collection, Summary

Runtime = Literal["auto", "cuda", "openvino", "bfloat16", "float32"]
Told = Callable[[str, int, int], None]  # what is done, how much of it, and of how much


class Opened(NamedTuple):
    """A collection that holds the set's documents and those that were named beside it; ``unread`` could not be indexed."""

    collection: Collection
    unread: int
    told: Told


@contextmanager
def opened(
    judged: JudgedSet, folder: Path | None, model: str, named: Sequence[Path] = (), removed: frozenset[str] = frozenset(),
    runtime: Runtime = "auto",
) -> Iterator[Opened]:  # fmt: skip
    """The set's index in ``folder``, or a temporary one. Documents whose ids are ``removed`` are left out of the set's own.

    Raises :class:`EvalError`, :class:`indexer.PassagesError`.
    """
    from eval.corpus import corpus_files, without
    from indexer import Collection

    with kept_or_temporary(folder) as place, progress() as told:
        collection = Collection(
            place, model, create=True, runtime=runtime
        )  # first, since only an empty folder becomes an index
        try:
            own = judged.folder / "corpus.jsonl"  # distractors may be large, and are not read for what was removed
            files = [without(one, removed, place) if one == own else one for one in corpus_files(judged, named, place)]
            summary = index(collection, files, told)
            for one in summary.failed[:5]:
                typer.echo(f"not indexed: {one.path} {one.record}: {one.reason}", err=True)
            yield Opened(collection, len(summary.failed), told)
        finally:
            collection.close()


def index(collection: Collection, files: Sequence[Path], told: Told = lambda *_: None) -> Summary:
    """Bring the collection up to date with ``files``.

    Raises :class:`EvalError`, with nothing changed, if it holds other documents, which would be searched too.
    """
    from indexer import Sync

    if others := _others(collection, files):
        raise EvalError(
            f"the index in {collection.folder} holds {others} documents that are not of this set; "
            "name another folder with --index, or name their file with --corpus to search them too"
        )
    return Sync(collection, lambda one: told("indexing", one.done_bytes, one.total_bytes)).run(files)


@contextmanager
def progress() -> Iterator[Told]:
    """Bars on standard error, so that standard output holds the outcome alone."""
    from rich.console import Console
    from rich.progress import Progress, TaskID

    tasks: dict[str, TaskID] = {}
    bars = Progress(console=Console(stderr=True))

    def told(what: str, done: int, total: int) -> None:
        if what not in tasks:
            tasks[what] = bars.add_task(what)
            bars.start()  # not before, so that an early error stands alone
        bars.update(tasks[what], completed=done, total=total)

    try:
        yield told
    finally:
        if tasks:
            bars.stop()


def _others(collection: Collection, files: Sequence[Path]) -> int:
    """How many of the collection's documents came from elsewhere than ``files``."""
    paths = {str(file.resolve()) for file in files}
    with collection.view() as view:
        ours = [source.key for source in view.snapshot.sources() if source.path in paths]
        return view.snapshot.counts().documents - sum(len(view.snapshot.documents_of(key)) for key in ours)


@contextmanager
def kept_or_temporary(folder: Path | None) -> Iterator[Path]:
    """``folder``, or one that is gone afterwards."""
    if folder is not None:
        yield folder
        return
    with TemporaryDirectory(prefix="passages-eval-") as temporary:
        yield Path(temporary)
