"""The one encoder: a single forward pass gives a passage its pooled vector and its token vectors.

Invariant: ``offsets[i]`` are characters of the passage itself. Title and headings are read with the passage, as its
context, so that its own tokens know them; they are not pooled, and their tokens have no place in the passage (docs/design.md
has the figures).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from indexer.models import DEFAULT_MODEL, ModelError, ModelFiles, locate
from indexer.passages import CONTEXT_SHARE, SPLITTER_VERSION
from indexer.terms import TERMS_VERSION, word_spans
from indexer.tokens import CODE_FORMAT

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from tokenizers import Encoding, Tokenizer

Floats = npt.NDArray[np.float32]
Offsets = npt.NDArray[np.int32]
Bools = npt.NDArray[np.bool_]

# Padded tokens a forward pass: measured on two cores, more gains nothing and keeps questions waiting behind a batch.
BATCH_TOKENS = 4096


@dataclass(frozen=True, slots=True)
class ModelContract:
    """What an index was made with. An index is searched only with an encoder of the same contract."""

    name: str
    weights: str
    dimension: int
    pooling: str
    question_prefix: str
    passage_prefix: str
    token_limit: int
    context: str
    splitter: int
    codes: str = ""  # the format of token codes; "" in an index that has none
    terms: int = 0  # the version of what the word index counts
    calibration: Mapping[str, float] | None = None  # measured for this index (ranking.py); None: what ships with the model

    def same_vectors(self, other: ModelContract) -> bool:
        """Whether both give the same vectors, codes and terms: the name is only what a person calls the model, and what its
        scores mean can be measured again."""
        mine, theirs = asdict(self), asdict(other)
        return all(mine[field] == theirs[field] for field in mine if field not in ("name", "calibration"))


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


class Encoder:
    """A sentence-transformers model on this machine's CPU or GPU. Safe to share between threads."""

    def __init__(self, files: ModelFiles) -> None:
        self._model = _load(files)
        self._tokenizer = _plain_tokenizer(self._model)
        self._unknown = self._model.tokenizer.unk_token_id
        self._lock = threading.Lock()
        self._threads = _threads()
        self.contract = _contract(files, self._model)

    @classmethod
    def of(cls, model: str = DEFAULT_MODEL) -> Encoder:
        """The encoder of a model's name or folder; see :func:`indexer.models.locate`."""
        return cls(locate(model))

    @property
    def passage_tokens(self) -> int:
        """How many tokens of context and text together a passage may have."""
        return self._room(self.contract.passage_prefix)

    @property
    def question_tokens(self) -> int:
        """How many tokens a question may have."""
        return self._room(self.contract.question_prefix)

    def token_offsets(self, text: str) -> list[tuple[int, int]]:
        """Each token's start and end in ``text``, in characters, without special tokens."""
        offsets: list[tuple[int, int]] = self._tokenizer.encode(text, add_special_tokens=False).offsets
        return offsets

    def whole_share(self, text: str) -> float:
        """The share of the letters of ``text`` that stand in words which the vocabulary has whole; where words are not
        parted by spaces, in tokens of several characters. 1 for a text without letters. A model reads the languages whose
        words it knows: of others it sees syllables, single letters, or nothing."""
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        known = [span for token, span in zip(encoding.ids, encoding.offsets, strict=True) if token != self._unknown]
        letters = whole = 0
        for start, end, is_run in word_spans(text):
            letters += _letters(text, start, end)
            inside = [(a, b) for a, b in known if start <= a and b <= end and (b - a > 1 if is_run else (a, b) == (start, end))]
            whole += sum(_letters(text, a, b) for a, b in inside)
        return whole / letters if letters else 1.0

    def question(self, text: str) -> Encoded:
        """One question, n = 1. Raises :class:`TooLongError` beyond :attr:`question_tokens`."""
        found = len(self.token_offsets(text))
        if found > self.question_tokens:
            raise TooLongError(
                f"the question has {found} tokens and the model reads {self.question_tokens}: ask it in fewer words"
            )
        return self._encode([PassageInput("", text)], self.contract.question_prefix)

    def passages(self, inputs: Sequence[PassageInput], progress: Callable[[int], None] | None = None) -> Encoded:
        """n passages in one call. ``progress`` is told the number of passages that each batch finished.

        Context beyond its share of the tokens is cut, nearest heading kept; a text that is too long is an error.
        """
        return self._encode(inputs, self.contract.passage_prefix, progress)

    def _room(self, prefix: str) -> int:
        specials = self._tokenizer.num_special_tokens_to_add(is_pair=False)
        return self.contract.token_limit - specials - len(self.token_offsets(prefix))

    def _encode(self, inputs: Sequence[PassageInput], prefix: str, progress: Callable[[int], None] | None = None) -> Encoded:
        pooled = np.empty((len(inputs), self.contract.dimension), dtype=np.float32)
        tokens: list[Floats] = [np.empty((0, 0), np.float32)] * len(inputs)
        offsets: list[Offsets] = [np.empty((0, 2), np.int32)] * len(inputs)
        leads = [prefix + self._context(one.context) for one in inputs]
        encodings = self._tokenizer.encode_batch([lead + one.text for lead, one in zip(leads, inputs, strict=True)])
        self._check_lengths(encodings)
        for batch in batches([len(encoding.ids) for encoding in encodings], BATCH_TOKENS):
            own = [_own_tokens(encodings[i], len(leads[i])) for i in batch]
            pooled[batch], token_vectors = self._forward([encodings[i] for i in batch], own, len(prefix))
            for row, i in enumerate(batch):
                kept = _kept_tokens(encodings[i], own[row], leads[i] + inputs[i].text, len(prefix))
                tokens[i] = _unit(token_vectors[row, : len(kept)][kept])
                offsets[i] = _offsets(encodings[i])[kept] - len(leads[i])
                offsets[i][~own[row][kept]] = -1
            if progress:
                progress(len(batch))
        return Encoded(pooled, tokens, offsets)

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

    def _check_lengths(self, encodings: Iterable[Encoding]) -> None:
        longest = max((len(encoding.ids) for encoding in encodings), default=0)
        if longest > self.contract.token_limit:
            raise TooLongError(
                f"a passage has {longest} tokens and the model reads {self.contract.token_limit}: split it first"
            )

    def _forward(self, encodings: Sequence[Encoding], own: Sequence[Bools], prefix: int) -> tuple[Floats, Floats]:
        """Pooled vectors float32 [n, d] of unit length and all token vectors float32 [n, longest, d].

        ``own`` says for each text which tokens are the passage's; ``prefix`` is the characters of the model's own prefix.
        """
        import torch

        pooling = np.zeros((len(encodings), max(len(encoding.ids) for encoding in encodings)), dtype=np.int64)
        for row, encoding in enumerate(encodings):
            pooling[row, : len(encoding.ids)] = own[row] | _frame_tokens(encoding, prefix)
        features = self._features(encodings)
        read, *rest = list(self._model)
        with self._lock, torch.inference_mode():  # a batch at a time: a question gets in between two batches of passages
            # A second thread gains one short text nothing, and on a busy machine it makes it wait for the other's turn.
            torch.set_num_threads(1 if len(encodings) == 1 else self._threads)
            output = read({name: value.to(self._model.device) for name, value in features.items()})
            output["attention_mask"] = torch.from_numpy(pooling).to(self._model.device)
            for module in rest:
                output = module(output)
        return _unit(output["sentence_embedding"].float().cpu().numpy()), output["token_embeddings"].float().cpu().numpy()

    def _features(self, encodings: Sequence[Encoding]) -> dict[str, Any]:
        import torch

        longest = max(len(encoding.ids) for encoding in encodings)
        ids = np.full((len(encodings), longest), self._model.tokenizer.pad_token_id or 0, dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, encoding in enumerate(encodings):
            ids[row, : len(encoding.ids)] = encoding.ids
            mask[row, : len(encoding.ids)] = 1
        features = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
        if "token_type_ids" in self._model.tokenizer.model_input_names:
            features["token_type_ids"] = torch.zeros_like(features["input_ids"])
        return features


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


def _load(files: ModelFiles) -> SentenceTransformer:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    # Read when torch is imported. Threads that spin while they wait made a question 20 times slower on two busy cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        model = SentenceTransformer(
            str(files.folder), local_files_only=True, trust_remote_code=False, model_kwargs={"use_safetensors": True}
        )
    except Exception as error:  # whatever the libraries raise means that these files are not a usable model
        raise ModelError(f"{files.folder} does not load as a sentence-transformers model: {error}") from error
    return model.eval()


