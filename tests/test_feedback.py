"""``/v1/feedback`` over the real application and model, who may use it, and ``passages feedback``."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from eval.answers import read_answers
from eval.corpus import check, text_lengths
from eval.sets import read_set
from indexer import Judgements, JudgementsError, PassagesError, judgementfile
from indexer.judgementfile import JUDGEMENTS_FILE
from service.admission import DEFAULT_LIMITS
from service.cli import app
from service.door import Door
from tests.test_access import SITE, Guarded, client_of
from tests.test_cli import passages
from tests.test_http import QUESTION, SAUDI, ask, problem, started

NOTHING = {"question": "Who won the cup?", "passage": None, "verdict": "nothing"}


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("feedback") / "index"


@pytest.fixture(scope="module")
def served(index: Path) -> Iterator[TestClient]:
    yield from started(index)


@pytest.fixture
def client(served: TestClient) -> TestClient:
    """Nothing is judged yet."""
    assert served.delete("/v1/feedback").status_code == 204
    return served


def say(client: TestClient, **request: Any) -> Any:
    best = ask(client)["results"][0]["id"]
    response = client.post("/v1/feedback", json={"question": QUESTION, "passage": best, "verdict": "answers"} | request)
    assert response.status_code == 200, response.text
    return response.json()


def test_a_judged_question_is_kept_with_the_passage_and_the_sentence_that_was_marked(client: TestClient) -> None:
    best = ask(client)["results"][0]
    said = say(client, filter={"kind": "media note"})
    assert (said["question"], said["verdict"], said["filter"]) == (QUESTION, "answers", {"kind": "media note"})
    assert {name: said["passage"][name] for name in ("id", "start", "end", "text", "evidence")} == {
        name: best[name] for name in ("id", "start", "end", "text", "evidence")
    }
    assert (said["passage"]["document"], said["passage"]["text"]) == ("daesh-small-group.txt", SAUDI)
    assert client.get("/v1/feedback").json() == {"judgements": [said], "total": 1, "damaged": 0}


def test_asking_stores_nothing(client: TestClient, index: Path) -> None:
    ask(client)
    client.post("/v1/feedback/about", json={"question": QUESTION})
    assert Judgements(index).read().judgements == []


def test_what_was_said_of_one_question_is_told_to_who_asks_it(client: TestClient) -> None:
    said = say(client)
    client.post("/v1/feedback", json=NOTHING)
    about = client.post("/v1/feedback/about", json={"question": f" {QUESTION}"}).json()
    assert (about["judgements"], about["total"]) == ([said], 1)
    assert client.post("/v1/feedback/about", json={"question": QUESTION, "filter": {"a": "b"}}).json()["total"] == 0


def test_pages_are_the_latest_first_and_one_or_all_can_be_deleted(client: TestClient) -> None:
    first, last = say(client), client.post("/v1/feedback", json=NOTHING).json()
    page = client.get("/v1/feedback", params={"limit": 1}).json()
    assert (page["judgements"], page["total"]) == ([last], 2)
    assert client.get("/v1/feedback", params={"offset": 1}).json()["judgements"] == [first]
    assert client.delete(f"/v1/feedback/{last['id']}").status_code == 204
    assert "deleted already" in problem(client.delete(f"/v1/feedback/{last['id']}"), 404)
    assert client.delete("/v1/feedback").status_code == 204
    assert client.get("/v1/feedback").json()["total"] == 0


def test_an_address_without_an_id_forgets_nothing(client: TestClient) -> None:
    """Least of all by a redirection to where all are forgotten, which many clients follow."""
    say(client)
    assert "there is no judgement ''" in problem(client.delete("/v1/feedback/", follow_redirects=True), 404)
    assert client.get("/v1/feedback").json()["total"] == 1


@pytest.mark.parametrize(
    ("change", "status", "says"),
    [
        ({"passage": "none"}, 404, "search again"),
        ({"passage": None}, 422, "need a passage's id"),
        ({"verdict": "nothing"}, 422, "need a passage's id"),
        ({"verdict": "perhaps"}, 422, "verdict"),
        ({"question": " "}, 422, "the question is empty"),
        ({"question": "x" * 5000}, 422, "at most 4000"),
        ({"question": "\ud800"}, 422, "surrogate"),
        ({"filter": {"a": {"between": 1}}}, 422, "between"),
        ({"filter": {"a": "x" * 5000}}, 422, "longer than 4000"),
        ({"filter": {"a": float("nan")}}, 422, "not JSON compliant"),
        ({"stars": 5}, 422, "stars"),
    ],
)
def test_what_cannot_be_judged_is_refused_and_nothing_is_stored(
    client: TestClient, change: dict[str, Any], status: int, says: str
) -> None:
    best = ask(client)["results"][0]["id"]
    body = {"question": QUESTION, "passage": best, "verdict": "answers"} | change
    content = json.dumps(body)
    response = client.post("/v1/feedback", content=content, headers={"content-type": "application/json"})
    assert says in problem(response, status)
    assert client.get("/v1/feedback").json()["total"] == 0


def test_a_full_store_says_how_to_make_room(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judgementfile, "MAX_JUDGEMENTS", 1)
    say(client)
    assert "passages feedback export" in problem(client.post("/v1/feedback", json=NOTHING), 507)
    assert client.get("/v1/feedback").json()["total"] == 1


def test_judgements_that_wait_for_the_file_keep_no_question_waiting(client: TestClient, index: Path) -> None:
    """As many as there are threads for questions, while another process writes the file."""
    say(client)
    with ThreadPoolExecutor(2 * DEFAULT_LIMITS.threads) as threads, closing(sqlite3.connect(index / JUDGEMENTS_FILE)) as other:
        other.execute("BEGIN IMMEDIATE")
        waiting = [threads.submit(client.post, "/v1/feedback", json=NOTHING) for _ in range(DEFAULT_LIMITS.threads)]
        waiting += [threads.submit(client.delete, "/v1/feedback/none") for _ in range(DEFAULT_LIMITS.threads)]
        until = time.monotonic() + 9  # then the first gives up
        while client.app.state.service.judging.admitted < len(waiting) and time.monotonic() < until:  # type: ignore[attr-defined]
            time.sleep(0.02)
        assert ask(client)["results"][0]["text"] == SAUDI
        assert not any(one.done() for one in waiting)
        other.rollback()
        assert {one.result().status_code for one in waiting} == {200, 404}


def test_a_damaged_store_is_told_and_searching_goes_on(client: TestClient, index: Path) -> None:
    (index / JUDGEMENTS_FILE).write_bytes(b"nonsense" * 1000)
    assert "searching needs none of it" in problem(client.get("/v1/feedback"), 503)
    assert ask(client)["results"][0]["text"] == SAUDI


def test_a_judgement_outlasts_the_passages_id(client: TestClient) -> None:
    put = {"text": "The archive keeps reports for ten years. Letters are kept for ever."}
    client.put("/v1/documents/rules", json=put)
    question = "How long does the archive keep reports?"
    said = say(client, question=question, passage=ask(client, question=question)["results"][0]["id"])
    client.put("/v1/documents/rules", json={"text": put["text"].replace("ever", "good")})
    assert client.get(f"/v1/passages/{said['passage']['id']}").status_code == 404
    assert client.get("/v1/feedback").json()["judgements"] == [said]
    client.delete("/v1/documents/rules")


# --- who may ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def guarded(tmp_path: Path) -> Guarded:
    return Guarded(tmp_path)


def test_who_asks_may_judge_and_take_back_but_only_who_writes_sees_or_deletes_what_all_asked(guarded: Guarded) -> None:
    for key, others in ((guarded.read, 403), (guarded.write, 200)):
        assert guarded.status("POST", "/v1/feedback", key) == 422  # let in; the body of a search is no judgement
        assert guarded.status("POST", "/v1/feedback/about", key) == 200
        assert guarded.status("DELETE", "/v1/feedback/none", key) == 404
        assert guarded.status("GET", "/v1/feedback", key) == others
        assert guarded.status("DELETE", "/v1/feedback", key) == (others if others != 200 else 204)
    for method, path in (("POST", "/v1/feedback"), ("GET", "/v1/feedback"), ("DELETE", "/v1/feedback/none")):
        assert guarded.status(method, path) == 401


def test_a_key_that_anybody_can_see_judges_nothing(guarded: Guarded) -> None:
    for method, path in (("POST", "/v1/feedback"), ("POST", "/v1/feedback/about"), ("DELETE", "/v1/feedback/none")):
        assert guarded.status(method, path, guarded.embedded, origin=SITE) == 403


def test_another_site_cannot_judge_in_a_visitors_name(tmp_path: Path, guarded: Guarded) -> None:
    client = client_of(tmp_path, Door())
    assert client.post("/v1/feedback", json=NOTHING, headers={"origin": SITE}).status_code == 403


# --- the command line ---------------------------------------------------------------------------------------------------


def run(*arguments: str | Path) -> str:
    """What ``passages feedback`` says. Raises what it ends with."""
    done = CliRunner().invoke(app, ["feedback", *map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture
def two(client: TestClient, index: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A question that a passage answers, and one that nothing does."""
    monkeypatch.setenv("PASSAGES_INDEX", str(index))
    return [say(client), client.post("/v1/feedback", json=NOTHING).json()]


