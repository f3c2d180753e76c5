"""Peers: the contract between the comparison and its child processes, with tiny peers; real ones need make peers."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from typer.testing import CliRunner

from eval.__main__ import app
from eval.client import Address
from eval.errors import EvalError
from eval.peers import OURS, PEERS, drawn
from eval.peers.process import Peer
from eval.peers.rounds import Asked, Ours, PeerError, rankings, run, times
from eval.report import page
from eval.sets import read_set

ROOT = Path(__file__).parents[1]
SCRIPTS = ROOT / "eval" / "peers"
GATE = ROOT / "eval" / "gate"

# What a peer's Python runs in place of ask.py.
GOOD = """
    import json, sys
    first = json.loads(sys.stdin.readline())
    ids = [one["id"] for one in first["passages"]]
    print(json.dumps({"index_s": 1.5, "version": "7"}), flush=True)
    for line in sys.stdin:
        questions = json.loads(line)["questions"]
        print(json.dumps({"took_ms": [2.0] * len(questions), "found": [ids[: first["limit"]]] * len(questions)}), flush=True)
"""
BROKEN = "import sys; sys.exit('ModuleNotFoundError: no module named peer')"
CHATTY = "print('welcome!', flush=True)"
HANGING = "import time; time.sleep(60)"
FORGETFUL = GOOD.replace('"took_ms": [2.0] * len(questions)', '"took_ms": []')
ENDING = GOOD.replace("for line in sys.stdin:", "for line in [sys.stdin.readline()]:")  # after the first questions
UNKNOWN = GOOD.replace('[ids[: first["limit"]]]', '[["nobody gave me this"]]')

Environment = Callable[[str, str], Path]


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """Makes an environment for the peer of a name whose Python runs a program."""

    def make(name: str, program: str) -> Path:
        python = tmp_path / "venvs" / name / "bin" / "python"
        python.parent.mkdir(parents=True)
        script = python.with_name("peer.py")
        script.write_text(textwrap.dedent(program), encoding="utf-8")
        python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{script}" "$@"\n', encoding="utf-8")
        python.chmod(0o755)
        return tmp_path / "venvs"

    return make


# The whole comparison


def test_peers_are_compared_beside_the_real_server_and_those_that_fail_are_named(
    environment: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[str]] = []
    popen = subprocess.Popen

    def note(*arguments: object, **options: object) -> subprocess.Popen[str]:
        started.append(popen(*arguments, **options))  # type: ignore[call-overload]
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", note)
    programs = {"good": GOOD, "broken": BROKEN, "chatty": CHATTY, "ending": ENDING, "unknown": UNKNOWN}
    for name, program in programs.items():
        venvs = environment(name, program)
    named = [part for name in (*programs, "absent") for part in ("--peer", name)]
    arguments = ["peers", str(GATE), "--json", "--rounds", "2", "--questions", "4", "--venvs", str(venvs), *named]
    ran = CliRunner().invoke(app, arguments)
    assert ran.exit_code == 0, ran.output
    record = json.loads(ran.stdout)
    assert (record["passages"], record["rounds"], record["questions"]) == (40, 2, 4)
    assert [*record["systems"]] == [OURS, "good"]
    ours, good = record["systems"][OURS], record["systems"]["good"]
    assert ours["ratio"] == {"value": 1, "low": 1, "high": 1}
    assert (good["version"], good["index_s"], good["p50"], good["round_p50"]) == ("7", 1.5, 2, [2, 2])
    assert good["ratio"]["value"] == pytest.approx(sum(2 / one for one in ours["round_p50"]) / 2, abs=1e-3)
    assert ours["nDCG@10"]["value"] > 0.8
    assert good["nDCG@10"]["value"] < 0.4  # which finds the same ten whatever it is asked
    assert ours["index_s"] > 0
    assert record["failed"] == {
        "broken": "it ended with status 1: ModuleNotFoundError: no module named peer",
        "chatty": "it answered no JSON: welcome!",
        "ending": "it ended with status 0: it said nothing",
        "unknown": "it found a passage that it was not given: nobody gave me this",
        "absent": "it has no environment here; make peers makes one",
    }
    assert len(started) == 1 + len(programs)
    assert all(process.returncode is not None for process in started)


def test_the_report_shows_peers_and_those_that_failed() -> None:
    spread = {"value": 1.25, "low": 1.0, "high": 1.5}
    system = {"version": "7", "index_s": 3.0, "p50": 2.0, "p95": 3.0, "ratio": spread, "nDCG@10": spread}
    record = {"what": "peers", "set": "s", "passages": 9, "systems": {"good": system}, "failed": {"bad": "<why>"}}
    text = page([record])
    assert "1.25 (1.00 to 1.50)" in text
    assert "bad failed: &lt;why&gt;" in text


# A peer's process


def test_a_peer_that_hangs_is_ended_and_named(environment: Environment) -> None:
    with Peer("hanging", environment("hanging", HANGING), limit_s=0.3) as peer, pytest.raises(PeerError, match="longer than"):
        peer.index({"a": "text"}, 10)


def test_a_peer_that_answers_fewer_questions_than_it_was_asked_fails(environment: Environment) -> None:
    with Peer("forgetful", environment("forgetful", FORGETFUL)) as peer:
        peer.index({"a": "text"}, 10)
        with pytest.raises(PeerError, match="not one time and one list for each of 2 questions"):
            peer.ask(["one?", "two?"])


def test_a_peer_is_not_led_to_our_packages_nor_to_the_network(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "here")
    saying = GOOD.replace('"version": "7"', '"version": repr([os.environ.get(one) for one in names])')
    names = ["PYTHONPATH", "HF_HUB_OFFLINE", "ANONYMIZED_TELEMETRY"]
    with Peer("saying", environment("saying", f"import os\nnames = {names}\n{textwrap.dedent(saying)}")) as peer:
        peer.index({"a": "text"}, 10)
    assert peer.version == "[None, '1', 'False']"


ENGINE = """
    DISTRIBUTION = "pytest"
    print("loading")

    class Engine:
        def __init__(self, model, ids, texts):
            print(model)
            self.by_text = dict(zip(texts, ids, strict=True))

        def search(self, question, limit):
            print("searching")
            return [self.by_text[question]][:limit]