@cache
def _threads() -> int:
    """How many threads torch takes by itself: the cores of this machine, or what OMP_NUM_THREADS says."""
    import torch

    return int(torch.get_num_threads())


def _plain_tokenizer(model: SentenceTransformer) -> Tokenizer:
    """The model's tokenizer with truncation and padding off: a copy, since calls to the original change its state."""
    from tokenizers import Tokenizer

    backend = getattr(model.tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ModelError("this model has no fast tokenizer (tokenizer.json), which offsets need: choose another model")
    copy = Tokenizer.from_str(backend.to_str())
    copy.no_truncation()
    copy.no_padding()
    return copy


def _contract(files: ModelFiles, model: SentenceTransformer) -> ModelContract:
    prompts = model.prompts or {}
    pooling = [getattr(module, "pooling_mode", None) for module in model if hasattr(module, "pooling_mode")]
    return ModelContract(
        name=files.name,
        weights=files.weights,
        dimension=int(model.get_embedding_dimension() or 0),
        pooling=str(pooling[0]) if pooling else "unknown",
        question_prefix=prompts.get("query") or "",
        passage_prefix=prompts.get("document") or prompts.get("passage") or "",
        token_limit=int(model.max_seq_length or 512),
        context="title and headings, read but not pooled",
        splitter=SPLITTER_VERSION,
        codes=CODE_FORMAT,
        terms=TERMS_VERSION,
    )


def _letters(text: str, start: int, end: int) -> int:
    return sum(map(str.isalpha, text[start:end]))


def _own_tokens(encoding: Encoding, lead: int) -> Bools:
    """Which tokens belong to the passage, that is, stand after its ``lead`` characters of prefix and context."""
    return np.asarray((np.asarray(encoding.special_tokens_mask) == 0) & (_offsets(encoding)[:, 0] >= lead))


def _frame_tokens(encoding: Encoding, prefix: int) -> Bools:
    """Which tokens the model was trained to pool beside the text's own: special ones, and those of its prefix."""
    return np.asarray((np.asarray(encoding.special_tokens_mask) == 1) | (_offsets(encoding)[:, 1] <= prefix))


def _kept_tokens(encoding: Encoding, own: Bools, text: str, prefix: int) -> Bools:
    """Which tokens get a vector: those with a letter or a digit, of passage and context; all of a passage that has none.
    At least one does: where the tokenizer sees nothing in a text, the special ones stand for it."""
    frame = _frame_tokens(encoding, prefix)
    words = np.fromiter((any(map(str.isalnum, text[start:end])) for start, end in encoding.offsets), dtype=bool)
    if not (own & words).any():
        words |= own
    kept = words & ~frame
    return kept if kept.any() else frame


def _offsets(encoding: Encoding) -> Offsets:
    return np.asarray(encoding.offsets, dtype=np.int32).reshape(-1, 2)


def _unit(vectors: Floats) -> Floats:
    """Rows at unit length; a row of zeros stays."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), dtype=np.float32)
