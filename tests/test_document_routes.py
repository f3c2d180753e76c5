"""Listing, sending and deleting documents over HTTP, and their files, over the real application, model and index."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from indexer.collection import Collection
from indexer.encoder import Encoder
from indexer.engines.milvus import collection as milvus_collection
from indexer.engines.milvus.collection import MilvusCollection
from indexer.engines.milvus.connection import Tables
from indexer.engines.milvus.state import State, read_state
from indexer.sync import Sync
from service import facet_routes, uploads
from service.events import Progress
from service.uploads import MOST_REFUSED
from tests.files import Print, docx, paragraph, pdf
from tests.milvus import emptied, milvus
from tests.test_http import ask, problem, started

FORM = {"content-type": "multipart/form-data; boundary=x"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of an archive: some of each kind, one damaged."""
    made = tmp_path_factory.mktemp("archive").resolve()
    (made / "letters").mkdir()
    (made / "letters" / "one.txt").write_text("The keeper asked for oil and wicks.", encoding="utf-8")
    (made / "letters" / "original").write_text("not a document", encoding="utf-8")
    (made / "log.pdf").write_bytes(pdf([[Print(50, 700, "Fog lay on the sound.")], [Print(50, 700, "A gale from the west.")]]))
    (made / "page.html").write_text("<title>Ferry</title><p>The ferry sails at noon.</p><script>1</script>", encoding="utf-8")
    (made / "broken.docx").write_bytes(b"PK\x03\x04 damaged")
    records = [{"_id": f"row {n}", "title": f"Übersicht {n}", "text": f"Row {n} tells of ships."} for n in range(3)]
    (made / "rows.jsonl").write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, folder: Path, encoder: Encoder) -> Iterator[TestClient]:
    index = tmp_path_factory.mktemp("indexed")
    with Collection(index, create=True, encoder=encoder) as collection:
        Sync(collection).run([folder])
    yield from started(index)


def listing(client: TestClient, **params: Any) -> Any:
    response = client.get("/v1/documents", params=params)
    assert response.status_code == 200, response.text
    return response.json()


def send(client: TestClient, *files: tuple[str, bytes], **params: str) -> Any:
    return client.post("/v1/documents", files=[("file", one) for one in files], params=params)


# --- listing ------------------------------------------------------------------------------------------------------


def test_documents_are_listed_by_id_with_where_they_come_from(client: TestClient) -> None:
    page = listing(client)
    assert [one["id"] for one in page["documents"]] == ["letters/one.txt", "log.pdf", "page.html", "row 0", "row 1", "row 2"]
    assert [one["source"] for one in page["documents"]] == ["letters", "", "", *["rows.jsonl"] * 3]
    assert (page["count"], page["next"]) == (6, None)
    letter = page["documents"][0]
    assert (letter["title"], letter["characters"], letter["passages"]) == ("one", 35, 1)
    assert (letter["media_type"], letter["date"]) == ("text/plain", None)


def test_pages_of_documents_do_not_overlap_and_together_are_all(client: TestClient) -> None:
    ids, after = [], ""
    while True:
        page = listing(client, limit=2, after=after)
        assert page["count"] == 6
        ids += [one["id"] for one in page["documents"]]
        if page["next"] is None:
            break
        after = page["next"]
    assert ids == [one["id"] for one in listing(client)["documents"]]


@pytest.mark.parametrize(
    ("match", "found"),
    [("ÜBERSICHT 1", ["row 1"]), ("one letters", ["letters/one.txt"]), ("ships", []), ("ow%", []), ("row", 3), (" ", 6)],
)
def test_words_of_title_and_id_are_matched_whatever_their_case(client: TestClient, match: str, found: Any) -> None:
    page = listing(client, match=match)
    ids = [one["id"] for one in page["documents"]]
    assert page["count"] == len(ids)
    assert found in (ids, len(ids))


def test_documents_of_a_source_are_those_that_its_facet_counts(client: TestClient) -> None:
    (facet,) = client.get("/v1/facets", params={"field": "source"}).json()["facets"]
    counts = {one["value"]: one["count"] for one in facet["values"]}
    assert counts == {"": 2, "letters": 1, "rows.jsonl": 3}
    assert {source: listing(client, source=source)["count"] for source in counts} == counts
    assert [one["id"] for one in listing(client, source="rows.jsonl", match="1")["documents"]] == ["row 1"]


def test_what_could_not_be_read_is_told_with_its_reason(client: TestClient, folder: Path) -> None:
    body = client.get("/v1/failures").json()
    (failure,) = body["failures"]
    assert (body["count"], failure["path"], failure["record"]) == (1, str(folder / "broken.docx"), "")
    assert "damaged" in failure["reason"]
    assert client.get("/v1/failures", params={"offset": 1}).json() == {"count": 1, "failures": []}


