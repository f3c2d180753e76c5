"""What an index holds, as one hash: equal for equal contents, in whatever order and however often they were written.

Of what it is made: the contract, but for the model's name and its calibration; of each document, by id, all but where it lies
(uri and source: the same folder elsewhere is the same content); of each of its passages, in order, id, offsets, labels,
language, what the encoder read, and terms. Left out are keys, generations and files, which say how it came about, and vectors
and token codes, whose last bits another runtime or processor makes differently (docs/design.md).
"""

from __future__ import annotations

import hashlib
import json

from indexer.engines.contract import Reader


def content_hash(snapshot: Reader) -> str:
    """The sha256, hexadecimal, of what the commit holds. Reads all texts and terms, one document or passage at a time."""
    whole = hashlib.sha256(_framed(snapshot.contract.readings() if snapshot.contract else None))
    for *plain, metadata, pages, headings in snapshot.document_contents():
        whole.update(_framed([*plain, *map(json.loads, (metadata, pages, headings))]))
    for *values, labels, read, terms in snapshot.passage_contents():
        whole.update(_framed([*values, json.loads(labels), read.hex(), hashlib.sha256(terms).hexdigest()]))
    return whole.hexdigest()


def _framed(value: object) -> bytes:
    """As one line of JSON, so that nothing can move from one value to the next unnoticed."""
    return json.dumps(value, sort_keys=True).encode() + b"\n"
