"""Own: how good an index is on its own users' questions, and which of two indexes to serve. ``passages eval`` runs this."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eval.errors import EvalError
from eval.indexes import Runtime, Told, progress
from eval.shell import AsJson, Model, errors

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from eval.measures import Estimate
    from eval.outcomes import Outcome
    from eval.questions import OwnQuestion
    from indexer import Collection

LEVEL = 0.05
_LEAST = 6  # differences all of one sign, below which the test cannot tell anything
_PIPED = 1_000_000  # columns where the output is no terminal: who reads it may be a program
FEW = 50  # questions below which a figure is told to say little
_ROWS = {
    "success@1": "first passage answers",
    "nDCG@10": "nDCG@10",
    "evidence": "right sentence marked",
    "false_reject": "called nothing, wrongly",
    "false_accept": "called answered, wrongly",
}


@dataclass(frozen=True, slots=True)
class Side:
    """One index and what it made of the questions."""

    name: str
    model: str
    passages: int
    outcomes: list[Outcome]

    def as_json(self) -> dict[str, Any]:
        """As JSON values."""
        from eval.outcomes import measures

        counts = {
            "answerable": sum(one.answerable for one in self.outcomes),
            "unanswerable": sum(not one.answerable for one in self.outcomes),
            "gone": sum(one.gone for one in self.outcomes),
        }
        measured = {name: _plain(of, value) for name, (of, value) in measures(self.outcomes).items()}
        return {
            "index": self.name, "model": self.model, "passages": self.passages, "questions": counts, "measures": measured,
            "took_ms": _median([one.took_ms for one in self.outcomes]),
            "per_question": [one.as_json() for one in self.outcomes],
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Decision:
    """The paired comparison of two sides. ``difference`` is of nDCG@10, the second less the first, over ``questions`` that
    something answers; ``needed`` how many would show it. ``serve`` is the better one's name, None if nothing can be told."""

    questions: int
    difference: float
    p: float
    needed: int | None
    serve: str | None
    says: str


def command(
    index: Annotated[Path, typer.Argument(metavar="INDEX", help="The index folder, whose judged questions are asked.")],
    against: Annotated[Path | None, typer.Option(metavar="OTHER", help="Compare with this index folder.")] = None,
    questions: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Ask these, JSON lines, in place of judged ones.")
    ] = None,
    worst: Annotated[int, typer.Option(metavar="N", min=0, help="How many of the worst questions to show.")] = 5,
    model: Model = None,
    against_model: Annotated[
        str | None, typer.Option(metavar="M", help="The model of OTHER, if its name does not find it.")
    ] = None,
    runtime: Runtime = "auto",
    as_json: AsJson = False,
) -> None:
    """Measure an index on its own questions, and say which of two to serve."""
    with errors(), ExitStack() as opened:
        asked = _questions(index, questions)
        told = opened.enter_context(progress())
        first = opened.enter_context(_open(index, model, runtime))
        others = [opened.enter_context(_open(against, against_model, runtime, first))] if against else []
        sides, left_out = measure([first, *others], asked, told)
        decision = decide(*sides) if against else None
    if as_json:
        typer.echo(json.dumps(_record(sides, left_out, decision)))
    else:
        _show(sides, left_out, decision, worst)


def measure(
    collections: Sequence[Collection], asked: Sequence[OwnQuestion], told: Told = lambda *_: None
) -> tuple[list[Side], list[str]]:
    """A side for each collection, over the same questions, and in words why others were left out: what answered them stands in
    none of the indexes, or they cannot be asked of one. Raises :class:`EvalError`, :class:`indexer.PassagesError`."""
    from eval.outcomes import ask

    answers = [ask(one, asked, told) for one in collections]
    rows = list(zip(*answers, strict=True))
    refused = {one.refused for row in rows for one in row if one.refused}
    left_out = [
        f"what answers “{row[0].question.text}” is in the index no more" for row in rows if all(one.gone for one in row)
    ]
    left_out += [f"a question was refused: {why}" for why in sorted(refused)]
    kept = [row for row in rows if not all(one.gone for one in row) and not any(one.refused for one in row)]
    if not kept:
        raise EvalError(f"none of {len(rows)} questions can be measured ({left_out[0]}); judge some more on the search page")
    return [_side(one, [row[at] for row in kept]) for at, one in enumerate(collections)], left_out


