import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from indexer.batching import Batcher


class Recorder:
    """Doubles numbers, and notes in which batches; each batch after the first waits for ``go``."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.began = threading.Event()
        self.go = threading.Event()

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        self.began.set()
        assert self.go.wait(10)
        if -1 in items:
            raise ValueError("a bad one")
        return [2 * item for item in items]


def waiting(batcher: Batcher[int, int], count: int) -> None:
    while len(batcher._waiting) < count:
        time.sleep(0.001)


def test_what_comes_alone_is_served_at_once_and_alone() -> None:
    serve = Recorder()
    serve.go.set()
    batcher = Batcher(serve, most=4)
    assert [batcher(1), batcher(2)] == [2, 4]
    assert serve.batches == [[1], [2]]


def test_what_comes_meanwhile_is_served_together_in_order_and_up_to_the_bound() -> None:
    serve = Recorder()
    batcher = Batcher(serve, most=3)
    with ThreadPoolExecutor(8) as threads:
        made = [threads.submit(batcher, 0)]
        assert serve.began.wait(10)
        for item in range(1, 6):
            made.append(threads.submit(batcher, item))
            waiting(batcher, item)
        serve.go.set()
        assert [one.result(10) for one in made] == [0, 2, 4, 6, 8, 10]
    assert serve.batches == [[0], [1, 2, 3], [4, 5]]


def test_as_many_batches_are_served_at_once_as_there_are_lanes() -> None:
    serve = Recorder()
    batcher = Batcher(serve, most=3, lanes=2)
    with ThreadPoolExecutor(8) as threads:
        made = [threads.submit(batcher, 0)]
        assert serve.began.wait(10)
        made.append(threads.submit(batcher, 1))
        while len(serve.batches) < 2:
            time.sleep(0.001)
        made.append(threads.submit(batcher, 2))
        waiting(batcher, 1)
        serve.go.set()
        assert [one.result(10) for one in made] == [0, 2, 4]
    assert serve.batches == [[0], [1], [2]]


def test_an_error_is_told_to_its_whole_batch_and_to_no_other() -> None:
    serve = Recorder()
    batcher = Batcher(serve, most=2)
    with ThreadPoolExecutor(8) as threads:
        first = threads.submit(batcher, 0)
        assert serve.began.wait(10)
        bad = []
        for number, item in enumerate((-1, 2), 1):
            bad.append(threads.submit(batcher, item))
            waiting(batcher, number)
        last = threads.submit(batcher, 3)
        waiting(batcher, 3)
        serve.go.set()
        assert (first.result(10), last.result(10)) == (0, 6)
        for one in bad:
            with pytest.raises(ValueError, match="a bad one"):
                one.result(10)
    serve.go.set()
    assert batcher(5) == 10, "the lane is free again"


@pytest.mark.parametrize("lanes", [1, 2, 4])
def test_many_threads_get_each_its_own_and_every_lane_is_given_back(lanes: int) -> None:
    def serve(items: Sequence[int]) -> list[int]:
        if items[0] % 7 == 0:
            time.sleep(0)  # another thread's turn, at odd moments
        return [2 * item for item in items]

    batcher: Batcher[int, int] = Batcher(serve, most=3, lanes=lanes)
    with ThreadPoolExecutor(32) as threads:
        assert list(threads.map(batcher, range(20_000))) == [2 * item for item in range(20_000)]
    assert (batcher._serving, len(batcher._waiting)) == (0, 0)
