import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from indexer.documents import sidecar

PASSAGES = Path(sys.executable).parent / "passages"


def passages(*arguments: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the installed command without the settings of whoever runs the tests."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PASSAGES_")}
    return subprocess.run(
        [PASSAGES, *arguments], cwd=cwd, env=inherited | variables, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with an index of two documents and a file that cannot be read."""
    folder = tmp_path_factory.mktemp("work")
    documents = folder / "documents"
    documents.mkdir()
    (documents / "fruit.txt").write_text("Bananas are yellow when they are ripe.\n\nCherries are red.\n", encoding="utf-8")
    (documents / "sea.md").write_text("# The sea\n\nWhales breathe air at the surface.\n", encoding="utf-8")
    (documents / "empty.txt").touch()
    (documents / "photo.jpg").write_bytes(b"\xff\xd8")
    done = passages("index", "documents", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["added"], summary["skipped"], summary["interrupted"]) == (2, {".jpg": 1}, False)
    assert [Path(one["path"]).name for one in summary["failed"]] == ["empty.txt"]
    return folder


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from service.cli import app; from typer.testing import CliRunner; "
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0; "
        "print([name for name in ('torch', 'numpy', 'fastapi', 'pydantic', 'faiss') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_search_prints_the_passage_and_its_place(folder: Path) -> None:
    done = passages("search", "When are bananas yellow?", "--limit", "1", cwd=folder)
    assert "Bananas are yellow when they are ripe." in done.stdout
    assert "fruit.txt, characters 0 to 38" in done.stdout
    assert done.stdout.startswith("Answered:")


def test_search_says_when_nothing_answers(folder: Path) -> None:
    done = passages("search", "Who won the football World Cup?", cwd=folder)
    assert done.stdout.startswith("Nothing in this collection answers that; the closest passages are:")


def test_search_json_is_the_http_contract(folder: Path) -> None:
    answer = json.loads(passages("search", "Where do whales breathe?", "--json", cwd=folder).stdout)
    best = answer["results"][0]
    assert (best["text"], best["heading"]) == ("Whales breathe air at the surface.", "The sea")
    assert set(answer) == {"question", "verdict", "exact", "took_ms", "generation", "results", "weights", "stages"}


def test_status_tells_what_is_indexed_and_what_failed(folder: Path) -> None:
    status = json.loads(passages("status", "--json", cwd=folder).stdout)
    assert (status["documents"], status["passages"], status["failures"]) == (2, 3, 1)
    assert "empty" in status["failed"][0]["reason"]
    assert "2 documents, 3 passages" in passages("status", cwd=folder).stdout


def test_an_unchanged_folder_is_not_encoded_again(folder: Path) -> None:
    summary = json.loads(passages("index", "documents", "--json", cwd=folder).stdout)
    assert (summary["unchanged"], summary["added"], summary["passages_encoded"]) == (2, 0, 0)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["search", "x", "--index", "nowhere"], "make one: passages index"),
        (["status", "--index", "nowhere"], "there is no index in nowhere"),
        (["search", "  "], "the question is empty"),
        (["search", "x", "--filter", "tags"], "write tags=isis"),
        (["search", "x", "--before", "next week"], "write --before 2022"),
        (["watch", "missing-folder"], "cannot be followed: No such file or directory"),
        (["index", "missing-folder"], "nothing was indexed or deleted"),
        (["index", "documents/photo.jpg"], "is of a kind that cannot be read"),
        (["index", "documents", "--model", "no/such"], "passages model fetch no/such"),
        (["serve", "--host", "203.0.113.7"], "cannot listen on 203.0.113.7"),
    ],
)
def test_an_error_is_one_line_that_says_what_to_do(folder: Path, arguments: list[str], says: str) -> None:
    before = passages("status", "--json", cwd=folder).stdout
    done = passages(*arguments, cwd=folder)
    assert done.returncode == 1
    assert done.stderr.startswith("passages: ")
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (folder / "nowhere").exists()
    assert passages("status", "--json", cwd=folder).stdout == before


def test_a_variable_that_is_no_setting_is_an_error_that_names_it(folder: Path) -> None:
    done = passages("status", cwd=folder, PASSAGES_INDX="x")
    assert (done.returncode, done.stderr.strip()) == (
        1,
        "passages: the variable PASSAGES_INDX is not a setting; did you mean PASSAGES_INDEX?",
    )


def test_settings_come_from_the_file_then_the_variable_then_the_option(folder: Path, tmp_path: Path) -> None:
    index = str(folder / "index")
    (tmp_path / "passages.toml").write_text('index = "from-file"\n', encoding="utf-8")
    assert "no index in from-file" in passages("status", cwd=tmp_path).stderr
    assert "no index in from-variable" in passages("status", cwd=tmp_path, PASSAGES_INDEX="from-variable").stderr
    assert "2 documents" in passages("status", "--index", index, cwd=tmp_path, PASSAGES_INDEX="from-variable").stdout


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ('indx = "x"\n', "indx in passages.toml is not a setting; did you mean index?"),
        ('port = "many"\n', "the setting port (PASSAGES_PORT) cannot be used"),
        ("port =\n", "passages.toml is not valid TOML"),
    ],
)
def test_a_setting_in_the_file_that_cannot_be_used_is_an_error_that_names_it(tmp_path: Path, toml: str, says: str) -> None:
    (tmp_path / "passages.toml").write_text(toml, encoding="utf-8")
    done = passages("status", cwd=tmp_path)
    assert done.returncode == 1
    assert says in done.stderr


def test_a_real_server_answers_finds_what_another_process_indexes_and_ends_on_sigterm(tmp_path: Path) -> None:
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PASSAGES_")}
    server = subprocess.Popen(
        [PASSAGES, "serve", "--port", "0"], cwd=tmp_path, env=variables, stderr=subprocess.PIPE, text=True
    )
    try:
        assert server.stderr is not None
        address = server.stderr.readline().split()[2]
        assert wait_ready(address)
        (tmp_path / "new.txt").write_text("Bananas are yellow when they are ripe.", encoding="utf-8")
        assert passages("index", "new.txt", cwd=tmp_path).returncode == 0
        time.sleep(1)  # the promise: found within a second of its commit
        with urllib.request.urlopen(f"{address}/v1/search?q=banana&limit=1", timeout=10) as response:
            assert json.load(response)["results"][0]["document"]["id"] == "new.txt"
        taken = passages("serve", "--port", address.rsplit(":", 1)[1], cwd=tmp_path)
        assert (taken.returncode, "choose another with --host and --port" in taken.stderr) == (1, True)
    finally:
        server.send_signal(signal.SIGTERM)
        _, errors = server.communicate(timeout=20)
    assert (server.returncode, errors) == (0, "ready: questions are answered\n")


def wait_ready(address: str) -> bool:
    for _ in range(600):
        try:
            with urllib.request.urlopen(f"{address}/readyz", timeout=5) as response:
                return bool(response.status == 200)
        except OSError:
            time.sleep(0.1)
    return False


def test_a_chosen_column_makes_a_document_of_each_row_from_then_on(tmp_path: Path) -> None:
    table = tmp_path / "letters.csv"
    table.write_text("no,body,place\nA 1,The frost killed the vines.,Brno\nA 2,The coach was robbed.,Graz\n", encoding="utf-8")
    done = passages("index", "letters.csv", "--text-column", "words", cwd=tmp_path)
    assert done.returncode == 2
    assert not sidecar(table).exists()
    done = passages("index", "letters.csv", "--text-column", "body", "--id-column", "no", "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["added"] == 2, done.stderr
    assert json.loads(sidecar(table).read_text()) == {"columns": {"text": "body", "id": "no"}}
    done = passages("index", ".", "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["unchanged"] == 2, done.stderr
    assert "letters.csv#A 1" in passages("search", "What killed the vines?", "--limit", "1", cwd=tmp_path).stdout


def test_columns_are_chosen_of_tables_only_and_with_a_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    for arguments in (["a.txt", "--text-column", "body"], ["a.txt", "--id-column", "no"]):
        assert passages("index", *arguments, cwd=tmp_path).returncode == 2
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
