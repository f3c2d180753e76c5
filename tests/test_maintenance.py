"""The commands that look after an index, beside a server that serves it."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

import service.upkeep
from indexer.catalog import CATALOG_FILE, Catalog
from indexer.collection import Collection
from indexer.doctor import Finding, examine
from indexer.documents import Document
from indexer.encoder import Encoder
from indexer.files import sealed, unsealed
from indexer.ingest import put
from indexer.lock import WriterLock
from indexer.models import DEFAULT_MODEL
from indexer.schema import DamagedError
from service.admission import Limits
from service.maintenance import backup, doctor, rebuild, restore
from service.upkeep import Scrub
from tests.test_backup import damage
from tests.test_http import problem, started
from tests.test_migration import unpacked
from tests.test_upkeep import until

PASSAGES = Path(sys.executable).parent / "passages"


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory, encoder: Encoder) -> Path:
    """An index of a heron and an otter, folded, closed."""
    folder = tmp_path_factory.mktemp("maintenance") / "index"
    with Collection(folder, create=True, encoder=encoder) as collection:
        put(collection, Document("heron", "", "The heron stands in the shallow water and waits."))
        put(collection, Document("otter", "", "The otter swims under the ice."))
        with collection.lock.held(1):
            collection.fold_words()
    return folder


@pytest.fixture
def folder(index: Path, tmp_path: Path) -> Path:
    return shutil.copytree(index, tmp_path / "index")


# --- doctor -------------------------------------------------------------------------------------------------------


def findings(folder: Path) -> dict[str, Finding]:
    return {one.name: one for one in examine(folder, DEFAULT_MODEL)}


def test_nothing_is_wrong_with_an_index_that_nobody_harmed(folder: Path) -> None:
    found = findings(folder)
    assert {one.severity for one in found.values()} == {"ok"}
    assert set(found) == {
        "writable", "space", "lock", "leftovers", "aside", "judgements", "catalog", "passages", "readings", "model", "words",
        "vectors", "sources", "removed",
    }  # fmt: skip


def words_of_another(folder: Path) -> None:
    record = unsealed((folder / "words.json").read_text(encoding="utf-8"))
    (folder / "words.json").write_text(sealed(record.replace('"tag": "', '"tag": "another')), encoding="utf-8")


def left_over(folder: Path) -> None:
    (folder / "words-7").mkdir()
    (folder / "catalog.sqlite-restoring").mkdir()


def text_changed(folder: Path) -> None:
    """By a program that keeps checksums and totals, which then say nothing."""
    edit(folder, "UPDATE document SET text = 'The stork' || substr(text, 10), checksum = 0 WHERE id = 'heron'")


def readings_gone(folder: Path) -> None:
    edit(folder, "DELETE FROM token WHERE passage = 1")


def stopped(folder: Path) -> None:
    edit(folder, "INSERT INTO source (path, name, stamp, hash) VALUES ('/half.txt', 'half', '', '')")


def failed(folder: Path) -> None:
    edit(
        folder, "INSERT INTO source (path, name, stamp, hash, failure) VALUES ('/bad.pdf', 'bad', '', 'x', '[[\"\", \"cut\"]]')"
    )


def removed(folder: Path) -> None:
    edit(
        folder,
        "WITH RECURSIVE n (k) AS (SELECT 10 UNION ALL SELECT k + 1 FROM n WHERE k < 110100) "
        "INSERT INTO removed SELECT k, 1 FROM n",
    )


def edit(folder: Path, sql: str) -> None:
    """As this program would write it."""
    from indexer.checksums import seal
    from indexer.schema import prepare

    with sqlite3.connect(folder / CATALOG_FILE) as connection:
        prepare(connection)
        connection.execute(sql)
        for table in ("source", "document"):
            for (key,) in connection.execute(f"SELECT key FROM {table}").fetchall():  # noqa: S608
                seal(connection, table, key)
    connection.close()


@pytest.mark.parametrize(
    ("harm", "name", "severity", "mend"),
    [
        (words_of_another, "words", "warning", "passages rebuild --index {}"),
        (left_over, "leftovers", "warning", "rm -r {}/catalog.sqlite-restoring {}/words-7"),
        (text_changed, "passages", "error", "passages index --index {} --reindex"),
        (readings_gone, "readings", "error", "passages index --index {} --reindex"),
        (stopped, "sources", "warning", "passages index --index {} PATH..."),
        (failed, "sources", "warning", "passages status --index {}"),
        (removed, "removed", "warning", "passages rebuild --index {}"),
        (lambda folder: damage(folder, b"The heron"), "catalog", "error", "passages restore FILE --index {} --force"),
        (lambda folder: (folder / CATALOG_FILE).unlink(), "catalog", "error", "passages restore FILE --index {} --force"),
    ],
)
def test_each_harm_is_found_by_name_with_the_command_that_mends_it(
    harm: Callable[[Path], None], name: str, severity: str, mend: str, folder: Path
) -> None:
    harm(folder)
    found = findings(folder)
    assert (found[name].severity, found[name].mend) == (severity, mend.replace("{}", str(folder)))
    assert [one.name for one in found.values() if one.severity != "ok"] == [name]


def test_a_catalog_that_a_restore_kept_is_told_and_no_command_deletes_it(folder: Path) -> None:
    (folder / "catalog.sqlite-damaged-1").mkdir()
    found = findings(folder)
    assert (found["aside"].severity, found["aside"].mend) == ("warning", None)
    assert "catalog.sqlite-damaged-1" in found["aside"].message
    assert found["leftovers"].severity == "ok"


def test_only_what_our_own_commands_leave_is_a_leftover_and_its_path_is_quoted(folder: Path) -> None:
    spaced = folder.rename(folder.with_name("my index"))
    for name in ("report.partial", "report.new", "words-of-mine"):
        (spaced / name).mkdir()
    assert findings(spaced)["leftovers"].severity == "ok"
    left_over(spaced)
    assert findings(spaced)["leftovers"].mend == f"rm -r '{spaced}/catalog.sqlite-restoring' '{spaced}/words-7'"


def test_what_is_no_index_is_told(tmp_path: Path) -> None:
    assert findings(tmp_path / "nowhere")["catalog"].mend == f"passages index --index {tmp_path / 'nowhere'} PATH..."
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("number", [1, 2])
def test_an_index_of_an_earlier_release_is_told_and_left_as_it_is(number: int, tmp_path: Path) -> None:
    folder = unpacked(number, tmp_path / "old")
    before = [(path.name, path.read_bytes()) for path in folder.iterdir()]
    found = findings(folder)["catalog"]
    assert found.severity == "warning"
    assert "is of an earlier release" in found.message
    assert "copy the folder first" in found.message
    assert [(path.name, path.read_bytes()) for path in folder.iterdir()] == before


def test_an_old_index_asks_to_be_encoded_again(tmp_path: Path) -> None:
    Catalog(unpacked(1, tmp_path / "old")).close()
    found = findings(tmp_path / "old")
    assert (found["readings"].severity, found["readings"].mend) == (
        "error",
        f"passages index --index {tmp_path / 'old'} --reindex",
    )


def test_who_writes_is_told_and_is_no_error(folder: Path) -> None:
    with WriterLock(folder).held(0):
        assert findings(folder)["lock"].message.endswith("is writing")
    assert "nobody is writing" in findings(folder)["lock"].message


def test_another_model_is_an_error(folder: Path, tmp_path: Path) -> None:
    found = {one.name: one for one in examine(folder, str(tmp_path / "no model"))}
    assert found["model"].severity == "error"


def test_files_that_may_not_be_written_are_told(unprivileged: Path) -> None:
    Collection(unprivileged / "index", create=True).close()
    (unprivileged / "index" / CATALOG_FILE).chmod(0o400)
    assert findings(unprivileged / "index")["writable"].mend == f"chmod -R u+rwX {unprivileged / 'index'}"


def test_a_rebuild_forgets_what_was_removed_and_searches_stay_right(folder: Path, encoder: Encoder) -> None:
    with Collection(folder, encoder=encoder) as open_before, open_before.view() as view:
        assert view.words.passages == 2
        removed(folder)
        rebuild(index=str(folder))
        assert findings(folder)["removed"].severity == "ok"
        with open_before.view() as after:
            assert (after.words.passages, len(after.vectors)) == (2, 2)
            assert after.snapshot.pruned > 0


# --- the commands -------------------------------------------------------------------------------------------------


def test_the_commands_in_a_row(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved = folder.with_name("saved")

    def told(command: Callable[..., None], *arguments: Any, **options: Any) -> Any:
        command(*arguments, **options, index=str(folder), as_json=True)
        return json.loads(capsys.readouterr().out)

    assert (made := told(backup, saved))["documents"] == 2
    assert len(made["sha256"]) == 64
    assert told(restore, saved, force=True)["aside"] is None
    assert not list(folder.glob("words*"))
    assert told(rebuild)["passages"] == 2
    assert (folder / "words.json").exists()
    assert told(doctor)["healthy"]
    rebuild(index=str(folder))
    assert "2 passages was made anew" in capsys.readouterr().out


def test_a_restored_index_without_keys_says_that_backups_hold_none(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    backup(folder.with_name("saved"), index=str(folder))
    restore(folder.with_name("saved"), index=str(folder.with_name("new")))
    assert "keys are in no backup, and this index has none: passages key add" in capsys.readouterr().out
    (folder / "keys.json").write_text("{}", encoding="utf-8")
    restore(folder.with_name("saved"), force=True, index=str(folder))
    assert "keys are in no backup" not in capsys.readouterr().out
    assert (folder / "keys.json").exists()


def test_the_exit_status_of_doctor_tells_programs(folder: Path) -> None:
    damage(folder, b"The heron")
    done = subprocess.run([PASSAGES, "doctor", "--index", folder], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert f"mend it: passages restore FILE --index {folder}" in done.stdout
    done = subprocess.run(
        [PASSAGES, "restore", "nothing", "--index", folder], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (
        1,
        "passages: there is no file nothing: name one that passages backup has written\n",
    )


# --- beside a server ----------------------------------------------------------------------------------------------


def answer(client: TestClient) -> str:
    response = client.post("/v1/search", json={"question": "Who stands in the water?", "limit": 1})
    assert response.status_code == 200, response.text
    return str(response.json()["results"][0]["document"]["id"])


def test_a_server_refuses_a_catalog_that_was_damaged_and_goes_on_once_it_is_restored(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    saved = folder.with_name("saved")
    backup(saved, index=str(folder))
    for client in started(folder, limits=Limits(processes=1)):
        assert answer(client) == "heron"
        damage(folder, b"The heron")
        with pytest.raises(DamagedError):
            client.app.state.service.collection.catalog.check()  # type: ignore[attr-defined]
        for response in (
            client.post("/v1/search", json={"question": "What swims?"}),
            client.get("/v1/documents/otter"),
            client.put("/v1/documents/eel", json={"text": "The eel hides."}),
            client.get("/readyz"),
        ):
            assert f"passages restore FILE --index {folder} --force" in problem(response, 503)
        assert [one.name for one in caplog.records if "passages restore" in one.message] == ["service.service"]
        status = client.get("/v1/status").json()
        assert status["state"] == "damaged"
        assert "is damaged: " in status["detail"]
        assert client.get("/livez").status_code == 200
        restore(saved, force=True, index=str(folder))
        assert answer(client) == "heron"
        assert client.get("/v1/status").json()["state"] == "ready"
        assert client.put("/v1/documents/eel", json={"text": "The eel hides."}).status_code == 200


def test_the_catalog_is_read_whole_after_the_start_and_damage_is_logged(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("indexer.catalog.CHECKED_BYTES", 0)
    damage(folder, b"The heron")
    with Collection(folder) as collection:
        scrub = Scrub()
        scrub.start(collection)
        assert until(lambda: collection.catalog.damage is not None)
        scrub.stop()
    assert "passages restore FILE" in caplog.text


def test_a_look_at_the_catalog_ends_with_the_server(folder: Path) -> None:
    with Collection(folder) as collection:
        scrub = Scrub()
        scrub.stop()
        with pytest.raises(service.upkeep._StoppedError):
            collection.catalog.check(service.upkeep._Pace(scrub._stopped))
