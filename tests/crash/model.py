"""A sentence-transformers model with random weights, so small that it loads and encodes in milliseconds: what is tested here is
what is stored."""

from __future__ import annotations

import string
import sys
from pathlib import Path


def make(folder: Path) -> Path:
    """The model's folder. Takes seconds, nearly all of them to import torch."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast  # type: ignore[attr-defined]  # made when it is asked for

    characters = string.ascii_lowercase + string.digits
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *characters, *(f"##{one}" for one in characters), *".,-~"]
    folder.mkdir(parents=True)
    (folder / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    torch.manual_seed(0)
    shape = BertConfig(
        vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    BertModel(shape).save_pretrained(folder / "bert")
    BertTokenizerFast(vocab_file=str(folder / "vocab.txt")).save_pretrained(folder / "bert")
    layers = [Transformer(str(folder / "bert"), max_seq_length=128), Pooling(32)]
    SentenceTransformer(modules=layers, device="cpu").save(str(folder / "model"))
    return folder / "model"


if __name__ == "__main__":
    from indexer.encoder import Encoder

    Encoder.of(str(make(Path(sys.argv[1]))))  # which converts it once, for all that use it
