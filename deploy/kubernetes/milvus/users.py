"""Gives a Milvus server its users: root a password of its own, and the services a user who may use one collection, not root.

A Job runs it (users.yaml), in the image of the services, which has Milvus' client. Another run changes nothing that is right.
It takes MILVUS_SERVER (http://HOST:PORT), MILVUS_COLLECTION, MILVUS_ROOT_PASSWORD, MILVUS_PASSWORD and, if the connection is
encrypted, MILVUS_AUTHORITY, the file of a certificate.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from typing import Any

from grpc import RpcError
from pymilvus import MilvusClient
from pymilvus.exceptions import MilvusException

PUBLISHED = "Milvus"  # root's password on a server that was given none
USER = ROLE = "passages"
# What indexer/engines/milvus calls, also where a server asks for less: 2.3.5 does not for loading's progress, nor for what its
# defaults open to all. Nobody but root drops a table or sees the users.
ANYWHERE = ("CreateCollection", "DescribeCollection", "ShowCollections")
ON_TABLES = (
    "CreateIndex", "IndexDetail", "Load", "GetLoadState", "GetLoadingProgress",
    "Insert", "Upsert", "Delete", "Query", "Search",
)  # fmt: skip
TABLES = ("", "_documents", "_texts", "_meta")
SHORTEST, LONGEST = 16, 72  # characters of a password; the server takes no more bytes
PATIENCE_S, PAUSE_S, CALL_S = 600.0, 5.0, 20.0
LOOKS = 3  # at a password, until it counts as refused


def main() -> None:
    """Does it, or says why not and exits with 1."""
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)  # it makes a traceback of each password that is wrong
    root_password, password = _password("MILVUS_ROOT_PASSWORD"), _password("MILVUS_PASSWORD")
    root = _root(root_password)
    _user(root, password)
    _role(root, os.environ["MILVUS_COLLECTION"])
    if _client("root", PUBLISHED) is not None:
        sys.exit("the server still takes root's published password")
    if _client(USER, password) is None:
        sys.exit(f"the server does not take the password of {USER} that was just set")
    sys.stdout.write(f"root has its own password, and {USER} may use {os.environ['MILVUS_COLLECTION']}\n")


def _password(name: str) -> str:
    password = os.environ[name]
    if not SHORTEST <= len(password.encode()) <= LONGEST:
        sys.exit(f"{name} must have {SHORTEST} to {LONGEST} characters")
    return password


def _root(password: str) -> MilvusClient:
    """A connection as root, who has ``password`` from then on. Waits for the server."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        if client := _client("root", password):
            return client
        if client := _client("root", PUBLISHED):
            client.update_password("root", PUBLISHED, password, timeout=CALL_S)
        else:
            time.sleep(PAUSE_S)
    sys.exit("the server does not answer, or root has another password there: MILVUS_ROOT_PASSWORD must be that one")


def _client(user: str, password: str) -> MilvusClient | None:
    """A connection; None if the server does not answer or refuses the password, which its client does not tell apart."""
    more: dict[str, Any] = {}
    if authority := os.environ.get("MILVUS_AUTHORITY"):
        more = {"server_pem_path": authority, "secure": True}
    try:
        client = MilvusClient(os.environ["MILVUS_SERVER"], user=user, password=password, timeout=CALL_S, **more)
        client.list_collections(timeout=CALL_S)
    except (MilvusException, RpcError):
        return None
    return client


def _user(root: MilvusClient, password: str) -> None:
    """The services' user, with ``password``."""
    if USER in root.list_users(timeout=CALL_S):
        if _is_taken(root, password):
            return
        root.drop_user(USER, timeout=CALL_S)  # root cannot set a password without the old one
    root.create_user(USER, password, timeout=CALL_S)


def _is_taken(root: MilvusClient, password: str) -> bool:
    """Whether the user has this password. A server that does not answer for a moment must not cost all services their user: it
    is asked several times, and has to answer root in between, which raises if it does not, and the Job is run again."""
    for _ in range(LOOKS):
        if _client(USER, password):
            return True
        root.list_users(timeout=CALL_S)
        time.sleep(PAUSE_S)
    return False


def _role(root: MilvusClient, collection: str) -> None:
    """The role that says what the user may do. A right that it has already is given again without harm."""
    if ROLE not in root.list_roles(timeout=CALL_S):
        root.create_role(ROLE, timeout=CALL_S)
    for right in ANYWHERE:
        root.grant_privilege(ROLE, "Global", right, "*", timeout=CALL_S)
    for table in TABLES:
        for right in ON_TABLES:
            root.grant_privilege(ROLE, "Collection", right, collection + table, timeout=CALL_S)
    root.grant_role(USER, ROLE, timeout=CALL_S)


if __name__ == "__main__":
    main()
