"""Who is let in and for what, over the real application. No model is loaded: 503 "starting" says that a question was let in."""

import json
import logging
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup
from fastapi.testclient import TestClient

from indexer.models import DEFAULT_MODEL
from service.access import Policy
from service.app import create_app
from service.door import Door
from service.keys import KeyFile
from service.limits import MAX_URL_BYTES, Rate
from service.logs import Discreet
from service.sessions import COOKIE, Sessions

ADDRESS = "http://127.0.0.1:8080"
SITE = "https://www.example.org"
QUESTION = {"question": "Who will host the next meeting?"}
ROUTES = [
    ("GET", "/v1/status"), ("GET", "/v1/search?q=x"), ("POST", "/v1/search"), ("POST", "/v1/search/batch"),
    ("GET", "/v1/explain"), ("GET", "/v1/passages/x"), ("GET", "/v1/passages/x/similar"), ("GET", "/v1/documents/x"),
    ("PUT", "/v1/documents/x"), ("DELETE", "/v1/documents/x"), ("GET", "/metrics"), ("GET", "/openapi.json"),
    ("GET", "/v1/documents"), ("POST", "/v1/documents"), ("GET", "/v1/originals/x"), ("GET", "/v1/failures"),
    ("GET", "/v1/events"), ("GET", "/v1/session"), ("GET", "/v1/none"),
    ("GET", "/none"), ("OPTIONS", "/v1/search"), ("POST", "/v1/session"), ("GET", "/webx"),
    ("GET", "//web/x"), ("GET", "/livez/"),
]  # fmt: skip
PUBLIC = ["/livez", "/", "/document", "/collection", "/web/search.js", "/web/style.css"]


def client_of(folder: Path, door: Door, address: str = ADDRESS, **options: Any) -> TestClient:
    return TestClient(create_app(folder / "index", DEFAULT_MODEL, door=door), address, raise_server_exceptions=False, **options)


class Guarded:
    """An application that demands keys, and its keys."""

    def __init__(self, folder: Path) -> None:
        self.file = KeyFile(folder)
        self.read, self.write = self.file.add("reader", "read"), self.file.add("writer", "write")
        self.embedded = self.file.add("site", "read", [SITE])
        self.policy = Policy(self.file, Sessions(lambda: b"s" * 32), demanded=True)
        self.door = Door(self.policy)
        self.client = client_of(folder, self.door, "https://search.example.net")

    def status(self, method: str, path: str, key: str | None = None, **headers: str) -> int:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        bearer = {"authorization": f"Bearer {key}"} if key else {}
        body = {"json": QUESTION} if method in ("POST", "PUT") and path != "/v1/session" else {}
        return self.client.request(method, path, headers=bearer | named, **body).status_code  # type: ignore[arg-type]


@pytest.fixture
def guarded(tmp_path: Path) -> Guarded:
    return Guarded(tmp_path)


def detail(response: Any, status: int) -> str:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    return str(response.json()["detail"])


# --- keys ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_nothing_but_health_and_pages_is_told_without_a_key(guarded: Guarded, method: str, path: str) -> None:
    body = {"json": QUESTION} if method in ("POST", "PUT") else {}
    for headers in (
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": f"Basic {guarded.write}"},
        {"cookie": f"{COOKIE}=1.a.b"},
    ):
        response = guarded.client.request(method, path, headers=headers, **body)  # type: ignore[arg-type]
        assert "passages key add" in detail(response, 401)
        assert response.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("path", PUBLIC)
def test_health_and_page_files_need_no_key(guarded: Guarded, path: str) -> None:
    assert guarded.status("GET", path) == 200


def test_a_read_key_asks_and_a_write_key_also_writes(guarded: Guarded) -> None:
    asks = [("GET", "/v1/status", 200), ("POST", "/v1/search", 503), ("GET", "/v1/search?q=x", 503), ("GET", "/metrics", 200)]
    for method, path, status in asks:
        assert guarded.status(method, path, guarded.read) == guarded.status(method, path, guarded.write) == status
    for method, path, passed in (("PUT", "/x", 422), ("DELETE", "/x", 503), ("POST", "", 503)):
        assert guarded.status(method, f"/v1/documents{path}", guarded.read) == 403
        assert guarded.status(method, f"/v1/documents{path}", guarded.write) == passed
    for path in ("/v1/documents", "/v1/originals/x", "/v1/failures"):  # whoever may read a text may have its file
        assert guarded.status("GET", path, guarded.read) == 503
    assert guarded.status("POST", "/v1/none", guarded.read) == 403  # what may come to write is not open by default


