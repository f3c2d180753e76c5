"""The catalog: commits are whole, keys are never used again, ids are stable, every text comes back as it was."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import indexer.schema
from indexer.catalog import CATALOG_FILE, Catalog, Writer, passage_ids
from indexer.collection import Collection
from indexer.documents import Document, Heading
from indexer.encoder import Encoder
from indexer.ingest import reindex
from indexer.models import ModelContract, ModelError
from indexer.passages import Passage
from indexer.records import EncodedPassage
from indexer.schema import SCHEMA_VERSION, CatalogError, DamagedError
from indexer.search import Query, search
from indexer.sentences import Span

CONTRACT = ModelContract("tiny", "weights", 2, "mean", "", "", 8, "none", 1)


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    catalog = Catalog(tmp_path)
    yield catalog
    catalog.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    """For hypothesis, whose examples follow each other in one catalog."""
    catalog = Catalog(tmp_path_factory.mktemp("shared"))
    yield catalog
    catalog.close()


def encoded(document: Document, vector: Sequence[float] = (1, 0)) -> list[EncodedPassage]:
    """A passage for each paragraph; the hash of its input is its text."""
    passages, at = [], 0
    for paragraph in document.text.split("\n\n"):
        span = Passage(at, at + len(paragraph))
        passages.append(EncodedPassage(span, paragraph.encode(), np.array(vector, np.float16)))
        at += len(paragraph) + 2
    return passages


def put(catalog: Catalog, document_id: str, text: str, vector: Sequence[float] = (1, 0)) -> None:
    document = Document(document_id, "", text)
    with catalog.write() as writer:
        writer.put_document(document, None, encoded(document, vector))


def content(catalog: Catalog) -> dict[str, list[tuple[int, str, str]]]:
    """Of each document the key, id and text of every passage."""
    with catalog.read() as snapshot:
        ids = snapshot.document_ids()
        return {one: [(p.key, p.id, p.text) for p in snapshot.passages_of(one)] for one in ids}


def keys(catalog: Catalog) -> dict[str, int]:
    """The key of each passage's text."""
    return {text: key for passages in content(catalog).values() for key, _, text in passages}


def generation(catalog: Catalog) -> int:
    with catalog.read() as snapshot:
        return snapshot.generation


def open_files(folder: Path) -> list[str]:
    descriptors = Path("/proc/self/fd")
    links = [str(one.readlink()) for one in descriptors.iterdir() if one.is_symlink()]
    return [link for link in links if link.startswith(str(folder))]


# --- commits ------------------------------------------------------------------------------------------------------


def test_an_error_inside_a_write_leaves_content_and_generation_as_they_were(catalog: Catalog) -> None:
    put(catalog, "a", "one\n\ntwo")
    before = content(catalog), generation(catalog)

    def fail(writer: Writer) -> None:
        document = Document("b", "", "three")
        writer.put_document(document, None, encoded(document))
        writer.delete_document("a")
        writer.set_contract(CONTRACT)
        assert writer.document_ids() == ["b"], "what is asserted below must not hold for want of a change"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), catalog.write() as writer:
        fail(writer)
    assert (content(catalog), generation(catalog)) == before
    with catalog.read() as snapshot:
        assert snapshot.contract is None
    put(catalog, "c", "and writing goes on")
    assert generation(catalog) == before[1] + 1


def test_every_commit_raises_the_generation_by_one(catalog: Catalog) -> None:
    assert generation(catalog) == 0
    put(catalog, "a", "one")
    put(catalog, "a", "two")
    assert generation(catalog) == 2
    with catalog.write() as writer:
        assert writer.delete_document("a")
    assert generation(catalog) == 3


def test_a_write_that_changes_nothing_is_no_commit(catalog: Catalog) -> None:
    put(catalog, "a", "one")
    with catalog.write() as writer:
        assert not writer.delete_document("no such document")
    assert generation(catalog) == 1


def test_an_open_snapshot_does_not_see_a_later_commit(catalog: Catalog) -> None:
    put(catalog, "a", "one")
    with catalog.read() as snapshot:
        put(catalog, "a", "two")
        assert [one.text for one in snapshot.passages_of("a")] == ["one"]
        assert snapshot.generation == 1
    assert list(keys(catalog)) == ["two"]


