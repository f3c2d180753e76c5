"""The HTTP contract over the real application, model and index; only the socket is left out (tests/e2e has it)."""

import json
import math
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

import indexer
from indexer.collection import Collection
from indexer.encoder import Encoded, Encoder
from indexer.engines.address import Where
from indexer.lock import WriterLock
from indexer.models import DEFAULT_MODEL
from indexer.reading import Encoding
from indexer.runtimes import Batch, Output, Runtime
from service.admission import DEFAULT_LIMITS, Limits
from service.app import create_app

ADDRESS = "http://127.0.0.1:8080"  # another name would be refused
QUESTION = "Who will host the next ministerial meeting?"
SAUDI = "The Coalition welcomes Saudi Arabia’s announcement to host the next Ministerial Meeting of the Global Coalition."

START_SECONDS = 150  # a busy machine


def started(index: Where, model: str = DEFAULT_MODEL, limits: Limits = DEFAULT_LIMITS) -> Iterator[TestClient]:
    with TestClient(create_app(index, model, limits), ADDRESS, raise_server_exceptions=False) as client:
        until = time.monotonic() + START_SECONDS
        while client.get("/v1/status").json()["state"] == "starting":
            assert time.monotonic() < until, f"the server was not ready within {START_SECONDS} s"
            time.sleep(0.05)
        yield client


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    yield from started(tmp_path_factory.mktemp("index"))


def ask(client: TestClient, **request: Any) -> Any:
    response = client.post("/v1/search", json={"question": QUESTION} | request)
    assert response.status_code == 200, response.text
    return response.json()


def problem(response: Any, status: int) -> str:
    """The detail of an RFC 9457 problem of this status."""
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert (body["status"], body["type"]) == (status, "about:blank")
    assert body["title"]
    return str(body["detail"])


def test_an_empty_index_is_given_the_seeds_and_answers(client: TestClient) -> None:
    answer = ask(client)
    best = answer["results"][0]
    assert best["text"] == SAUDI
    assert best["document"]["title"] == "Small Group of the Global Coalition to Defeat Daesh"
    assert (answer["question"], answer["verdict"], answer["exact"]) == (QUESTION, "answered", True)
    assert answer["took_ms"] > 0
    assert best["evidence"] == {name: best[name] for name in ("start", "end", "text")}  # its only sentence
    words = [best["text"][match["start"] - best["start"] : match["end"] - best["start"]] for match in best["matches"]]
    assert words == ["host", "next", "Ministerial", "Meeting"]
    assert (best["also_in"], best["page"]) == ([], None)
    assert not {"signals", "terms", "ranks", "others"} & set(best)  # they come when they are asked for
    assert not {"weights", "stages"} & set(answer)


def test_a_result_is_a_slice_of_its_document(client: TestClient) -> None:
    for result in ask(client)["results"]:
        document = client.get(f"/v1/documents/{result['document']['id']}").json()
        assert document["text"][result["start"] : result["end"]] == result["text"]


def test_get_and_post_give_the_same_answer(client: TestClient) -> None:
    by_url = client.get("/v1/search", params={"q": QUESTION, "limit": 3}).json()
    assert by_url["results"] == ask(client, limit=3)["results"]
    assert len(by_url["results"]) == 3


def test_pages_do_not_overlap_and_together_are_the_whole(client: TestClient) -> None:
    whole = [one["id"] for one in ask(client, limit=6)["results"]]
    pages = [one["id"] for offset in (0, 2, 4) for one in ask(client, limit=2, offset=offset)["results"]]
    assert pages == whole
    assert len(set(whole)) == 6


@pytest.mark.parametrize("question", [QUESTION, "Iraq", "What is sourdough?", "Кто принимает гостей?", '"Saudi Arabia" -Daesh'])
def test_explained_signals_times_their_weights_give_the_score(client: TestClient, question: str) -> None:
    answer = ask(client, question=question, explain=True)
    weights = answer["weights"]
    assert answer["results"]
    for result in answer["results"]:
        assert set(result["signals"]) | {"bias"} == set(weights)
        logit = weights["bias"] + sum(weights[name] * value for name, value in result["signals"].items())
        assert result["score"] == pytest.approx(1 / (1 + math.exp(-logit)), abs=1e-6)
        assert all(rank is None or rank >= 1 for rank in result["ranks"].values())
        assert all(term["idf"] >= 0 for term in result["terms"])
    assert set(answer["stages"]) >= {"encode", "candidates", "read", "maxsim", "results"}


