"""Files that are read, split and encoded ahead of a sync give what the sync itself gives, to the bit. Without Ray: its two
stages run here, one after the other (tests/test_ray.py has them on a cluster)."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest
from typer.testing import CliRunner

from indexer import cluster
from indexer.ahead import AheadReader
from indexer.cluster import ClusterError, share_of
from indexer.collection import Collection
from indexer.encoder import Encoder
from indexer.extraction import DEFAULT_LIMITS
from indexer.folders import File
from indexer.inputs import MIB
from indexer.models import ModelError
from indexer.reader import Wanted
from indexer.stages import ElsewhereError, Encoding, Row, Setup, jobs, read
from indexer.sync import Sync
from indexer.synced import Summary
from service.cli import app
from tests.catalogs import contents
from tests.test_sync import HARBOUR, MOUNTAIN, RIVER, lines, record, texts

T = TypeVar("T")
Stages = Callable[[Sequence[Wanted], frozenset[str]], Iterator[Row]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    return root


def setup_of(encoder: Encoder, movable: frozenset[str] = frozenset()) -> Setup:
    contract = replace(encoder.contract, calibration=None)
    return Setup("all-MiniLM-L6-v2", "auto", encoder.serialized, contract, DEFAULT_LIMITS, movable)


def sent(value: T) -> T:
    """What comes of it on another machine."""
    arrived: T = pickle.loads(pickle.dumps(value))  # noqa: S301
    return arrived


class Ahead:
    """Both stages in this process, with what each row is sent as; it remembers the rows."""

    def __init__(self, encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Encoder, "of", lambda *_: encoder)  # loading it takes seconds
        monkeypatch.setenv("OMP_NUM_THREADS", "1")  # which the stage sets
        self.encoder, self.rows = encoder, list[Row]()

    def __call__(self, wanted: Sequence[Wanted], movable: frozenset[str]) -> Iterator[Row]:
        setup = sent(setup_of(self.encoder, movable))
        encoding = Encoding(setup, 1)
        for job in jobs(wanted):
            for some in encoding([sent(row) for row in read(sent(job), setup)]):
                self.rows += some
                yield from sent(some)

    def kinds(self) -> list[str]:
        """What the rows of the last sync were, and none of them any more."""
        kinds = [type(row.part).__name__ for row in self.rows]
        self.rows.clear()
        return kinds


@pytest.fixture
def ahead(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> Ahead:
    return Ahead(encoder, monkeypatch)


@pytest.fixture
def pair(tmp_path: Path, encoder: Encoder) -> Iterator[tuple[Collection, Collection]]:
    """Two empty collections: for files that are read here, and for those that are read ahead."""
    with (
        Collection(tmp_path / "here", create=True, encoder=encoder) as here,
        Collection(tmp_path / "ahead", create=True, encoder=encoder) as there,
    ):
        yield here, there


def synced(pair: tuple[Collection, Collection], make: Stages, root: Path) -> Summary:
    """The summary of both, which is the same, as is what they hold then."""
    here, there = pair
    expected = Sync(here).run([root])
    assert Sync(there, reader=AheadReader(make, DEFAULT_LIMITS)).run([root]) == expected
    assert contents(there.folder) == contents(here.folder)
    return expected


def test_what_is_read_ahead_is_stored_as_what_is_read_here(
    pair: tuple[Collection, Collection], ahead: Ahead, root: Path
) -> None:
    (root / "a.txt").write_text(f"{RIVER}\n\n{MOUNTAIN}")
    (root / "b.md").write_text(f"# Boats\n\n{HARBOUR}\n\n{RIVER}")
    (root / "copy.txt").write_text(f"{RIVER}\n\n{MOUNTAIN}")
    (root / "empty.txt").write_text("")
    (root / "broken.pdf").write_bytes(b"%PDF-1.4 and no more")
    lines(root / "c.jsonl", record("one"), record("two", MOUNTAIN), "not JSON", record("one"))
    summary = synced(pair, ahead, root)
    assert (summary.added, len(summary.failed)) == (5, 4)
    assert summary.passages_encoded > 0
    assert [kind for kind in ahead.kinds() if kind in ("Document", "Split")] == []


def test_changes_moves_and_deletions_are_the_same_too(pair: tuple[Collection, Collection], ahead: Ahead, root: Path) -> None:
    for name, text in [("a.txt", RIVER), ("b.txt", MOUNTAIN), ("c.txt", HARBOUR), ("d.txt", f"{RIVER}\n\n{HARBOUR}")]:
        (root / name).write_text(text)
    lines(root / "e.jsonl", record("one"), record("two", MOUNTAIN))
    synced(pair, ahead, root)
    ahead.kinds()

    (root / "a.txt").write_text(f"{RIVER}\n\nAnd new words of the mill.")
    (root / "b.txt").unlink()
    (root / "sub").mkdir()
    (root / "c.txt").rename(root / "sub/c.txt")
    (root / "d.txt").write_text(f"{RIVER}\n\n{HARBOUR}")  # touched
    lines(root / "e.jsonl", record("one"), record("two", HARBOUR))
    summary = synced(pair, ahead, root)
    assert (summary.changed, summary.deleted, summary.moved, summary.unchanged) == (2, 1, 1, 2)
    # Of the moved file and of the touched one only the hash was made, and one line of two was neither split nor encoded.
    assert ahead.kinds() == ["Head", "Ready", "Head", "Head", "Document", "Ready", "Head"]


def test_names_and_ids_that_are_taken_are_refused_as_here(
    pair: tuple[Collection, Collection], ahead: Ahead, root: Path
) -> None:
    """The document of z.txt is stored under another name than it was read ahead under."""
    lines(root / "a.jsonl", record("z.txt"), record("two"))
    lines(root / "b.jsonl", record("two", MOUNTAIN))
    (root / "z.txt").write_text(HARBOUR)
    (failure,) = synced(pair, ahead, root).failed
    assert failure.record == "document two"
    with pair[1].catalog.read() as snapshot:
        assert list(snapshot.document_ids()) == ["two", "z.txt", "z.txt~2"]


def test_a_file_that_changes_between_the_stages_is_indexed_again_the_next_time(
    pair: tuple[Collection, Collection], ahead: Ahead, root: Path
) -> None:
    (root / "a.txt").write_text(RIVER)

    def late(wanted: Sequence[Wanted], movable: frozenset[str]) -> Iterator[Row]:
        rows = list(ahead(wanted, movable))
        (root / "a.txt").write_text(MOUNTAIN)
        yield from rows

    _, there = pair
    Sync(there, reader=AheadReader(late, DEFAULT_LIMITS)).run([root])
    assert texts(there) == {"a.txt": RIVER}
    assert Sync(there, reader=AheadReader(ahead, DEFAULT_LIMITS)).run([root]).changed == 1
    assert texts(there) == {"a.txt": MOUNTAIN}


def test_a_cluster_that_ends_early_is_an_error_and_what_was_committed_stays(
    pair: tuple[Collection, Collection], ahead: Ahead, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.ingest.FIRST_PASSAGES", 1)
    for at in range(6):
        (root / f"{at}.txt").write_text(f"{RIVER} {at}")

    def short(wanted: Sequence[Wanted], movable: frozenset[str]) -> Iterator[Row]:
        yield from list(ahead(wanted, movable))[:8]

    here, there = pair
    with pytest.raises(ElsewhereError, match="run the same command again"):
        Sync(there, reader=AheadReader(short, DEFAULT_LIMITS)).run([root])
    with there.catalog.read() as snapshot:
        before = snapshot.counts().documents
    assert 0 < before < 6
    summary = Sync(there, reader=AheadReader(ahead, DEFAULT_LIMITS)).run([root])
    assert (summary.added, summary.unchanged) == (6 - before, before)
    Sync(here).run([root])
    assert contents(there.folder).without_keys() == contents(here.folder).without_keys()


def test_a_machine_without_the_folder_fails_and_does_not_say_that_every_file_is_gone(encoder: Encoder, root: Path) -> None:
    there = File(root / "away" / "a.txt", "a.txt", "", 1, root / "away")
    (job,) = jobs([Wanted(there, "a.txt", "", frozenset())])
    with pytest.raises(ElsewhereError, match="does not see the folder"):
        list(read(job, setup_of(encoder)))


def test_a_machine_with_another_version_is_told(encoder: Encoder, root: Path, ahead: Ahead) -> None:
    setup = setup_of(encoder)
    with pytest.raises(ElsewhereError, match="another version"):
        list(read([], setup._replace(contract=replace(setup.contract, splitter=99))))
    with pytest.raises(ModelError, match="install the same"):
        Encoding(setup._replace(contract=replace(setup.contract, weights="0")), 1)


def test_files_are_read_in_groups_by_number_and_by_size() -> None:
    def wanted(size: int) -> Wanted:
        return Wanted(File(Path("/a"), "a", "", size), "a", "", frozenset())

    assert [len(job) for job in jobs([wanted(1)] * 40)] == [16, 16, 8]
    assert [len(job) for job in jobs([wanted(5 * MIB)] * 3)] == [1, 1, 1]
    assert [one.number for job in jobs([wanted(1)] * 20) for one in job] == list(range(20))


def test_resources_are_shared_between_reading_and_encoding() -> None:
    node = {"CPU": 16.0, "object_store_memory": 8e9}
    assert share_of([node] * 3)[:3] == (9, 4.0, 0.0)  # 36 of 48
    assert share_of([{"CPU": 1.0}] * 3)[:3] == (2, 1.0, 0.0)
    assert share_of([{"CPU": 1.0}])[:3] == (1, 0.5, 0.0)  # both fit
    assert share_of([{"CPU": 0.0}, node, {"GPU": 2.0, "CPU": 8.0}])[:3] == (2, 1.0, 1.0)  # all that encode have a GPU
    assert share_of([node]).memory < 8e9 / 4
    assert share_of([{"CPU": 16.0, "object_store_memory": 1e8}]).memory == 25_000_000
    with pytest.raises(ClusterError, match="no CPU"):
        share_of([{"CPU": 0.0}])


def test_without_ray_the_command_says_what_to_install_and_makes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # as if it were not installed, where it is
    done = CliRunner().invoke(app, ["index", "--ray", "auto", "--index", str(tmp_path / "index"), str(tmp_path)])
    assert done.exit_code != 0
    assert "pip install -e '.[ray]'" in str(done.exception)
    assert not (tmp_path / "index").exists()


@pytest.mark.parametrize("address", ["head", "ray://head:10001", "head:x"])
def test_what_is_no_address_of_a_cluster_is_told(address: str) -> None:
    with pytest.raises(ClusterError, match="HOST:PORT"):
        cluster._check_address(address)


def test_ray_is_loaded_by_nothing_but_its_own_option() -> None:
    """It is an optional package, and takes a second and more to import."""
    source = Path(cluster.__file__).parent
    named = [path.name for path in source.glob("*.py") if "import ray" in path.read_text(encoding="utf-8")]
    assert named == ["cluster.py"]
