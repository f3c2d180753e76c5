"""Folders and files to documents: what was added, changed, moved and deleted; nothing is lost, nothing stops the rest."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexer.catalog import Catalog, CatalogError, Writer
from indexer.collection import Collection
from indexer.documents import Document, Unreadable, sidecar
from indexer.encoder import Encoder
from indexer.folders import SyncError
from indexer.formats import FORMATS, Content
from indexer.ingest import put, remove
from indexer.lock import LockedError
from indexer.sync import Sync
from indexer.synced import Failure, Progress, Summary

RIVER = "The river floods the lower town in spring."
MOUNTAIN = "Nobody has climbed the mountain from the north."
HARBOUR = "Ships have been built in the harbour since 1850."


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    return root


def sync(collection: Collection, *paths: Path) -> Summary:
    return Sync(collection).run(paths)


def counts(summary: Summary) -> dict[str, int]:
    """The counters that are not zero."""
    names = ("added", "changed", "moved", "deleted", "unchanged")
    return {name: getattr(summary, name) for name in names if getattr(summary, name)} | (
        {"failed": len(summary.failed)} if summary.failed else {}
    )


def texts(collection: Collection) -> dict[str, str]:
    """Every document's text by id."""
    with collection.catalog.read() as snapshot:
        documents = [snapshot.document(one) for one in snapshot.document_ids()]
    return {document.id: document.text for document in documents if document}


def titles(collection: Collection) -> dict[str, str]:
    with collection.catalog.read() as snapshot:
        documents = [snapshot.document(one) for one in snapshot.document_ids()]
    return {document.id: document.title for document in documents if document}


def uri(collection: Collection, document_id: str) -> str | None:
    with collection.catalog.read() as snapshot:
        document = snapshot.document(document_id)
    assert document
    return document.uri


def passage_ids(collection: Collection) -> dict[str, int]:
    """Ids and keys of all passages."""
    with collection.catalog.read() as snapshot:
        return {p.id: p.key for one in snapshot.document_ids() for p in snapshot.passages_of(one)}


def generation(collection: Collection) -> int:
    with collection.catalog.read() as snapshot:
        return snapshot.generation


def reasons(summary: Summary) -> dict[str, str]:
    """Why, by the name of the file and the record in it."""
    return {f"{Path(one.path).name} {one.record}".strip(): one.reason for one in summary.failed}


def lines(path: Path, *records: dict[str, Any] | str) -> None:
    """Write a JSON-lines file."""
    path.write_text("".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in records))


def record(name: str, text: str = RIVER) -> dict[str, str]:
    return {"_id": name, "text": text}


# --- added, changed, moved, deleted -------------------------------------------------------------------------------


def test_files_are_added_changed_moved_deleted_and_left_unchanged(collection: Collection, root: Path) -> None:
    (root / "sub").mkdir()
    for name, text in [("a.txt", RIVER), ("b.txt", MOUNTAIN), ("sub/c.md", HARBOUR)]:
        (root / name).write_text(text)
    assert counts(sync(collection, root)) == {"added": 3}
    assert texts(collection) == {"a.txt": RIVER, "b.txt": MOUNTAIN, "sub/c.md": HARBOUR}
    assert counts(sync(collection, root)) == {"unchanged": 3}

    (root / "a.txt").write_text(MOUNTAIN)
    (root / "b.txt").unlink()
    (root / "sub/c.md").rename(root / "c.md")
    (root / "d.txt").write_text(HARBOUR + " And boats.")
    assert counts(sync(collection, root)) == {"added": 1, "changed": 1, "moved": 1, "deleted": 1}
    assert texts(collection) == {"a.txt": MOUNTAIN, "sub/c.md": HARBOUR, "d.txt": HARBOUR + " And boats."}
    assert counts(sync(collection, root)) == {"unchanged": 3}


def test_a_move_keeps_ids_and_keys_and_changes_the_uri(collection: Collection, root: Path) -> None:
    (root / "a.txt").write_text(f"{RIVER}\n\n{MOUNTAIN}")
    sync(collection, root)
    before = passage_ids(collection)
    (root / "sub").mkdir()
    (root / "a.txt").rename(root / "sub/a.txt")
    summary = sync(collection, root)
    assert counts(summary) == {"moved": 1}
    assert (summary.passages_encoded, summary.passages_reused) == (0, 0)
    assert passage_ids(collection) == before
    assert uri(collection, "a.txt") == (root / "sub/a.txt").as_uri()