def test_status_tells_when_the_index_was_changed_last(client: TestClient) -> None:
    before = client.get("/v1/status").json()["last_commit"]
    assert before.endswith("Z")
    witness = next(Path(client.get("/v1/status").json()["index"]).glob("catalog.sqlite-latest"))
    os.utime(witness, (0, 1_600_000_000))
    assert client.get("/v1/status").json()["last_commit"] == "2020-09-13T12:26:40Z"


def test_counting_every_document_keeps_nobody_else_waiting(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts of one collection, each of other fields, by more who ask than there are threads."""
    going, counts = threading.Event(), []

    def slow(*_: object) -> tuple[()]:
        counts.append(1)
        assert going.wait(30)
        return ()

    monkeypatch.setattr(facet_routes, "counted", slow)
    with ThreadPoolExecutor(60) as threads:
        waiting = [threads.submit(client.get, "/v1/facets", params={"field": f"f{number}"}) for number in range(60)]
        try:
            until = time.monotonic() + 9  # then they give up
            while client.app.state.service.scanning.admitted < 60 and time.monotonic() < until:  # type: ignore[attr-defined]
                time.sleep(0.02)
            assert client.get("/v1/documents/log.pdf").status_code == 200
            assert ask(client, question="Where was fog?")["results"]
            assert len(counts) == 1
        finally:
            going.set()
        assert {one.result().status_code for one in waiting} <= {200, 503}


# --- originals ----------------------------------------------------------------------------------------------------


def test_a_file_is_given_as_it_was_indexed_and_whole_or_by_ranges(client: TestClient, folder: Path) -> None:
    response = client.get("/v1/originals/log.pdf")
    assert response.content == (folder / "log.pdf").read_bytes()
    assert response.headers["content-type"] == "application/pdf"
    assert response.headers["content-disposition"] == 'inline; filename="log.pdf"'
    part = client.get("/v1/originals/log.pdf", headers={"range": "bytes=0-4"})
    assert (part.status_code, part.content) == (206, b"%PDF-")
    assert client.get("/v1/originals/letters%2Fone.txt").text == "The keeper asked for oil and wicks."


def test_nothing_of_a_file_can_run_at_our_address(client: TestClient) -> None:
    for name, kind, how in (
        ("page.html", "application/octet-stream", "attachment"),
        ("letters/one.txt", "text/plain; charset=utf-8", "inline"),
    ):
        headers = client.get(f"/v1/originals/{name}").headers
        assert headers["content-type"] == kind
        assert headers["content-disposition"].startswith(how)
        assert headers.get_list("content-security-policy")[0].startswith("sandbox;")
        assert len(headers.get_list("content-security-policy")) == 1
        assert headers["x-content-type-options"] == "nosniff"


def test_a_document_tells_of_its_file_while_that_is_there(client: TestClient) -> None:
    original = client.get("/v1/documents/page.html").json()["original"]
    assert (original["name"], original["shown"]) == ("page.html", False)
    assert client.get("/v1/documents/log.pdf").json()["original"]["shown"] is True


def test_a_file_that_was_changed_or_is_gone_or_was_swapped_is_not_given(client: TestClient, folder: Path) -> None:
    file, aside = folder / "letters" / "one.txt", folder.parent / "aside"
    secret = folder.parent / "secret.txt"
    secret.write_text("The keeper asked for oil and wicks.", encoding="utf-8")
    shutil.copystat(file, secret)
    file.rename(aside)
    try:
        assert "no longer where it was indexed" in problem(client.get("/v1/originals/letters/one.txt"), 410)
        file.symlink_to(secret)
        assert "link out of the folder" in problem(client.get("/v1/originals/letters/one.txt"), 410)
        file.unlink()
        file.write_text("The keeper asked for oil, and lied.", encoding="utf-8")
        assert "was changed since it was indexed" in problem(client.get("/v1/originals/letters/one.txt"), 410)
        assert client.get("/v1/documents/letters/one.txt").json()["original"] is None
    finally:
        aside.replace(file)


def test_what_came_from_no_file_has_no_original(client: TestClient) -> None:
    client.put("/v1/documents/note%2Foriginal", json={"text": "A note on herring."}).raise_for_status()
    assert client.get("/v1/documents/note/original").json()["text"] == "A note on herring."  # an id may end so
    assert "did not come from a file" in problem(client.get("/v1/originals/note%2Foriginal"), 404)
    assert "there is no document 'nix'" in problem(client.get("/v1/originals/nix"), 404)
    client.delete("/v1/documents/note/original").raise_for_status()


@pytest.mark.parametrize(
    "path", ["/", "/collection", "/v1/status", "/v1/documents", "/v1/documents/log.pdf", "/v1/events", "/v1/search?q=fog"]
)
def test_head_is_answered_where_get_is(client: TestClient, path: str) -> None:
    assert client.head(path).status_code == 200


def test_head_of_a_file_tells_its_size_alone(client: TestClient, folder: Path) -> None:
    response = client.head("/v1/originals/log.pdf")
    assert int(response.headers["content-length"]) == (folder / "log.pdf").stat().st_size
    assert response.content == b""
    assert "does not take HEAD" in problem(client.get("/v1/search/batch"), 405).replace("GET", "HEAD")


# --- sending ------------------------------------------------------------------------------------------------------


def test_files_of_any_format_are_stored_and_found(client: TestClient) -> None:
    body = send(
        client,
        ("whale.docx", docx(paragraph("The whale bone lies in the church."))),
        ("ebb.pdf", pdf([[Print(50, 700, "The ebb was at four o'clock.")]])),
        ("tide.md", "# Ebbe 🌊\n\nThe tide mill turned twice a day.".encode()),
        ("more.jsonl", b'{"id": "m1", "text": "A seal was seen."}\nnot json'),
    ).json()
    stored = {one["id"]: one["state"] for one in body["documents"]}
    assert stored == dict.fromkeys(("whale.docx", "ebb.pdf", "tide.md", "m1"), "added")
    (refused,) = body["failed"]
    assert (refused["name"], refused["record"]) == ("more.jsonl", "line 2")
    best = ask(client, question="Where does the whale bone lie?")["results"][0]
    assert (best["document"]["id"], best["document"]["uri"]) == ("whale.docx", None)
    assert client.get("/v1/documents/tide.md").json()["title"] == "Ebbe 🌊"
    assert client.get("/v1/documents/ebb.pdf").json()["pages"] == [0]
    for name in stored:
        client.delete(f"/v1/documents/{name}").raise_for_status()
    assert not [*Path(client.get("/v1/status").json()["index"]).glob(".upload-*")]


def test_a_file_that_fails_is_told_and_the_rest_is_stored(client: TestClient) -> None:
    body = send(
        client, ("bad.pdf", b"%PDF-1.4 cut off"), ("good.txt", b"A good text."), ("x.exe", b"MZ"), ("../up.txt", b"Up.")
    ).json()
    assert [one["id"] for one in body["documents"]] == ["good.txt"]
    reasons = {one["name"]: one["reason"] for one in body["failed"]}
    assert set(reasons) == {"bad.pdf", "x.exe", "../up.txt"}
    assert "no format that can be read" in reasons["x.exe"]
    assert "without its folder" in reasons["../up.txt"]
    client.delete("/v1/documents/good.txt").raise_for_status()


def test_when_nothing_can_be_stored_the_answer_is_422_with_every_reason(client: TestClient) -> None:
    before = listing(client)["generation"]
    detail = problem(send(client, ("bad.pdf", b"%PDF-1.4 cut off"), ("x.exe", b"MZ")), 422)
    assert "bad.pdf: " in detail
    assert "x.exe: has a suffix" in detail
    assert listing(client)["generation"] == before


def test_an_upload_at_which_the_server_fails_is_told_to_have_ended(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Progress] = []
    monkeypatch.setattr(client.app.state.service.events, "progress", told.append)  # type: ignore[attr-defined]
    monkeypatch.setattr(uploads, "read_documents", lambda *_, **__: 1 / 0)
    assert send(client, ("a.txt", b"A.")).status_code == 500
    assert (told[-1].state, told[-1].detail) == ("failed", "the server failed; its log says why")


def test_a_file_of_the_same_name_replaces_and_the_same_file_changes_nothing(client: TestClient) -> None:
    states = [
        send(client, ("net.txt", text)).json()["documents"][0]["state"]
        for text in (b"The net was torn.", b"The net was torn.", b"The net was mended.")
    ]
    assert states == ["added", "unchanged", "replaced"]
    assert client.get("/v1/documents/net.txt").json()["text"] == "The net was mended."
    client.delete("/v1/documents/net.txt").raise_for_status()


def test_a_sidecar_that_is_sent_along_describes_its_file(client: TestClient) -> None:
    body = send(client, ("s.txt.meta.json", b'{"title": "Salt", "date": "1650"}'), ("s.txt", b"Salt was dear.")).json()
    assert ([one["id"] for one in body["documents"]], body["failed"]) == (["s.txt"], [])
    found = client.get("/v1/documents/s.txt").json()
    assert (found["title"], found["date"]) == ("Salt", "1650")
    client.delete("/v1/documents/s.txt").raise_for_status()


@pytest.mark.parametrize("wrapped", ["one", "list", "documents"])
def test_records_are_stored_as_json(client: TestClient, wrapped: str) -> None:
    record = {"id": "r/1", "text": "A record of herring.", "title": "Herring"}
    body = {"one": record, "list": [record], "documents": {"documents": [record]}}[wrapped]
    stored = client.post("/v1/documents", json=body).json()
    assert stored["documents"] == [{"id": "r/1", "passages": 1, "state": "added"}]
    assert listing(client, match="herring")["count"] == 1
    client.delete("/v1/documents/r/1").raise_for_status()


def test_records_that_fail_are_told_and_the_rest_is_stored(client: TestClient) -> None:
    records = [
        {"id": "a", "text": "Eel."},
        {"id": "a", "text": "Cod."},
        {"text": "x"},
        3,
        {"id": "d", "text": "x", "date": "soon"},
    ]
    body = client.post("/v1/documents", json=records).json()
    assert [one["id"] for one in body["documents"]] == ["a"]
    assert [one["record"] for one in body["failed"]] == ["record 2", "record 3", "record 4", "record 5"]
    assert "is no date" in body["failed"][3]["reason"]
    client.delete("/v1/documents/a").raise_for_status()


def test_of_very_many_that_fail_the_first_are_told_and_how_many_more(client: TestClient) -> None:
    lines = b'{"id": "only", "text": "Cod."}\n' + b"0\n" * (MOST_REFUSED + 5)
    sent = [
        send(client, ("rows.jsonl", lines)),
        client.post("/v1/documents", json=[{"id": "only", "text": "Cod."}, *[0] * 1005]),
    ]
    for response in sent:
        body = response.json()
        assert [one["id"] for one in body["documents"]] == ["only"]
        assert len(body["failed"]) == MOST_REFUSED + 1
        assert body["failed"][-2]["record"] != ""
        assert body["failed"][-1]["reason"].startswith("5 more could not be read")
    client.delete("/v1/documents/only").raise_for_status()


@pytest.mark.parametrize(
    ("content", "headers", "status", "words"),
    [
        (b"[]", {"content-type": "application/json"}, 422, "nothing to store"),
        (b"{", {"content-type": "application/json"}, 422, "not JSON"),
        (b'"\xff"', {"content-type": "application/json"}, 422, "not UTF-8"),
        (b"[" * 100_000, {"content-type": "application/json"}, 422, "nested too deeply"),
        (b"--x\r\n\r\n", FORM, 422, "the form cannot be read"),
        (b"--x--\r\n", FORM, 422, "nothing to store"),
        (b"a=1", {"content-type": "application/x-www-form-urlencoded"}, 415, "application/json"),
    ],
)
def test_what_cannot_be_read_says_what_to_send(
    client: TestClient, content: bytes, headers: dict[str, str], status: int, words: str
) -> None:
    assert words in problem(client.post("/v1/documents", content=content, headers=headers), status)


def test_files_are_taken_at_one_route_alone(client: TestClient) -> None:
    assert problem(client.put("/v1/documents/x", content=b"--x--", headers=FORM), 415)
    assert problem(client.post("/v1/search", content=b"--x--", headers=FORM), 415)


def test_files_larger_than_a_body_may_be_are_refused_with_the_bound(client: TestClient) -> None:
    detail = problem(send(client, ("large.txt", b"x" * (16 << 20))), 413)
    assert "16777216 bytes (PASSAGES_MAX_BODY_BYTES)" in detail


def test_the_session_tells_what_may_be_done(client: TestClient) -> None:
    said = client.get("/v1/session").json()
    assert (said["scope"], said["key"], said["max_body_bytes"]) == ("write", None, 16 << 20)
    assert {".pdf", ".docx", ".jsonl"} <= set(said["formats"])


def test_over_a_server_the_generation_is_that_of_one_s_own_commit_however_late_others_see_it(
    tmp_path: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with milvus(tmp_path / "milvus") as server:
        emptied(server, "late", encoder).close()
        for client in started(replace(server.address("late"), consistency="Bounded")):
            client.put("/v1/documents/a", json={"text": "An otter sleeps."}).raise_for_status()
            with closing(MilvusCollection(server.address("late"), "")) as engine:
                before = read_state(Tables(engine._connection))

            def late(tables: Tables, before: State = before) -> State:
                """What a server may answer within its bound; the small one is never late."""
                return before if tables._consistency == "Bounded" else read_state(tables)

            monkeypatch.setattr(milvus_collection, "read_state", late)
            put = client.put("/v1/documents/b", json={"text": "A heron stands."}).json()
            records = client.post("/v1/documents", json=[{"id": "c", "text": "A stork flies."}]).json()
            files = send(client, ("d.txt", b"A vole digs."), ("e.exe", b"MZ")).json()
            again = send(client, ("d.txt", b"A vole digs.")).json()
            assert before.generation < put["generation"] < records["generation"] < files["generation"]
            assert (again["generation"], again["documents"][0]["state"]) == (files["generation"], "unchanged")
