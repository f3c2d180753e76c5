"""What the command line prints: drawn for a person, plain for a pipe, and never what a document would do to a terminal."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from indexer.collection import Collection
from indexer.documents import Document
from indexer.filters import FilterError
from indexer.ingest import put
from indexer.search import Query, search
from indexer.synced import Progress
from service import terminal
from service.answers import print_answer
from service.cli import app
from service.conditions import filter_of
from service.progress import EVERY_S, Lines
from service.search_command import _query
from service.summaries import failure
from service.terminal import bar, link_to, path_of, print_record, safe, size
from tests.servers import PASSAGES, environment

LINK = re.compile(r"\x1b\]8;[^;]*;([^\x1b]+)\x1b\\")
STYLE = re.compile(r"\x1b\[[\d;]*m")


def commands(command: Any = None, *names: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command with its names, groups too."""
    command = command or get_command(app)
    yield names, command
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, *names, name)


def leaves() -> list[Any]:
    """The commands that do something."""
    return [pytest.param(names, one, id=" ".join(names)) for names, one in commands() if not hasattr(one, "commands")]


@pytest.mark.parametrize(("names", "command"), leaves())
def test_every_command_has_an_example_in_its_help_that_it_understands(names: tuple[str, ...], command: Any) -> None:
    assert command.epilog, f"passages {' '.join(names)} has no example"
    kind, _, example = command.epilog.partition(": ")
    words = shlex.split(example)
    assert (kind, words[: len(names) + 1]) == ("Example", ["passages", *names])
    command.make_context(names[-1], words[len(names) + 1 :])  # raises where an option is none


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Output as in a terminal."""
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm-256color", "COLUMNS": "100"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)


def whales(collection: Collection, **more: Any) -> Document:
    document = Document(**{
        "id": "sea.pdf", "title": "The sea", "text": "Cherries are red.\n\nSwifts sleep. Whales breathe air at the surface.",
        "uri": "file:///home/me/my%20papers/sea.pdf", "date": "2022-05-11", "media_type": "application/pdf", "pages": (0, 19),
    } | more)  # fmt: skip
    put(collection, document)
    return document


def test_in_a_terminal_the_evidence_is_bold_and_the_title_a_link_to_its_page(
    collection: Collection, drawn: None, capsys: pytest.CaptureFixture[str]
) -> None:
    whales(collection)
    print_answer(search(collection, Query("Where do whales breathe?", limit=1, explain=True)))
    said = capsys.readouterr().out
    assert LINK.findall(said) == ["file:///home/me/my%20papers/sea.pdf#page=2"]
    assert "\x1b[1;4mWhales\x1b[0m" in said  # evidence, and a word of the question
    assert "Swifts sleep. \x1b[1" in said  # which the other sentence is not
    plain = STYLE.sub("", said)
    assert plain.startswith("Answered:\n")
    assert "2022-05-11 · sea.pdf, page 2, characters 19 to 67 · /home/me/my papers/sea.pdf" in plain
    assert re.search(r"   maxsim +\+\d\.\d\d  █", plain)


def test_in_a_pipe_there_is_nothing_but_text_whatever_a_document_holds(
    collection: Collection, capsys: pytest.CaptureFixture[str]
) -> None:
    evil = "Whales breathe \x1b]0;owned\x07air\x9b31m."
    whales(collection, title="\x1b[2JThe sea", text=evil, uri="javascript:alert(1)", pages=())
    print_answer(search(collection, Query("Where do whales breathe?")))
    said = capsys.readouterr().out
    assert [char for char in said if not char.isprintable() and char != "\n"] == []
    assert "Whales breathe ␛]0;owned␇air�31m." in said


def test_a_hostile_address_is_no_link() -> None:
    assert link_to("file:///a.pdf", 3) == "file:///a.pdf#page=3"
    assert link_to("https://example.org/a#b", 3) == "https://example.org/a#b"
    for uri in ("javascript:alert(1)", "file:///a\x1b]8;;x", "notes/a.txt", "file:///a b"):
        assert link_to(uri, None) is None
    assert safe("a\tb\nc") == "a\tb\nc"


def test_a_name_with_a_line_end_does_not_pass_for_two_lines() -> None:
    assert failure("/a\nadded: /b", "", "is empty").count("\n") == 0
    assert path_of("file:///a%0Ab") == "/a␊b"


def test_a_judged_question_does_not_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_record({}, as_json=False, words="id  Where?\x1b[2J\n    nothing answers")
    assert capsys.readouterr().out == "id  Where?␛[2J\n    nothing answers\n"


def test_filters_are_typed_as_one_reads_them() -> None:
    assert filter_of(["tags=isis", "tags=iraq", "year>=2020", "year<2022"]) == {
        "tags": ["isis", "iraq"],
        "year": {"gte": 2020, "lt": 2022},
    }
    assert filter_of(["year=2020", "draft!=true", "title=a=b"]) == {
        "year": ["2020", 2020],
        "draft": {"not": ["true", True]},
        "title": ["a=b"],
    }
    assert filter_of(['{"date": {"exists": true}}', "date>2021-05"]) == {"date": {"exists": True, "gt": "2021-05"}}


@pytest.mark.parametrize("typed", ["tags", "=x", '{"tags"', "", "a=1|a>2"])
def test_a_filter_that_is_none_says_what_to_write(typed: str) -> None:
    with pytest.raises(FilterError, match=r"write tags=isis|one JSON filter"):
        filter_of(typed.split("|"))


def test_options_find_what_the_same_question_over_http_would(collection: Collection) -> None:
    for name, date, tags in [("old", "2019-01-01", ["sea"]), ("new", "2023-01-01", ["sea"]), ("other", "2023-01-01", ["sky"])]:
        whales(collection, id=name, date=date, metadata={"tags": tags}, text=f"Whales of {name} days breathe air.")
    asked = _query("Where do whales breathe?", ["tags=sea"], ("2024", "2020-06"), None, 5, 0, 0.0, False)
    assert [one.passage.document.id for one in search(collection, asked).results] == ["new"]


def test_sizes_and_bars_are_what_they_stand_for() -> None:
    assert [size(one) for one in (0, 999, 1_000, 12_345, 999_999, 7_200_000_000)] == [
        "0 bytes", "999 bytes", "1.0 KB", "12 KB", "1.0 MB", "7.2 GB",
    ]  # fmt: skip
    assert [bar(share, 4) for share in (0, 0.001, 0.5, 0.6, 1)] == ["", "▏", "██", "██▍", "████"]


def test_progress_that_no_terminal_shows_is_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    report = Lines(lambda: now[0])
    for second in (1.0, EVERY_S - 0.1, EVERY_S, EVERY_S + 1, 2 * EVERY_S):
        now[0] = second
        report(Progress(passages=int(second) * 30, done_bytes=int(second), total_bytes=40))
    assert capsys.readouterr().err == "indexing: 25%, 300 passages, 30/s\nindexing: 50%, 600 passages, 30/s\n"


def test_status_draws_a_bar_for_each_folder_and_counts_what_came_over_http(
    collection: Collection, tmp_path: Path, drawn: None, capsys: pytest.CaptureFixture[str]
) -> None:
    from indexer.sync import Sync
    from service.status_command import status

    for folder, count in (("many", 4), ("few", 1)):
        (tmp_path / folder).mkdir()
        for number in range(count):
            (tmp_path / folder / f"{number}.txt").write_text(f"Text {number} of the {folder}.")
    Sync(collection).run([tmp_path / "many", tmp_path / "few"])
    whales(collection)
    status(str(collection.folder))
    plain = STYLE.sub("", capsys.readouterr().out)
    assert re.search(r"^last commit  \d+, \d{4}-\d\d-\d\d \d\d:\d\d:\d\d$", plain, re.MULTILINE)
    bars = {name: len(drawn) for name, drawn in re.findall(r"^\S*?([a-z]+|HTTP\)) +\d +(█+)", plain, re.MULTILINE)}
    assert bars.keys() >= {"many", "few"}, plain
    assert bars["many"] == pytest.approx(4 * bars["few"], abs=4)
    assert re.search(r"\(written over HTTP\) +1 ", plain)


def test_the_shell_completes_commands_options_values_and_files(tmp_path: Path) -> None:
    script = """
        eval "$(passages --show-completion bash)"
        asked() {
            COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _passages_completion passages; echo "${COMPREPLY[*]}"
        }
        asked passages sea; asked passages search --gro; asked passages search --group ""
        asked passages search --index pa; complete -p passages
    """
    path = f"{PASSAGES.parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment(PATH=path), capture_output=True, text=True, check=True
    )
    *completed, registered = done.stdout.splitlines()
    assert completed == ["search", "--group", "document", ""]
    assert "-o default" in registered  # so what the command leaves open are files and folders: an index


def test_the_width_of_a_drawing_is_bounded() -> None:
    shown = terminal.console()
    shown.width = 10
    assert terminal.width_of(shown) == 40