def test_a_file_that_was_renamed_is_called_by_its_new_name(collection: Collection, root: Path) -> None:
    """As in an index made afresh: a text without a title of its own has that of its file."""
    (root / "draft.txt").write_text(RIVER)
    (root / "page.md").write_text(f"# page\n\n{MOUNTAIN}")
    sync(collection, root)
    before = passage_ids(collection)
    (root / "draft.txt").rename(root / "final.txt")
    (root / "page.md").rename(root / "other.md")
    assert counts(sync(collection, root)) == {"moved": 2}
    assert titles(collection) == {"draft.txt": "final", "page.md": "page"}
    assert passage_ids(collection).keys() == before.keys()
    assert uri(collection, "draft.txt") == (root / "final.txt").as_uri()
    assert counts(sync(collection, root)) == {"unchanged": 2}


def test_a_root_that_was_renamed_moves_its_documents(collection: Collection, root: Path) -> None:
    for name, text in [("a.txt", RIVER), ("b.txt", MOUNTAIN)]:
        (root / name).write_text(text)
    sync(collection, root)
    before = passage_ids(collection)
    new = root.rename(root.with_name("library"))
    assert counts(sync(collection, new)) == {"moved": 2}
    assert passage_ids(collection) == before
    assert uri(collection, "a.txt") == (new / "a.txt").as_uri()


def test_a_copy_in_another_root_is_no_move(collection: Collection, root: Path, tmp_path: Path) -> None:
    (root / "a.txt").write_text(RIVER)
    sync(collection, root)
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy/a.txt").write_text(RIVER)
    summary = sync(collection, tmp_path / "copy")
    assert counts(summary) == {"added": 1}
    assert summary.passages_encoded == 0
    assert texts(collection) == {"a.txt": RIVER, "a.txt~2": RIVER}


def test_files_that_change_names_with_each_other_are_changed(collection: Collection, root: Path) -> None:
    (root / "a.txt").write_text(RIVER)
    (root / "b.txt").write_text(MOUNTAIN)
    sync(collection, root)
    (root / "a.txt").rename(root / "c.txt")
    (root / "b.txt").rename(root / "a.txt")
    (root / "c.txt").rename(root / "b.txt")
    assert counts(sync(collection, root)) == {"changed": 2}
    assert texts(collection) == {"a.txt": MOUNTAIN, "b.txt": RIVER}


def test_content_that_changed_with_size_and_time_put_back_is_noticed(collection: Collection, root: Path) -> None:
    file = root / "a.txt"
    file.write_text("The bridge is 100 years old.")
    sync(collection, root)
    status = file.stat()
    file.write_text("The bridge is 900 years old.")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (status.st_size, status.st_mtime_ns)
    assert counts(sync(collection, root)) == {"changed": 1}
    assert texts(collection) == {"a.txt": "The bridge is 900 years old."}


def test_a_file_that_was_only_touched_is_unchanged(collection: Collection, root: Path) -> None:
    (root / "a.txt").write_text(RIVER)
    sync(collection, root)
    os.utime(root / "a.txt")
    assert counts(sync(collection, root)) == {"unchanged": 1}
    before = generation(collection)
    assert counts(sync(collection, root)) == {"unchanged": 1}
    assert generation(collection) == before, "the new time is noted once"


def test_a_release_that_reads_a_format_otherwise_reads_its_files_again_and_encodes_only_what_changed(
    collection: Collection, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "a.txt").write_text(RIVER)
    (root / "b.html").write_text(f"<p>{MOUNTAIN}</p><p>{HARBOUR}</p>")
    (root / "c.html").write_text(f"<p>{RIVER}</p>")
    sync(collection, root)
    form = FORMATS[".html"]

    def read(data: bytes) -> Content:
        return Content(form.read(data).text.replace(HARBOUR, f"{HARBOUR} Once."))

    monkeypatch.setitem(FORMATS, ".html", form._replace(read=read))
    monkeypatch.setattr("indexer.extraction.Extractor.content", lambda _, suffix, file: FORMATS[suffix].read(file.read()))
    assert counts(sync(collection, root)) == {"unchanged": 3}
    monkeypatch.setitem(FORMATS, ".html", form._replace(read=read, version=form.version + 1))
    summary = sync(collection, root)
    assert counts(summary) == {"changed": 1, "unchanged": 2}
    assert (summary.passages_encoded, summary.passages_reused) == (1, 1)
    assert texts(collection)["b.html"] == f"{MOUNTAIN}\n\n{HARBOUR} Once."
    assert counts(sync(collection, root)) == {"unchanged": 3}


def test_a_file_keeps_its_id_over_such_a_release_when_it_moves_afterwards(
    collection: Collection, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "a.html").write_text(f"<p>{RIVER}</p>")
    sync(collection, root)
    monkeypatch.setitem(FORMATS, ".html", FORMATS[".html"]._replace(version=99))
    sync(collection, root)
    (root / "a.html").rename(root / "b.html")
    assert counts(sync(collection, root)) == {"moved": 1}
    assert list(texts(collection)) == ["a.html"]


