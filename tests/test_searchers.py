"""Child processes that search: the same answers, whatever becomes of a child, and none that outlives its server."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from indexer.candidates import DeadlineError
from indexer.collection import Collection
from indexer.documents import Document
from indexer.ingest import put
from indexer.models import ModelError
from indexer.reading import Encoding
from indexer.search import Query, encoded, search
from service.rendering import Rendered
from service.searchers import SearcherError, Searchers, _Child
from tests.servers import ended, is_running

TEXTS = ("The harbour was built in 1904 by the navy.", "Cherries are red when they are ripe.", "Whales breathe air.")
ROOT = Path(__file__).parent.parent


@pytest.fixture
def filled(collection: Collection) -> Collection:
    for number, text in enumerate(TEXTS):
        put(collection, Document(f"d{number}", "", text))
    return collection


@pytest.fixture
def searchers(filled: Collection) -> Iterator[Searchers]:
    with Running(filled, 2) as running:
        yield running


class Running(Searchers):
    """Searchers that are started, and stopped in the end."""

    def __enter__(self) -> Searchers:
        self.start()
        self.wait()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()


def ask(searchers: Searchers, collection: Collection, question: str, **how: object) -> Rendered:
    query = Query(question, **how)  # type: ignore[arg-type]
    return searchers.ask(query, encoded(collection, query))


def pids(searchers: Searchers) -> set[int]:
    return {child._process.pid for child in searchers._every}


@pytest.mark.parametrize("how", [{}, {"limit": 1}, {"explain": True}, {"min_score": 0.99}, {"filter": {"id": "d1"}}])
def test_a_child_answers_as_the_caller_s_own_process_does(
    searchers: Searchers, filled: Collection, how: dict[str, object]
) -> None:
    theirs = ask(searchers, filled, "When was the harbour built?", **how)
    own = ask(Searchers(filled, 0), filled, "When was the harbour built?", **how)
    took = ("took_ms", "stages")
    assert {name: value for name, value in json.loads(theirs.body).items() if name not in took} == {
        name: value for name, value in json.loads(own.body).items() if name not in took
    }
    assert (theirs.verdict, theirs.exact, set(theirs.stages)) == (own.verdict, own.exact, set(own.stages))
    assert theirs.seconds >= theirs.stages["encode"] > 0


def test_children_see_what_was_written_meanwhile(searchers: Searchers, filled: Collection) -> None:
    ask(searchers, filled, "Who painted the ceiling?")
    put(filled, Document("new", "", "Michelangelo painted the ceiling."))
    for _ in range(4):
        body = json.loads(ask(searchers, filled, "Who painted the ceiling?").body)
        assert body["results"][0]["document"]["id"] == "new"


def test_questions_go_to_children_that_are_idle(searchers: Searchers, filled: Collection) -> None:
    queries = [Query(f"Who is number {number}?") for number in range(12)]
    encodings = [encoded(filled, query) for query in queries]
    bodies = [json.loads(one.body)["question"] for one in searchers.ask_all(queries, encodings)]
    assert bodies == [query.question for query in queries]
    with ThreadPoolExecutor(6) as threads:
        assert [json.loads(one.body)["question"] for one in threads.map(searchers.ask, queries, encodings)] == bodies


def test_a_child_that_was_killed_is_replaced_and_its_question_answered(searchers: Searchers, filled: Collection) -> None:
    before = pids(searchers)
    for pid in before:
        os.kill(pid, signal.SIGKILL)
        assert ended(pid)
    query = Query("What is red?")
    children = [searchers._idle.get() for _ in before]
    for child in children:  # so that both are asked
        searchers._idle.put(child)
        assert searchers.ask(query, encoded(filled, query)).verdict
        searchers._idle.get()
    for child in searchers._every:
        searchers._idle.put(child)
    assert len(pids(searchers)) == 2
    assert not before & pids(searchers)


def test_a_question_that_ends_every_child_is_an_error_and_the_next_is_answered(
    filled: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Running(filled, 1) as searchers:
        asked = _Child.ask

        def die(self: _Child, request: object, until: float | None = None) -> Rendered:
            os.kill(self._process.pid, signal.SIGKILL)
            assert ended(self._process.pid)
            return asked(self, request, until)  # type: ignore[arg-type]

        monkeypatch.setattr(_Child, "ask", die)
        with pytest.raises(SearcherError, match="ask again"):
            ask(searchers, filled, "Who?")
        monkeypatch.undo()
        assert ask(searchers, filled, "What is red?").verdict


def test_a_question_that_is_asked_again_has_the_time_that_is_left_then(
    filled: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Running(filled, 1) as searchers:
        asked, given = _Child.ask, list[float]()

        def die_late(self: _Child, request: tuple[Query, Encoding], until: float | None = None) -> Rendered:
            given.append(request[0].timeout_s or 0)
            if len(given) == 1:
                time.sleep(0.5)
                os.kill(self._process.pid, signal.SIGKILL)
                assert ended(self._process.pid)
            return asked(self, request, until)

        monkeypatch.setattr(_Child, "ask", die_late)
        query = Query("What is red?")
        assert searchers.ask(query, encoded(filled, query), time.monotonic() + 60).verdict
        first, second = given
        assert second <= first - 0.5


def test_an_error_in_a_child_is_raised_here_and_the_child_goes_on(
    searchers: Searchers, filled: Collection, caplog: pytest.LogCaptureFixture
) -> None:
    before = pids(searchers)
    query = Query("What is red?")
    foreign = encoded(filled, query)
    foreign = foreign._replace(contract=replace(foreign.contract, weights="others"))
    with pytest.raises(ModelError, match="another model"):
        searchers.ask(query, foreign)
    with pytest.raises(DeadlineError):
        searchers.ask(Query("What is red?", timeout_s=1e-9), encoded(filled, query))
    assert ask(searchers, filled, "What is red?").verdict
    assert pids(searchers) == before


def test_who_finds_no_child_idle_in_time_is_told_so(filled: Collection) -> None:
    with Running(filled, 1) as searchers:
        child = searchers._idle.get()
        query = Query("What is red?")
        encoding = encoded(filled, query)
        with pytest.raises(DeadlineError, match="no process was free"):
            searchers.ask(query, encoding, time.monotonic() + 0.05)
        with pytest.raises(DeadlineError, match="no time is left"):
            searchers.ask(query, encoding, time.monotonic() - 1)
        searchers._idle.put(child)
        assert searchers.ask(query, encoding, time.monotonic() + 10).verdict


def test_a_child_that_hangs_is_ended_when_its_time_is_over(filled: Collection) -> None:
    with Running(filled, 1) as searchers:
        (hanging,) = pids(searchers)
        query = Query("What is red?")
        encoding = encoded(filled, query)
        os.kill(hanging, signal.SIGSTOP)
        began = time.monotonic()
        with pytest.raises(DeadlineError, match="took too long"):
            searchers.ask(query, encoding, began + 0.3)
        assert time.monotonic() - began < 5
        assert ended(hanging)
        assert searchers.ask(query, encoding, time.monotonic() + 30).verdict


def test_the_end_does_not_wait_for_a_child_that_hangs(filled: Collection) -> None:
    with Running(filled, 1) as searchers:
        (hanging,) = pids(searchers)
        os.kill(hanging, signal.SIGSTOP)
        query = Query("What is red?")
        with ThreadPoolExecutor(1) as threads:
            asked = threads.submit(searchers.ask, query, encoded(filled, query))
            time.sleep(0.1)
            searchers.stop()
            with pytest.raises(SearcherError):
                asked.result(20)
    assert ended(hanging)


def test_several_questions_share_one_time(filled: Collection) -> None:
    with Running(filled, 1) as searchers:
        queries = [Query(f"Who is {number}?") for number in range(40)]
        encodings = [encoded(filled, query) for query in queries]
        with pytest.raises(DeadlineError):
            searchers.ask_all(queries, encodings, time.monotonic() + 0.02)


def test_others_take_the_children_s_place_when_files_were_mended(searchers: Searchers, filled: Collection) -> None:
    before = pids(searchers)
    searchers.renew()
    assert not before & pids(searchers)
    assert ask(searchers, filled, "What is red?").verdict


def test_children_that_cannot_start_leave_the_others_at_work_and_nothing_behind(
    searchers: Searchers, filled: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, started = pids(searchers), list[_Child]()
    start = searchers._child

    def second_fails() -> _Child:
        if started:
            raise OSError(errno.EAGAIN, "no more processes")
        started.append(start())
        return started[0]

    monkeypatch.setattr(searchers, "_child", second_fails)
    with pytest.raises(OSError, match="no more processes"):
        searchers.renew()
    assert pids(searchers) == before
    assert ended(started[0]._process.pid)
    assert ask(searchers, filled, "What is red?").verdict


def test_nothing_of_the_working_folder_is_imported(filled: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("queue.py", "service.py", "sitecustomize.py"):
        (tmp_path / name).write_text(f"open('imported', 'a').write('{name}')")
    monkeypatch.chdir(tmp_path)
    with Running(filled, 1) as searchers:
        assert ask(searchers, filled, "What is red?").verdict
    assert not (tmp_path / "imported").exists()


def test_the_end_ends_the_children(filled: Collection) -> None:
    with Running(filled, 2) as searchers:
        running = pids(searchers)
        assert all(map(is_running, running))
    assert all(map(ended, running))
    assert search(filled, Query("What is red?")).results


def test_children_end_when_their_server_is_killed(filled: Collection) -> None:
    code = (
        "import sys, time; from pathlib import Path; from indexer.collection import Collection; "
        "from service.searchers import Searchers; s = Searchers(Collection(Path(sys.argv[1])), 2); s.start(); s.wait(); "
        "print(*[child._process.pid for child in s._every], flush=True); time.sleep(60)"
    )
    server = subprocess.Popen([sys.executable, "-c", code, str(filled.folder)], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert server.stdout is not None
    children = [int(pid) for pid in server.stdout.readline().split()]
    assert len(children) == 2
    server.kill()
    server.wait()
    server.stdout.close()
    assert all(map(ended, children))
