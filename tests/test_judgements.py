"""Judged questions are kept: through crashes, edits, other splitters, backups; and only as long as a person wants."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import indexer
from indexer import Collection, Document, JudgedPassage, Judgement, Judgements, JudgementsError, judgementfile
from indexer.backup import backup, restore
from indexer.doctor import check_judgements
from indexer.encoder import Encoder
from indexer.judgements import from_record
from indexer.place import check_place
from indexer.schema import FullError
from indexer.search import Query
from indexer.sentences import Span

TEXT = "The archive keeps reports for ten years. Letters are kept for ever."
QUESTION = "How long are reports kept?"
PASSAGE = JudgedPassage("p1", "d", "Title", 10, 10 + len(TEXT), TEXT, Span(10, 50))
ANSWERS = Judgement(QUESTION, "answers", PASSAGE)
NOTHING = Judgement(QUESTION, "nothing")


@pytest.fixture
def store(tmp_path: Path) -> Judgements:
    return Judgements(tmp_path)


def verdicts(store: Judgements) -> list[str]:
    return [one.verdict for one in store.read().judgements]


# --- the last word ----------------------------------------------------------------------------------------------------


def test_what_is_said_is_read_again_as_it_was(store: Judgements) -> None:
    assert store.read() == ([], 0)
    assert not store.file.exists()  # nothing is written before somebody says something
    said = store.say(replace(ANSWERS, filter={"tags": ["a"]}))
    assert Judgements(store.file.parent).read() == ([said], 0)
    assert from_record(said.record()) == said
    assert store.of(f"  {QUESTION} ", {"tags": ["a"]}).judgements == [said]  # however it is spaced
    assert store.of(QUESTION, {}).judgements == []  # under another filter it is another question
    assert store.file.stat().st_mode & 0o777 == 0o600


def test_of_a_question_and_passage_the_last_word_counts(store: Judgements) -> None:
    store.say(ANSWERS)
    store.say(Judgement(QUESTION, "does_not", replace(PASSAGE, id="p2", start=0, end=len(TEXT), evidence=None)))  # it moved
    assert verdicts(store) == ["does_not"]


def test_that_nothing_answers_and_that_something_does_end_each_other(store: Judgements) -> None:
    store.say(ANSWERS)
    store.say(Judgement("Another?", "answers", PASSAGE))
    store.say(NOTHING)
    assert sorted(verdicts(store)) == ["answers", "nothing"]
    store.say(ANSWERS)
    assert verdicts(store) == ["answers", "answers"]
    store.say(Judgement(QUESTION, "does_not", PASSAGE))
    store.say(NOTHING)  # which a passage that does not answer does not contradict
    assert sorted(verdicts(store)) == ["answers", "does_not", "nothing"]


def test_merging_keeps_the_later_word_whichever_comes_first(tmp_path: Path) -> None:
    early, late = replace(ANSWERS, at="2026-01-01T00:00:00+00:00"), replace(NOTHING, at="2026-02-01T00:00:00+00:00")
    for number, order in enumerate(([early, late], [late, early])):
        (tmp_path / str(number)).mkdir()
        store = Judgements(tmp_path / str(number))
        for one in order:
            store.merge([one])
        assert store.read().judgements == [late]


def test_what_is_deleted_is_in_no_file_any_more(store: Judgements) -> None:
    store.say(replace(ANSWERS, question="secret-one"))
    store.say(replace(ANSWERS, question="secret-two"))
    (one, _) = store.read().judgements
    assert store.delete(one.id)
    assert not store.delete(one.id)
    assert b"secret-two" not in store.file.read_bytes()
    assert store.delete_all() == 1
    assert b"secret" not in store.file.read_bytes()


@pytest.mark.parametrize(
    "change",
    [
        {"verdict": "perhaps"}, {"question": " "}, {"passage": None}, {"at": "yesterday"}, {"verdict": "nothing"},
        {"passage": {"document": "d", "start": 5, "end": 5, "text": ""}}, {"passage": {"document": "d"}},
        {"passage": {"document": "d", "start": 0, "end": 9, "text": "text"}},
    ],
)  # fmt: skip
def test_a_record_that_is_no_judgement_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(JudgementsError, match="not a judgement"):
        from_record(replace(ANSWERS, at="2026-01-01T00:00:00+00:00").record() | change)


# --- crashes, damage, room --------------------------------------------------------------------------------------------

SAYING = """
import sys
from pathlib import Path
from indexer import Judgement, Judgements
store = Judgements(Path(sys.argv[1]))
for number in range(10_000):
    store.say(Judgement(f"{sys.argv[2]} {number}", "nothing"))
    print(number, flush=True)
