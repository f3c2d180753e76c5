"""Whether the index at the end is the one that the same documents make, put in another order."""

from __future__ import annotations

import random
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from indexer import Collection, Document, Ingest, Query, Sync, search
from tests.soak import texts

SCORE_GAP = 0.005  # bfloat16 rounds by the shape of the batch in which a passage was encoded: the third digit may differ
LIMIT = 10


def compared(index: Path, place: Path, folder: Path, documents: Mapping[str, str], questions: int) -> dict[str, Any]:
    """Builds another index in ``place`` and compares. ``faults`` in the result must be empty."""
    with Collection(index) as left, Collection(place, create=True, encoder=left.encoder) as right:
        _fill(right, folder, documents)
        faults = _of_passages(_passages(left), _passages(right))
    for one in (index, place):
        _without_derived(one)
    with Collection(index) as left, Collection(place, encoder=left.encoder) as right:
        for collection in (left, right):
            with collection.lock.held(10):
                collection.fold_words()
                collection.fold_vectors()
        dice = random.Random(5)
        asked = [texts.question(dice) for _ in range(questions)]
        gaps = [_gap(left, right, each) for each in asked]
        same = sum(_ids(left, each) == _ids(right, each) for each in asked)
    faults += [f"{each}: {gap}" for each, gap in zip(asked, gaps, strict=True) if isinstance(gap, str)]
    numbers = [gap for gap in gaps if not isinstance(gap, str)]
    return {
        "documents": len(documents), "faults": faults, "questions": questions, "same_order": same,
        "largest_score_difference": round(max(numbers, default=0.0), 6),
    }  # fmt: skip


def _fill(collection: Collection, folder: Path, documents: Mapping[str, str]) -> None:
    Sync(collection).run([folder])
    names = [name for name in documents if not (folder / name).exists()]
    random.Random(3).shuffle(names)
    with collection.lock.held(10), Ingest(collection) as ingest:
        for name in names:
            ingest.document(Document(name, "", documents[name]))
        ingest.flush()


def _passages(collection: Collection) -> dict[str, tuple[Any, ...]]:
    with collection.catalog.read() as snapshot:
        found = {}
        for name in snapshot.document_ids():
            document = snapshot.document(name)
            assert document is not None
            for one in snapshot.passages_of(name):
                found[one.id] = (name, document.text, one.ordinal, one.start, one.end, document.text[one.start : one.end])
        return found


def _of_passages(left: Mapping[str, tuple[Any, ...]], right: Mapping[str, tuple[Any, ...]]) -> list[str]:
    named = [f"{which} has {one} of {all_[one][0]}" for which, all_, other in (("only the soak's", left, right),
             ("only the new one", right, left)) for one in all_ if one not in other]  # fmt: skip
    return named + [f"{one} of {left[one][0]} differs" for one in left if one in right and left[one] != right[one]]


def _without_derived(folder: Path) -> None:
    """As after compaction: words and vectors are made from the catalog alone."""
    for path in folder.iterdir():
        if path.name.startswith(("words", "vectors")):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _gap(left: Collection, right: Collection, question: str) -> float | str:
    """The largest difference of scores, rank by rank; or what is wrong: a passage that only one found, well above its last."""
    ours, theirs = (search(each, Query(question, LIMIT)).results for each in (left, right))
    if len(ours) != len(theirs):
        return f"{len(ours)} results and {len(theirs)}"
    gap = max((abs(one.score - other.score) for one, other in zip(ours, theirs, strict=True)), default=0.0)
    if gap > SCORE_GAP:
        return f"scores differ by {gap:.4f}"
    for some, others in ((ours, theirs), (theirs, ours)):
        there = {one.passage.id for one in others}
        lost = [one.passage.id for one in some if one.passage.id not in there and one.score > some[-1].score + 2 * SCORE_GAP]
        if lost:
            return f"only one finds {lost}"
    return gap


def _ids(collection: Collection, question: str) -> Sequence[str]:
    return [one.passage.id for one in search(collection, Query(question, LIMIT)).results]
