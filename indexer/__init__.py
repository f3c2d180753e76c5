"""Documents to passages to vectors to ranked passages: the library, with no HTTP in it.

The names below are the public ones; a program needs no others.
"""

import contextlib
import ctypes
import os

# Read when numpy is first imported. A search's matrices are small: a second thread gains them nothing, and one that spins
# while it waits takes a core from the next question.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Read when faiss or torch is first imported. Threads that spin while they wait made a question many times slower on busy cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# glibc gives threads pools of memory, up to eight a core, and none of it back: in 600 commits with folds a process went from
# 160 to 370 MiB, where with two pools it stays at 160 and is as fast. Other C libraries have no such call.
with contextlib.suppress(AttributeError, OSError, TypeError):
    ctypes.CDLL(None).mallopt(-8, 2)  # M_ARENA_MAX

from indexer.candidates import DeadlineError
from indexer.collection import Collection
from indexer.controls import printable
from indexer.documents import Document
from indexer.encoder import Encoder
from indexer.engines.address import Address, where_of
from indexer.engines.contract import Engine
from indexer.engines.copying import Copied, copy
from indexer.engines.opening import open_engine
from indexer.errors import PassagesError
from indexer.explain import Explanation, explain, similar
from indexer.fastscan import FastScanIndex
from indexer.ingest import Ingest, put, reindex, remove
from indexer.intervals import wilson
from indexer.judged import Place, judged, places_of
from indexer.judgementfile import Judgements
from indexer.judgements import JudgedPassage, Judgement, JudgementsError
from indexer.models import DEFAULT_MODEL
from indexer.ranking import READINGS, SIGNALS
from indexer.search import Answer, Query, Result, all_encoded, encoded, search
from indexer.sync import Sync
from indexer.synced import Summary
from indexer.vectors import ExactIndex, VectorIndex

__all__ = [
    "DEFAULT_MODEL",
    "READINGS",
    "SIGNALS",
    "Address",
    "Answer",
    "Collection",
    "Copied",
    "DeadlineError",
    "Document",
    "Encoder",
    "Engine",
    "ExactIndex",
    "Explanation",
    "FastScanIndex",
    "Ingest",
    "JudgedPassage",
    "Judgement",
    "Judgements",
    "JudgementsError",
    "PassagesError",
    "Place",
    "Query",
    "Result",
    "Summary",
    "Sync",
    "VectorIndex",
    "all_encoded",
    "copy",
    "encoded",
    "explain",
    "judged",
    "open_engine",
    "places_of",
    "printable",
    "put",
    "reindex",
    "remove",
    "search",
    "similar",
    "where_of",
    "wilson",
]