def test_rows_of_a_table_are_added_changed_and_deleted(collection: Collection, root: Path) -> None:
    table = root / "a.csv"
    table.write_text(f"no,body\nx,{RIVER}\ny,{MOUNTAIN}\n")
    assert counts(sync(collection, root)) == {"added": 1}
    sidecar(table).write_text('{"columns": {"text": "body", "id": "no"}}')
    assert counts(sync(collection, root)) == {"added": 2, "deleted": 1}
    assert texts(collection) == {"a.csv#x": RIVER, "a.csv#y": MOUNTAIN}
    table.write_text(f"no,body\ny,{MOUNTAIN}\nz,{HARBOUR}\nx,{RIVER} Every year.\n")
    assert counts(sync(collection, root)) == {"added": 1, "changed": 1, "unchanged": 1}
    sidecar(table).write_text('{"columns": {"text": "words"}}')
    assert reasons(sync(collection, root)) == {"a.csv": 'has no column "words"; its first row names: no, body'}
    assert len(texts(collection)) == 3


def test_of_many_records_that_cannot_be_read_the_first_are_told_and_how_many_more(collection: Collection, root: Path) -> None:
    (root / "a.jsonl").write_text(json.dumps({"_id": "x", "text": RIVER}) + "\n" + "0\n" * 3000)
    summary = sync(collection, root)
    assert (len(summary.failed), summary.failed[-1].record, summary.failed[-1].reason) == (
        1001, "more", "2,000 more records could not be read",
    )  # fmt: skip
    assert list(texts(collection)) == ["x"]


def test_what_is_remarked_of_a_file_is_said_at_every_run_and_kept(collection: Collection, root: Path) -> None:
    (root / "a.md").write_text(f"---\ndate: in spring\n---\n{RIVER}\n")
    lines(root / "b.jsonl", *({"_id": str(n), "text": f"{HARBOUR} {n}", "date": "long ago"} for n in range(6)))
    told = [("a.md", ""), ("b.jsonl", "line 1"), ("b.jsonl", "line 2"), ("b.jsonl", "line 3"), ("b.jsonl", "")]
    for _ in range(2):
        summary = sync(collection, root)
        assert [(Path(one.path).name, one.about) for one in summary.noted] == told
        assert not summary.failed
    assert '"in spring", is not understood' in summary.noted[0].remark
    assert summary.noted[-1].remark == "3 more remarks of this kind"
    with collection.catalog.read() as snapshot:
        assert snapshot.counts().failures == 0
        assert [len(source.remarks) for source in snapshot.sources()] == [1, 4]


def test_a_change_of_the_sidecar_is_a_change_of_the_document(collection: Collection, root: Path) -> None:
    (root / "a.txt").write_text(RIVER)
    sync(collection, root)
    sidecar(root / "a.txt").write_text('{"title": "Floods"}')
    assert counts(sync(collection, root)) == {"changed": 1}
    assert titles(collection) == {"a.txt": "Floods"}
    sidecar(root / "a.txt").unlink()
    assert counts(sync(collection, root)) == {"changed": 1}
    assert titles(collection) == {"a.txt": "a"}


