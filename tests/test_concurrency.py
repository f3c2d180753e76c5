"""Many at once on one index: a reader sees one commit, whole, whoever writes, folds or encodes all anew beside it."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from eval import overload
from eval.client import Address
from eval.load import Target
from eval.serving import Served
from eval.sets import read_set
from indexer import collection as collections
from indexer import vectorfiles, vectorstate, words
from indexer.collection import Collection
from indexer.documents import Document
from indexer.encoder import Encoder
from indexer.files import sealed, unsealed
from indexer.ingest import Ingest, put, reindex, remove
from indexer.search import Query, search
from indexer.vectorfiles import read_record, write_files
from indexer.vectorstate import tag
from indexer.words import open_words
from tests.servers import PASSAGES, Server, children, ended, environment, serving

HOLDER = """
import sys, time
from pathlib import Path
from indexer.lock import WriterLock

with WriterLock(Path(sys.argv[1])).held(0):
    print("held", flush=True)
    time.sleep(60)
"""
READERS = 4
GATE = Path(__file__).parent.parent / "eval" / "gate"


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Words and vectors are folded every few commits, and both lie in files."""
    for module, name, value in (
        (collections, "FOLD_PASSAGES", 3), (collections, "FOLD_VECTORS", 4), (vectorstate, "FILES_PASSAGES", 10),
        (collections, "LONG_TAIL", 3),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, value)


def edition(number: int) -> str:
    return f"The edition {number} of this leaflet names the harbour and its {number + 1700} cranes."


def put_both(collection: Collection, number: int) -> None:
    """Two documents that always change together, in one commit."""
    with collection.lock.held(10), Ingest(collection) as both:
        for name in ("left", "right"):
            both.document(Document(name, "", f"{edition(number)} It is the {name} one."))
        both.flush()


def look(collection: Collection) -> set[str]:
    """The editions that one answer shows: one, if it is of one commit."""
    results = search(collection, Query("Which edition of the leaflet names the harbour?", 20)).results
    texts = [one.passage.text for one in results if one.passage.document.id in ("left", "right")]
    assert len(texts) == 2, texts
    return {text.split()[2] for text in texts}


def while_reading(collections: list[Collection], work: Callable[[], None]) -> list[set[str]]:
    """Does ``work`` while threads search; what they saw."""
    done, seen = threading.Event(), list[set[str]]()

    def read(collection: Collection) -> None:
        while not done.is_set():
            seen.append(look(collection))

    with ThreadPoolExecutor(READERS) as threads:
        readers = [threads.submit(read, collections[number % len(collections)]) for number in range(READERS)]
        try:
            work()
        finally:
            done.set()
        for one in readers:
            one.result()
    return seen


@pytest.fixture
def filled(collection: Collection) -> Collection:
    with collection.lock.held(10), Ingest(collection) as many:
        for number in range(20):
            many.document(Document(f"d{number}", "", f"The mill number {number} grinds the corn of {number} farms."))
        many.flush()
    put_both(collection, 0)
    return collection


def test_searches_see_both_documents_of_a_commit_or_neither_while_it_is_written_folded_and_encoded_anew(
    filled: Collection, often: None
) -> None:
    """One process writes and folds in the background; another, which shares nothing but the files, reads too."""
    with Collection(filled.folder, encoder=filled.encoder) as other:
        due = threading.Event()
        filled.fold_later = due.set
        ended_writing = threading.Event()

        def fold_in_background() -> None:
            while not ended_writing.is_set():
                if due.wait(0.05):
                    due.clear()
                    with filled.lock.held(10):
                        filled.fold()

        def write() -> None:
            for number in range(1, 15):
                put_both(filled, number)
                put(filled, Document(f"n{number}", "", f"The quarry number {number} sells slate."))
                if number % 5 == 0:
                    remove(filled, f"n{number - 1}")
            reindex(filled)

        with ThreadPoolExecutor(1) as threads:
            folding = threads.submit(fold_in_background)
            seen = while_reading([filled, other], write)
            ended_writing.set()
            folding.result()
        assert [one for one in seen if len(one) != 1] == []
        assert len(seen) > 20
        assert len(set(map(frozenset, seen))) > 3
        for each in (filled, other):
            assert look(each) == {"14"}
            with each.view() as view:
                assert len(view.vectors) == view.words.passages == view.snapshot.counts().passages


def test_views_are_of_one_commit_while_threads_refresh_and_another_folds(filled: Collection, often: None) -> None:
    done = threading.Event()
    dice = random.Random(3)  # noqa: S311

    def hammer() -> int:
        looked = 0
        while not done.is_set():
            with filled.view() as view:
                assert len(view.vectors) == view.words.passages == view.snapshot.counts().passages
                assert view.words.generation == view.snapshot.generation
            looked += 1
        return looked

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)  # threads change places fifty times more often
    try:
        with ThreadPoolExecutor(READERS) as threads:
            hammering = [threads.submit(hammer) for _ in range(READERS)]
            for number in range(12):
                put(filled, Document(f"d{dice.randrange(25)}", "", f"Lighthouse {number} shines over {number} miles."))
                if number % 4 == 0:
                    remove(filled, f"d{dice.randrange(25)}")
            done.set()
            assert all(one.result() for one in hammering)
    finally:
        done.set()
        sys.setswitchinterval(before)


