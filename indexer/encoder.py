"""The one encoder: a single forward pass gives a passage its pooled vector and its token vectors.

Invariant: ``offsets[i]`` are characters of the passage itself. Title and headings are read with the passage, as its
context, so that its own tokens know them; they are not pooled, and their tokens have no place in the passage (docs/design.md
has the figures).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from indexer.batching import Batcher
from indexer.models import DEFAULT_MODEL, ModelContract, ModelError, ModelFiles, locate
from indexer.passages import CONTEXT_SHARE, SPLITTER_VERSION
from indexer.runtimes import LEAST_COSINE, Batch, Ids, Kind, Output, Runtime, lanes, open_runtime
from indexer.terms import TERMS_VERSION, word_spans
from indexer.tokenizing import ModelTokens
from indexer.tokens import CODE_FORMAT

if TYPE_CHECKING:
    from tokenizers import Encoding

    from indexer.transformer import Description

Floats = npt.NDArray[np.float32]
Offsets = npt.NDArray[np.int32]
Bools = npt.NDArray[np.bool_]

# Padded tokens a forward pass: measured on two cores, more gains nothing and keeps questions waiting behind a batch.
BATCH_TOKENS = 2048
# Questions are padded to one of these lengths, and batches of them to one of these sizes: a shape that a runtime has not seen
# costs it milliseconds, so :meth:`Encoder.warm` shows it all of them. Passages are padded to multiples of the first.
QUESTION_LENGTHS = (16, 24, 32, 48, 64, 96, 128, 192, 256)
QUESTION_BATCHES = (1, 2, 4, 8, 16)
_QUESTION_TOKENS = 1024  # a batch of long questions is smaller
_REMEMBERED = 1024  # questions, each some 25 kB


class Encoded(NamedTuple):
    """n passages of d dimensions: ``pooled`` float32 [n, d] of unit length; for each, its token vectors float32 [t, d]
    of unit length and their ``offsets`` int32 [t, 2], characters of the passage, or -1 for tokens of its context, which come
    first. Punctuation has no token vector: it says nothing (measured), and is an eighth of the tokens."""

    pooled: Floats
    tokens: list[Floats]
    offsets: list[Offsets]


class PassageInput(NamedTuple):
    """What the encoder reads for a passage: its context (title and headings, may be empty) and its text."""

    context: str
    text: str


class TooLongError(ModelError):
    """A text has more tokens than the model reads; it is never cut silently."""


class Encoder(ModelTokens):
    """A sentence-transformers model on the best runtime of this machine. Safe to share between threads.

    Questions that come together are encoded together, and the latest ones are remembered.
    """

    def __init__(self, files: ModelFiles, runtime: Kind = "auto") -> None:
        self._description, self._runtime = open_runtime(files, runtime)
        super().__init__(self._description.tokenizer, _contract(files, self._description))
        self._questions = Batcher(self._encode_questions, QUESTION_BATCHES[-1], lanes())
        self._remembered: OrderedDict[str, Encoded] = OrderedDict()
        self._lock = threading.Lock()

    @classmethod
    def of(cls, model: str = DEFAULT_MODEL, runtime: Kind = "auto") -> Encoder:
        """The encoder of a model's name or folder; see :func:`indexer.models.locate`."""
        return cls(locate(model), runtime)

    @property
    def runtime(self) -> Runtime:
        """What runs the model."""
        return self._runtime

    def warm(self) -> None:
        """Show the runtime every shape that questions come in."""
        for length in QUESTION_LENGTHS:
            for count in QUESTION_BATCHES:
                if length <= self.contract.token_limit and count * length <= _QUESTION_TOKENS:
                    ones = np.ones((count, length), np.int64)
                    self._runtime.one(Batch(ones, ones, ones))

    def whole_share(self, text: str) -> float:
        """The share of the letters of ``text`` that stand in words which the vocabulary has whole; where words are not
        parted by spaces, in tokens of several characters. 1 for a text without letters. A model reads the languages whose
        words it knows: of others it sees syllables, single letters, or nothing."""
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        known = [span for token, span in zip(encoding.ids, encoding.offsets, strict=True) if token != self._description.unknown]
        letters = whole = 0
        for start, end, is_run in word_spans(text):
            letters += _letters(text, start, end)
            inside = [(a, b) for a, b in known if start <= a and b <= end and (b - a > 1 if is_run else (a, b) == (start, end))]
            whole += sum(_letters(text, a, b) for a, b in inside)
        return whole / letters if letters else 1.0

    def question(self, text: str) -> Encoded:
        """One question, n = 1. Raises :class:`TooLongError` beyond :attr:`question_tokens`."""
        if (remembered := self._remembered_of(text)) is not None:
            return remembered
        encoded = self._questions(self._question(text))
        self._remember(text, encoded)
        return encoded

    def check_question(self, text: str) -> None:
        """Raises :class:`TooLongError` if the model does not read all of it."""
        self._question(text)

    def questions(self, texts: Sequence[str]) -> list[Encoded]:
        """Some questions, encoded together. Raises :class:`TooLongError`."""
        found = {text: self._remembered_of(text) for text in texts}
        missing = [text for text, encoded in found.items() if encoded is None]
        made = dict(zip(missing, self._encode_questions([self._question(text) for text in missing]), strict=True))
        for text, encoded in made.items():
            self._remember(text, encoded)
        return [found[text] or made[text] for text in texts]

    def passages(self, inputs: Sequence[PassageInput], progress: Callable[[int], None] | None = None) -> Encoded:
        """n passages in one call. ``progress`` is told the number of passages that each batch finished.

        Context beyond its share of the tokens is cut, nearest heading kept; a text that is too long is an error.
        """
        if self._runtime.accuracy < LEAST_COSINE:
            raise ModelError(
                f"the runtime {self._runtime.name} is not accurate enough to index (least cosine {self._runtime.accuracy:.4f}, "
                f"needed {LEAST_COSINE}); choose another, or auto"
            )
        texts = self._texts(inputs, self.contract.passage_prefix)
        if (longest := max((len(one.ids) for one in texts), default=0)) > self.contract.token_limit:
            raise TooLongError(
                f"a passage has {longest} tokens and the model reads {self.contract.token_limit}: split it first"
            )
        made = [_NOTHING] * len(texts)
        lengths = [_padded(len(one.ids)) for one in texts]
        groups = list(batches(lengths, BATCH_TOKENS))
        padded = [_batch([texts[at] for at in group], lengths[group[0]], self._description.padding) for group in groups]
        with closing(self._runtime.many(padded)) as outputs:  # also when this is interrupted: it runs in threads of its own
            for number, output in outputs:
                for row, at in enumerate(groups[number]):
                    made[at] = texts[at].made(output, row)
                if progress:
                    progress(len(groups[number]))
        return _encoded(made, self.contract.dimension)

    def _question(self, text: str) -> _Text:
        (one,) = self._texts([PassageInput("", text)], self.contract.question_prefix)
        if (over := len(one.ids) - self.contract.token_limit) > 0:
            raise TooLongError(
                f"the question has {self.question_tokens + over} tokens and the model reads {self.question_tokens}: "
                "ask it in fewer words"
            )
        return one

    def _remembered_of(self, text: str) -> Encoded | None:
        with self._lock:
            if text in self._remembered:
                self._remembered.move_to_end(text)
            return self._remembered.get(text)

    def _remember(self, text: str, encoded: Encoded) -> None:
        with self._lock:
            self._remembered[text] = encoded
            if len(self._remembered) > _REMEMBERED:
                self._remembered.popitem(last=False)

    def _encode_questions(self, questions: Sequence[_Text]) -> list[Encoded]:
        """Each question encoded; together, in as few batches as the shapes allow that the runtime knows."""
        made: dict[int, Encoded] = {}
        lengths = [_at_least(len(one.ids), QUESTION_LENGTHS) for one in questions]
        for group in batches(lengths, max([_QUESTION_TOKENS, *lengths])):
            filled = [*group, *group[:1] * (_at_least(len(group), QUESTION_BATCHES) - len(group))]  # the first once more
            output = self._runtime.one(_batch([questions[at] for at in filled], lengths[group[0]], self._description.padding))
            made |= {at: _encoded([questions[at].made(output, row)], self.contract.dimension) for row, at in enumerate(group)}
        return [made[at] for at in range(len(questions))]

    def _texts(self, inputs: Sequence[PassageInput], prefix: str) -> list[_Text]:
        leads = [prefix + self._context(one.context) for one in inputs]
        texts = [lead + one.text for lead, one in zip(leads, inputs, strict=True)]
        encodings = self._tokenizer.encode_batch(texts)
        return [_text(*one, len(prefix)) for one in zip(encodings, texts, map(len, leads), strict=True)]

    def _context(self, context: str) -> str:
        """The end of ``context`` that fits its share of the tokens (the nearest heading is last), as a line of its own."""
        if not context:
            return ""
        room = int(self.passage_tokens * CONTEXT_SHARE) - 2  # some tokenizers spend a token or two on the line break
        starts = [start for start, _ in self.token_offsets(context)]
        for start in starts[-room:] if len(starts) > room else [0]:
            # A word that is cut in two may have more tokens than its half had, so count again.
            if len(self.token_offsets(context[start:])) <= room:
                return context[start:] + "\n"
        return ""


