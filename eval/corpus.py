"""The documents of a judged set: which JSON-lines files hold them, and whether the judgements fit their texts."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from eval.errors import EvalError
from eval.lines import json_lines, text_of
from eval.sets import JudgedSet

SEED_ID = "seed"
SEED_TITLE = "Small Group of the Global Coalition to Defeat Daesh"
SUFFIXES = (".jsonl", ".ndjson")

Lengths = Mapping[str, int]


def corpus_files(judged: JudgedSet, named: Sequence[Path], work: Path) -> list[Path]:
    """The files to index: the set's own ``corpus.jsonl`` and those ``named``.

    Where neither is there, a set judged by paragraph is searched in those of its neighbours that hold its documents. The
    founding document, ``seed``, is written into ``work`` if the set's paragraphs name it and no other file holds it.
    Raises :class:`EvalError` if a judged document is in none of them, or a paragraph does not lie within its text.
    """
    own = judged.folder / "corpus.jsonl"
    files = [own] * own.is_file() + [file for path in named for file in _expand(path)]
    lengths = {document: length for file in files for document, length in text_lengths(file).items()}
    if not files and judged.paragraphs is None:  # ids of documents may be plain numbers, which any neighbour's could be
        raise EvalError(f"{judged.folder} has no corpus.jsonl; put it there, or name the file with --corpus PATH")
    if not files:
        for file in sorted(judged.folder.resolve().parent.glob("*/corpus.jsonl")):
            near = text_lengths(file)
            if near.keys() & (_judged_documents(judged) - lengths.keys()):
                files.append(file)
                lengths |= near
    if SEED_ID in (judged.paragraphs or {}).keys() - lengths.keys() and (seed := _seed(judged.folder, work)):
        files.append(seed)
        lengths |= text_lengths(seed)
    check(judged, lengths)
    return files


def without(file: Path, removed: Collection[str], work: Path) -> Path:
    """A copy in ``work`` of a JSON-lines file without the documents ``removed``; the file itself if it holds none of them."""
    records = [record for _, record in json_lines(file)]
    kept = [record for record in records if str(record.get("_id", record.get("id"))) not in removed]
    if len(kept) == len(records):
        return file
    target = work / f"kept-{file.name}"
    text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in kept)
    work.mkdir(parents=True, exist_ok=True)
    if not target.exists() or target.read_text(encoding="utf-8") != text:
        target.write_text(text, encoding="utf-8")
    return target


def text_lengths(path: Path) -> dict[str, int]:
    """Characters of each document's text in a JSON-lines file. Raises :class:`EvalError`."""
    lengths: dict[str, int] = {}
    for line, record in json_lines(path):
        text = record.get("text")
        lengths[text_of(line, record, "_id", "id")] = len(text) if isinstance(text, str) else 0
    return lengths


def check(judged: JudgedSet, lengths: Lengths) -> None:
    """Raises :class:`EvalError` if a judged document is missing, or a paragraph does not lie within its document's text."""
    missing = sorted(_judged_documents(judged) - lengths.keys())
    if missing:
        raise EvalError(
            f"{judged.folder} judges {len(missing)} documents that no corpus holds ({', '.join(missing[:3])}); "
            "name the file that holds them with --corpus PATH, or mend the qrels"
        )
    for paragraphs in (judged.paragraphs or {}).values():
        for one in paragraphs:
            if one.end > lengths[one.document]:
                raise EvalError(
                    f"{judged.folder}: the paragraph {one.id} ends at character {one.end}, its document at "
                    f"{lengths[one.document]}; name the corpus that the paragraphs were made from with --corpus PATH"
                )


def _judged_documents(judged: JudgedSet) -> set[str]:
    if judged.paragraphs is not None:
        return set(judged.paragraphs)
    return {judgement.unit for judgement in judged.judgements}


def _expand(path: Path) -> Iterator[Path]:
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES)
        if not files:
            raise EvalError(f"{path} holds no *.jsonl; name another folder, or a JSON-lines file, with --corpus")
        yield from files
    elif path.suffix in SUFFIXES:
        yield path
    else:
        raise EvalError(f"{path} is neither a folder nor a *.jsonl file; name another with --corpus")


def _seed(folder: Path, work: Path) -> Path | None:
    """The founding document as a JSON-lines file in ``work``; None if it does not lie beside the set.

    A name that stays, and no rewriting of what is there, let the next run see that nothing changed.
    """
    texts = sorted((folder.resolve().parent / "seed").glob("*.txt"))
    if len(texts) != 1:
        return None
    target = work / "eval-seed.jsonl"
    try:
        text = texts[0].read_bytes().decode("utf-8")  # not read_text, which would change its line ends and so the offsets
        line = json.dumps({"_id": SEED_ID, "title": SEED_TITLE, "text": text}) + "\n"
        work.mkdir(parents=True, exist_ok=True)
        if not target.exists() or target.read_text(encoding="utf-8") != line:
            target.write_text(line, encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise EvalError(f"{texts[0]} cannot be copied to {target}: {error}; mend it, or choose another --index") from error
    return target
