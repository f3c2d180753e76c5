"""docs/capacity.md computes from what was measured, and rightly."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from indexer.engines.milvus.mirror import SHARE
from tools import capacity
from tools.capacity import Measured

DOCS = Path(__file__).parent.parent / "docs"
ROUND = Measured({"codes": 3000, "graph": 2000}, 100.0, (0, 100.0), (1_000_000, 50.0), 200.0, 500)


def test_the_arithmetic_of_round_numbers() -> None:
    assert (ROUND.resident, ROUND.stored) == (5000, 3000 + 1536)
    assert [ROUND.cpu_ms(size) for size in (0, 1_000_000, 10_000_000)] == [20.0, 40.0, 220.0]  # 2 cores, 100 and 50 a second
    assert capacity.memory_gib(ROUND, 2**30) == pytest.approx(5000 / 0.7)
    assert capacity.query_nodes(ROUND, 2**30) == 64  # 7,143 GiB of 112
    assert capacity.query_nodes(ROUND, 1) == 2
    assert capacity.days(ROUND, 8_640_000, 2) == pytest.approx(0.5)
    assert capacity.days(ROUND, 8_640_000, 64) == pytest.approx(0.5 / 32)
    assert capacity.list_bytes(ROUND) == 3000  # three processes, each of which holds two for a while
    assert capacity.list_room(ROUND) == pytest.approx((1.5 * 2**30 - 0.59e9) / 3000)
    assert capacity.listed_documents(ROUND) == pytest.approx(2 * 2**30 / SHARE / 500)


def test_a_replica_has_memory_for_what_it_lists() -> None:
    found = capacity.measured()
    assert capacity.listed_documents(found) < capacity.list_room(found)


def test_of_a_folder_and_its_memory() -> None:
    assert capacity.folder_gb(400_000) == 3.13
    assert capacity.own_gb(ROUND, 10_000_000) == pytest.approx(0.59 + 1.0)


def test_the_line_goes_through_both_measurements() -> None:
    found = capacity.measured()
    for passages, rate in (found.small, found.large):
        assert 1000 * capacity.CORES / found.cpu_ms(passages) == pytest.approx(rate)


def test_what_is_taken_from_a_page_stands_there() -> None:
    assert f"{capacity.FOLDER_GB} GB on disk" in (DOCS / "evaluation.md").read_text(encoding="utf-8")
    assert f"{capacity.FOLDER_PASSAGES:,} passages" in (DOCS / "evaluation.md").read_text(encoding="utf-8")
    container = (DOCS / "container.md").read_text(encoding="utf-8")
    first, second = re.search(r"most was (\.?\d[.\d]*) GB.*?; (\.?\d[.\d]*) of that were files", container, re.DOTALL).groups()  # type: ignore[union-attr]
    assert float(first) - float(second) == pytest.approx(capacity.OWN_GB)


def test_the_page_of_kubernetes_says_as_many_documents() -> None:
    listed = re.search(r"\*\*([\d,]+) documents\*\*", capacity.page())
    assert listed
    assert f"it can list: {listed[1]} with {capacity.REPLICA_GIB:.0f} GiB" in (DOCS / "kubernetes.md").read_text(
        encoding="utf-8"
    )


def test_the_page_of_clusters_counts_the_same_bytes_of_a_passage() -> None:
    told = re.search(
        r"saves ([\d,]+) of the ([\d,]+) bytes that a passage has in memory .*?, ([\d.]+)%",
        (DOCS / "cluster.md").read_text(encoding="utf-8"),
    )
    assert told
    saved, resident, share = (float(number.replace(",", "")) for number in told.groups())
    assert resident == capacity.measured().resident
    assert share == round(100 * saved / resident, 1)


def test_the_page_says_the_worked_example_as_its_table_does() -> None:
    page = capacity.page()
    example = re.search(r"/ 0\.7 = ([\d,]+) GiB; / 112 = (\d+) nodes", page)
    assert example
    assert f"| {capacity.EXAMPLE:,} | {example[1]} GiB | {example[2]} |" in page
    assert "{" not in page