@pytest.mark.parametrize(
    ("operator", "step"),
    [("", "returned"), (" before:2022", "filter"), (' "nowhere said"', "phrase"), (" -Coalition", "phrase")],
)
def test_a_passage_is_explained_with_signals_that_give_its_score(client: TestClient, operator: str, step: str) -> None:
    best = ask(client, limit=1)["results"][0]
    found = client.get("/v1/explain", params={"q": QUESTION + operator, "passage": best["id"]}).json()
    logit = found["weights"]["bias"] + sum(found["weights"][name] * value for name, value in found["signals"].items())
    assert found["score"] == pytest.approx(1 / (1 + math.exp(-logit)), abs=1e-6)
    assert (found["step"], bool(found["reason"])) == (step, True)


def test_operators_are_read_from_the_question(client: TestClient) -> None:
    (only,) = ask(client, question="Which weather? “TO HOST the next”")["results"]
    assert only["text"] == SAUDI
    assert ask(client, question=f"{QUESTION} before:2022")["results"] == []
    others = ask(client, question=f"{QUESTION} -saudi")["results"]
    assert [one["id"] for one in others] == [one["id"] for one in ask(client)["results"] if "Saudi" not in one["text"]] != []


def test_min_score_and_group_are_the_same_by_url(client: TestClient) -> None:
    every = ask(client)["results"]
    for name, value in (("min_score", every[1]["score"]), ("group", "document")):
        by_url = client.get("/v1/search", params={"q": QUESTION, name: value}).json()["results"]
        assert by_url == ask(client, **{name: value})["results"]
        assert 1 <= len(by_url) < len(every)
    assert [one["id"] for one in ask(client, min_score=every[1]["score"])["results"]] == [one["id"] for one in every[:2]]


def test_a_passage_that_was_not_returned_is_explained_too(client: TestClient) -> None:
    first, second = ask(client, limit=2)["results"]
    for passage, step, rank in ((first["id"], "returned", 1), (second["id"], "rank", None)):
        found = client.get("/v1/explain", params={"q": QUESTION, "passage": passage, "limit": 1}).json()
        assert (found["step"], found["rank"], found["passage"]["id"]) == (step, rank, passage)
        assert found["ranks"]["vector"] >= 1
    assert "no passage" in problem(client.get("/v1/explain", params={"q": QUESTION, "passage": "none"}), 404)


def test_similar_passages_are_others(client: TestClient) -> None:
    best = ask(client)["results"][0]
    found = client.get(f"/v1/passages/{best['id']}/similar", params={"limit": 3}).json()["results"]
    assert len(found) == 3
    assert best["id"] not in {one["id"] for one in found}
    assert [one["similarity"] for one in found] == sorted((one["similarity"] for one in found), reverse=True)
    assert "no passage" in problem(client.get("/v1/passages/none/similar"), 404)


def test_the_same_text_in_two_documents_is_one_result_that_names_both(client: TestClient) -> None:
    text = "Quinces ripen in October."
    for name in ("orchard/a", "orchard/b"):
        client.put(f"/v1/documents/{name.replace('/', '%2F')}", json={"text": f"{text}\n\nPears too.\n\n{text}"})
    try:
        found = [one for one in ask(client, question="When do quinces ripen?")["results"] if one["text"] == text]
        assert len(found) == 1
        assert sorted([found[0]["document"]["id"], *found[0]["also_in"]]) == ["orchard/a", "orchard/b"]
        similar = client.get(f"/v1/passages/{found[0]['id']}/similar").json()["results"]
        assert text not in {one["text"] for one in similar}
        assert similar[0]["text"] == "Pears too."
    finally:
        for name in ("orchard%2Fa", "orchard%2Fb"):
            client.delete(f"/v1/documents/{name}")


def test_grouped_results_are_of_different_documents(client: TestClient) -> None:
    results = ask(client, group="document")["results"]
    assert len({one["document"]["id"] for one in results}) == len(results) == 1
    assert results[0]["others"] == 5