def decide(first: Side, second: Side) -> Decision:
    """Which to serve, by nDCG@10 of the questions that something answers."""
    import numpy as np

    from eval.compare import needed, randomised

    pairs = [(one, other) for one, other in zip(first.outcomes, second.outcomes, strict=True) if one.answerable]
    if not pairs:
        return Decision(
            0, 0.0, 1.0, None, None, "Nothing can be told: no question has an answer. Press “This answers it” for some."
        )
    differences = np.array([other.ndcg - one.ndcg for one, other in pairs])
    mean, p = float(differences.mean()), randomised(differences)
    better = (second if mean > 0 else first).name if p <= LEVEL else None
    wanted = needed(differences) if better is None else None
    if wanted is not None:
        wanted = max(wanted, len(pairs) + 1, _LEAST)  # so many did not show it
    says = f"{_said(len(pairs), mean, p, better, wanted)}{_verdicts_said(first, second)}"
    return Decision(len(pairs), mean, p, wanted, better, says)


def _said(questions: int, mean: float, p: float, better: str | None, wanted: int | None) -> str:
    over = f"over {questions} answerable question{'s' * (questions != 1)} nDCG@10 differs by {abs(mean):.3f}"
    if better is not None:
        return f"Serve {better}: {over} in its favour, which chance alone gives {_often(p)}."
    if not mean:
        return f"Nothing can be told yet: {over}. Judge more questions, above all some that one of the two answers badly."
    wanted = wanted or _LEAST
    return (
        f"Nothing can be told yet: {over}, which chance alone gives {_often(p)}. If the difference is as large as it "
        f"seems, about {wanted:,} judged questions will show it."
    )


def _often(p: float) -> str:
    return f"{p:.0%} of the time" if p >= 0.1 else f"{p:.1%} of the time" if p >= 0.001 else "less than 0.1% of the time"


def _verdicts_said(first: Side, second: Side) -> str:
    """Of the questions whose answers stand in both, if both claim something."""
    if any(one.verdict == "uncalibrated" for side in (first, second) for one in side.outcomes):
        return ""
    both = [pair for pair in zip(first.outcomes, second.outcomes, strict=True) if not any(one.gone for one in pair)]
    wrong = [sum(pair[at].wrong_verdict for pair in both) for at in (0, 1)]
    if wrong[0] == wrong[1]:
        return ""
    return (
        f" Of {len(both)} questions, the verdict of {first.name} is the opposite of the truth for {wrong[0]}, that of "
        f"{second.name} for {wrong[1]}."
    )


def _questions(index: Path, file: Path | None) -> list[OwnQuestion]:
    from eval.questions import from_file, from_judgements
    from indexer import Judgements

    if file is not None:
        return from_file(file)
    kept = Judgements(index).read()
    if kept.damaged:
        typer.echo(f"{kept.damaged} judgements of {index} are damaged and left out", err=True)
    if asked := from_judgements(kept.judgements):
        return asked
    raise EvalError(
        f"no question was judged in {index} yet: press “This answers it” or “Nothing here answers” on the search page "
        "(passages serve), or name a file of questions with --questions"
    )


def _open(folder: Path, model: str | None, runtime: Runtime, like: Collection | None = None) -> Collection:
    """The index, with the model that it was made with if no ``model`` is named; one shared with ``like`` is loaded once.

    Raises :class:`EvalError` if the model is not here or another one, :class:`indexer.PassagesError`."""
    from indexer import Collection, PassagesError

    with Collection(folder) as looked, looked.catalog.read() as snapshot:
        contract = snapshot.contract
    if contract is None:
        raise EvalError(f"the index in {folder} is empty; index something: passages index --index {folder} PATH...")
    if like is not None and model is None:
        with like.catalog.read() as snapshot:
            if snapshot.contract and snapshot.contract.same_vectors(contract):
                return Collection(folder, like.model, encoder=like.encoder)
    collection = Collection(folder, model or contract.name, runtime=runtime)
    try:
        collection.check_model()  # before questions are asked of another one for nothing
    except PassagesError as error:
        collection.close()
        raise EvalError(f"{error}; or name it with {'--model' if like is None else '--against-model'}") from error
    return collection