class _One(NamedTuple):
    """What the encoder made of one text: ``pooled`` float32 [d], and tokens as in :class:`Encoded`."""

    pooled: Floats
    tokens: Floats
    offsets: Offsets


_NOTHING = _One(np.empty(0, np.float32), np.empty((0, 0), np.float32), np.empty((0, 2), np.int32))


class _Text(NamedTuple):
    """A text as the model reads it: its token ``ids`` int64 [t], which of them are pooled and which ``kept``, each bool [t],
    and the ``offsets`` of those that are kept, as in :class:`Encoded`."""

    ids: Ids
    pooled: Bools
    kept: Bools
    offsets: Offsets

    def made(self, output: Output, row: int) -> _One:
        """What the model made of it, where it was that row of its batch."""
        return _One(_unit(output.pooled[row]), _unit(output.tokens[row, : len(self.kept)][self.kept]), self.offsets)


def _text(encoding: Encoding, text: str, lead: int, prefix: int) -> _Text:
    """``text`` behind ``lead`` characters, of which the first ``prefix`` are the model's own and the others its context."""
    ids, offsets = np.array(encoding.ids, np.int64), np.array(encoding.offsets, np.int32).reshape(-1, 2)
    special = np.array(encoding.special_tokens_mask, bool)
    own = ~special & (offsets[:, 0] >= lead)
    frame = special | (offsets[:, 1] <= prefix)  # what the model was trained to pool beside the text's own
    kept = _kept_tokens(text, offsets, own, frame)
    places = np.where(own[:, None], offsets - lead, -1)[kept]
    return _Text(ids, own | frame, kept, places.astype(np.int32))


