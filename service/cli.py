"""The command line. What is heavy is imported inside the commands, so that ``--help`` is instant."""

from __future__ import annotations

import json
import signal
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service import columns, key_commands, maintenance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from rich.text import Text

    from indexer.collection import Collection
    from indexer.search import Answer, Result
    from indexer.sync import Progress, Summary
    from service.settings import Settings

app = typer.Typer(
    name="passages",
    help="Ask a question in plain language, get the paragraphs of your own documents that answer it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
model_app = typer.Typer(help="The model that reads questions and passages.", no_args_is_help=True)
app.add_typer(model_app, name="model")
maintenance.register(app)
app.add_typer(key_commands.app, name="key")

_LOCK_S = 10.0  # for another writer: a server that stores a document, or folds, is done sooner, and another indexer is not
_VERDICTS = {
    "answered": "Answered:",
    "weak": "Perhaps:",
    "nothing": "Nothing in this collection answers that; the closest passages are:",
    "uncalibrated": "",  # the scores of this model claim nothing
}

IndexOption = Annotated[Path | None, typer.Option("--index", help="The index folder (PASSAGES_INDEX).", show_default="index")]
ModelOption = Annotated[
    str | None, typer.Option("--model", help="A model's folder, or its name in the local cache (PASSAGES_MODEL).")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on standard output, for programs.")]


@app.command(epilog="Example: passages index ~/papers notes.md --index papers-index")
def index(
    paths: Annotated[list[Path] | None, typer.Argument(help="Folders and files. A folder is synced: deletions too.")] = None,
    index: IndexOption = None,
    model: ModelOption = None,
    reindex: Annotated[bool, typer.Option("--reindex", help="Encode everything in the index again, with this model.")] = False,
    text_column: columns.TextColumn = None,
    id_column: columns.IdColumn = None,
    title_column: columns.TitleColumn = None,
    date_column: columns.DateColumn = None,
    as_json: JsonOption = False,
) -> None:
    """Bring the index up to date with folders and files: what was added, changed, moved or deleted."""
    settings = _settings(index=index, model=model)
    if bool(paths) == reindex:
        raise typer.BadParameter("name what to index, such as: passages index ~/papers; or give --reindex alone")
    columns.choose(paths or [], text_column, id=id_column, title=title_column, date=date_column)
    from indexer.collection import Collection
    from indexer.extraction import DEFAULT_LIMITS
    from indexer.models import locate
    from indexer.sync import Sync

    locate(settings.model)  # before a folder is made for nothing
    signal.signal(signal.SIGTERM, _terminate)
    collection = Collection(settings.index, settings.model, create=not reindex, runtime=settings.runtime)
    began = time.monotonic()
    if reindex:
        _reindex(collection, as_json)
        return
    collection.check_model()
    with _progress(quiet=as_json) as report:
        limits = DEFAULT_LIMITS._replace(seconds=settings.extraction_timeout_s, file=settings.file_mb << 20)
        sync = Sync(collection, report, limits)
        try:
            sync.run(paths or [], _LOCK_S)
            status = 0
        except KeyboardInterrupt as interruption:
            status = _status_of(interruption)
    _print_summary(sync.summary, time.monotonic() - began, status != 0, as_json)
    if status:
        raise typer.Exit(status)


@app.command(epilog='Example: passages search "who hosts the next meeting?" --limit 3')
def search(
    question: Annotated[str, typer.Argument(help="A question, in plain language.")],
    limit: Annotated[int, typer.Option(help="How many passages.")] = 5,
    offset: Annotated[int, typer.Option(help="How many of the best to leave out.")] = 0,
    index: IndexOption = None,
    model: ModelOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask a question; the passages that answer it, best first."""
    settings = _settings(index=index, model=model)
    from indexer.collection import Collection
    from indexer.search import Query
    from indexer.search import search as ask

    answer = ask(
        Collection(settings.index, settings.model, runtime=settings.runtime), Query(question, limit, offset, explain=as_json)
    )
    if as_json:
        from service.contract import search_response

        print(search_response(answer).model_dump_json(indent=2))
    else:
        _print_answer(answer)


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
    settings = _settings(index=index, model=model, host=host, port=port)
    from service.server import run

    run(settings)


@app.command(epilog="Example: passages status --json")
def status(
    index: IndexOption = None,
    with_hash: Annotated[
        bool, typer.Option("--hash", help="Also the hash of all that it holds: equal for equal contents. Reads all of it.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """What the index holds, what it was made with, and what could not be read."""
    settings = _settings(index=index)
    from dataclasses import asdict

    from indexer.collection import Collection
    from indexer.contents import content_hash

    with Collection(settings.index).catalog.read() as snapshot:
        counts, contract = snapshot.counts(), snapshot.contract
        digest = content_hash(snapshot) if with_hash else None
        sources = snapshot.sources()
        failed = [(source.path, *one) for source in sources for one in source.failures]
        noted = [(source.path, *one) for source in sources for one in source.remarks]
        record = {
            "index": str(settings.index),
            "generation": snapshot.generation,
            **counts._asdict(),
            **({"content_hash": digest} if digest else {}),
            "model": asdict(contract) if contract else None,
            "failed": [{"path": path, "record": record, "reason": reason} for path, record, reason in failed],
            "noted": [{"path": path, "about": about, "remark": remark} for path, about, remark in noted],
        }
    lines = [
        f"{settings.index}: {counts.documents:,} documents, {counts.passages:,} passages, {counts.characters:,} characters",
        f"made with {contract.name} ({contract.dimension} dimensions)" if contract else "nothing indexed yet",
        *([f"content hash {digest}"] if digest else []),
        *(_told("failed", *one) for one in failed),
        *(_told("note", *one) for one in noted),
    ]
    _print(record, as_json, "\n".join(lines))


@model_app.command(epilog="Example: passages model fetch BAAI/bge-small-en-v1.5")
def fetch(name: Annotated[str, typer.Argument(help="A sentence-transformers model's name on the hub.")]) -> None:
    """Download a model into the local cache: the only thing in Passages that uses the network."""
    from indexer.models import fetch as download

    files = download(name)
    _print({}, False, f"{files.name} is in {files.folder}; use it with --model {files.name}")


def main() -> None:
    """The ``passages`` command: an error that a user can act on is one line, not a traceback."""
    try:
        app()
    except Exception as error:
        from indexer.errors import PassagesError

        if not isinstance(error, PassagesError):
            raise
        print(f"passages: {error}", file=sys.stderr)
        sys.exit(1)


class _Terminated(KeyboardInterrupt):
    """SIGTERM: what Ctrl-C ends at a good place, this does too."""


def _terminate(*_: object) -> None:
    raise _Terminated


def _status_of(interruption: KeyboardInterrupt) -> int:
    """What a shell reports for a process that the signal ended."""
    return 128 + (signal.SIGTERM if isinstance(interruption, _Terminated) else signal.SIGINT)


def _settings(**options: Any) -> Settings:
    from service.settings import load

    return load(**options)


def _reindex(collection: Collection, as_json: bool) -> None:
    from indexer.ingest import Step, reindex
    from indexer.sync import Progress

    began = time.monotonic()
    with collection.catalog.read() as snapshot:
        progress = Progress(total_bytes=snapshot.counts().characters)
    with _progress(quiet=as_json) as report:

        def advance(step: Step) -> None:
            progress.passages += step.passages
            progress.done_bytes += step.characters
            if report:
                report(progress)

        try:
            encoded = reindex(collection, advance).encoded
        except KeyboardInterrupt as interruption:
            print("interrupted: the index is as it was before", file=sys.stderr)
            raise typer.Exit(_status_of(interruption)) from None
    _print(
        {"passages_encoded": encoded, "seconds": round(time.monotonic() - began, 2)}, as_json, f"{encoded:,} passages encoded"
    )


def _progress(quiet: bool) -> AbstractContextManager[Callable[[Progress], None] | None]:
    from rich.console import Console

    console = Console(stderr=True)
    return nullcontext(None) if quiet or not console.is_terminal else _bar(console)


def _bar(console: Any) -> AbstractContextManager[Callable[[Progress], None]]:
    from contextlib import contextmanager

    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    @contextmanager
    def shown() -> Iterator[Callable[[Progress], None]]:
        columns = ("indexing", BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn())
        began = time.monotonic()
        with Bar(*columns, console=console, transient=True) as bar:
            task = bar.add_task("", total=None, rate="")

            def report(progress: Progress) -> None:
                rate = progress.passages / max(time.monotonic() - began, 1e-3)
                text = f"{progress.passages:,} passages, {rate:,.0f}/s"
                bar.update(task, completed=progress.done_bytes, total=progress.total_bytes, rate=text)

            yield report

    return shown()


def _print_summary(summary: Summary, seconds: float, interrupted: bool, as_json: bool) -> None:
    counters = ("added", "changed", "moved", "deleted", "unchanged")
    counts = {name: getattr(summary, name) for name in counters}
    failed = [one._asdict() for one in summary.failed]
    record = {
        **counts, "failed": failed, "noted": [one._asdict() for one in summary.noted],
        "skipped": dict(summary.skipped), "passages_encoded": summary.passages_encoded,
        "passages_reused": summary.passages_reused, "seconds": round(seconds, 2), "interrupted": interrupted,
    }  # fmt: skip
    words = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    rate = f"{summary.passages_encoded:,} passages encoded in {seconds:.1f} s"
    lines = [f"documents: {words}, {len(failed):,} failed", rate]
    lines += [_told("failed", *one) for one in summary.failed] + [_told("note", *one) for one in summary.noted]
    if summary.skipped:
        kinds = ", ".join(f"{count:,} {suffix}" for suffix, count in summary.skipped.most_common())
        lines.append(f"skipped, not documents: {kinds}")
    if interrupted:
        lines.append("interrupted: the documents counted above are kept; run the same command again to go on from here")
    _print(record, as_json, "\n".join(lines))


def _told(kind: str, path: str, record: str, reason: str) -> str:
    return f"{kind}: {path}{', ' + record if record else ''}: {reason}"


def _print_answer(answer: Answer) -> None:
    from urllib.parse import unquote

    from rich.console import Console
    from rich.text import Text

    from indexer.search import page_of

    console = Console()
    if not answer.results:
        console.print("nothing was found: nothing is indexed, or nothing there meets the question's phrases and dates")
    elif verdict := _VERDICTS[answer.verdict]:
        console.print(Text(verdict + "\n", style="italic"))
    for number, result in enumerate(answer.results, 1):
        document = result.passage.document
        page = page_of(document, result.passage.start)
        place = f"{document.id}, {f'page {page}, ' if page else ''}characters {result.passage.start} to {result.passage.end}"
        source = unquote(document.uri.removeprefix("file://")) if document.uri else None
        console.print(
            Text(f"{number}. {document.title or document.id}", style="bold"), Text(f"  {result.score:.3f}", style="dim")
        )
        console.print(
            Text(" · ".join(part for part in (document.date, place, source, result.passage.heading) if part), style="dim")
        )
        console.print(_marked(result), end="\n\n")


def _marked(result: Result) -> Text:
    """The passage, with the sentence that carries the answer in bold and the question's words underlined."""
    from rich.text import Text

    passage = result.passage
    text = Text(passage.text)
    if result.evidence:
        text.stylize("bold", result.evidence.start - passage.start, result.evidence.end - passage.start)
    for start, end in result.matches:
        text.stylize("underline", start - passage.start, end - passage.start)
    return text


def _print(record: dict[str, Any], as_json: bool, words: str) -> None:
    print(json.dumps(record, indent=2, ensure_ascii=False) if as_json else words)
