"""deploy/kubernetes/milvus/users.py on a Milvus server that demands passwords, which the small one cannot.

For :mod:`tests.core`, alone: the server's ports are fixed, and its other tests want none.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing

import pytest
from grpc import RpcError
from pymilvus import DataType, MilvusClient
from pymilvus.exceptions import MilvusException

from indexer import Document, Query
from indexer.encoder import Encoder
from indexer.engines.address import Address
from indexer.engines.milvus.collection import MilvusCollection
from indexer.ingest import put, remove
from indexer.search import search
from tests.milvus import CORE, CORE_PORT, CoreServer
from tests.users import SCRIPT, users

pytestmark = pytest.mark.skipif(CORE is None, reason="needs the server core: make test-cluster")
URI = f"http://127.0.0.1:{CORE_PORT}"
ROOT, PASSWORD = "r" * 20, "p" * 20


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[None]:
    """A new one; root has the published password."""
    assert CORE is not None
    shutil.rmtree(CORE / "data", ignore_errors=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COMMON_SECURITY_AUTHORIZATIONENABLED", "true")
        server = CoreServer(CORE, CORE_PORT)
        server.start()
    run()
    yield
    server.end()


def run(password: str = PASSWORD, root: str = ROOT) -> str:
    """The script, as the Job runs it; what it said."""
    env = os.environ | {
        "MILVUS_SERVER": URI, "MILVUS_COLLECTION": "papers", "MILVUS_ROOT_PASSWORD": root, "MILVUS_PASSWORD": password,
    }  # fmt: skip
    done = subprocess.run([sys.executable, str(SCRIPT)], env=env, capture_output=True, text=True, check=True)
    return done.stdout


def client(user: str, password: str) -> MilvusClient:
    return MilvusClient(URI, user=user, password=password, timeout=20)


def test_only_the_new_passwords_let_anybody_in() -> None:
    assert set(client("root", ROOT).list_users()) == {"root", users.USER}
    for user, password in (("root", users.PUBLISHED), ("root", PASSWORD), (users.USER, ROOT)):
        with pytest.raises((MilvusException, RpcError)):
            client(user, password).list_collections()


def test_a_second_run_changes_nothing_and_another_password_is_set() -> None:
    def rights() -> list[tuple[str, str, str]]:
        role = client("root", ROOT).describe_role(users.ROLE)
        return sorted((one["object_type"], one["object_name"], one["privilege"]) for one in role["privileges"])

    before = rights()
    assert len(before) == len(users.ANYWHERE) + len(users.TABLES) * len(users.ON_TABLES)
    run()
    assert rights() == before
    run("q" * 20)
    assert client(users.USER, "q" * 20).list_collections() is not None
    with pytest.raises((MilvusException, RpcError)):
        client(users.USER, PASSWORD).list_collections()
    run()
    assert rights() == before


def test_a_server_that_does_not_answer_for_a_moment_costs_nobody_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([None, client(users.USER, PASSWORD)])
    monkeypatch.setattr(users, "_client", lambda *_: next(looks))
    monkeypatch.setattr(users, "PAUSE_S", 0.1)
    root = client("root", ROOT)
    users._user(root, PASSWORD)
    assert users.ROLE in root.describe_user(users.USER)["roles"]  # one who is made anew has no role yet


def test_the_services_user_can_do_all_that_a_service_does(encoder: Encoder) -> None:
    address = Address("127.0.0.1", CORE_PORT, "papers", token=f"{users.USER}:{PASSWORD}", consistency="Strong")
    with closing(MilvusCollection(address, "", create=True, encoder=encoder, patience_s=20)) as engine:
        for text in ("A bee is an insect. It makes honey.", "A bee is an insect. It makes honey from nectar."):
            put(engine, Document("bees", "Bees", text))
        (found,) = search(engine, Query("what makes honey")).results
        assert found.passage.document.text.endswith("nectar.")
        engine.rebuild_derived()
        assert remove(engine, "bees")
        engine.check()
    with closing(MilvusCollection(address, "", encoder=encoder, patience_s=20)) as engine:
        assert search(engine, Query("what makes honey")).results == ()


def test_the_services_user_can_do_nothing_else() -> None:
    root, user = client("root", ROOT), client(users.USER, PASSWORD)
    schema = root.create_schema(auto_id=False)
    schema.add_field("key", DataType.VARCHAR, max_length=10, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=2)
    indexes = root.prepare_index_params()
    indexes.add_index("vector", index_type="FLAT", metric_type="L2")
    root.create_collection("others", schema=schema, index_params=indexes)
    row = {"key": "a", "vector": [1.0, 2.0]}
    assert root.insert("others", [row])["insert_count"] == 1
    for refused in (
        lambda: user.query("others", filter='key == "a"'),
        lambda: user.insert("others", [row]),
        lambda: user.delete("others", filter='key == "a"'),
        lambda: user.drop_collection("others"),
        lambda: user.drop_collection("papers_meta"),
        user.list_users,
        lambda: user.create_user("another", PASSWORD),
        lambda: user.grant_privilege(users.ROLE, "Global", "DropCollection", "*"),
    ):
        with pytest.raises((MilvusException, RpcError), match="permission deny"):
            refused()
    assert root.has_collection("papers_meta")