def test_each_is_told_what_its_key_may_do(guarded: Guarded) -> None:
    for name, key, scope in (("reader", guarded.read, "read"), ("writer", guarded.write, "write")):
        said = guarded.client.get("/v1/session", headers={"authorization": f"Bearer {key}"}).json()
        assert (said["key"], said["scope"]) == (name, scope)


def test_a_page_of_another_site_sends_no_files(tmp_path: Path) -> None:
    """A form of any site may send files without asking first, so Origin decides."""
    client = client_of(tmp_path, Door())
    for headers in ({"origin": SITE}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}):
        refused = client.post("/v1/documents", files={"file": ("a.txt", b"x")}, headers=headers)
        assert "a page of another site asks" in detail(refused, 403)
    assert client.post("/v1/documents", files={"file": ("a.txt", b"x")}).status_code == 503


def test_a_revoked_key_is_refused_at_once_and_so_is_its_session(guarded: Guarded) -> None:
    assert guarded.status("POST", "/v1/session", guarded.read) == 204
    assert guarded.status("GET", "/v1/status") == 200  # by the cookie
    guarded.file.revoke("reader")
    assert guarded.status("GET", "/v1/status", guarded.read) == guarded.status("GET", "/v1/status") == 401


def test_a_damaged_or_missing_keys_file_opens_nothing(guarded: Guarded) -> None:
    content = guarded.file.path.read_bytes()
    guarded.file.path.write_bytes(content[: len(content) // 2])
    for method, path in ROUTES:
        if method != "OPTIONS":
            assert guarded.status(method, path, guarded.write) == 503, path
    assert "damaged, and nobody is let in" in detail(guarded.client.get("/v1/status"), 503)
    assert guarded.status("GET", "/livez") == 200
    guarded.file.path.unlink()
    assert guarded.status("GET", "/v1/status", guarded.write) == 401
    guarded.file.path.write_bytes(content)
    guarded.file.path.chmod(0o600)
    assert guarded.status("GET", "/v1/status", guarded.write) == 200


def test_on_loopback_a_first_key_closes_the_door_and_its_loss_does_not_open_it(tmp_path: Path) -> None:
    file = KeyFile(tmp_path)
    client = client_of(tmp_path, Door(Policy(file)))
    assert client.get("/v1/status").status_code == 200
    secret = file.add("me", "write")
    assert client.get("/v1/status").status_code == 401
    assert client.get("/v1/status", headers={"authorization": f"Bearer {secret}"}).status_code == 200
    file.path.unlink()
    assert client.get("/v1/status").status_code == 401


def test_a_key_that_comes_too_often_waits_and_another_does_not(guarded: Guarded) -> None:
    guarded.policy.rate = Rate(0.5, 3)
    assert [guarded.status("GET", "/v1/status", guarded.read) for _ in range(4)] == [200, 200, 200, 429]
    response = guarded.client.get("/v1/status", headers={"authorization": f"Bearer {guarded.read}"})
    told = detail(response, 429)
    assert "PASSAGES_RATE" in told
    assert "/v1/search/batch" in told
    assert 1 <= int(response.headers["retry-after"]) <= 2
    assert guarded.status("GET", "/v1/status", guarded.write) == 200


def test_wrong_keys_are_counted_by_address_and_a_right_one_is_still_let_in(guarded: Guarded) -> None:
    answers = [guarded.status("GET", "/v1/status", f"wrong{number}") for number in range(12)]
    assert answers == [401] * 10 + [429] * 2
    assert guarded.status("GET", "/v1/status", guarded.read) == 200


# --- sessions -----------------------------------------------------------------------------------------------------


def test_a_session_is_a_cookie_that_no_script_reads_and_no_other_site_sends(guarded: Guarded) -> None:
    response = guarded.client.post("/v1/session", headers={"authorization": f"Bearer {guarded.write}"})
    cookie = response.headers["set-cookie"].split("; ")
    assert {"HttpOnly", "SameSite=strict", "Secure", "Path=/", "Max-Age=43200"} <= set(cookie)
    assert guarded.write not in cookie[0]
    assert guarded.status("POST", "/v1/search") == 503
    assert guarded.client.delete("/v1/session").status_code == 204
    assert guarded.status("POST", "/v1/search") == 401
    plain = TestClient(guarded.client.app, "http://192.0.2.7:8080")
    unsafe = plain.post("/v1/session", headers={"authorization": f"Bearer {guarded.write}"}).headers["set-cookie"]
    assert "Secure" not in unsafe  # a browser would drop it there


@pytest.mark.parametrize(
    "headers", [{"origin": SITE}, {"origin": "null"}, {"sec_fetch_site": "cross-site"}, {"sec_fetch_site": "same-site"}]
)
def test_a_page_of_another_site_does_nothing_with_a_visitors_session(guarded: Guarded, headers: dict[str, str]) -> None:
    guarded.policy.cors_origins = frozenset({"https://other.example"})
    assert guarded.status("POST", "/v1/session", guarded.write) == 204
    for method, path in (
        ("PUT", "/v1/documents/x"),
        ("DELETE", "/v1/documents/x"),
        ("POST", "/v1/search"),
        ("GET", "/v1/status"),
    ):
        assert guarded.status(method, path, **headers) == 403
        assert guarded.status(method, path, origin="https://other.example") == 403  # listed, but only with a key
        assert guarded.status(method, path, origin="https://search.example.net", sec_fetch_site="same-origin") != 403


def test_a_session_does_not_begin_with_another_session_nor_with_a_sites_key(guarded: Guarded) -> None:
    assert guarded.status("POST", "/v1/session", guarded.embedded, origin=SITE) == 403
    assert guarded.status("POST", "/v1/session", guarded.read) == 204
    assert guarded.status("POST", "/v1/session") == 403


# --- embedding ----------------------------------------------------------------------------------------------------


def preflight(client: TestClient, origin: str, method: str = "POST") -> Any:
    return client.options("/v1/search", headers={"origin": origin, "access-control-request-method": method})


def test_a_sites_key_reads_from_its_origins_alone(guarded: Guarded) -> None:
    response = guarded.client.post(
        "/v1/search", json=QUESTION, headers={"authorization": f"Bearer {guarded.embedded}", "origin": SITE}
    )
    assert response.status_code == 503
    assert response.headers["access-control-allow-origin"] == SITE
    assert "origin" in response.headers["vary"].lower()
    assert "access-control-allow-credentials" not in response.headers
    for headers in (
        {},
        {"origin": "https://evil.example"},
        {"origin": SITE + ".evil.example"},
        {"origin": "http://www.example.org"},
    ):
        assert guarded.status("POST", "/v1/search", guarded.embedded, **headers) == 403
    assert guarded.status("PUT", "/v1/documents/x", guarded.embedded, origin=SITE) == 403
    for path in ("/metrics", "/v1/failures", "/v1/events"):  # beyond what can be found
        assert guarded.status("GET", path, guarded.embedded, origin=SITE) == 403
    assert guarded.status("POST", "/mcp", guarded.embedded, origin=SITE) == 403
    assert guarded.status("POST", "/v1/search", guarded.write, origin=SITE) == 403  # another key, on that site


def test_a_preflight_is_answered_for_listed_origins_alone(guarded: Guarded) -> None:
    allowed = preflight(guarded.client, SITE)
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (204, SITE)
    assert allowed.headers["access-control-allow-methods"] == "GET, POST"
    for origin in ("https://evil.example", "null", "*"):
        refused = preflight(guarded.client, origin)
        assert "docs/security.md" in detail(refused, 403)
        assert "access-control-allow-origin" not in refused.headers


def test_cors_is_off_unless_set(tmp_path: Path) -> None:
    closed, opened = (client_of(tmp_path, Door(Policy(cors_origins=frozenset(origins)))) for origins in ([], [SITE]))
    for client, status in ((closed, 403), (opened, 503)):
        response = client.post("/v1/search", json=QUESTION, headers={"origin": SITE})
        assert (response.status_code, "access-control-allow-origin" in response.headers) == (status, status == 503)
    assert preflight(closed, SITE, "PUT").status_code == 403
    assert "PUT" in preflight(opened, SITE, "PUT").headers["access-control-allow-methods"]


# --- without keys, on loopback --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def loopback(tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    return client_of(tmp_path_factory.mktemp("loopback"), Door())


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example", "0.0.0.0:8080", "", "[::2]"],
)
def test_by_another_name_nothing_is_told_not_even_a_page(loopback: TestClient, host: str) -> None:
    """DNS rebinding: a website whose name leads to 127.0.0.1 is of the same origin for the browser."""
    for path in ("/v1/status", "/", "/web/search.js", "/livez", "/metrics"):
        assert "PASSAGES_ALLOWED_HOSTS" in detail(loopback.get(path, headers={"host": host}), 421)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:9", "127.0.0.1:8080", "127.9.9.9", "[::1]:8080", "localhost."])
def test_loopback_names_are_answered(loopback: TestClient, host: str) -> None:
    assert loopback.get("/v1/status", headers={"host": host}).status_code == 200


def test_allowed_names_are_answered_and_with_keys_only_these(tmp_path: Path, guarded: Guarded) -> None:
    client = client_of(tmp_path, Door(Policy(allowed_hosts=frozenset({"docs.example.net"}))))
    assert client.get("/v1/status", headers={"host": "docs.example.net"}).status_code == 200
    guarded.policy.allowed_hosts = frozenset({"docs.example.net"})
    refused = detail(guarded.client.get("/v1/status", headers={"host": "127.0.0.1"}), 421)
    assert "ask for docs.example.net," in refused
    assert "http://" not in refused  # by which it would be refused again
    assert guarded.status("GET", "/v1/status", guarded.read, host="docs.example.net:443") == 200
    assert guarded.status("GET", "/livez") == 200  # a cluster's probe asks by address
    assert guarded.status("GET", "/metrics", guarded.read, host="10.0.0.5:8080") == 200  # so does Prometheus
    assert guarded.status("GET", "/metrics", host="10.0.0.5:8080") == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:3000"},
        {"origin": "http://localhost:8080"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_a_page_of_another_site_neither_reads_nor_writes(loopback: TestClient, headers: dict[str, str]) -> None:
    for method, path in (
        ("GET", "/v1/status"),
        ("POST", "/v1/search"),
        ("PUT", "/v1/documents/x"),
        ("DELETE", "/v1/documents/x"),
    ):
        body = {"json": QUESTION} if method in ("POST", "PUT") else {}
        assert "another site" in detail(loopback.request(method, path, headers=headers, **body), 403)  # type: ignore[arg-type]


def test_our_own_page_and_a_link_to_it_are_let_in(loopback: TestClient) -> None:
    ours = {"origin": ADDRESS, "sec-fetch-site": "same-origin"}
    assert loopback.post("/v1/search", json=QUESTION, headers=ours).status_code == 503
    assert loopback.get("/?q=x", headers={"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}).status_code == 200


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "",
        "text/plain; application/json",
        "application/jsonx",
    ],
)
def test_a_body_that_a_form_could_send_is_415(loopback: TestClient, kind: str) -> None:
    for method, path in (("POST", "/v1/search"), ("PUT", "/v1/documents/x")):
        response = loopback.request(method, path, content=json.dumps(QUESTION), headers={"content-type": kind} if kind else {})
        assert "content-type: application/json" in detail(response, 415)


def test_no_session_begins_where_no_key_is_needed(loopback: TestClient) -> None:
    assert "no key is needed" in detail(loopback.post("/v1/session"), 403)


# --- limits -------------------------------------------------------------------------------------------------------


def test_a_body_is_limited_by_its_length_and_while_it_comes(tmp_path: Path) -> None:
    client = client_of(tmp_path, Door(max_body_bytes=2000))
    headers = {"content-type": "application/json"}
    fits = json.dumps(QUESTION).encode().ljust(2000)
    assert client.post("/v1/search", content=fits, headers=headers).status_code == 503
    for body in (fits + b" ", (piece for piece in [fits, b" "])):  # an iterator does not say its length
        assert "PASSAGES_MAX_BODY_BYTES" in detail(client.post("/v1/search", content=body, headers=headers), 413)


def test_a_long_address_or_head_is_refused(loopback: TestClient) -> None:
    assert "by POST" in detail(loopback.get("/v1/search", params={"q": "x" * MAX_URL_BYTES}), 414)
    assert loopback.get("/v1/search", params={"q": "🗼" * 4000}).status_code == 503  # the longest question there is
    assert "headers" in detail(loopback.get("/v1/status", headers={f"x-{number}": "" for number in range(100)}), 431)
    assert "headers" in detail(loopback.get("/v1/status", headers={"x": "y" * 65_536}), 431)


def test_deep_json_is_refused_and_does_no_harm(loopback: TestClient) -> None:
    for body in (
        b"[" * 1_000_000,
        b'{"filter":' * 100_000,
        b'{"question": "x", "filter": ' + b"[" * 9_000 + b"]" * 9_000 + b"}",
    ):
        response = loopback.post("/v1/search", content=body, headers={"content-type": "application/json"})
        assert 400 <= response.status_code < 500, response.text[:200]
    assert loopback.get("/livez").status_code == 200


# --- what is sent ------------------------------------------------------------------------------------------------


def test_every_answer_has_strict_headers(guarded: Guarded) -> None:
    for path in ("/", "/web/search.js", "/livez", "/v1/status", "/none"):
        headers = guarded.client.get(path).headers
        policy = dict(one.split(" ", 1) for one in headers["content-security-policy"].split("; "))
        assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert policy["script-src"] == policy["connect-src"] == "'self'"
        assert policy["require-trusted-types-for"] == "'script'"
        assert (headers["referrer-policy"], headers["x-content-type-options"]) == ("no-referrer", "nosniff")
        assert headers["cross-origin-resource-policy"] == headers["cross-origin-opener-policy"] == "same-origin"
    assert guarded.client.get("/v1/status").headers["cache-control"] == "no-store"


def test_the_pages_code_never_parses_text_as_html() -> None:
    web = Path(__file__).parent.parent / "service" / "web"
    for file in web.glob("*.js"):
        code = file.read_text(encoding="utf-8")
        for word in (
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "Function(",
            "DOMParser",
            "srcdoc",
        ):
            assert word not in code, f"{word} in {file.name}"
    for file in web.glob("*.html"):
        tags = BeautifulSoup(file.read_bytes(), "lxml").find_all(True)
        named = [value for tag in tags for value in tag.attrs.values() if "://" in str(value)]
        assert named == [], f"{file.name} names another site"  # in its text it may: an example is no request


def test_the_contract_names_keys_and_refusals(loopback: TestClient) -> None:
    api = loopback.get("/openapi.json").json()
    assert set(api["components"]["securitySchemes"]) == {"key", "session"}
    assert api["security"] == [{"key": []}, {"session": []}, {}]
    assert api["paths"]["/livez"]["get"]["security"] == []
    assert {"401", "403", "413", "415", "421", "429"} <= set(api["paths"]["/v1/search"]["post"]["responses"])


# --- the access log -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("questions", [False, True])
def test_a_request_is_one_line_and_its_question_is_told_only_if_that_is_switched_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, questions: bool
) -> None:
    client = client_of(tmp_path, Door(access_log=True, log_questions=questions))
    with caplog.at_level("INFO", "passages.access"):
        client.get("/v1/search", params={"q": "Who sings?\nforged"})
        client.post("/v1/search/batch", json={"searches": [{"question": "Who dances?"}, {"question": "Who sleeps?"}]})
        client.delete("/v1/documents/a%0Ab")
    lines = [record.getMessage() for record in caplog.records if record.name == "passages.access"]
    ends = [
        r"GET /v1/search 503 [\d.]+ms key=-" + (r' question="Who sings\?\\nforged"' if questions else ""),
        r"POST /v1/search/batch 503 [\d.]+ms key=-"
        + (r' question="Who dances\?" question="Who sleeps\?"' if questions else ""),
        r"DELETE /v1/documents/a%0Ab 503 [\d.]+ms key=-",
    ]
    for line, end in zip(lines, ends, strict=True):
        assert re.fullmatch(rf"20\d\d-\S+ {end}", line), line


def test_a_reader_of_the_log_that_goes_away_costs_its_lines_alone() -> None:
    code = (
        "import logging, os, sys; from service import access_log, logs; logs.configure(); access_log.configure(); "
        "sys.stdin.read(); logging.getLogger('passages.access').info('a line'); logging.warning('it goes on'); "
        "sys.stderr.flush(); os._exit(0)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as one:
        assert one.stdin
        assert one.stdout
        assert one.stderr
        one.stdout.close()
        one.stdin.close()
        assert one.stderr.read() == b"WARNING root: it goes on\n"


def test_a_traceback_tells_places_and_kinds_and_no_message() -> None:
    def fail() -> None:
        try:
            raise ValueError("the cause said secret")
        except ValueError as error:
            raise ExceptionGroup("the group said secret", [KeyError("secret")]) from error

    try:
        fail()
    except ExceptionGroup:
        told = Discreet("%(message)s").format(logging.LogRecord("x", 40, "x", 1, "failed", (), sys.exc_info()))
    assert "secret" not in told
    for said in ("failed", "builtins.ValueError", "which led to", "builtins.ExceptionGroup", "builtins.KeyError", "in fail"):
        assert said in told


def test_of_thousands_of_errors_that_led_to_one_another_the_last_are_told() -> None:
    error: Exception | None = None
    for number in range(5000):
        after = OSError(number)
        after.__cause__, error = error, after
    try:
        raise RuntimeError from error
    except RuntimeError:
        told = Discreet("%(message)s").format(logging.LogRecord("x", 40, "x", 1, "failed", (), sys.exc_info()))
    assert told.count("builtins.OSError") == 19
    assert told.endswith("builtins.RuntimeError")
