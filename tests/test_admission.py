import threading
import time
from collections.abc import Callable
from functools import partial

import anyio
import pytest

from indexer.candidates import DeadlineError
from service.admission import Admission, BusyError, Limits


async def together(admission: Admission, work: Callable[[float], object], times: int) -> list[object]:
    """What each of several requests gets; errors are results."""
    found: list[object] = []

    async def one() -> None:
        try:
            found.append(await admission.run(work))
        except (BusyError, DeadlineError) as error:
            found.append(type(error))

    async with anyio.create_task_group() as group:
        for _ in range(times):
            group.start_soon(one)
    return found


def test_work_is_done_in_threads_as_many_at_once_as_may() -> None:
    working: list[int] = []
    most: list[int] = []
    lock = threading.Lock()

    def work(_: float) -> int:
        with lock:
            working.append(threading.get_ident())
            most.append(len(working))
        time.sleep(0.02)
        with lock:
            working.remove(threading.get_ident())
        return threading.get_ident()

    found = anyio.run(partial(together, Admission(Limits(threads=3)), work, 12))
    assert len(found) == 12
    assert threading.get_ident() not in found
    assert max(most) == 3


def test_beyond_the_queue_requests_are_turned_away_at_once_and_later_ones_are_served() -> None:
    admission = Admission(Limits(threads=1, queue=2))
    go = threading.Event()
    threading.Timer(0.2, go.set).start()
    found = anyio.run(partial(together, admission, lambda _: go.wait(10), 5))
    assert found == [BusyError, BusyError, True, True, True]
    assert admission.admitted == 0
    assert anyio.run(partial(together, admission, lambda _: "served", 1)) == ["served"]


def test_who_waits_longer_than_the_deadline_is_told_so() -> None:
    def slow(_: float) -> str:
        time.sleep(0.2)
        return "done"

    admission = Admission(Limits(threads=1, deadline_s=0.05))
    found = anyio.run(partial(together, admission, slow, 2))
    assert found == [DeadlineError, "done"], "what has begun is not cut off from outside: the search itself looks at the clock"
    assert admission.admitted == 0


def test_the_time_that_is_left_is_told() -> None:
    left = anyio.run(partial(together, Admission(Limits(deadline_s=5)), lambda seconds: seconds, 1))
    assert left == [pytest.approx(5, abs=1)]


def test_an_error_of_the_work_is_raised_and_frees_its_turn() -> None:
    admission = Admission(Limits(threads=1))

    def fail(_: float) -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        anyio.run(admission.run, fail)
    assert anyio.run(partial(together, admission, lambda _: "served", 1)) == ["served"]
