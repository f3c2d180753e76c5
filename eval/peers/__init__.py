"""Peers: Passages beside other libraries, with the same passages, questions and weights, turn by turn in one run.

The peers run in environments of their own (``ask.py`` and ``with_*.py`` beside this file); this is what compares them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from eval.credit import Hit
from eval.errors import EvalError
from eval.indexes import Told
from eval.shell import AsJson, Corpora, Folder, IndexFolder, errors, model_of, show

if TYPE_CHECKING:
    from eval.peers.process import Peer
    from eval.peers.rounds import Asked, System
    from eval.sets import JudgedSet, Question

PEERS = ("plain", "txtai", "chroma", "lancedb")
OURS = "passages"
ROUNDS, QUESTIONS = 3, 100  # of each round; medians of rounds, since other jobs come and go
WARM_UP = 10
LIMIT = 10

Venvs = Annotated[Path, typer.Option(metavar="FOLDER", help="Holds an environment for each peer; make peers makes them.")]
Names = Annotated[
    list[str] | None, typer.Option("--peer", metavar="NAME", help=f"Only this one of {', '.join(PEERS)}. Repeatable.")
]
Rounds = Annotated[int, typer.Option(min=1, metavar="N", help="Rounds; in each, every system is asked the same questions.")]
Questions = Annotated[int, typer.Option(min=1, metavar="N", help="Questions in each round, fewer where the set has fewer.")]


class Exported(NamedTuple):
    """What our index holds: texts and places of its passages by their ids, and the seconds it was made in, if it was now."""

    texts: Mapping[str, str]
    places: Mapping[str, Hit]
    index_s: float | None


def command(
    folder: Folder, as_json: AsJson = False, index_folder: IndexFolder = None, corpus: Corpora = None,
    venvs: Venvs = Path("build/peers"), peer: Names = None, rounds: Rounds = ROUNDS, questions: Questions = QUESTIONS,
) -> None:  # fmt: skip
    """Compare with other libraries: time of a question, time to index, and what is found."""
    from eval.indexes import progress
    from eval.sets import read_set

    with errors(), progress() as told:
        judged = read_set(folder)
        batches = drawn(judged, rounds, questions)
        record = compare(judged, batches, peer or PEERS, venvs, index_folder, corpus or [], told)
    show(record, as_json, lambda: _rows(record))


def drawn(judged: JudgedSet, rounds: int, count: int) -> list[list[Question]]:
    """Questions to warm up with, then each round's, none twice. Raises :class:`EvalError`."""
    import random

    some = list(judged.answerable)
    random.Random(5).shuffle(some)  # noqa: S311  # a sample, not a secret
    warm = min(WARM_UP, len(some) // (rounds + 1))
    each = min(count, (len(some) - warm) // rounds)
    if not warm:
        raise EvalError(
            f"{judged.name} has {len(some)} questions with an answer, too few for {rounds} rounds; name fewer with --rounds"
        )
    return [some[:warm], *(some[at : at + each] for at in range(warm, warm + rounds * each, each))]


def compare(
    judged: JudgedSet, batches: Sequence[Sequence[Question]], names: Sequence[str], venvs: Path,
    folder: Path | None = None, corpus: Sequence[Path] = (), told: Told = lambda *_: None,
) -> dict[str, Any]:  # fmt: skip
    """Index, serve, start the peers, and ask all of them in turn. Raises :class:`EvalError`, :class:`indexer.PassagesError`."""
    from eval.indexes import kept_or_temporary
    from eval.peers.rounds import Ours, run
    from eval.serving import serving

    texts = [[one.text for one in batch] for batch in batches]
    with kept_or_temporary(folder) as place, ExitStack() as running:
        exported = _indexed(judged, place, corpus)
        served = running.enter_context(serving(place, model_of(None)))
        ours = running.enter_context(Ours(OURS, served.address, LIMIT, exported.index_s))
        peers, absent = _started(running, names, venvs, exported.texts, told)
        systems: list[System] = [ours, *peers]
        asked, broken = run(systems, texts, told)
    measured = {one.name: _measured(one, asked, judged, batches[1:], exported) for one in systems if one.name in asked}
    return {
        "what": "peers", "set": judged.name, "passages": len(exported.texts), "rounds": len(batches) - 1,
        "questions": len(batches[1]), "limit": LIMIT, "systems": measured, "failed": absent | broken,
    }  # fmt: skip


def _indexed(judged: JudgedSet, place: Path, corpus: Sequence[Path]) -> Exported:
    """Our index in ``place``, and what it holds, for the peers to index too.

    Its time counts from before the libraries are imported, as the peers' does, and is not told of an index that was there.
    """
    from eval.indexes import opened

    was_there = place.is_dir() and any(place.iterdir())
    began = time.perf_counter()
    with opened(judged, place, model_of(None), corpus) as (collection, _, _):
        index_s = None if was_there else time.perf_counter() - began
        with collection.view() as view:
            some = [one for name in view.snapshot.document_ids() for one in view.snapshot.passages_of(name)]
    # The title in front, as BEIR's baselines have it, since Passages reads it too.
    texts = {one.id: f"{one.document.title}\n{one.text}" if one.document.title else one.text for one in some}
    return Exported(texts, {one.id: Hit(one.document.id, one.start, one.end) for one in some}, index_s)


def _started(
    running: ExitStack, names: Sequence[str], venvs: Path, texts: Mapping[str, str], told: Told
) -> tuple[list[Peer], dict[str, str]]:
    """The peers that have indexed the texts, one after the other, and why the others have not."""
    from eval.peers.process import Peer
    from eval.peers.rounds import PeerError

    peers, failed = [], {}
    for at, name in enumerate(names, 1):
        try:
            peer = running.enter_context(Peer(name, venvs))
            peer.index(texts, LIMIT)
        except PeerError as error:
            failed[name] = str(error)
        else:
            peers.append(peer)
        told("peers that index", at, len(names))
    return peers, failed


def _measured(
    system: System,
    asked: Mapping[str, Sequence[Asked]],
    judged: JudgedSet,
    rounds: Sequence[Sequence[Question]],
    exported: Exported,
) -> dict[str, Any]:
    """Its times beside ours, and nDCG@10 of the questions of all rounds."""
    from eval.credit import credit_of, ranking
    from eval.measures import estimate, per_question
    from eval.peers.rounds import rankings, times

    credit, questions = credit_of(judged), [[one.id for one in some] for some in rounds]
    found = rankings(asked[system.name], questions)
    units = {question: ranking([exported.places[key] for key in keys], credit) for question, keys in found.items()}
    quality = estimate(per_question(units, judged.judgements)["nDCG@10"])
    index_s = None if system.index_s is None else round(system.index_s, 1)
    record = {"version": system.version, "index_s": index_s, **times(asked[system.name], asked[OURS])}
    return record | {"nDCG@10": quality._asdict()}


def _rows(record: dict[str, Any]) -> list[tuple[str, ...]]:
    head = ("system", "p50 ms", "p95 ms", "times ours", "index s", "nDCG@10")
    rows = [
        (
            f"{name} {one['version']}", f"{one['p50']:.1f}", f"{one['p95']:.1f}", _spread(one["ratio"], ".2f"),
            "" if one["index_s"] is None else f"{one['index_s']:.1f}", _spread(one["nDCG@10"], ".3f"),
        )
        for name, one in record["systems"].items()
    ]  # fmt: skip
    return [head, *rows, *((name, f"failed: {reason}", *[""] * 4) for name, reason in record["failed"].items())]


def _spread(one: Mapping[str, float], form: str) -> str:
    return f"{one['value']:{form}} ({one['low']:{form}} to {one['high']:{form}})"