def _kept_tokens(text: str, offsets: Offsets, own: Bools, frame: Bools) -> Bools:
    """Which tokens get a vector: those with a letter or a digit, of passage and context; all of a passage that has none.
    At least one does: where the tokenizer sees nothing in a text, the special ones stand for it."""
    words = np.fromiter((any(map(str.isalnum, text[start:end])) for start, end in offsets.tolist()), bool, len(offsets))
    if not (own & words).any():
        words |= own
    kept = words & ~frame
    return kept if kept.any() else frame


def _batch(texts: Sequence[_Text], length: int, padding: int) -> Batch:
    """The texts padded to ``length`` tokens."""
    ids = np.full((len(texts), length), padding, np.int64)
    mask, pooling = np.zeros_like(ids), np.zeros_like(ids)
    for row, one in enumerate(texts):
        ids[row, : len(one.ids)] = one.ids
        mask[row, : len(one.ids)] = 1
        pooling[row, : len(one.ids)] = one.pooled
    return Batch(ids, mask, pooling)


def _encoded(made: Sequence[_One], dimension: int) -> Encoded:
    pooled = np.stack([one.pooled for one in made]) if made else np.empty((0, dimension), np.float32)
    return Encoded(pooled, [one.tokens for one in made], [one.offsets for one in made])


def _padded(tokens: int) -> int:
    """The length that so many tokens are padded to."""
    return -(-tokens // QUESTION_LENGTHS[0]) * QUESTION_LENGTHS[0]


def _at_least(needed: int, sizes: Sequence[int]) -> int:
    """The first of ascending sizes that is enough; what is needed, if none is."""
    return next((size for size in sizes if size >= needed), needed)


def batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Indices in batches of similar length, longest first (so that memory peaks at once), each padded batch within
    ``budget`` tokens, or of one text that alone exceeds it."""
    batch: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if batch and (len(batch) + 1) * lengths[batch[0]] > budget:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def _contract(files: ModelFiles, model: Description) -> ModelContract:
    return ModelContract(
        name=files.name,
        weights=files.weights,
        dimension=model.dimension,
        pooling=model.pooling,
        question_prefix=model.question_prefix,
        passage_prefix=model.passage_prefix,
        token_limit=model.token_limit,
        context="title and headings, read but not pooled",
        splitter=SPLITTER_VERSION,
        codes=CODE_FORMAT,
        terms=TERMS_VERSION,
    )


def _letters(text: str, start: int, end: int) -> int:
    return sum(map(str.isalpha, text[start:end]))


def _unit(vectors: Floats) -> Floats:
    """Rows at unit length; a row of zeros stays."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), dtype=np.float32)