def test_a_run_with_nothing_changed_writes_no_commit_and_loads_no_model(
    collection: Collection, root: Path, tmp_path: Path
) -> None:
    (root / "a.txt").write_text(RIVER)
    (root / "broken.pdf").write_bytes(b"%PDF-1.7 broken")
    lines(root / "b.jsonl", record("x"), "not JSON")
    assert counts(sync(collection, root)) == {"added": 2, "failed": 2}
    before = generation(collection)
    code = (
        "import sys; from pathlib import Path; from indexer import Collection, Sync; "
        f"summary = Sync(Collection(Path({str(collection.folder)!r}))).run([Path({str(root)!r})]); "
        "print(summary.unchanged, len(summary.failed), 'torch' in sys.modules, 'faiss' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["2", "2", "False", "False"]
    assert generation(collection) == before


def test_the_summary_counts_only_what_was_stored(collection: Collection, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        (root / f"{number}.txt").write_text(f"{RIVER} {number}")
    original, calls = Writer.put_document, list[None]()

    def interrupted(self: Writer, *arguments: Any) -> None:
        calls.append(original(self, *arguments))
        if len(calls) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Writer, "put_document", interrupted)
    one = Sync(collection)
    with pytest.raises(KeyboardInterrupt):
        one.run([root])
    assert counts(one.summary) == {}
    assert texts(collection) == {}
    monkeypatch.undo()
    assert counts(sync(collection, root)) == {"added": 3}


def test_progress_ends_with_every_byte_done(collection: Collection, root: Path) -> None:
    (root / "a.txt").write_text(RIVER)
    (root / "empty.txt").touch()
    lines(root / "b.jsonl", record("x"), record("y", MOUNTAIN))
    sync(collection, root)
    (root / "a.txt").rename(root / "moved.txt")
    os.utime(root / "b.jsonl")
    (root / "c.txt").write_text(HARBOUR)
    seen: list[tuple[int, int, int]] = []

    def report(now: Progress) -> None:
        seen.append((now.passages, now.done_bytes, now.total_bytes))

    one = Sync(collection, report)
    one.run([root])
    size = sum((root / name).stat().st_size for name in ("moved.txt", "b.jsonl", "c.txt"))
    assert seen[-1] == (2, size, size)


# --- roots --------------------------------------------------------------------------------------------------------


def test_files_of_two_roots_with_the_same_name_are_two_documents(collection: Collection, tmp_path: Path) -> None:
    for name, text in [("one", RIVER), ("two", MOUNTAIN)]:
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text(text)
    assert counts(sync(collection, tmp_path / "one", tmp_path / "two")) == {"added": 2}
    assert texts(collection) == {"a.txt": RIVER, "a.txt~2": MOUNTAIN}
    assert counts(sync(collection, tmp_path / "two", tmp_path / "one")) == {"unchanged": 2}
    (tmp_path / "one/a.txt").unlink()
    assert counts(sync(collection, tmp_path / "one", tmp_path / "two")) == {"unchanged": 1, "deleted": 1}
    assert texts(collection) == {"a.txt~2": MOUNTAIN}


def test_roots_within_each_other_give_each_file_once(collection: Collection, root: Path) -> None:
    (root / "sub").mkdir()
    (root / "a.txt").write_text(RIVER)
    (root / "sub/a.txt").write_text(MOUNTAIN)
    assert counts(sync(collection, root, root / "sub", root / "sub/a.txt")) == {"added": 2}
    assert texts(collection) == {"a.txt": RIVER, "sub/a.txt": MOUNTAIN}
    assert counts(sync(collection, root / "sub")) == {"unchanged": 1}
    assert counts(sync(collection, root / "sub/a.txt", root)) == {"unchanged": 2}
    (root / "a.txt").unlink()
    assert counts(sync(collection, root / "sub")) == {"unchanged": 1}
    assert counts(sync(collection, root)) == {"unchanged": 1, "deleted": 1}


@pytest.mark.parametrize("name", ["missing", "missing.txt", "kind.xyz", "pipe.txt"])
def test_a_path_that_cannot_be_synced_is_an_error_and_changes_nothing(
    collection: Collection, root: Path, tmp_path: Path, name: str
) -> None:
    (root / "a.txt").write_text(RIVER)
    sync(collection, root)
    (root / "a.txt").unlink()
    (root / "b.txt").write_text(MOUNTAIN)
    (tmp_path / "kind.xyz").touch()
    os.mkfifo(tmp_path / "pipe.txt")
    before = texts(collection), generation(collection)
    with pytest.raises(SyncError, match=rf"{name} .*; nothing was indexed or deleted"):
        sync(collection, root, tmp_path / name)
    assert (texts(collection), generation(collection)) == before


def test_a_folder_that_vanished_is_an_error_and_deletes_nothing(collection: Collection, root: Path) -> None:
    (root / "a.txt").write_text(RIVER)
    sync(collection, root)
    root.rename(root.with_name("elsewhere"))
    before = texts(collection), generation(collection)
    with pytest.raises(SyncError, match="root cannot be read: No such file or directory; nothing was indexed or deleted"):
        sync(collection, root)
    assert (texts(collection), generation(collection)) == before


# --- what is left out ---------------------------------------------------------------------------------------------


def test_hidden_files_links_out_of_the_root_and_other_kinds_are_left_alone(
    collection: Collection, root: Path, tmp_path: Path
) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret.txt").write_text(MOUNTAIN)
    (root / ".hidden").mkdir()
    (root / ".hidden/a.txt").write_text(MOUNTAIN)
    (root / ".a.txt").write_text(MOUNTAIN)
    (root / "link.txt").symlink_to(tmp_path / "outside/secret.txt")
    (root / "folder").symlink_to(tmp_path / "outside")
    (root / "photo.JPG").touch()
    (root / "Makefile").touch()
    (root / "a.txt").write_text(RIVER)
    summary = sync(collection, root)
    assert counts(summary) == {"added": 1}
    assert summary.skipped == {".jpg": 1, "no suffix": 1, "link out of the folder": 1, "link to a folder": 1}
    assert texts(collection) == {"a.txt": RIVER}


def test_a_link_within_the_root_is_followed(collection: Collection, root: Path) -> None:
    (root / "a.txt").write_text(RIVER)
    (root / "b.txt").symlink_to("a.txt")
    assert counts(sync(collection, root)) == {"added": 2}


def test_what_the_ignore_file_names_is_left_out_and_deleted_if_it_was_indexed(collection: Collection, root: Path) -> None:
    (root / "old/deep").mkdir(parents=True)
    for name, text in [("a.txt", RIVER), ("b.txt", MOUNTAIN), ("old/c.txt", HARBOUR), ("old/deep/d.txt", HARBOUR + " So.")]:
        (root / name).write_text(text)
    assert counts(sync(collection, root)) == {"added": 4}
    (root / ".passagesignore").write_text("# comment\n\nold/\nb.*\n")
    assert counts(sync(collection, root)) == {"unchanged": 1, "deleted": 3}
    assert texts(collection) == {"a.txt": RIVER}


def test_an_ignored_folder_is_not_looked_into(unprivileged: Path, encoder: Encoder) -> None:
    with Collection(unprivileged / "index", create=True, encoder=encoder) as collection:
        root = unprivileged / "root"
        (root / "locked").mkdir(parents=True)
        (root / "a.txt").write_text(RIVER)
        (root / ".passagesignore").write_text("locked/")
        (root / "locked").chmod(0)
        assert counts(sync(collection, root)) == {"added": 1}


def test_an_ignore_file_that_cannot_be_read_is_an_error_and_changes_nothing(collection: Collection, root: Path) -> None:
    (root / "a.txt").write_text(RIVER)
    (root / ".passagesignore").write_bytes(b"caf\xe9\n")
    with pytest.raises(SyncError, match=r"\.passagesignore cannot be used: .*; nothing was indexed or deleted"):
        sync(collection, root)
    assert texts(collection) == {}


# --- what cannot be read ------------------------------------------------------------------------------------------


def test_a_bad_file_stops_no_other_and_is_reported_until_it_is_mended(collection: Collection, root: Path) -> None:
    (root / "a.txt").write_text(RIVER)
    (root / "b.pdf").write_bytes(b"%PDF-1.7 broken")
    (root / "c.txt").write_bytes(b"caf\xe9")
    (root / "d.txt").write_text(MOUNTAIN)
    first = sync(collection, root)
    assert counts(first) == {"added": 2, "failed": 2}
    second = sync(collection, root)
    assert counts(second) == {"unchanged": 2, "failed": 2}
    assert second.failed == first.failed
    (root / "c.txt").write_text("café")
    third = sync(collection, root)
    assert counts(third) == {"added": 1, "unchanged": 2, "failed": 1}
    assert list(reasons(third)) == ["b.pdf"]


def test_a_file_that_became_unreadable_keeps_what_was_indexed_of_it(collection: Collection, root: Path) -> None:
    (root / "a.txt").write_text(RIVER)
    sync(collection, root)
    before = passage_ids(collection)
    (root / "a.txt").write_bytes(b"caf\xe9")
    assert counts(sync(collection, root)) == {"failed": 1}
    assert (texts(collection), passage_ids(collection)) == ({"a.txt": RIVER}, before)
    assert counts(sync(collection, root)) == {"unchanged": 1, "failed": 1}
    (root / "a.txt").write_text(MOUNTAIN)
    assert counts(sync(collection, root)) == {"changed": 1}


def test_a_file_that_could_not_be_read_for_a_while_is_read_again_with_the_same_content(
    collection: Collection, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when an editor puts a new file in its place just then: the content that was hashed is not what failed."""
    (root / "a.txt").write_text(RIVER)

    def vanished(*_: object) -> Iterator[Unreadable]:
        yield Unreadable("", "is no longer there")

    with monkeypatch.context() as broken:
        broken.setattr("indexer.reader.read_documents", vanished)
        assert reasons(sync(collection, root)) == {"a.txt": "is no longer there"}
    os.utime(root / "a.txt")
    assert counts(sync(collection, root)) == {"added": 1}
    assert texts(collection) == {"a.txt": RIVER}


def test_a_bad_file_that_moved_is_reported_where_it_is(collection: Collection, root: Path) -> None:
    (root / "a.txt").write_bytes(b"caf\xe9")
    sync(collection, root)
    (root / "a.txt").rename(root / "b.txt")
    assert list(reasons(sync(collection, root))) == ["b.txt"]
    assert list(reasons(sync(collection, root))) == ["b.txt"]


def test_a_file_without_permission_keeps_what_was_indexed_and_is_read_once_it_is_given(
    unprivileged: Path, encoder: Encoder
) -> None:
    with Collection(unprivileged / "index", create=True, encoder=encoder) as collection:
        root = unprivileged / "root"
        root.mkdir()
        (root / "a.txt").write_text(RIVER)
        (root / "b.txt").write_text(MOUNTAIN)
        (root / "b.txt").chmod(0)
        assert reasons(sync(collection, root)) == {"b.txt": "cannot be read: Permission denied"}
        (root / "a.txt").chmod(0)
        assert counts(sync(collection, root)) == {"failed": 2}
        assert texts(collection) == {"a.txt": RIVER}
        before = generation(collection)
        assert counts(sync(collection, root)) == {"failed": 2}
        assert generation(collection) == before
        for name in ("a.txt", "b.txt"):
            (root / name).chmod(0o600)
        assert counts(sync(collection, root)) == {"added": 1, "unchanged": 1}


def test_what_is_below_a_folder_that_cannot_be_looked_into_is_kept(unprivileged: Path, encoder: Encoder) -> None:
    with Collection(unprivileged / "index", create=True, encoder=encoder) as collection:
        root = unprivileged / "root"
        (root / "locked/deep").mkdir(parents=True)
        for name, text in [("a.txt", RIVER), ("locked/b.txt", MOUNTAIN), ("locked/deep/c.txt", HARBOUR)]:
            (root / name).write_text(text)
        sync(collection, root)
        (root / "locked").chmod(0)
        (root / "a.txt").unlink()
        (root / "copy.txt").write_text(MOUNTAIN)
        summary = sync(collection, root)
        assert counts(summary) == {"added": 1, "deleted": 1, "failed": 1}
        assert summary.failed == [Failure(str(root / "locked"), "", "cannot be looked into: Permission denied")]
        assert texts(collection) == {"locked/b.txt": MOUNTAIN, "locked/deep/c.txt": HARBOUR, "copy.txt": MOUNTAIN}
        with pytest.raises(SyncError, match="Permission denied; nothing was indexed or deleted"):
            sync(collection, root / "locked/deep")
        (root / "locked").chmod(0o700)
        assert counts(sync(collection, root)) == {"unchanged": 3}


def test_links_to_nothing_pipes_and_names_that_are_no_text_stop_no_other(collection: Collection, root: Path) -> None:
    (root / "dangling.txt").symlink_to("nothing.txt")
    (root / "loop.txt").symlink_to("loop.txt")
    os.mkfifo(root / "pipe.txt")
    Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9.txt")).write_text(MOUNTAIN)
    (root / f"{'x' * 251}.txt").write_text(HARBOUR)
    (root / "z.txt").write_text(RIVER)
    summary = sync(collection, root)
    assert texts(collection)["z.txt"] == RIVER
    found = reasons(summary)
    assert found.pop("x" * 251 + ".txt", None) in (None, "cannot be read: File name too long")
    assert found == {
        "caf\ufffd.txt": "cannot be read: its name is not valid UTF-8; rename it",
        "dangling.txt": "cannot be read: No such file or directory",
        "loop.txt": "cannot be read: Too many levels of symbolic links",
        "pipe.txt": "cannot be read: it is no regular file",
    }
    json.dumps([one._asdict() for one in summary.failed], ensure_ascii=False).encode()  # fit for any output


def test_a_file_that_is_deleted_while_the_folder_is_looked_through_is_not_there(
    collection: Collection, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "a.txt").write_text(RIVER)
    (root / "b.txt").write_text(MOUNTAIN)
    sync(collection, root)
    walk = os.walk

    def late(*arguments: Any, **named: Any) -> Iterator[Any]:
        for folder in walk(*arguments, **named):
            (root / "a.txt").unlink(missing_ok=True)
            yield folder

    monkeypatch.setattr(os, "walk", late)
    assert counts(sync(collection, root)) == {"unchanged": 1, "deleted": 1}


# --- JSON lines ---------------------------------------------------------------------------------------------------


def test_lines_are_added_changed_removed_and_left_unchanged(collection: Collection, root: Path) -> None:
    file = root / "a.jsonl"
    lines(file, record("1", RIVER), record("2", MOUNTAIN), record("3", HARBOUR))
    assert counts(sync(collection, root)) == {"added": 3}
    lines(file, record("4", "A new one."), record("1", RIVER), record("3", HARBOUR + " And boats."))
    summary = sync(collection, root)
    assert counts(summary) == {"added": 1, "changed": 1, "deleted": 1, "unchanged": 1}
    assert texts(collection) == {"1": RIVER, "3": HARBOUR + " And boats.", "4": "A new one."}
    assert summary.passages_encoded == 2
    file.unlink()
    assert counts(sync(collection, root)) == {"deleted": 3}


def test_one_bad_line_stops_no_other_and_is_reported_until_it_is_mended(collection: Collection, root: Path) -> None:
    lines(root / "a.jsonl", record("1", RIVER), '{"_id": "2", "text":', record("3", HARBOUR))
    for _ in range(2):
        summary = sync(collection, root)
        assert list(reasons(summary)) == ["a.jsonl line 2"]
        assert texts(collection) == {"1": RIVER, "3": HARBOUR}
    lines(root / "a.jsonl", record("1", RIVER), record("2", MOUNTAIN), record("3", HARBOUR))
    assert counts(sync(collection, root)) == {"added": 1, "unchanged": 2}


def test_the_same_id_in_two_files_is_reported_and_the_first_is_kept(collection: Collection, root: Path) -> None:
    lines(root / "a.jsonl", record("x", RIVER), record("1", RIVER))
    lines(root / "b.jsonl", record("2", MOUNTAIN), record("x", MOUNTAIN))
    for expected in ({"added": 3, "failed": 1}, {"unchanged": 3, "failed": 1}):
        summary = sync(collection, root)
        assert counts(summary) == expected
        assert texts(collection) == {"x": RIVER, "1": RIVER, "2": MOUNTAIN}
        (reason,) = reasons(summary).values()
        assert reason == f"its id is already that of a document in {root / 'a.jsonl'}; give one of them another id"
        assert list(reasons(summary)) == ["b.jsonl document x"]


@pytest.mark.parametrize("how", ["the file is deleted", "the line is deleted", "the document is deleted"])
def test_a_document_that_was_refused_is_indexed_when_its_id_is_free(collection: Collection, root: Path, how: str) -> None:
    lines(root / "a.jsonl", record("x", RIVER), record("1", RIVER))
    lines(root / "b.jsonl", record("x", MOUNTAIN))
    assert counts(sync(collection, root)) == {"added": 2, "failed": 1}
    if how == "the file is deleted":
        (root / "a.jsonl").unlink()
    elif how == "the line is deleted":
        lines(root / "a.jsonl", record("1", RIVER))
    else:
        remove(collection, "x")
    summary = sync(collection, root)
    assert (summary.added, summary.failed) == (1, [])
    assert texts(collection)["x"] == MOUNTAIN
    assert not sync(collection, root).failed


@pytest.mark.parametrize(("old", "new"), [("a", "b"), ("b", "a")])
def test_a_line_that_goes_to_another_file_is_not_lost(collection: Collection, root: Path, old: str, new: str) -> None:
    lines(root / f"{old}.jsonl", record("x", RIVER), record("1", HARBOUR))
    lines(root / f"{new}.jsonl", record("2", MOUNTAIN))
    sync(collection, root)
    lines(root / f"{old}.jsonl", record("1", HARBOUR))
    lines(root / f"{new}.jsonl", record("2", MOUNTAIN), record("x", RIVER))
    summary = sync(collection, root)
    assert (summary.failed, summary.passages_encoded) == ([], 0)
    assert texts(collection) == {"x": RIVER, "1": HARBOUR, "2": MOUNTAIN}
    assert not sync(collection, root).failed
    (root / f"{old}.jsonl").unlink()
    sync(collection, root)
    assert texts(collection) == {"x": RIVER, "2": MOUNTAIN}


def test_an_id_that_a_changed_file_still_has_is_refused_to_one_of_them(collection: Collection, root: Path) -> None:
    lines(root / "b.jsonl", record("x", RIVER), record("1", HARBOUR))
    sync(collection, root)
    lines(root / "a.jsonl", record("x", MOUNTAIN))
    lines(root / "b.jsonl", record("x", RIVER), record("1", HARBOUR), record("2", HARBOUR))
    for _ in range(2):
        summary = sync(collection, root)
        assert list(reasons(summary)) == ["b.jsonl document x"]
        assert texts(collection) == {"x": MOUNTAIN, "1": HARBOUR, "2": HARBOUR}
    os.utime(root / "b.jsonl")
    assert len(sync(collection, root).failed) == 1


def test_an_id_of_an_unchanged_file_is_not_taken_by_another(collection: Collection, root: Path) -> None:
    lines(root / "b.jsonl", record("x", RIVER))
    sync(collection, root)
    lines(root / "a.jsonl", record("x", MOUNTAIN))
    os.utime(root / "b.jsonl")
    assert list(reasons(sync(collection, root))) == ["a.jsonl document x"]
    assert texts(collection) == {"x": RIVER}


def test_a_document_that_a_program_wrote_is_not_taken_by_a_file(collection: Collection, root: Path) -> None:
    put(collection, Document("x", "", RIVER))
    put(collection, Document("a.txt", "", RIVER))
    lines(root / "a.jsonl", record("x", MOUNTAIN), record("1", MOUNTAIN))
    (root / "a.txt").write_text(HARBOUR)
    summary = sync(collection, root)
    assert list(reasons(summary)) == ["a.jsonl document x"]
    assert texts(collection) == {"x": RIVER, "a.txt": RIVER, "1": MOUNTAIN, "a.txt~2": HARBOUR}
    (root / "a.txt").unlink()
    (root / "a.jsonl").unlink()
    assert counts(sync(collection, root)) == {"deleted": 2}
    assert texts(collection) == {"x": RIVER, "a.txt": RIVER}


# --- stopped in the middle, and two at once -----------------------------------------------------------------------


COMMAND = "import indexer.ingest; indexer.ingest.COMMIT_PASSAGES = 64; from service.cli import main; main()"


def passages(*arguments: str | Path) -> subprocess.Popen[str]:
    """The command with small commits, on one core, and without the settings of whoever runs the tests."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PASSAGES_")}
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, *arguments], env=inherited | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def documents_in(index: Path) -> int:
    try:
        catalog = Catalog(index)
    except (CatalogError, FileNotFoundError):
        return 0
    with catalog.read() as snapshot:
        count = snapshot.counts().documents
    catalog.close()
    return count


