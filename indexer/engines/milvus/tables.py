"""The tables of a collection on a Milvus server, as they are made.

NAME holds passages, NAME_documents one row a document, NAME_texts their texts in chunks, NAME_meta the rest: the state, the
model contract, the stemmers, synced files, and what is being written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from indexer.engines.milvus.connection import TABLES, Connection, Server, Tables
from indexer.engines.milvus.encoding import MAX_BYTES, MAX_TAGS, token_fields
from indexer.models import ModelContract
from indexer.words import K1, B

if TYPE_CHECKING:
    from pymilvus import CollectionSchema, MilvusClient
    from pymilvus.milvus_client.index import IndexParams

PASSAGES, DOCUMENTS, TEXTS, META = TABLES
WEIGHED = "weighed"  # the field of passages that a server which ranks by words makes of them
NAMED = (META, DOCUMENTS, TEXTS)
# FAISS' measure of a graph that finds nearly all (docs/design.md has the figures of the search that a folder does instead).
GRAPH = {"M": 32, "efConstruction": 200}


def make_named(connection: Connection) -> None:
    """Make the tables that need no model, if they are not there."""
    for table in NAMED:
        _make(connection, Tables(connection).name(table), lambda client, table=table: _SCHEMAS[table](client))  # type: ignore[misc]


def make_passages(connection: Connection, contract: ModelContract) -> None:
    """Make the table of passages for a model, if it is not there."""
    _make(connection, Tables(connection).name(PASSAGES), lambda client: _passages(client, contract, connection.server))


def has(connection: Connection, table: str) -> bool:
    """Whether a table is there."""
    name = Tables(connection).name(table)
    return bool(connection.call(lambda client, left: client.has_collection(name, timeout=left)))


def fields_of(connection: Connection) -> list[str]:
    """The fields of the table of passages, which decide what can be asked of it."""
    found: dict[str, Any] = connection.call(
        lambda client, left: client.describe_collection(Tables(connection).name(PASSAGES), timeout=left)
    )
    return [field["name"] for field in found["fields"]]


def _make(connection: Connection, name: str, made: Callable[[MilvusClient], tuple[CollectionSchema, IndexParams]]) -> None:
    def make(client: MilvusClient, left: float) -> None:
        schema, indexes = made(client)
        if not client.has_collection(name, timeout=left):
            # With indexes it is loaded too; one that another service has just made is the same.
            # Pages are read with the consistency that a table was made with, whatever they ask for.
            client.create_collection(name, schema=schema, index_params=indexes, consistency_level="Strong", timeout=left)
        elif missing := _missing(client, name, indexes, left):  # who made it ended before they were
            client.create_index(name, missing, timeout=left)
        client.load_collection(name, timeout=left)

    connection.call(make)


def _missing(client: MilvusClient, name: str, indexes: IndexParams, left: float) -> IndexParams:
    """Those of the indexes whose fields have none of any kind: a server loads no table without an index of its vectors. A table
    that an older server made has not all fields."""
    fields = {one["name"] for one in client.describe_collection(name, timeout=left)["fields"]}
    missing = client.prepare_index_params()
    missing += [
        one for one in indexes if one.field_name in fields and not client.list_indexes(name, one.field_name, timeout=left)
    ]
    return missing


def _plain(client: MilvusClient, key: str) -> tuple[CollectionSchema, IndexParams]:
    """A table without vectors: a server asks for one, so it has nothing in it."""
    from pymilvus import DataType

    schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field(key, DataType.VARCHAR, max_length=256, is_primary=True)
    schema.add_field("nothing", DataType.FLOAT_VECTOR, dim=2)
    indexes = client.prepare_index_params()
    indexes.add_index("nothing", index_type="FLAT", metric_type="L2")
    return schema, indexes


def _documents(client: MilvusClient) -> tuple[CollectionSchema, IndexParams]:
    from pymilvus import DataType

    schema, indexes = _plain(client, "key")
    for name in ("generation", "source", "passages", "characters", "terms", "chunks", "text_chunks"):
        schema.add_field(name, DataType.INT64)
    schema.add_field("hash", DataType.VARCHAR, max_length=64)
    schema.add_field("described", DataType.VARCHAR, max_length=MAX_BYTES)
    return schema, indexes


def _texts(client: MilvusClient) -> tuple[CollectionSchema, IndexParams]:
    from pymilvus import DataType

    schema, indexes = _plain(client, "row")
    schema.add_field("document", DataType.VARCHAR, max_length=32)
    schema.add_field("generation", DataType.INT64)
    schema.add_field("text", DataType.VARCHAR, max_length=MAX_BYTES)
    return schema, indexes


def _meta(client: MilvusClient) -> tuple[CollectionSchema, IndexParams]:
    from pymilvus import DataType

    schema, indexes = _plain(client, "key")
    schema.add_field("kind", DataType.VARCHAR, max_length=16)
    schema.add_field("value", DataType.VARCHAR, max_length=MAX_BYTES)
    return schema, indexes


_SCHEMAS = {DOCUMENTS: _documents, TEXTS: _texts, META: _meta}


def _passages(client: MilvusClient, contract: ModelContract, server: Server) -> tuple[CollectionSchema, IndexParams]:
    from pymilvus import DataType, Function, FunctionType

    schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("row", DataType.VARCHAR, max_length=64, is_primary=True)
    for name, length in (("id", 32), ("document", 32), ("input", 64), ("content", 32), ("date", 32), ("head", MAX_BYTES)):
        schema.add_field(name, DataType.VARCHAR, max_length=length)
    schema.add_field("generation", DataType.INT64)
    schema.add_field("tags", DataType.ARRAY, element_type=DataType.VARCHAR, max_capacity=MAX_TAGS, max_length=24)
    for at in range(token_fields(contract)):
        schema.add_field(f"tokens_{at}", DataType.VARCHAR, max_length=MAX_BYTES)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=contract.dimension)
    indexes = client.prepare_index_params()
    indexes.add_index("vector", index_type="HNSW", metric_type="IP", params=GRAPH)
    if not server.words:
        schema.add_field("words", DataType.VARCHAR, max_length=MAX_BYTES)
        return schema, indexes
    # Our terms are words of letters between spaces, which every tokenizer leaves as they are.
    analyzer = {"tokenizer": "standard"}
    schema.add_field(
        "words", DataType.VARCHAR, max_length=MAX_BYTES, enable_analyzer=True, enable_match=True, analyzer_params=analyzer
    )
    schema.add_field(WEIGHED, DataType.SPARSE_FLOAT_VECTOR)
    schema.add_function(Function("bm25", FunctionType.BM25, input_field_names=["words"], output_field_names=[WEIGHED]))
    constants = {"bm25_k1": K1, "bm25_b": B}
    indexes.add_index(WEIGHED, index_type="SPARSE_INVERTED_INDEX", metric_type="BM25", params=constants)
    if not server.flushes:  # the small one has no such indexes
        for name in ("id", "document", "input", "content", "date", "tags"):
            indexes.add_index(name, index_type="INVERTED")
    return schema, indexes