def test_a_passage_is_found_by_its_id_and_keeps_it(client: TestClient) -> None:
    best = ask(client)["results"][0]
    found = client.get(f"/v1/passages/{best['id']}").json()
    assert found == {name: best[name] for name in found}


def test_a_document_that_was_put_is_found_at_once_kept_verbatim_and_gone_once_deleted(client: TestClient) -> None:
    text = "  Zebras 🦓 graze.\r\n\r\nBananas are yellow when ripe.\u2028 "
    path = "/v1/documents/odd%2Fid%20%3F%23%F0%9F%98%80"
    stored = client.put(path, json={"title": "Fruit", "text": text, "date": "2022-05-03", "tags": ["a", "b"]})
    assert stored.json()["id"] == "odd/id ?#😀"
    best = ask(client, question="What colour is a banana?")["results"][0]
    assert (best["text"], best["document"]["id"], best["document"]["date"]) == (
        "Bananas are yellow when ripe.",
        "odd/id ?#😀",
        "2022-05-03",
    )
    assert best["document"]["metadata"]["tags"] == ["a", "b"]
    assert client.get(path).json()["text"] == text
    assert client.delete(path).status_code == 204
    assert "no document" in problem(client.get(path), 404)
    assert all(one["document"]["title"] != "Fruit" for one in ask(client, question="What colour is a banana?")["results"])


def test_a_filter_restricts_the_answer(client: TestClient) -> None:
    client.put(
        "/v1/documents/tagged", json={"text": "The next ministerial meeting is hosted by nobody.", "tags": ["x"], "n": 3}
    )
    try:
        for condition in ({"tags": "x"}, {"tags": ["x", "y"]}, {"n": {"gte": 3, "lt": 4}}, {"kind": {"exists": False}}):
            assert {one["document"]["id"] for one in ask(client, filter=condition)["results"]} == {"tagged"}
        assert ask(client, filter={"tags": "y"})["results"] == []
        assert len(ask(client, filter={"tags": {"not": "x"}})["results"]) == 6
    finally:
        client.delete("/v1/documents/tagged")


@pytest.mark.parametrize(
    ("request_body", "says"),
    [
        ({"question": "  \n"}, "the question is empty; ask something"),
        ({"question": "word " * 300}, "has 300 tokens and the model reads 254: ask it in fewer words"),
        ({"question": "x" * 5000}, "at most 4000 are read"),
        ({"question": "x", "limit": 0}, "limit"),
        ({"question": "x", "limit": 101}, "limit"),
        ({"question": "x", "limit": 100, "offset": 950}, "offset and limit together reach 1050; they can reach up to 1000"),
        ({"question": "x", "filter": {"a": {"like": 1}}}, "unknown operator 'like'; known are"),
        ({"question": "x", "lmit": 3}, "lmit"),
        ({"question": "x", "min_score": 1.5}, "min_score"),
        ({"question": "x", "group": "passage"}, "group"),
        ({"question": "-x"}, "-"),
        ({"question": "x before:soon"}, "before:"),
        ({"limit": 3}, "question"),
    ],
)
def test_a_question_that_cannot_be_asked_is_422_and_says_why(client: TestClient, request_body: Any, says: str) -> None:
    assert says in problem(client.post("/v1/search", json=request_body), 422)


def test_half_a_surrogate_pair_is_422(client: TestClient) -> None:
    headers = {"content-type": "application/json"}
    assert problem(client.post("/v1/search", content=b'{"question": "\\ud800"}', headers=headers), 422)
    assert problem(client.put("/v1/documents/x", content=b'{"text": "a \\udfff"}', headers=headers), 422)
    problem(client.get("/v1/documents/x"), 404)


@pytest.mark.parametrize("path", ["/v1/documents/none", "/v1/passages/none", "/v1/none", "/none"])
def test_what_is_not_there_is_404(client: TestClient, path: str) -> None:
    assert problem(client.get(path), 404)


def test_deleting_what_is_not_there_is_404_and_changes_nothing(client: TestClient) -> None:
    before = client.get("/v1/status").json()
    assert problem(client.delete("/v1/documents/none"), 404)
    assert client.get("/v1/status").json() == before