def _side(collection: Collection, outcomes: list[Outcome]) -> Side:
    with collection.view() as view:
        passages, contract = view.snapshot.counts().passages, view.snapshot.contract
    return Side(str(collection.folder), contract.name if contract else collection.model, passages, outcomes)


def _record(sides: Sequence[Side], left_out: Sequence[str], decision: Decision | None) -> dict[str, Any]:
    record = {"what": "own", **sides[0].as_json(), "left_out": list(left_out)}
    if decision is not None:
        from dataclasses import asdict

        record |= {"against": sides[1].as_json(), "decision": asdict(decision)}
    return record


def _show(sides: Sequence[Side], left_out: Sequence[str], decision: Decision | None, worst: int) -> None:
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = _PIPED
    console.print(_table(sides, is_drawn=console.is_terminal), soft_wrap=False)
    count = sum(one.answerable for one in sides[0].outcomes)
    if count < FEW:
        _say(console, f"Answerable questions: {count}. Read the intervals, not the figures, and judge some {FEW} at least.")
    for why in left_out:
        _say(console, f"Left out: {why}")
    if decision is not None:
        _say(console, f"\n{decision.says}", "bold")
        for side in sides:
            _show_unjudged(console, side)
    for side in sides:
        _show_worst(console, side, worst)


def _say(console: Console, text: str, style: str | None = None) -> None:
    from indexer import printable

    console.print(printable(text), style=style)


def _table(sides: Sequence[Side], is_drawn: bool) -> Table:
    from rich.box import HEAVY_HEAD
    from rich.table import Table

    from eval.outcomes import measures
    from indexer import printable

    table = Table("", "questions", title_justify="left", box=HEAVY_HEAD if is_drawn else None)
    for side in sides:
        table.add_column(printable(f"{side.name}\n{side.model}"))
    measured = [measures(side.outcomes) for side in sides]
    for name, words in _ROWS.items():
        counts = dict.fromkeys(str(one[name][0]) for one in measured)
        table.add_row(words, " / ".join(counts), *(_words(*one[name]) for one in measured))
    table.add_row("milliseconds, median", str(len(sides[0].outcomes)), *(f"{one.as_json()['took_ms']:.1f}" for one in sides))
    return table


def _show_unjudged(console: Console, side: Side) -> None:
    """Judgements favour the index whose results they were made on: what another finds first, nobody has judged."""
    unjudged = [one for one in side.outcomes if one.answerable and one.unjudged]
    if unjudged:
        some = f"{len(unjudged)} question{'s' * (len(unjudged) != 1)}"
        words = f"{side.name} puts first what nobody has judged for {some}, which counts as wrong."
        _say(console, f"{words} If some of it answers, say so on its search page before you decide.")


def _show_worst(console: Console, side: Side, count: int) -> None:
    missed = [one for one in side.outcomes if one.wrong_verdict or (one.answerable and one.ndcg < 1)]
    if not missed or not count:
        return
    _say(console, f"\nWorst questions of {side.name}", "bold")
    for one in sorted(missed, key=lambda one: (one.ndcg, not one.wrong_verdict, one.question.text))[:count]:
        _say(console, f"\n{one.question.text}\n  {_place(one)}; verdict: {one.verdict}")
        for unit in one.question.answers:
            _say(console, f"  wanted  {_shown(unit.source, unit.shown)}", "dim")
        if one.first and one.rank != 1:
            first = one.first.passage
            _say(console, f"  first   {_shown(first.document.id, first.text)}", "dim")


def _place(one: Outcome) -> str:
    if not one.answerable:
        return "nothing answers"
    if one.gone:
        return "what answers is not in this index"
    return f"what answers is in place {one.rank}" if one.rank else "what answers is not among the first 100"


def _shown(source: str | None, text: str) -> str:
    one_line = " ".join(text.split())
    return f"{source or 'anywhere'}: {one_line[:160]}{'…' if len(one_line) > 160 else ''}"


def _words(of: int, value: Estimate | None) -> str:
    if value is None:
        return "not calibrated"
    return f"{value.value:.2f} ({value.low:.2f}–{value.high:.2f})" if of else "-"


def _plain(of: int, value: Estimate | None) -> dict[str, Any] | None:
    return {"questions": of, **{name: round(one, 4) for name, one in value._asdict().items()}} if of and value else None


def _median(values: Sequence[float]) -> float:
    from statistics import median

    return round(median(values), 2)