def test_what_was_judged_is_listed_and_deleted_by_command(two: list[Any]) -> None:
    listed = run("list")
    assert "Who won the cup?\n    nothing answers" in listed
    assert f"answered by daesh-small-group.txt: {SAUDI[:100]}…" in listed
    assert json.loads(run("list", "--json"))["judgements"] == two[::-1]
    with pytest.raises(JudgementsError, match="there is no judgement x: passages feedback list"):
        run("delete", "x")
    assert run("delete", two[0]["id"]) == "1 deleted\n"
    assert run("delete", "--all") == "1 deleted\n"
    assert "no question was judged yet" in run("list")


def test_a_question_cannot_steer_the_terminal_of_who_lists_it(
    client: TestClient, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASSAGES_INDEX", str(index))
    client.post("/v1/feedback", json=NOTHING | {"question": "Who\x1b]0;won\x07\nthe \x9bcup?"}).raise_for_status()
    (first, second) = run("list").splitlines()
    assert first.endswith("Who␛]0;won␇ the \ufffdcup?")
    assert second == "    nothing answers"


@pytest.mark.parametrize("text", [r'"half \ud800"', "[" * 100_000])
def test_what_could_never_be_sent_is_not_imported(two: list[Any], client: TestClient, tmp_path: Path, text: str) -> None:
    file = tmp_path / "odd.jsonl"
    file.write_text(json.dumps(two[1]).replace(json.dumps(NOTHING["question"]), text), encoding="utf-8")
    with pytest.raises(JudgementsError, match="nothing was added"):
        run("import", file)
    assert client.get("/v1/feedback").json()["total"] == 2


def test_an_export_is_a_judged_set_that_the_evaluation_reads(two: list[Any], tmp_path: Path) -> None:
    folder = tmp_path / "judged"
    assert run("export", folder) == f"{folder}: 2 questions, 1 judged passages\n"
    judged = read_set(folder)
    assert [one.text for one in judged.answerable] == [QUESTION]
    assert {one.text: one.kind for one in judged.questions} == {QUESTION: None, "Who won the cup?": "nothing"}
    check(judged, text_lengths(folder / "corpus.jsonl"))  # every judged passage lies in its document
    (spans,) = read_answers(judged, []).values()
    passage = two[0]["passage"]
    assert [tuple(one) for one in spans] == [("daesh-small-group.txt", passage["start"], passage["end"])]
    with pytest.raises(JudgementsError, match="holds something already: name another"):
        run("export", folder)
    run("export", folder, "--force")


def test_what_was_exported_is_imported_whole(client: TestClient, two: list[Any], tmp_path: Path) -> None:
    folder, file = tmp_path / "judged", tmp_path / "export.json"
    run("export", folder)
    file.write_bytes(client.get("/v1/feedback").content)  # what the page's export gives
    for source in (folder, folder / "judgements.jsonl", file):
        run("delete", "--all")
        assert run("import", source) == "2 read, 2 of them new\n"
        assert run("import", source) == "2 read, 0 of them new\n"
        assert client.get("/v1/feedback").json()["judgements"] == two[::-1]

    half = tmp_path / "half.jsonl"
    half.write_text(f'{json.dumps(two[0])}\n{{"question": "Half"}}\n', encoding="utf-8")
    run("delete", "--all")
    with pytest.raises(JudgementsError, match="nothing was added"):
        run("import", half)
    assert client.get("/v1/feedback").json()["total"] == 0
    with pytest.raises(PassagesError, match="there is no index in"):
        run("import", folder, "--index", tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_the_seeds_are_measured_on_judged_questions_by_command_without_the_optional_packages(
    two: list[Any], index: Path, tmp_path: Path
) -> None:
    """A plain install has neither ir-measures nor scipy."""
    for name in ("ir_measures", "scipy"):
        (tmp_path / f"{name}.py").write_text("raise ImportError(__name__)\n", encoding="utf-8")
    path = os.pathsep.join([str(tmp_path), os.environ["PYTHONPATH"]])
    done = passages("eval", "--json", "--index", str(index), cwd=tmp_path, PYTHONPATH=path)
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["questions"] == {"answerable": 1, "unanswerable": 1, "gone": 0}
    values = {name: (one["value"], one["questions"]) for name, one in record["measures"].items()}
    assert values == {
        "success@1": (1, 1), "nDCG@10": (1, 1), "evidence": (1, 1), "false_reject": (0, 1), "false_accept": (0, 1)
    }  # fmt: skip
    assert record["measures"]["success@1"]["low"] < 0.3  # one question says next to nothing
    by_text = {one["question"]: one for one in record["per_question"]}
    assert by_text[QUESTION]["first"]["text"] == SAUDI
    assert (by_text[NOTHING["question"]]["answerable"], by_text[NOTHING["question"]]["verdict"]) == (False, "nothing")