"""


def saying(folder: Path, name: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", SAYING, str(folder), name], stdout=subprocess.PIPE, text=True)


def test_what_two_processes_acknowledged_is_there_when_both_are_killed(store: Judgements) -> None:
    children = [saying(store.file.parent, name) for name in ("first", "second")]
    for child in children:
        assert child.stdout is not None
        while int(child.stdout.readline()) < 15:
            pass
    for child in children:
        os.kill(child.pid, signal.SIGKILL)
    said: set[str] = set()
    for name, child in zip(("first", "second"), children, strict=True):
        rest = child.communicate()[0].splitlines(keepends=True)
        last = max([15, *(int(line) for line in rest if line.endswith("\n"))])
        said |= {f"{name} {number}" for number in range(last + 1)}
    kept = store.read()
    assert said <= {one.question for one in kept.judgements}
    assert kept.damaged == 0
    store.say(ANSWERS)  # and writing goes on


def test_a_half_written_change_is_rolled_back(store: Judgements) -> None:
    store.say(ANSWERS)
    before = store.file.read_bytes()
    journal = store.file.with_name(f"{store.file.name}-journal")
    with closing(sqlite3.connect(store.file, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("PRAGMA cache_spill = 1")
        connection.execute("UPDATE judgement SET record = ?", ("x" * 100_000,))
        connection.execute("PRAGMA cache_size = 1")
        for number in range(50):
            row = (str(number), "", "", "", "y" * 10_000, 0)
            connection.execute("INSERT INTO judgement VALUES (?, ?, ?, ?, ?, ?)", row)
        half, undo = store.file.read_bytes(), journal.read_bytes()
        assert half != before  # some of it was written
        connection.rollback()
    store.file.write_bytes(half)
    journal.write_bytes(undo)  # what a power cut leaves
    kept = store.read()
    assert [one.question for one in kept.judgements] == [QUESTION]
    assert kept.damaged == 0


def test_a_damaged_row_costs_itself_alone(store: Judgements) -> None:
    store.say(replace(ANSWERS, question="A whole one?"))
    store.say(replace(ANSWERS, question="A flipped one?"))
    content = store.file.read_bytes()
    assert content.count(b"A flipped one?") == 1
    store.file.write_bytes(content.replace(b"A flipped one?", b"A flippex one?"))
    kept = store.read()
    assert ([one.question for one in kept.judgements], kept.damaged) == (["A whole one?"], 1)
    assert check_judgements(store.file.parent)[1:3] == ("warning", "1 of 2 judged questions are damaged and left out")


def test_a_file_that_is_no_store_is_told_with_what_to_do_and_can_be_deleted(store: Judgements) -> None:
    store.file.write_bytes(b"nonsense" * 1000)
    for use in (store.read, lambda: store.say(ANSWERS), lambda: store.delete("x")):
        with pytest.raises(JudgementsError, match=r"is damaged .*: move it away, then bring judgements back with"):
            use()
    assert check_judgements(store.file.parent).severity == "error"
    assert store.delete_all() == 0
    store.say(ANSWERS)
    assert check_judgements(store.file.parent)[1:3] == ("ok", "judged questions that can be read: 1")
    assert verdicts(store) == ["answers"]


def test_a_file_of_a_later_release_is_left_as_it_is(store: Judgements) -> None:
    store.say(ANSWERS)
    with closing(sqlite3.connect(store.file)) as connection:
        connection.execute("PRAGMA user_version = 2")
    for use in (store.read, lambda: store.say(NOTHING), store.delete_all):
        with pytest.raises(JudgementsError, match="later release: upgrade"):
            use()


def test_the_store_is_bounded_and_deleting_makes_room(store: Judgements, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judgementfile, "MAX_JUDGEMENTS", 2)
    first = store.say(replace(NOTHING, question="1"))
    store.say(replace(NOTHING, question="2"))
    with pytest.raises(FullError, match="passages feedback export, then delete"):
        store.say(replace(NOTHING, question="3"))
    assert [one.question for one in store.read().judgements] == ["2", "1"]
    store.say(replace(NOTHING, question="2"))  # the same question is no further one
    store.delete(first.id)
    store.say(replace(NOTHING, question="3"))

    monkeypatch.setattr(judgementfile, "MAX_BYTES", store.file.stat().st_size)
    with pytest.raises(FullError):
        store.say(replace(NOTHING, question="3", filter={"x": "y" * 50_000}))
    assert [one.question for one in store.read().judgements] == ["3", "2"]


def test_a_folder_that_cannot_be_written_is_told(unprivileged: Path) -> None:
    unprivileged.chmod(0o500)
    with pytest.raises(JudgementsError, match="cannot be written"):
        Judgements(unprivileged).say(ANSWERS)


# --- where a judged passage stands now --------------------------------------------------------------------------------


def put(collection: Collection, text: str, name: str = "d") -> None:
    indexer.put(collection, Document(name, "Title", text))


def shown(collection: Collection) -> JudgedPassage:
    """What the search shows first for the question, judged."""
    (best,) = indexer.search(collection, Query(QUESTION, limit=1)).results
    made = indexer.judged(collection, Query(QUESTION), best.passage.id)
    assert made is not None
    assert made.evidence == best.evidence  # the sentence that the person saw marked
    return made


def standing(collection: Collection, passage: JudgedPassage) -> list[tuple[str, str, str | None]]:
    """Where it stands: document, text, marked sentence."""
    with collection.view() as view:
        found = []
        for one in indexer.places_of(view.snapshot, passage):
            document = view.snapshot.document(one.document)
            assert document is not None
            marked = document.text[slice(*one.evidence)] if one.evidence else None
            found.append((one.document, document.text[one.start : one.end], marked))
        return found


FIRST = "The archive keeps reports for ten years."


def test_a_passage_is_found_again_after_edits_before_it_and_in_it(collection: Collection) -> None:
    put(collection, f"An opening.\n\n{TEXT}\n\nAn end.")
    judged = shown(collection)
    assert (judged.text, judged.evidence_text, judged.document, judged.title) == (TEXT, FIRST, "d", "Title")
    assert standing(collection, judged) == [("d", TEXT, FIRST)]

    put(collection, f"A longer opening 😀.\n\nAnother paragraph.\n\n{TEXT}\n\nAn end.")
    assert standing(collection, judged) == [("d", TEXT, FIRST)]

    edited = TEXT.replace("Letters are kept", "Old letters and maps are kept")
    put(collection, f"An opening.\n\n{edited}\n\nAn end.")
    assert standing(collection, judged) == [("d", edited, FIRST)]

    put(collection, f"An opening.\n\nMuch else is said here now, and at length. {FIRST} So it was decided by all.\n\nAn end.")
    ((_, found, marked),) = standing(collection, judged)
    assert FIRST in found
    assert marked == FIRST

    put(collection, "An opening.\n\nOf the archive nothing is said.\n\nAn end.")
    assert standing(collection, judged) == []


def test_the_nearest_of_equal_texts_is_the_one_that_was_judged(collection: Collection) -> None:
    put(collection, f"{TEXT}\n\nIn between stands this.\n\n{TEXT}")
    later = replace(PASSAGE, start=90, end=90 + len(TEXT), evidence=None)
    with collection.view() as view:
        (place,) = indexer.places_of(view.snapshot, later)
    assert place.start == len(TEXT) + len("\n\nIn between stands this.\n\n")


def test_a_passage_whose_document_has_another_id_is_found_by_its_text(collection: Collection) -> None:
    put(collection, TEXT, "old")
    judged = shown(collection)
    indexer.remove(collection, "old")
    assert standing(collection, judged) == []
    put(collection, f"An opening.\n\n{TEXT}", "new")
    assert standing(collection, judged) == [("new", TEXT, FIRST)]


def test_a_passage_is_found_again_when_all_is_encoded_again(collection: Collection) -> None:
    put(collection, TEXT)
    Judgements(collection.folder).say(Judgement(QUESTION, "answers", shown(collection)))
    indexer.reindex(collection)
    collection.rebuild_derived()
    (one,) = Judgements(collection.folder).read().judgements
    assert one.passage is not None
    assert standing(collection, one.passage) == [("d", TEXT, FIRST)]


# --- the index folder, backup, restore --------------------------------------------------------------------------------


def test_a_backup_carries_judgements_and_a_restore_adds_them_to_what_is_there(
    collection: Collection, encoder: Encoder, tmp_path: Path
) -> None:
    put(collection, TEXT)
    said = Judgements(collection.folder).say(Judgement(QUESTION, "answers", shown(collection)))
    made = backup(collection.catalog, tmp_path / "saved")
    assert (made.judgements, made.size) == (1, made.file.stat().st_size)

    assert restore(made.file, tmp_path / "new").judgements == 1
    assert Judgements(tmp_path / "new").read().judgements == [said]
    with Collection(tmp_path / "new", encoder=encoder) as restored:
        restored.catalog.check()  # the table that carried them is gone
        assert indexer.search(restored, Query(QUESTION)).results[0].passage.text == TEXT

    later = Judgements(collection.folder).say(replace(NOTHING, question="Who?"))
    Judgements(collection.folder).say(NOTHING)
    restore(made.file, collection.folder, force=True)
    kept = Judgements(collection.folder).read().judgements
    assert [one.verdict for one in kept] == ["nothing", "nothing"]  # the last word on it was said after the backup
    assert later in kept


def test_a_backup_without_judgements_is_a_catalog_alone(collection: Collection, tmp_path: Path) -> None:
    put(collection, TEXT)
    made = backup(collection.catalog, tmp_path / "saved")
    with closing(sqlite3.connect(made.file)) as connection:
        assert not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'judgement'").fetchone()
    restore(made.file, tmp_path / "new")
    assert not (tmp_path / "new" / "judgements.sqlite").exists()


def test_a_damaged_store_is_not_left_out_of_a_backup_without_a_word(collection: Collection, tmp_path: Path) -> None:
    put(collection, TEXT)
    Judgements(collection.folder).file.write_bytes(b"nonsense" * 1000)
    with pytest.raises(JudgementsError, match="damaged"):
        backup(collection.catalog, tmp_path / "saved")
    assert list(tmp_path.glob("saved*")) == []


def test_a_folder_with_judgements_alone_may_become_an_index(store: Judgements) -> None:
    store.say(ANSWERS)
    store.file.with_name(f"{store.file.name}-journal").touch()
    check_place(store.file.parent)
    (store.file.parent / "thesis.doc").touch()
    with pytest.raises(indexer.PassagesError):
        check_place(store.file.parent)
