"""What must hold of an index after a crash, seen with the product itself; run in a process of its own.

``before``: of the index as it was left; ``after``: once what was interrupted was done again, when it must equal the index of an
undisturbed run.
"""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from indexer.catalog import CATALOG_FILE
from indexer.collection import Collection, View
from indexer.doctor import examine
from indexer.documents import document_from_record
from indexer.encoder import Encoder
from indexer.errors import PassagesError
from indexer.files import named_folder
from indexer.ingest import put, remove
from indexer.search import Query, search
from service import cli

Texts = Mapping[str, str | None]  # by document id; None: no such document
# What an index folder may hold when nothing is being written.
_KNOWN = re.compile(
    r"catalog\.sqlite(-wal|-shm|-latest)?|writer\.(lock|pid)|(words|vectors)\.json"
    r"|catalog\.sqlite-damaged-\d+(/catalog\.sqlite(-wal|\.new)?)?"  # what a restore sets aside is the user's to delete
    r"|words-\d+(/([0-9a-f]{32}\.[\w.]+|meta\.json|\.managed\.json|\.tantivy-(meta|writer)\.lock))?"
    r"|vectors-\d+(/(rows\.f16|keys\.i64|codes\.faiss))?"
)


def main() -> None:
    """Argument: a JSON file of ``index``, ``model``, ``allowed`` (id to texts), ``redo`` and ``undisturbed`` (or null). Beside
    it a file of problems is written, ``.problems``, and what the index is in the end, ``.record``."""
    task = Path(sys.argv[1])
    asked = json.loads(task.read_text(encoding="utf-8"))
    encoder = Encoder.of(asked["model"])
    index = Path(asked["index"])
    problems = [*before(index, asked["model"], encoder, asked["allowed"])]
    if asked["redo"]:
        problems += redo(index, asked["model"], encoder, asked["redo"])
        problems += [f"left over: {name}" for name in leftovers(index)]
    with Collection(index, asked["model"], encoder=encoder) as collection:
        record = recorded(collection)
    if asked["undisturbed"]:
        problems += [*_differences(record, json.loads(Path(asked["undisturbed"]).read_text(encoding="utf-8")))]
    task.with_suffix(".record").write_text(json.dumps(record), encoding="utf-8")
    task.with_suffix(".problems").write_text(json.dumps(problems), encoding="utf-8")


def before(index: Path, model: str, encoder: Encoder, allowed: Mapping[str, Sequence[str | None]]) -> Iterator[str]:
    """Problems of an index as a crash left it."""
    if not (index / CATALOG_FILE).exists():
        yield from (f"{one} is lost, there is no catalog" for one, texts in allowed.items() if None not in texts)
        return
    with Collection(index, model, encoder=encoder) as collection:
        yield from _sound(index / CATALOG_FILE)
        yield from (f"doctor: {one.message}" for one in examine(index, collection.model) if one.severity == "error")
        with collection.view() as view:
            found = {one: document.text for one in view.snapshot.document_ids() if (document := view.snapshot.document(one))}
            yield from _documents(found, allowed)
            yield from _passages(view)
        yield from _found(collection, found)
        with _from_catalog_alone(index, encoder) as other:
            yield from _same_answers(collection, other, found)


def _sound(file: Path) -> Iterator[str]:
    connection = sqlite3.connect(file)
    try:
        for pragma in ("integrity_check", "foreign_key_check"):
            yield from (f"{pragma}: {row}" for row in connection.execute(f"PRAGMA {pragma}") if row != ("ok",))
        for table in ("vector", "token", "term"):
            (count,) = connection.execute(
                f"SELECT count(*) FROM passage LEFT JOIN {table} ON {table}.passage = key WHERE {table}.passage IS NULL"  # noqa: S608
            ).fetchone()
            if count:
                yield f"{count} passages have no {table}"
    finally:
        connection.close()


def _documents(found: Texts, allowed: Mapping[str, Sequence[str | None]]) -> Iterator[str]:
    for one in found.keys() | allowed.keys():
        if found.get(one) not in allowed.get(one, ()):
            state = "half written" if one in found else "lost"
            yield f"document {one} is {state}: {(found.get(one) or '')[:60]!r}"


def _passages(view: View) -> Iterator[str]:
    """Passages cover their documents' sentences, and each vector finds its own passage."""
    seen: set[str] = set()
    for one in view.snapshot.document_ids():
        document = view.snapshot.document(one)
        passages = view.snapshot.passages_of(one)
        texts = " ".join(passage.text for passage in passages)
        if document is None or any(sentence not in texts for sentence in document.text.split("\n\n")):
            yield f"passages of {one} do not hold its text"
        for passage in passages:
            if passage.id in seen or document is None or document.text[passage.start : passage.end] != passage.text:
                yield f"passage {passage.id} of {one} is wrong"
            seen.add(passage.id)
            vector = view.snapshot.vector(passage.key).astype(np.float32)
            if not view.vectors.cosines(vector, np.array([passage.key]))[0] > 0.99:
                yield f"the vector of passage {passage.id} of {one} is not in the index"
    keys = sorted(view.vectors.nearest(vector, len(seen) + 10).keys.tolist()) if seen else []
    if keys != sorted(view.snapshot.passages(keys)) or len(keys) != len(seen):
        yield f"{len(keys)} vectors are found of {len(seen)} passages"