def test_deleting_a_document_deletes_its_passages_and_vectors_and_tells_which(catalog: Catalog) -> None:
    put(catalog, "a", "one\n\ntwo")
    put(catalog, "b", "three")
    gone = [keys(catalog)["one"], keys(catalog)["two"]]
    with catalog.read() as snapshot:
        since, last_key = snapshot.generation, keys(catalog)["three"]
    with catalog.write() as writer:
        writer.delete_document("a")
    with catalog.read() as snapshot:
        changes = snapshot.changes(since, last_key, 2)
        everything = snapshot.changes(-1, 0, 2)
        assert snapshot.passages(gone) == {}
        assert snapshot.counts()[:2] == (1, 1)
    assert (changes.added.tolist(), sorted(changes.removed.tolist())) == ([], gone)
    assert everything.added.tolist() == [last_key]


def test_deleting_a_file_deletes_its_documents_and_no_other(catalog: Catalog) -> None:
    with catalog.write() as writer:
        for name in "ab":
            source = writer.put_source(f"/{name}.txt", name, "stamp", "hash", ())
            document = Document(name, "", name)
            writer.put_document(document, source, encoded(document))
    with catalog.write() as writer:
        assert writer.delete_source(writer.source_key("/a.txt")) == 1
    with catalog.read() as snapshot:
        assert [one.path for one in snapshot.sources()] == ["/b.txt"]
        assert snapshot.document_counts() == {snapshot.sources()[0].key: 1}
    assert list(content(catalog)) == ["b"]


# --- keys and ids -------------------------------------------------------------------------------------------------


def test_a_key_is_never_used_again(catalog: Catalog) -> None:
    used: set[int] = set()
    for text in ("one\n\ntwo", "three", "four\n\nfive", "one\n\ntwo"):
        put(catalog, "a", text)
        now = set(keys(catalog).values())
        assert not now & used
        used |= now
        with catalog.write() as writer:
            writer.delete_document("a")


def test_passages_keep_id_and_key_when_text_before_them_changes(catalog: Catalog) -> None:
    put(catalog, "a", "one\n\ntwo\n\nthree")
    before = {text: (key, one) for key, one, text in content(catalog)["a"]}
    put(catalog, "a", "something in front\n\none\n\nthree")
    after = {text: (key, one) for key, one, text in content(catalog)["a"]}
    assert list(after) == ["something in front", "one", "three"]
    assert {text: after[text] for text in ("one", "three")} == {text: before[text] for text in ("one", "three")}
    with catalog.read() as snapshot:
        document, passages = snapshot.document("a"), snapshot.passages_of("a")
    assert document is not None
    assert [document.text[one.start : one.end] for one in passages] == list(after)
    assert [one.ordinal for one in passages] == [0, 1, 2]


def test_a_passage_that_is_read_in_another_context_has_a_new_key_and_the_same_id(catalog: Catalog) -> None:
    document = Document("a", "", "one")
    (first,) = encoded(document)
    for context in (b"title 1", b"title 2"):
        with catalog.write() as writer:
            writer.put_document(document, None, [first._replace(input=context)])
        seen = content(catalog)["a"]
        assert seen == [(1 if context == b"title 1" else 2, passage_ids(document, [first.passage])[0], "one")]


def test_equal_paragraphs_of_a_document_have_ids_of_their_own(catalog: Catalog) -> None:
    put(catalog, "a", "Thank you.\n\nThank you.\n\nThank you.")
    put(catalog, "b", "Thank you.")
    ids = [one for passages in content(catalog).values() for _, one, _ in passages]
    assert len(set(ids)) == 4


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
@settings(max_examples=50)
def test_ids_are_url_safe(document_id: str) -> None:
    (one,) = passage_ids(Document(document_id, "", document_id), [Passage(0, len(document_id))])
    assert one.replace("-", "").replace("_", "").isascii()
    assert one.replace("-", "").replace("_", "").isalnum()