def stop_after(process: subprocess.Popen[str], index: Path, documents: int, how: signal.Signals) -> tuple[str, str]:
    """Send a signal once the index has more than so many documents; what the process printed."""
    end = time.monotonic() + 120
    while not index.exists() or documents_in(index) <= documents:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "no commit in time"
        time.sleep(0.02)
    process.send_signal(how)
    return process.communicate(timeout=60)


def stored(index: Path) -> tuple[dict[str, tuple[int, int]], dict[str, np.ndarray[Any, Any]]]:
    """Offsets and vectors of every passage, by its id."""
    catalog = Catalog(index)
    with catalog.read() as snapshot:
        contract = snapshot.contract
        assert contract
        all_of = snapshot.changes(-1, 0, contract.dimension)
        passages = snapshot.passages(all_of.added.tolist())
        places = {one.id: (one.start, one.end) for one in passages.values()}
        vectors = {passages[key].id: row for key, row in zip(all_of.added.tolist(), all_of.vectors, strict=True)}
    catalog.close()
    return places, vectors


def without_progress(errors: str) -> str:
    """On a busy machine a run takes longer than the ten seconds after which it says how far it is."""
    return "".join(line for line in errors.splitlines(keepends=True) if not line.startswith("indexing: "))


def test_an_index_that_was_stopped_twice_ends_as_one_that_was_not(root: Path, tmp_path: Path, encoder: Encoder) -> None:
    """By kill -9 and by Ctrl-C: what was committed is kept, is not encoded again, and the rest follows."""
    total, index = 1280, tmp_path / "stopped"  # enough that the second run is not done before it is told to stop
    words = "river mountain harbour engine letter garden winter music bridge doctor".split()
    lines(root / "a.jsonl", *(record(f"d{i}", f"The {words[i % 10]} is {i} years old.") for i in range(total)))
    command = ("index", root, "--index", index)

    stop_after(first := passages(*command), index, 0, signal.SIGKILL)
    assert first.returncode == -signal.SIGKILL
    after_kill = documents_in(index)
    assert 0 < after_kill < total

    output, errors = stop_after(second := passages(*command), index, after_kill, signal.SIGINT)
    assert (second.returncode, without_progress(errors)) == (130, "")
    assert "interrupted: the documents counted above are kept; run the same command again to go on from here" in output
    after_interrupt = documents_in(index)
    assert after_kill < after_interrupt < total
    assert f"documents: {after_interrupt - after_kill:,} added, 0 changed, 0 moved, 0 deleted, {after_kill} " in output

    third = passages(*command, "--json")
    output, errors = third.communicate(timeout=120)
    assert (third.returncode, without_progress(errors)) == (0, "")
    summary = json.loads(output)
    assert summary["passages_encoded"] == summary["added"] == total - after_interrupt
    assert summary["unchanged"] == after_interrupt

    with Collection(tmp_path / "whole", create=True, encoder=encoder) as whole:
        assert counts(sync(whole, root)) == {"added": total}
    places, vectors = stored(index)
    expected_places, expected = stored(tmp_path / "whole")
    assert places == expected_places
    assert min(float(vectors[one].astype(np.float32) @ expected[one].astype(np.float32)) for one in expected) > 0.999


def test_a_second_indexer_is_told_who_writes_and_changes_nothing(collection: Collection, root: Path) -> None:
    (root / "a.txt").write_text(RIVER)
    before = generation(collection)
    with collection.lock.held(0):
        second = passages("index", root, "--index", collection.folder)
        output, errors = second.communicate(timeout=60)
    assert second.returncode == 1
    assert output == ""
    assert errors.startswith(f"passages: process {os.getpid()} (")
    assert errors.endswith(") is writing this index: wait until it is done, or end it\n")
    assert (texts(collection), generation(collection)) == ({}, before)
    with collection.lock.held(0), pytest.raises(LockedError):
        sync(collection, root)
    assert counts(sync(collection, root)) == {"added": 1}


def test_a_folder_that_became_a_link_deletes_nothing(collection: Collection, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "old").mkdir(parents=True)
    (root / "old" / "a.txt").write_text(RIVER)
    sync(collection, root)
    (root / "old").rename(tmp_path / "elsewhere")
    (root / "old").symlink_to(tmp_path / "elsewhere")
    assert counts(sync(collection, root)) == {}
    assert texts(collection) == {"old/a.txt": RIVER}