def _found(collection: Collection, documents: Mapping[str, str]) -> Iterator[str]:
    """Every document is found by a phrase that it alone holds, and no other is."""
    for one, text in documents.items():
        phrase = " ".join(text.split()[:4])
        answer = search(collection, Query(f'"{phrase}"', 3, 0))
        if (ids := {result.passage.document.id for result in answer.results}) != {one}:
            yield f"{phrase!r} finds {sorted(ids)}, not {one}"


@contextmanager
def _from_catalog_alone(index: Path, encoder: Encoder) -> Iterator[Collection]:
    """The same catalog without anything derived."""
    with tempfile.TemporaryDirectory(dir=index.parent.parent) as folder:
        for path in index.glob(f"{CATALOG_FILE}*"):
            if path.is_file() and not path.name.endswith("-shm"):
                shutil.copy(path, folder)
        with Collection(Path(folder), encoder=encoder) as collection:
            yield collection


def _same_answers(one: Collection, other: Collection, documents: Mapping[str, str]) -> Iterator[str]:
    for text in [*documents.values()][::5]:
        question = " ".join(text.split()[2:8])
        answers = [_answer(each, question) for each in (one, other)]
        if answers[0] != answers[1]:
            yield f"{question!r} is answered with {answers[0]}, from the catalog alone with {answers[1]}"


def _answer(collection: Collection, question: str) -> list[str]:
    return [result.passage.id for result in search(collection, Query(question, 5, 0)).results]


def redo(index: Path, model: str, encoder: Encoder, steps: Sequence[Sequence[str | None]]) -> list[str]:
    """Do again what was interrupted: ``["passages", ...]``, ``["put", id, text]`` or ``["delete", id]``."""
    for kind, *values in steps:
        try:
            if kind == "passages":
                cli.app([str(value) for value in values], standalone_mode=False)
            else:
                _write(index, model, encoder, kind, values)
        except PassagesError as error:
            return [f"{kind} {values[:2]} cannot be done again: {error}"]
    return []


def _write(index: Path, model: str, encoder: Encoder, kind: str | None, values: Sequence[str | None]) -> None:
    with Collection(index, model, create=True, encoder=encoder) as collection:
        if kind == "put":
            put(collection, document_from_record({"_id": values[0], "text": values[1]}))
        else:
            remove(collection, str(values[0]))


def leftovers(index: Path) -> list[str]:
    """What lies in the folder and is of no use."""
    names = sorted(str(path.relative_to(index)) for path in index.rglob("*"))
    folders = [name for name in names if re.fullmatch(r"(words|vectors)-\d+", name)]
    named = {named_folder(path) for path in index.glob("*.json")}
    return [name for name in names if not _KNOWN.fullmatch(name)] + [name for name in folders if index / name not in named]


def recorded(collection: Collection) -> dict[str, Any]:
    """All that an index holds and answers, but for keys and generations, which tell how it came about."""
    with collection.catalog.read() as snapshot:
        documents = {one: snapshot.document(one) for one in snapshot.document_ids()}
        passages = {one: snapshot.passages_of(one) for one in documents}
        sources = sorted((source.path, source.name, source.hash) for source in snapshot.sources())
        vectors = {
            passage.id: [round(float(value), 2) for value in snapshot.vector(passage.key)]
            for each in passages.values()
            for passage in each
        }
    return {
        "documents": {one: [document.title, document.text, document.uri] for one, document in documents.items() if document},
        "passages": {one: [[passage.id, passage.start, passage.end] for passage in each] for one, each in passages.items()},
        "sources": [list(source) for source in sources],
        "vectors": vectors,
        "answers": {one: _answer(collection, _opening(document.text)) for one, document in documents.items() if document},
    }


def _opening(text: str) -> str:
    return " ".join(text.split()[:6])


def _differences(record: Mapping[str, Any], undisturbed: Mapping[str, Any]) -> Iterator[str]:
    for name, expected in undisturbed.items():
        if name == "vectors":
            yield from _vector_differences(record[name], expected)
        elif record[name] != expected:
            yield f"after all, {name} differ from those of an undisturbed run: {_first_difference(record[name], expected)}"


def _vector_differences(found: Mapping[str, list[float]], expected: Mapping[str, list[float]]) -> Iterator[str]:
    """They may differ by what 16-bit floats round, which depends on the batch."""
    if found.keys() != expected.keys():
        yield "after all, other passages have vectors than after an undisturbed run"
    for one in found.keys() & expected.keys():
        if not np.allclose(found[one], expected[one], atol=0.03):
            yield f"after all, the vector of {one} is another than after an undisturbed run"


def _first_difference(found: Any, expected: Any) -> str:
    if isinstance(found, dict):
        keys = [key for key in found.keys() | expected.keys() if found.get(key) != expected.get(key)]
        return f"{keys[0]}: {found.get(keys[0])} and not {expected.get(keys[0])}"
    return f"{found} and not {expected}"