# --- what goes in comes out ---------------------------------------------------------------------------------------

VERBATIM = [
    "\0",
    "a\0b",
    "\r\n\v\f\x85\u2028",
    "😀👩‍👩‍👧",
    "\U0010ffff\U00020000\ue000",
    "e\u0301 \ufeff\u202e",
    "'); DROP TABLE document; --",
]


@given(st.one_of(st.sampled_from(VERBATIM), st.text(st.characters(exclude_categories=["Cs"]), min_size=1)))
@settings(max_examples=100)
def test_any_text_comes_back_verbatim(shared: Catalog, text: str) -> None:
    document = Document(
        id=text, title=text, text=text, uri=text, date="2022-05-11", metadata={text: [text, {"in": text}, None, True, 1.5]},
        media_type="text/html", pages=(0, 1), headings=(Heading(0, len(text), 1),),
    )  # fmt: skip
    with shared.write() as writer:
        for other in writer.document_ids():
            writer.delete_document(other)
        passage = Passage(0, len(text), (Span(0, 1),))
        writer.put_document(document, None, [EncodedPassage(passage, b"input", np.array([0.6, 0.8], np.float16))])
    with shared.read() as snapshot:
        (stored,) = snapshot.passages_of(text)
        assert snapshot.document(text) == document == stored.document
        assert snapshot.passage(stored.id) == stored
        assert (stored.text, stored.labels) == (text, (Span(0, 1),))
        assert snapshot.counts().characters == len(text)
        assert snapshot.encodings_of([b"input"])[b"input"].vector.tolist() == np.array([0.6, 0.8], np.float16).tolist()


def test_passage_ids_are_told_for_more_keys_than_sqlite_takes_parameters(catalog: Catalog) -> None:
    put(catalog, "a", "one")
    with catalog.read() as snapshot:
        assert list(snapshot.passage_ids(range(300_000))) == [1]


# --- readers and writers at once ----------------------------------------------------------------------------------

WRITER = """
import sys
from pathlib import Path
import numpy as np
from indexer.catalog import Catalog, EncodedPassage
from indexer.documents import Document
from indexer.passages import Passage

catalog = Catalog(Path(sys.argv[1]))
for number in range(int(sys.argv[2])):
    with catalog.write() as writer:
        for name in "ab":
            text = f"{name}{number}"
            passage = EncodedPassage(Passage(0, len(text)), text.encode(), np.array([number, 0], np.float16))
            writer.put_document(Document(name, "", text), None, [passage])
catalog.close()
"""


def test_readers_see_one_commit_whole_while_another_process_writes(catalog: Catalog, tmp_path: Path) -> None:
    """Each commit writes its number into the text of both documents and into both vectors."""
    seen: list[set[int]] = []
    torn: list[object] = []
    done = threading.Event()

    def watch() -> None:
        mine = set()
        while not done.is_set():
            with catalog.read() as snapshot:
                texts = [snapshot.passages_of(name)[0].text[1:] for name in snapshot.document_ids()]
                vectors = snapshot.changes(-1, 0, 2).vectors[:, 0].tolist()
                if vectors != [float(text) for text in texts] or len(set(texts)) > 1:
                    torn.append((texts, vectors))
                mine.add(snapshot.generation)
        seen.append(mine)

    readers = [threading.Thread(target=watch) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        subprocess.run([sys.executable, "-c", WRITER, tmp_path, "150"], check=True, timeout=60)
    finally:
        done.set()
        for reader in readers:
            reader.join()
    assert torn == []
    assert all(len(mine) > 5 for mine in seen), "the readers looked while it was written"
    assert keys(catalog).keys() == {"a149", "b149"}


def test_several_processes_can_make_the_same_catalog_at_once(tmp_path: Path) -> None:
    makers = [subprocess.Popen([sys.executable, "-c", WRITER, tmp_path, "3"]) for _ in range(4)]
    assert [maker.wait(60) for maker in makers] == [0] * 4
    catalog = Catalog(tmp_path)
    assert generation(catalog) == 12
    catalog.close()


# --- what is not a catalog ----------------------------------------------------------------------------------------


def test_an_index_of_another_release_is_told_and_left_alone(tmp_path: Path) -> None:
    Catalog(tmp_path).close()
    with sqlite3.connect(tmp_path / CATALOG_FILE) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()
    before = (tmp_path / CATALOG_FILE).read_bytes()
    with pytest.raises(CatalogError, match=r"has format 4 and this release reads 3: upgrade passages, or index into a new"):
        Catalog(tmp_path)
    assert (tmp_path / CATALOG_FILE).read_bytes() == before
    assert open_files(tmp_path) == []


def test_a_file_that_is_not_sqlite_is_told_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / CATALOG_FILE).write_bytes(b"Not a database. " * 100)
    with pytest.raises(CatalogError, match=r"cannot be opened as an index: file is not a database; .*passages restore FILE"):
        Catalog(tmp_path)
    assert (tmp_path / CATALOG_FILE).read_bytes() == b"Not a database. " * 100
    assert open_files(tmp_path) == []