def test_a_document_without_text_is_422_and_nothing_is_stored(client: TestClient) -> None:
    before = client.get("/v1/status").json()
    for body in ({"text": " \n"}, {"title": "no text"}, {"text": 3}):
        assert problem(client.put("/v1/documents/bad", json=body), 422)
    assert client.get("/v1/status").json() == before


def test_the_seed_questions_find_their_paragraphs(client: TestClient) -> None:
    file = Path(__file__).parent.parent / "seeds" / "questions.jsonl"
    questions = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    ranks = []
    for one in (one for one in questions if one["paragraph"]):
        starts = [result["start"] for result in ask(client, question=one["text"])["results"]]
        ranks.append(starts.index(one["start"]) + 1)
    assert len(ranks) == 18
    assert sum(rank == 1 for rank in ranks) >= 16
    assert max(ranks) <= 2


@pytest.mark.parametrize("name", ["line%0Abreak", "a/b%2Fc", "%20", "q?x=1".replace("?", "%3F")])
def test_any_id_can_be_stored_read_and_deleted(client: TestClient, name: str) -> None:
    assert client.put(f"/v1/documents/{name}", json={"text": "Something.", "a": None}).status_code == 200
    assert client.get(f"/v1/documents/{name}").json()["metadata"] == {"a": None}
    assert client.delete(f"/v1/documents/{name}").status_code == 204


def test_an_id_that_is_not_utf8_is_422(client: TestClient) -> None:
    assert "not UTF-8" in problem(client.put("/v1/documents/%FF", json={"text": "Something."}), 422)


def test_a_document_that_no_answer_could_carry_is_422(client: TestClient) -> None:
    deep: Any = 1
    for _ in range(100):
        deep = [deep]
    assert "nested more than 50 deep" in problem(client.put("/v1/documents/x", json={"text": "Something.", "a": deep}), 422)
    assert "another id" in problem(client.put("/v1/documents/x", json={"text": "Something.", "_id": "y"}), 422)
    problem(client.get("/v1/documents/x"), 404)


def test_writers_that_wait_leave_threads_to_readers(client: TestClient) -> None:
    folder = Path(client.get("/v1/status").json()["index"])
    with WriterLock(folder).held(1), ThreadPoolExecutor(20) as pool:
        puts = [pool.submit(client.put, "/v1/documents/x", json={"text": "Something."}) for _ in range(20)]
        began = time.monotonic()
        assert ask(client)["results"]
        assert time.monotonic() - began < 8  # each of the few that wait does so for 10 s
        assert {one.result().status_code for one in puts} == {503}


def test_what_is_not_json_is_told_so(client: TestClient) -> None:
    assert "content-type: application/json" in problem(client.post("/v1/search", data={"question": "x"}), 415)
    headers = {"content-type": "application/json"}
    assert "not JSON" in problem(client.post("/v1/search", content=b"{", headers=headers), 422)


def test_a_wrong_method_is_405(client: TestClient) -> None:
    assert "does not take POST" in problem(client.post("/v1/status"), 405)


