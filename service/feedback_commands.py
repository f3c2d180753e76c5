"""``passages feedback``: the judged questions of one index: list, export, import, delete."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.options import IndexOption, JsonOption
from service.terminal import print_record

if TYPE_CHECKING:
    from indexer.judgementfile import Judgements
    from indexer.judgements import Judgement

app = typer.Typer(
    help="Questions that people judged on the search page, by which passages eval measures.", no_args_is_help=True
)

_SHOWN_CHARS = 100  # of a passage
_VERDICTS = {"answers": "answered by", "does_not": "not answered by", "nothing": "nothing answers"}


@app.command("list", epilog="Example: passages feedback list --json")
def list_judgements(index: IndexOption = None, as_json: JsonOption = False) -> None:
    """What was judged, the latest first."""
    kept = _judgements(index).read()
    lines = [_line(one) for one in kept.judgements]
    lines += [f"{kept.damaged} more are damaged and cannot be read"] * (kept.damaged > 0)
    record = {"judgements": [one.record() for one in kept.judgements], "total": len(kept.judgements), "damaged": kept.damaged}
    print_record(record, as_json, "\n".join(lines) or "no question was judged yet; press “This answers it” on the search page")


@app.command(epilog="Example: passages feedback export judged")
def export(
    folder: Annotated[Path, typer.Argument(help="A new folder; python -m eval measures on it.")],
    force: Annotated[bool, typer.Option("--force", help="Write into a folder that holds something.")] = False,
    index: IndexOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the judged questions, with all documents, as a judged set in BEIR layout."""
    from indexer.collection import Collection
    from indexer.judgements import JudgementsError
    from service.feedback_export import write_set

    if not force and folder.exists() and any(folder.iterdir()):
        raise JudgementsError(f"{folder} holds something already: name another folder, or write into it with --force")
    judgements = _judgements(index)
    with Collection(judgements.file.parent) as collection, collection.catalog.read() as snapshot:
        counts = write_set(snapshot, judgements.read().judgements, folder)
    words = f"{folder}: {counts.questions} questions, {counts.passages} judged passages"
    if counts.gone:
        words += f"; {counts.gone} judged passages are in the index no more, and in judgements.jsonl alone"
    print_record({"folder": str(folder), **counts._asdict()}, as_json, words)


@app.command("import", epilog="Example: passages feedback import judged")
def import_judgements(
    file: Annotated[Path, typer.Argument(help="What export wrote, or the JSON of GET /v1/feedback.")],
    index: IndexOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add judged questions. Of the same question and passage the last word counts."""
    from indexer.collection import Collection
    from service.feedback_export import read_judgements

    judgements = _judgements(index)
    Collection(judgements.file.parent).close()  # nothing is put where no index is
    found = read_judgements(file)
    added = judgements.merge(found)
    print_record({"read": len(found), "added": added}, as_json, f"{len(found)} read, {added} of them new")


@app.command(epilog="Example: passages feedback delete --all")
def delete(
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID...", help="As passages feedback list shows them.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Delete all of them, damaged ones too.")] = False,
    index: IndexOption = None,
    as_json: JsonOption = False,
) -> None:
    """Delete judged questions; what they said is overwritten on the disk."""
    if bool(ids) == everything:
        raise typer.BadParameter("name what to delete by its id, or give --all alone")
    from indexer.judgements import JudgementsError

    judgements = _judgements(index)
    if everything:
        count = judgements.delete_all()
    else:
        missing = [one for one in ids or [] if not judgements.delete(one)]
        count = len(ids or []) - len(missing)
        if missing:
            raise JudgementsError(f"there is no judgement {', '.join(missing)}: passages feedback list shows which there are")
    print_record({"deleted": count}, as_json, f"{count} deleted")


def _judgements(index: str | None) -> Judgements:
    from indexer.judgementfile import Judgements
    from service.settings import load

    return Judgements(load(index=index).folder)


def _line(one: Judgement) -> str:
    """Two lines, whatever is in the question: anybody whose key reads may have sent it."""
    what = _VERDICTS[one.verdict]
    if one.passage is not None:
        text = _flat(one.passage.text)
        what += f" {_flat(one.passage.document)}: {text[:_SHOWN_CHARS]}{'…' if len(text) > _SHOWN_CHARS else ''}"
    return f"{one.id}  {one.at[:10]}  {_flat(one.question)}\n    {what}"


def _flat(text: str) -> str:
    return " ".join(text.split())