def test_a_damaged_catalog_is_told_when_it_is_read(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    put(catalog, "a", "one " * 50_000)
    catalog.close()
    file = tmp_path / CATALOG_FILE
    data = bytearray(file.read_bytes())
    data[4096 * 2 :] = b"\xff" * (len(data) - 4096 * 2)
    file.write_bytes(data)
    with pytest.raises(CatalogError, match=r"malformed; bring back a backup: passages restore FILE --index"):
        content(Catalog(tmp_path))


def test_a_file_that_was_made_and_never_filled_becomes_a_catalog(tmp_path: Path) -> None:
    (tmp_path / CATALOG_FILE).touch()
    catalog = Catalog(tmp_path)
    put(catalog, "a", "one")
    assert list(keys(catalog)) == ["one"]
    catalog.close()


def test_a_folder_that_may_not_be_written_is_told(unprivileged: Path) -> None:
    catalog = Catalog(unprivileged)
    put(catalog, "a", "one")
    catalog.close()
    unprivileged.chmod(0o500)
    with pytest.raises(CatalogError, match=rf"give the user who runs this the right to write in {unprivileged}"):
        Catalog(unprivileged)
    unprivileged.chmod(0o700)
    catalog = Catalog(unprivileged)
    assert list(keys(catalog)) == ["one"]
    catalog.close()


def test_a_file_that_may_not_be_written_is_read_and_a_write_changes_nothing(unprivileged: Path) -> None:
    catalog = Catalog(unprivileged)
    put(catalog, "a", "one")
    catalog.close()
    (unprivileged / CATALOG_FILE).chmod(0o400)
    catalog = Catalog(unprivileged)
    with pytest.raises(CatalogError, match=r"cannot be written .*give the user who runs this the right to write"):
        put(catalog, "a", "two")
    assert (list(keys(catalog)), generation(catalog)) == (["one"], 1)
    catalog.close()


def test_what_was_opened_to_read_while_nothing_could_be_written_is_not_used_to_write(unprivileged: Path) -> None:
    catalog = Catalog(unprivileged)
    put(catalog, "a", "one")
    with catalog.read():  # so the log stays, which must not be writable either
        for file in unprivileged.iterdir():
            file.chmod(0o400)
        with ExitStack() as readers:
            for _ in range(3):
                assert readers.enter_context(catalog.read()).document_ids() == ["a"]
    for file in unprivileged.iterdir():
        file.chmod(0o600)
    put(catalog, "a", "two")
    put(catalog, "a", "three")
    assert (list(keys(catalog)), generation(catalog)) == (["three"], 3)
    catalog.close()
    assert open_files(unprivileged) == []


def test_a_process_that_was_started_while_nothing_could_be_written_writes_when_it_can(unprivileged: Path) -> None:
    (unprivileged / "killed").mkdir()
    with closing(Catalog(unprivileged / "killed")) as killed:
        put(killed, "a", "one")
        shutil.copytree(unprivileged / "killed", unprivileged / "index")  # with its log
    files = list((unprivileged / "index").iterdir())
    for file in files:
        file.chmod(0o400)
    with closing(Catalog(unprivileged / "index")) as catalog:
        with pytest.raises(CatalogError, match="cannot be written"):
            put(catalog, "a", "two")
        assert list(keys(catalog)) == ["one"]
        for file in files:
            file.chmod(0o600)
        put(catalog, "a", "three")
        assert list(keys(catalog)) == ["three"]


def test_a_write_that_cannot_begin_holds_up_nobody(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    put(catalog, "a", "one")
    with closing(sqlite3.connect(tmp_path / CATALOG_FILE, isolation_level=None, timeout=0)) as other:
        other.execute("PRAGMA writable_schema = ON")
        other.execute("CREATE TABLE strange (a)")
        other.execute("UPDATE sqlite_schema SET sql = 'CREATE GARBAGE' WHERE name = 'strange'")
        (version,) = other.execute("PRAGMA schema_version").fetchone()
        other.execute(f"PRAGMA schema_version = {version + 1}")
        with pytest.raises(DamagedError):
            put(catalog, "a", "two")
        other.execute("BEGIN IMMEDIATE")
    catalog.close()


def test_closing_closes_every_connection(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    with catalog.read(), catalog.read():
        assert open_files(tmp_path)
        catalog.close()
    assert open_files(tmp_path) == []


# --- a file of format 1 -------------------------------------------------------------------------------------------

FORMAT_1 = """
CREATE TABLE state (only INTEGER PRIMARY KEY CHECK (only = 1), generation INTEGER NOT NULL, contract TEXT) STRICT;
CREATE TABLE source (
    key INTEGER PRIMARY KEY AUTOINCREMENT, path TEXT NOT NULL UNIQUE, name TEXT NOT NULL, stamp TEXT NOT NULL,
    hash TEXT NOT NULL, failure TEXT
) STRICT;
CREATE TABLE document (
    key INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, source INTEGER REFERENCES source (key),
    title TEXT NOT NULL, text TEXT NOT NULL, uri TEXT, date TEXT, metadata TEXT NOT NULL, media_type TEXT NOT NULL,
    pages TEXT NOT NULL, headings TEXT NOT NULL, hash TEXT NOT NULL
) STRICT;
CREATE INDEX document_source ON document (source);
CREATE TABLE passage (
    key INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
    document INTEGER NOT NULL REFERENCES document (key) ON DELETE CASCADE,
    ordinal INTEGER NOT NULL, start INTEGER NOT NULL, "end" INTEGER NOT NULL, labels TEXT NOT NULL, input BLOB NOT NULL
) STRICT;
CREATE INDEX passage_document ON passage (document, ordinal);
CREATE INDEX passage_input ON passage (input);
CREATE TABLE vector (
    passage INTEGER PRIMARY KEY REFERENCES passage (key) ON DELETE CASCADE, value BLOB NOT NULL
) STRICT;
CREATE TABLE removed (passage INTEGER PRIMARY KEY, generation INTEGER NOT NULL) STRICT;
CREATE INDEX removed_generation ON removed (generation);
CREATE TRIGGER passage_removed AFTER DELETE ON passage BEGIN
    INSERT INTO removed SELECT old.key, generation + 1 FROM state;
END;
INSERT INTO source VALUES (1, '/a.txt', 'a', 'stamp', 'hash', NULL);
INSERT INTO document VALUES
    (1, 'a', 1, 'Rivers', 'The river floods.', NULL, '2022-05-11', '{"n": 1}', 'text/plain', '[]', '[]', 'hash');
INSERT INTO passage VALUES (1, 'kept-id', 1, 0, 0, 17, '[]', x'01');
INSERT INTO state VALUES (1, 7, :contract);
INSERT INTO vector VALUES (1, :vector);
PRAGMA user_version = 1;
"""
FLOODS = Document("a", "Rivers", "The river floods.", None, "2022-05-11", {"n": 1})


def format_1(folder: Path, contract: ModelContract = CONTRACT) -> Path:
    """An index folder as the first release left it, with one document of one passage."""
    made = {name: value for name, value in asdict(contract).items() if name not in ("codes", "terms", "calibration")}
    vector = np.eye(1, contract.dimension, dtype="<f2").tobytes()
    literals = {":contract": f"'{json.dumps(made)}'", ":vector": f"x'{vector.hex()}'"}
    script = FORMAT_1
    for name, literal in literals.items():
        script = script.replace(name, literal)
    with sqlite3.connect(folder / CATALOG_FILE) as connection:
        connection.executescript(script)
    connection.close()
    return folder


def format_of(folder: Path) -> tuple[int, set[str], list[str]]:
    """The number of the format, the tables, and the columns of passages."""
    with sqlite3.connect(folder / CATALOG_FILE) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        columns = [row[1] for row in connection.execute("PRAGMA table_info(passage)")]
    connection.close()
    return version, tables, columns


def test_a_file_of_format_1_becomes_one_of_this_format_and_keeps_what_it_held(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    Catalog(tmp_path / "new").close()
    catalog = Catalog(format_1(tmp_path))
    assert format_of(tmp_path) == format_of(tmp_path / "new")
    with catalog.read() as snapshot:
        assert (snapshot.generation, snapshot.contract) == (7, CONTRACT)
        assert snapshot.document("a") == FLOODS
        assert [one.name for one in snapshot.sources()] == ["a"]
        assert snapshot.vector(1).tolist() == [1, 0]
    assert content(catalog) == {"a": [(1, "kept-id", "The river floods.")]}
    put(catalog, "b", "and writing goes on")
    assert keys(catalog)["and writing goes on"] == 2
    catalog.close()


def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = format_of(format_1(tmp_path))
    steps = indexer.schema._MIGRATIONS
    monkeypatch.setattr("indexer.schema._MIGRATIONS", {1: steps[1] + "DROP TABLE no_such_table;\n"})
    with pytest.raises(CatalogError, match="no_such_table"):
        Catalog(tmp_path)
    assert format_of(tmp_path) == before
    monkeypatch.setattr("indexer.schema._MIGRATIONS", steps)
    catalog = Catalog(tmp_path)
    assert content(catalog) == {"a": [(1, "kept-id", "The river floods.")]}
    catalog.close()


def test_several_processes_can_open_a_file_of_format_1_at_once(tmp_path: Path) -> None:
    format_1(tmp_path)
    openers = [subprocess.Popen([sys.executable, "-c", WRITER, tmp_path, "1"]) for _ in range(4)]
    assert [opener.wait(60) for opener in openers] == [0] * 4
    assert format_of(tmp_path)[0] == SCHEMA_VERSION


def test_an_index_of_format_1_asks_to_be_encoded_again_which_works(tmp_path: Path, encoder: Encoder) -> None:
    with Collection(format_1(tmp_path, encoder.contract), encoder=encoder) as collection:
        with pytest.raises(ModelError, match=rf"passages index --index {tmp_path} --model .* --reindex"):
            search(collection, Query("What floods?"))
        assert content(collection.catalog) == {"a": [(1, "kept-id", "The river floods.")]}
        reindex(collection)
        answer = search(collection, Query('What floods? "river"'))
        assert [(one.passage.text, one.passage.document) for one in answer.results] == [("The river floods.", FLOODS)]
        assert answer.verdict == "answered"
        with collection.catalog.read() as snapshot:
            assert snapshot.contract == encoder.contract
            assert snapshot.document_counts() == {1: 1}


def test_a_long_log_is_shortened_once_nobody_reads_an_old_commit(tmp_path: Path) -> None:
    with closing(Catalog(tmp_path)) as catalog, closing(Catalog(tmp_path)) as other:
        log = tmp_path / "catalog.sqlite-wal"
        with other.read() as reading:
            for number in range(5):
                with catalog.write() as writer:
                    writer.put_document(Document(str(number), "", "x" * 100_000), None, [])
            assert reading.counts().documents == 0
            before = log.stat().st_size
        catalog.shorten_log(before + 1)
        assert log.stat().st_size == before
        catalog.shorten_log(before)
        assert log.stat().st_size == 0
        with other.read() as snapshot:
            assert snapshot.counts().documents == 5
