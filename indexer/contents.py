"""What an index holds, as one hash: the same for the same documents, in whatever order and by whatever commits they came."""

from __future__ import annotations

import hashlib
import json

from indexer.snapshot import Snapshot


def content_hash(snapshot: Snapshot) -> str:
    """SHA-256, in hexadecimal, over the documents by id (without uri and file: where a document lies is not what it says),
    their passages, and what made these. Keys, order and files count for nothing, nor do vectors and codes: they follow from
    the above but for a runtime's rounding. Reads an index and no texts: the catalog keeps a hash of each document.
    """
    digest = hashlib.sha256()
    contract = snapshot.contract
    digest.update(_line(contract.readings() if contract else None))
    for row in snapshot.contents():
        digest.update(_line(row))
    return digest.hexdigest()


def _line(values: object) -> bytes:
    """Values such that no two rows are confused: JSON, a line each."""
    return json.dumps(values).encode() + b"\n"