def test_a_write_while_another_process_holds_the_lock_is_503_and_says_who(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(client.get("/v1/status").json()["index"])
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with WriterLock(folder).held(1):
            held.set()
            done.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert held.wait(5)
        response = client.put("/v1/documents/x", json={"text": "Something."})
        assert "is writing this index" in problem(response, 503)
        assert int(response.headers["retry-after"]) > 0
        assert ask(client)["results"][0]["text"] == SAUDI  # reading goes on
    finally:
        done.set()
        holder.join()


def test_status_tells_what_is_served(client: TestClient) -> None:
    status = client.get("/v1/status").json()
    assert (status["state"], status["documents"], status["passages"], status["failures"]) == ("ready", 1, 6, 0)
    assert status["model"]["name"] == DEFAULT_MODEL
    assert status["exact"] is True


def test_health_and_pages_answer_with_strict_headers(client: TestClient) -> None:
    for path in ("/livez", "/readyz", "/", "/document"):
        response = client.get(path)
        assert response.status_code == 200
        assert response.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
        assert response.headers["referrer-policy"] == "no-referrer"


def test_a_service_that_cannot_start_lives_but_is_not_ready_and_says_why(tmp_path: Path) -> None:
    for client in started(tmp_path / "index", "somebody/not-here"):
        assert client.get("/livez").status_code == 200
        assert "passages model fetch somebody/not-here" in problem(client.get("/readyz"), 503)
        assert "passages model fetch" in problem(client.post("/v1/search", json={"question": QUESTION}), 503)
        assert client.get("/v1/status").json()["state"] == "failed"


def test_the_contract_has_examples_and_names_every_route(client: TestClient) -> None:
    api = client.get("/openapi.json").json()
    assert set(api["paths"]) == {
        "/v1/search", "/v1/search/batch", "/v1/explain", "/v1/passages/{passage_id}", "/v1/passages/{passage_id}/similar",
        "/v1/facets", "/metrics", "/v1/documents", "/v1/documents/{document_id}", "/v1/originals/{document_id}", "/v1/failures",
        "/v1/events", "/v1/status", "/livez", "/readyz", "/v1/session",
        "/v1/feedback", "/v1/feedback/about", "/v1/feedback/{judgement_id}",
    }  # fmt: skip
    assert api["components"]["schemas"]["SearchRequest"]["properties"]["question"]["examples"]


# --- many at once -------------------------------------------------------------------------------------------------


def test_a_batch_answers_each_question_as_it_is_answered_alone(client: TestClient) -> None:
    searches: list[dict[str, Any]] = [
        {"question": QUESTION, "limit": 2},
        {"question": "Which countries fight in Iraq and Syria?", "explain": True},
        {"question": "What colour is a banana?", "min_score": 0.9},
        {"question": QUESTION, "filter": {"kind": "letter"}},
    ]
    response = client.post("/v1/search/batch", json={"searches": searches})
    assert response.status_code == 200, response.text
    answers = response.json()["answers"]
    assert [answer["question"] for answer in answers] == [one["question"] for one in searches]
    for one, answer in zip(searches, answers, strict=True):
        alone = ask(client, **one)
        assert [row["id"] for row in answer["results"]] == [row["id"] for row in alone["results"]]
        assert answer["verdict"] == alone["verdict"]
    assert ("stages" in answers[1], "stages" in answers[0]) == (True, False)


def test_a_batch_that_was_asked_before_is_answered_again(client: TestClient) -> None:
    searches = [{"question": "Who asked this before?"}, {"question": "And who this?"}, {"question": "And who this?"}]
    answers = [client.post("/v1/search/batch", json={"searches": searches}) for _ in range(2)]
    assert [one.status_code for one in answers] == [200, 200]
    assert len(answers[1].json()["answers"]) == 3


def test_the_questions_of_a_batch_are_encoded_together(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    encoder = client.app.state.service.collection.encoder  # type: ignore[attr-defined]
    one: Callable[[Runtime, Batch], Output] = type(encoder.runtime).one

    def record(self: Runtime, batch: Batch) -> Output:
        sizes.append(len(batch.ids))
        return one(self, batch)

    monkeypatch.setattr(type(encoder.runtime), "one", record)
    searches = [{"question": f"Who is number {number}?"} for number in range(7)]
    assert client.post("/v1/search/batch", json={"searches": searches}).status_code == 200
    assert sizes == [8]


@pytest.mark.parametrize(
    ("searches", "said"),
    [
        ([], "searches: "),
        ([{"question": "who?"}, {"question": " "}], "searches.1: the question is empty"),
        ([{"question": "who?"}, {"question": "why?", "limit": 0}], "searches.1.limit: "),
        ([{"question": "who?"}, {"question": "word " * 400}], "searches.1: the question has 400 tokens"),
        ([{"question": "who?"}, {"question": "why?", "filter": {"date": {"around": 1}}}], "searches.1: "),
        ([{"question": "who?"}] * 65, "searches: "),
    ],
)
def test_a_batch_with_a_bad_question_is_refused_and_says_which(client: TestClient, searches: list[Any], said: str) -> None:
    assert said in problem(client.post("/v1/search/batch", json={"searches": searches}), 422)


def test_status_names_the_runtime_and_its_accuracy(client: TestClient) -> None:
    runtime = client.get("/v1/status").json()["runtime"]
    assert runtime["name"].startswith(("OpenVINO", "torch"))
    assert 0.999 <= runtime["accuracy"] <= 1


def test_metrics_count_questions_and_time_each_stage_and_hold_no_text(client: TestClient) -> None:
    def numbers() -> dict[str, float]:
        response = client.get("/metrics")
        assert response.headers["content-type"].startswith("text/plain")
        assert "banana" not in response.text
        lines = [line for line in response.text.splitlines() if not line.startswith("#")]
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}

    ask(client, question="What colour is a banana?")
    before = numbers()
    answer = ask(client, question="What colour is another banana?")
    after = numbers()
    of_verdict = f'passages_questions_total{{verdict="{answer["verdict"]}"}}'
    assert after[of_verdict] == before[of_verdict] + 1
    for stage in ("encode", "candidates", "maxsim", "results", "render"):
        count = f'passages_stage_seconds_count{{stage="{stage}"}}'
        assert after[count] == before[count] + 1
        seconds = f'passages_stage_seconds_sum{{stage="{stage}"}}'
        assert 0 < after[seconds] - before[seconds] < 5
    assert after["passages_ready"] == 1
    assert math.isnan(after["passages_recall_at_10"])  # the search is exact


@pytest.fixture
def crowded(tmp_path: Path) -> Iterator[TestClient]:
    """An application that works on one request, lets one wait, and takes a second for none."""
    yield from started(tmp_path / "index", limits=Limits(threads=1, queue=1, deadline_s=1))


def test_a_crowd_is_served_in_turn_or_told_to_come_again(crowded: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:

    def slow(collection: Collection, query: indexer.Query, encoding: Encoding) -> indexer.Answer:
        time.sleep(0.3)
        return indexer.search(collection, query, encoding)

    monkeypatch.setattr("service.searchers.search", slow)
    with ThreadPoolExecutor(8) as threads:
        responses = list(threads.map(lambda n: crowded.post("/v1/search", json={"question": f"Who is {n}?"}), range(8)))
    served = [one for one in responses if one.status_code == 200]
    assert 2 <= len(served) <= 4, "one is worked on and one waits: more are served only as far as they came later"
    for one in responses:
        if one not in served:
            assert "ask again" in problem(one, 503)
            assert int(one.headers["retry-after"]) > 0
    assert crowded.post("/v1/search", json={"question": "And now?"}).status_code == 200
    assert 'passages_turned_away_total{reason="busy"}' in crowded.get("/metrics").text


def test_a_question_that_takes_too_long_is_ended(crowded: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    encode = Encoder.question

    def slow(self: Encoder, text: str) -> Encoded:
        time.sleep(1.2)
        return encode(self, text)

    monkeypatch.setattr(Encoder, "question", slow)
    assert "ask again" in problem(crowded.post("/v1/search", json={"question": "Who is slow?"}), 503)
    assert 'passages_turned_away_total{reason="deadline"} 1.0' in crowded.get("/metrics").text


@pytest.mark.parametrize(
    "body",
    [
        r'{"text": "a\ud800b"}',
        r'{"text": "a", "title": "\udfff"}',
        r'{"text": "a", "\ud800": "b"}',
        r'{"text": "a", "x": "\ud800"}',
        r'{"text": "a", "x": {"y": ["\ud800"]}}',
        r'{"text": "a", "x": {"\ud800": 1}}',
        r'{"text": "a", "date": "\ud800"}',
        r'{"text": "a", "date": "soon"}',
        r'{"text": "a", "date": 2022}',
    ],
)
def test_what_is_no_text_or_no_date_is_refused_and_nothing_is_stored(client: TestClient, body: str) -> None:
    before = client.get("/v1/status").json()["generation"]
    assert problem(client.put("/v1/documents/half", content=body, headers={"content-type": "application/json"}), 422)
    assert client.get("/v1/documents/half").status_code == 404
    assert client.get("/v1/status").json()["generation"] == before


@pytest.mark.parametrize("body", [r'{"question": "a\ud800"}', r'{"question": "a", "filter": {"\ud800": ["\udfff"]}}'])
def test_a_question_with_half_of_a_surrogate_pair_is_refused(client: TestClient, body: str) -> None:
    assert problem(client.post("/v1/search", content=body, headers={"content-type": "application/json"}), 422)
