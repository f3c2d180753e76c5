"""``passages status``: what an index holds, drawn."""

from __future__ import annotations

import os
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from service.options import IndexOption, JsonOption

if TYPE_CHECKING:
    from rich.console import Console

    from indexer.engines.contract import Engine, Reader
    from indexer.models import ModelContract
    from indexer.records import Counts

MOST_FOLDERS = 12
NOT_FILES = "(written over HTTP)"
_LABEL = 36  # characters of a folder's path that are drawn
_CATALOG = "catalog.sqlite"


class Place(NamedTuple):
    """A folder, and how many documents came from files in it."""

    folder: str
    documents: int


class Holdings(NamedTuple):
    """What one commit holds. ``failed`` are (path, record, reason), ``noted`` (path, part of it, remark); ``written`` is when
    the catalog was last written, None if it never was; ``sizes`` are bytes on this machine's disk by what they hold, ``notes``
    what the engine lacks."""

    where: str
    generation: int
    counts: Counts
    contract: ModelContract | None
    failed: list[tuple[str, str, str]]
    noted: list[tuple[str, str, str]]
    places: list[Place]
    written: datetime | None
    sizes: dict[str, int]
    notes: tuple[str, ...]
    content_hash: str | None


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog="Example: passages status --json")(status)


def status(
    index: IndexOption = None,
    with_hash: Annotated[
        bool, typer.Option("--hash", help="Also the hash of all that it holds: equal for equal contents. Reads all of it.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """What the index holds, what it was made with, and what could not be read."""
    from service.settings import load

    settings = load(index=index)
    from indexer.contents import content_hash
    from indexer.engines.opening import open_engine

    with open_engine(settings.where) as collection, collection.catalog.read() as snapshot:
        found = _holdings(collection, snapshot, content_hash(snapshot) if with_hash else None)
    if as_json:
        from service.terminal import print_record

        print_record(_record(found), True, "")
    else:
        from service.terminal import console

        _draw(console(), found)


def _holdings(collection: Engine, snapshot: Reader, digest: str | None) -> Holdings:
    sources, counts = snapshot.sources(), snapshot.counts()
    documents = snapshot.document_counts()
    folders: dict[str, int] = {}
    for source in sources:
        name = str(Path(source.path).parent)
        folders[name] = folders.get(name, 0) + documents.get(source.key, 0)
    places = [Place(name, count) for name, count in folders.items() if count]
    if others := counts.documents - sum(documents.values()):
        places.append(Place(NOT_FILES, others))
    failed = [(source.path, *one) for source in sources for one in source.failures]
    noted = [(source.path, *one) for source in sources for one in source.remarks]
    places.sort(key=lambda place: (-place.documents, place.folder))
    where = collection.where
    written = _written(where) if isinstance(where, Path) else collection.last_commit()
    sizes = _sizes(where) if isinstance(where, Path) else {}
    return Holdings(
        collection.name, snapshot.generation, counts, snapshot.contract, failed, noted, places, written, sizes,
        collection.notes, digest,
    )  # fmt: skip


def _record(found: Holdings) -> dict[str, Any]:
    return {
        "index": found.where,
        "generation": found.generation,
        **found.counts._asdict(),
        **({"content_hash": found.content_hash} if found.content_hash else {}),
        "model": asdict(found.contract) if found.contract else None,
        "written": found.written.isoformat(timespec="seconds") if found.written else None,
        "folders": [place._asdict() for place in found.places],
        "bytes": found.sizes,
        "notes": list(found.notes),
        "failed": [{"path": path, "record": record, "reason": reason} for path, record, reason in found.failed],
        "noted": [{"path": path, "about": about, "remark": remark} for path, about, remark in found.noted],
    }


def _draw(shown: Console, found: Holdings) -> None:
    from rich.text import Text

    from service.summaries import failure, note
    from service.terminal import counted, size

    documents, passages, characters, _ = found.counts
    shown.print(
        Text(f"{found.where}: ", style="bold").append(
            ", ".join((counted(documents, "document"), counted(passages, "passage"), counted(characters, "character"))),
            style="not bold",
        )
    )
    sizes = ", ".join(f"{what} {size(count)}" for what, count in found.sizes.items())
    model = f"{found.contract.name} ({found.contract.dimension} dimensions)" if found.contract else "nothing indexed yet"
    facts = [
        ("last commit", _commit(found)),
        ("model", model),
        *([("on disk", f"{size(sum(found.sizes.values()))}: {sizes}")] if found.sizes else []),
        *[("note", note) for note in found.notes],
        *([("content hash", found.content_hash)] if found.content_hash else []),
    ]
    for name, value in facts:
        shown.print(Text(f"{name:<13}", style="dim").append(value, style="not dim"))
    _draw_places(shown, found.places)
    for one in found.failed:
        shown.print(Text(failure(*one), style="red"))
    for told in found.noted:
        shown.print(Text(note(*told), style="yellow"))


def _commit(found: Holdings) -> str:
    if found.written is None:
        return "none yet"
    when = f"{found.written.astimezone():%Y-%m-%d %H:%M:%S}"
    # On a server the number is the millisecond of the same.
    return f"{found.generation:,}, {when}" if found.sizes else when


def _draw_places(shown: Console, places: list[Place]) -> None:
    """A bar for each folder; in a terminal only the largest."""
    from rich.text import Text

    from service.terminal import bar, one_line, width_of

    drawn = places[:MOST_FOLDERS] if shown.is_terminal else places
    label = max((min(len(place.folder), _LABEL) for place in drawn), default=0)
    room = width_of(shown) - label - 12
    for place in drawn:
        name = one_line(place.folder)
        cut = name if len(name) <= _LABEL or not shown.is_terminal else "…" + name[1 - _LABEL :]
        line = Text(f"{cut:<{label}}  {place.documents:>8,}")
        if shown.is_terminal:
            line.append("  " + bar(place.documents / places[0].documents, room), style="cyan")
        shown.print(line)
    if rest := places[len(drawn) :]:
        count = sum(place.documents for place in rest)
        shown.print(Text(f"and {len(rest):,} more folders with {count:,} documents (all: --json)", style="dim"))


def _written(folder: Path) -> datetime:
    """SQLite writes commits into its log, and now and then the log into the file. An empty log was only made by a reader."""
    files = [file.stat() for file in (folder / _CATALOG, folder / f"{_CATALOG}-wal") if file.exists()]
    return datetime.fromtimestamp(max((one.st_mtime for one in files if one.st_size), default=0.0), UTC)


def _sizes(folder: Path) -> dict[str, int]:
    sizes = {"catalog": 0, "vectors": 0, "words": 0, "other": 0}
    for parent, _, names in os.walk(folder):
        for name in names:
            top = Path(parent, name).relative_to(folder).parts[0]
            kind = next((kind for kind in sizes if top.startswith(kind)), "other")
            try:
                sizes[kind] += Path(parent, name).lstat().st_blocks * 512
            except FileNotFoundError:  # a fold has replaced it just now
                continue
    return {kind: count for kind, count in sizes.items() if count}
