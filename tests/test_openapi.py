"""The OpenAPI document and the server agree: no request that it allows, or forbids, ends in a fault of the server."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from indexer.models import DEFAULT_MODEL
from service.app import create_app
from tests.fuzzing import record, tries

CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance, status_code_conformance]
SCHEMA = schemathesis.openapi.from_dict(create_app(Path("unused"), DEFAULT_MODEL).openapi())
seen: Counter[str] = Counter()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a server that is ready."""
    app = create_app(tmp_path_factory.mktemp("index"), DEFAULT_MODEL)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    until = time.monotonic() + 60
    while httpx.get(f"{url}/readyz").status_code != 200 and time.monotonic() < until:
        time.sleep(0.05)
    try:
        yield url
    finally:
        server.should_exit = True
        thread.join()
    record("openapi_requests", **{status: seen[status] for status in sorted(seen)})


@SCHEMA.parametrize()
@settings(max_examples=tries(12, 1000), deadline=None, suppress_health_check=[*HealthCheck], database=None, derandomize=True)
def test_no_request_is_a_fault_and_every_response_is_as_described(case: schemathesis.Case[Any], address: str) -> None:
    response = case.call(base_url=address)
    seen[str(response.status_code)] += 1
    case.validate_response(response, checks=CHECKS)