"""


def test_the_script_keeps_what_libraries_print_out_of_its_answers(tmp_path: Path) -> None:
    shutil.copy(SCRIPTS / "ask.py", tmp_path)
    (tmp_path / "with_tiny.py").write_text(textwrap.dedent(ENGINE))
    first = {"passages": [{"id": "a", "text": "Łódź"}, {"id": "b", "text": "Bern"}], "limit": 1}
    given = f"{json.dumps(first)}\n{json.dumps({'questions': ['Bern', 'Łódź']})}\n{json.dumps({'questions': ['Bern']})}\n"
    ran = subprocess.run(
        [sys.executable, tmp_path / "ask.py", "tiny"],
        input=given,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=True,
    )
    index, both, one = map(json.loads, ran.stdout.splitlines())
    assert (index["version"], both["found"], one["found"]) == (pytest.__version__, [["b"], ["a"]], [["b"]])
    assert len(both["took_ms"]) == 2
    assert index["index_s"] > 0
    assert (Path(ran.stderr.splitlines()[1]) / "model.safetensors").is_file()


# Rounds


class Told:
    """A system that answers with its name, takes ``took_ms``, and fails in its call number ``fails``."""

    def __init__(self, name: str, took_ms: Sequence[float], calls: list[str], fails: int | None = None) -> None:
        self.name, self.version = name, "1"
        self.index_s: float | None = None
        self._took, self._calls, self._fails, self._asked = took_ms, calls, fails, 0

    def ask(self, questions: Sequence[str]) -> Asked:
        self._calls.append(self.name)
        self._asked += 1
        if self._asked == self._fails:
            raise PeerError("why")
        return Asked([self._took[self._asked - 1]] * len(questions), [[self.name]] * len(questions))


def test_systems_take_turns_and_the_warm_up_does_not_count() -> None:
    calls: list[str] = []
    systems = [Told("a", [100, 4, 8, 4], calls), Told("b", [100, 8, 8, 40], calls), Told("c", [1, 1], calls, fails=2)]
    asked, failed = run(systems, [["warm?"], ["1?"], ["2?"], ["3?"]], lambda *_: None)
    assert "".join(calls) == "abc" + "bca" + "ab" + "ab"
    assert (failed, [*asked]) == ({"c": "why"}, ["a", "b"])
    assert times(asked["b"], asked["a"])["ratio"] == {"value": 2, "low": 1, "high": 10}
    assert times(asked["b"], asked["a"])["p50"] == 8


def test_a_connection_that_the_server_ended_between_turns_is_opened_again() -> None:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 0.2  # seconds without a question

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            body = b'{"results": [{"id": "a"}]}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        with Ours(OURS, Address("127.0.0.1", server.server_port), 10, None) as ours:
            for _ in range(3):
                assert ours.ask(["one?", "two?"]).found == [["a"], ["a"]]
                time.sleep(0.5)
        server.shutdown()


def test_each_answer_stays_with_its_question() -> None:
    asked = [Asked([1, 1], [["x"], ["y"]]), Asked([1], [["z"]])]
    assert rankings(asked, [["q1", "q2"], ["q3"]]) == {"q1": ["x"], "q2": ["y"], "q3": ["z"]}


def test_no_question_is_drawn_twice() -> None:
    batches = drawn(read_set(GATE), 3, 100)
    ids = [one.id for batch in batches for one in batch]
    assert len(ids) == len(set(ids))
    assert [len(batch) for batch in batches] == [10, 10, 10, 10]  # all forty that are answerable
    assert batches == drawn(read_set(GATE), 3, 100)
    with pytest.raises(EvalError, match="too few for 40 rounds"):
        drawn(read_set(GATE), 40, 1)


# The real ones


def test_each_peer_has_a_script_pinned_requirements_and_a_place_in_the_makefile() -> None:
    for name in PEERS:
        assert 'DISTRIBUTION = "' in (SCRIPTS / f"with_{name}.py").read_text()
        lines = (SCRIPTS / f"{name}.txt").read_text().split()
        assert all(re.fullmatch(r"[a-z-]+==[0-9.]+", line) for line in lines)
    assert f"PEERS := {' '.join(PEERS)}\n" in (ROOT / "Makefile").read_text()
