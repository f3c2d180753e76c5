"""Commands that look after an index: backup, restore, doctor, rebuild. What is heavy is imported inside them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.options import IndexOption, JsonOption, ModelOption
from service.terminal import counted, print_record

if TYPE_CHECKING:
    from indexer.doctor import Finding


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog="Example: passages backup /backups/today.passages")(backup)
    app.command(epilog="Example: passages restore /backups/today.passages --index restored")(restore)
    app.command(epilog="Example: passages doctor --json")(doctor)
    app.command(epilog="Example: passages rebuild")(rebuild)


def backup(
    file: Annotated[Path, typer.Argument(help="The file to write.")],
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
    index: IndexOption = None,
    as_json: JsonOption = False,
) -> None:
    """Save the index to one file, also while it is served and written."""
    folder = _folder(index)
    from indexer.backup import backup as save
    from indexer.collection import Collection

    with Collection(folder) as collection:
        made = save(collection.catalog, file, force=force)
    record = {
        "file": str(made.file),
        "generation": made.generation,
        **made.counts._asdict(),
        "judgements": made.judgements,
        "size": made.size,
        "sha256": made.sha256,
    }
    counts = f"{counted(made.counts.documents, 'document')}, {counted(made.counts.passages, 'passage')}"
    words = f"{file}: {counts}, {made.size:,} bytes, read and found right"
    print_record(record, as_json, words)


def restore(
    file: Annotated[Path, typer.Argument(help="What passages backup has written.")],
    force: Annotated[bool, typer.Option("--force", help="Replace the index that is there.")] = False,
    index: IndexOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring an index back from a backup. A running server goes on with it."""
    folder = _folder(index)
    from indexer.backup import restore as bring_back

    done = bring_back(file, folder, force=force)
    record = {
        "index": str(folder), "generation": done.generation, **done.counts._asdict(), "judgements": done.judgements,
        "aside": str(done.aside) if done.aside else None,
    }  # fmt: skip
    lines = [f"{folder}: {counted(done.counts.documents, 'document')}, {counted(done.counts.passages, 'passage')}"]
    if done.aside:
        lines.append(f"the damaged catalog that was there is {done.aside}; delete it when nothing of it is needed")
    if not (folder / "keys.json").exists():
        lines.append("keys are in no backup, and this index has none: passages key add makes one (docs/security.md)")
    print_record(record, as_json, "\n".join(lines))


def doctor(index: IndexOption = None, model: ModelOption = None, as_json: JsonOption = False) -> None:
    """Look for what may be wrong with the index; says what mends it. The exit status is 1 if something is wrong."""
    from service.settings import load

    settings = load(index=index, model=model)
    from indexer.doctor import examine

    found = list(examine(settings.folder, settings.model))
    healthy = all(one.severity != "error" for one in found)
    record = {"index": str(settings.index), "healthy": healthy, "checks": [one._asdict() for one in found]}
    print_record(record, as_json, "\n".join(_line(one) for one in found))
    if not healthy:
        raise typer.Exit(1)


def rebuild(index: IndexOption = None, as_json: JsonOption = False) -> None:
    """Make word index and vector files anew, from the catalog alone. Nothing is encoded."""
    from indexer.engines.opening import open_engine
    from service.settings import load

    with open_engine(load(index=index).where) as collection, collection.lock.held(10):
        collection.rebuild_derived()
        with collection.catalog.read() as snapshot:
            _, passages = snapshot.sizes()
            record = {"index": collection.name, "generation": snapshot.generation, "passages": passages}
    print_record(record, as_json, f"{collection.name}: what is derived from its {passages:,} passages was made anew")


def _folder(index: str | None) -> Path:
    from service.settings import load

    return load(index=index).folder


def _line(one: Finding) -> str:
    return f"{one.severity:8}{one.name}: {one.message}" + (f"\n        mend it: {one.mend}" if one.mend else "")