def test_words_that_another_process_made_anew_while_they_were_opened_are_opened_again(
    filled: Collection, often: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with filled.lock.held(1):
        filled.fold_words()
    label = json.loads(unsealed((filled.folder / "words.json").read_text()))["tag"]
    opened = words._opened

    def made_anew(folder: Path, record: dict[str, str], known: None) -> words.Words:
        monkeypatch.setattr(words, "_opened", opened)
        shutil.move(folder / record["place"], folder / "words-77")  # what another process' fold looks like from here
        (folder / "words.json").write_text(sealed(json.dumps(record | {"place": "words-77"})))
        return opened(folder, record, known)

    monkeypatch.setattr(words, "_opened", made_anew)
    found = open_words(filled.folder, label)
    assert found.disk is not None
    assert found.disk.place.name == "words-77"
    assert found.passages == 22


def test_vectors_that_another_process_folded_while_their_record_was_read_are_found(
    filled: Collection, often: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with filled.lock.held(1):
        filled.fold_vectors()
    with filled.catalog.read() as snapshot:
        label = tag(filled.encoder.contract, snapshot.identity)
    checked = vectorfiles._check_lengths
    before = read_record(filled.folder, label)
    assert before is not None

    def folded(place: Path, record: vectorfiles.Record) -> None:
        monkeypatch.setattr(vectorfiles, "_check_lengths", checked)
        files = vectorfiles.open_files(filled.folder, before)
        write_files(filled.folder, [], record, files)
        checked(place, record)

    monkeypatch.setattr(vectorfiles, "_check_lengths", folded)
    found = read_record(filled.folder, label)
    assert found is not None
    assert found.place != before.place


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, encoder: Encoder) -> Iterator[tuple[Server, Server, Path]]:
    """Two servers over one index; they have their tests one after the other, and the last one kills."""
    index = tmp_path_factory.mktemp("served") / "index"
    with Collection(index, create=True, encoder=encoder) as collection:
        put_both(collection, 0)
    with serving(index, "first", ready=False) as first, serving(index, "second", ready=False) as second:
        first.wait_until_ready()
        second.wait_until_ready()
        yield first, second, index


def found(server: Server, question: str) -> list[str]:
    reply = server.search(question)
    assert reply.status == 200, reply
    return [one["document"]["id"] for one in reply.body["results"]]


def test_two_servers_and_a_command_share_one_index(served: tuple[Server, Server, Path]) -> None:
    """What one stores or deletes the others see at once."""
    first, second, index = served
    for number in range(6):
        writer, reader = ((first, second), (second, first))[number % 2]
        assert writer.put(f"note {number}", f"The {number + 3} wardens of the orchard met in Tarnow {number}.").status == 200
        assert f"note {number}" in found(reader, f'Which wardens met in "Tarnow {number}"?')
        with writer.api() as api:
            assert number % 2 or api.delete(f"note {number}").status == 204
        assert (f"note {number}" in found(reader, f'Which wardens met in "Tarnow {number}"?')) == bool(number % 2)
    with ThreadPoolExecutor(4) as threads:  # at the same moment, to both
        puts = [threads.submit((first, second)[n % 2].put, f"both {n}", f"Vintage {n} was bottled in Yrsa.") for n in range(8)]
        assert {one.result().status for one in puts} == {200}
    command = [str(PASSAGES), "search", "Which vintage was bottled in Yrsa?", "--index", str(index), "--json", "--limit", "20"]
    ran = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True, timeout=60)
    assert {f"both {n}" for n in range(8)} <= {one["document"]["id"] for one in json.loads(ran.stdout)["results"]}


def test_a_crowd_is_turned_away_in_time_and_leaves_the_server_as_it_was(served: tuple[Server, Server, Path]) -> None:
    """The smoke form of `python -m eval overload`."""
    first, _, _ = served
    found = Target(Served(Address("127.0.0.1", first.port), first.pid), 2)
    record = overload.measure(found, read_set(GATE), seconds=3)
    refused = record["overload"]["refused"]
    assert refused["count"] == refused["with_retry_after"] > 0
    assert record["overload"]["errors"] == {}
    assert record["overload"]["p99"] < 10_000 + 1000  # the deadline
    assert record["livez_ms"]["p100"] < 1000
    assert record["crowd"]["livez"] in ("200", "refused")
    assert record["crowd"]["livez_when_gone"] == "200"
    assert record["after"]["answered"] == record["after"]["asked"]
    assert record["pss_mib"]["after"] < 1.5 * record["pss_mib"]["before"]


def test_a_server_that_is_killed_takes_its_children_with_it_and_harms_no_other(served: tuple[Server, Server, Path]) -> None:
    first, second, _ = served
    below = children(second.pid)
    assert below
    second.process.kill()
    second.process.wait()
    assert all(map(ended, below))
    assert first.put("after", "The last ferry leaves Brixen at nine.").status == 200
    assert found(first, "When does the last ferry leave Brixen?")[0] == "after"


def test_a_second_indexer_says_who_holds_the_lock_and_one_that_was_killed_holds_it_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, index = tmp_path / "files", tmp_path / "index"
    files.mkdir()
    (files / "a.txt").write_text("The bridge of Arlen was built by a guild of masons.")
    impatient = "from service import cli, index_command; index_command.LOCK_S = 0.3; cli.main()"
    command = [sys.executable, "-c", impatient, "index", str(files), "--index", str(index)]
    index.mkdir()
    with subprocess.Popen([sys.executable, "-c", HOLDER, index], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        ran = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False, timeout=60)
        assert ran.returncode == 1
        assert ran.stderr.startswith(f"passages: process {holder.pid} (")
        assert ran.stderr.endswith("is writing this index: wait until it is done, or end it\n")
        os.kill(holder.pid, signal.SIGKILL)
    ran = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert "1 added" in ran.stdout


def test_an_indexer_waits_for_a_writer_that_is_done_soon(collection: Collection, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("The observatory saw a comet.")
    command = [str(PASSAGES), "index", str(tmp_path / "a.txt"), "--index", str(collection.folder)]
    with collection.lock.held(1):
        process = subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True)
        time.sleep(3)
        assert process.poll() is None
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert search(collection, Query("What did the observatory see?")).results
