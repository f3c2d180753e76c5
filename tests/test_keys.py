"""Keys and sessions by themselves, without a server."""

import json
import os
import re
import stat
import threading
from pathlib import Path

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from service.cli import app
from service.door import door_of
from service.keys import GivenKeys, Key, KeyFile, KeysError, digest, matching, parsed_entries
from service.limits import Rate
from service.sessions import LIFETIME_S, Sessions, kept_secret
from service.settings import load

HASH = digest("x" * 40)


def test_a_key_opens_and_is_nowhere_in_the_folder(tmp_path: Path) -> None:
    file = KeyFile(tmp_path)
    secret = file.add("ci", "read")
    found = matching(file.current(), secret)
    assert found is not None
    assert (found.name, found.scope) == ("ci", "read")
    assert matching(file.current(), secret + "x") is None
    assert secret.split("_", 1)[1] not in "".join(path.read_text() for path in tmp_path.iterdir())
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert len(secret) > 50  # 256 bits and the prefix


def test_another_open_file_sees_keys_come_and_go(tmp_path: Path) -> None:
    running = KeyFile(tmp_path)
    assert running.current() == ()
    secret = KeyFile(tmp_path).add("ci", "write")
    assert matching(running.current(), secret) is not None
    KeyFile(tmp_path).revoke("ci")
    assert matching(running.current(), secret) is None


def test_servers_that_start_at_once_make_one_first_key(tmp_path: Path) -> None:
    made: list[str | None] = []
    threads = [threading.Thread(target=lambda: made.append(KeyFile(tmp_path).add_first("first"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([one for one in made if one]) == 1
    assert len(KeyFile(tmp_path).current()) == 1


def test_a_change_of_keys_is_on_the_disk_when_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, synced, fsync = KeyFile(tmp_path / "index"), list[tuple[Path, str]](), os.fsync

    def record(descriptor: int) -> None:
        fsync(descriptor)
        there = file.path.read_text() if file.path.exists() else ""
        synced.append((Path(f"/proc/self/fd/{descriptor}").readlink(), there))

    monkeypatch.setattr(os, "fsync", record)
    file.add("ci", "read")
    assert tmp_path.resolve() in [path for path, _ in synced]  # the folder was new
    file.revoke("ci")
    assert synced[-1] == (file.path.parent.resolve(), '{\n  "keys": []\n}')


@pytest.mark.parametrize(
    "content",
    [
        "", "{", "null", "[]", "{}", '{"keys": null}', '{"keys": [{}]}', '{"keys": [3]}', '{"keys": [{"name": "a"}]}',
        json.dumps({"keys": [{"name": "a", "scope": "admin", "sha256": HASH, "origins": []}]}),
        json.dumps({"keys": [{"name": "a", "scope": "read", "sha256": HASH[:-1], "origins": []}]}),
        json.dumps({"keys": [{"name": "a", "scope": "read", "sha256": 3, "origins": []}]}),
        json.dumps({"keys": [{"name": "a", "scope": "read", "sha256": HASH, "origins": [], "more": 1}]}),
        json.dumps({"keys": [{"name": "a", "scope": "read", "sha256": HASH, "origins": []}] * 2}),
    ],
)  # fmt: skip
def test_a_damaged_file_lets_nobody_in_and_is_not_written_over(tmp_path: Path, content: str) -> None:
    file = KeyFile(tmp_path)
    file.path.write_text(content)
    file.path.chmod(0o600)
    for attempt in (file.current, lambda: file.add("b", "read"), lambda: file.add_first("b"), lambda: file.revoke("a")):
        with pytest.raises(KeysError):
            attempt()
    assert file.path.read_text() == content


def test_a_file_that_others_may_write_is_not_believed(tmp_path: Path) -> None:
    file = KeyFile(tmp_path)
    file.add("ci", "read")
    file.path.chmod(0o666)
    with pytest.raises(KeysError, match="chmod 600"):
        file.current()


@pytest.mark.parametrize(
    ("name", "scope", "origins", "says"),
    [
        ("a.b", "read", (), "is no name"),
        ("", "read", (), "is no name"),
        ("a", "admin", (), "read or write"),
        ("a", "write", ("https://a.example",), "must be read"),
        ("a", "read", ("https://a.example/path",), "is no origin"),
        ("a", "read", ("https://A.example",), "is no origin"),
        ("a", "read", ("*",), "is no origin"),
        ("a", "read", ("null",), "is no origin"),
        ("a", "read", ("file://x",), "is no origin"),
    ],
)
def test_a_key_that_makes_no_sense_is_not_made(name: str, scope: str, origins: tuple[str, ...], says: str) -> None:
    with pytest.raises(KeysError, match=says):
        Key(name, scope, HASH, origins)  # type: ignore[arg-type]


def test_keys_are_given_plain_or_hashed_and_a_rotated_secret_is_noticed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(f"# of the cluster\nci write sha256:{HASH}\nweb read {'y' * 40} https://www.example.org\n")
    given = GivenKeys(f"env read {'z' * 40}; env2 write {'v' * 40}", secret)
    assert [key.name for key in given.current()] == ["env", "env2", "ci", "web"]
    found = [matching(given.current(), letter * 40) for letter in "xyzv"]
    assert [(key.name, key.scope, key.origins) for key in found if key] == [
        ("ci", "write", ()), ("web", "read", ("https://www.example.org",)), ("env", "read", ()), ("env2", "write", ()),
    ]  # fmt: skip
    secret.write_text(f"ci write {'w' * 40}")
    assert matching(given.current(), "x" * 40) is None
    secret.unlink()
    with pytest.raises(KeysError, match="nobody is let in"):
        given.current()


@pytest.mark.parametrize("text", ["", " ; # nothing", "ci read", "ci read short", f"a read {'x' * 40}; a read {'y' * 40}"])
def test_given_keys_that_cannot_be_read_are_an_error_that_does_not_tell_them(text: str) -> None:
    with pytest.raises(KeysError) as error:
        parsed_entries(text, "PASSAGES_API_KEYS")
    assert not any(word in str(error.value) for word in ("read short", "xxx", "yyy"))


def test_a_session_ends_by_time_with_its_key_and_when_it_is_changed() -> None:
    key, other = Key("ci", "read", HASH), Key("boss", "write", digest("b" * 40))
    sessions = Sessions(lambda: b"s" * 32)
    value = sessions.begin(key, now=1000.0)
    assert sessions.key([other, key], value, now=1000.0 + LIFETIME_S - 1) == key
    assert Sessions(lambda: b"s" * 32).key([key], value, now=1001.0) == key  # another process
    assert sessions.key([key], value, now=1000.0 + LIFETIME_S) is None
    assert sessions.key([other], value, now=1001.0) is None
    assert sessions.key([Key("ci", "write", digest("n" * 40))], value, now=1001.0) is None  # made anew under the same name
    assert Sessions(lambda: b"t" * 32).key([key], value, now=1001.0) is None
    end, name, signature = value.split(".")
    for forged in (f"{int(end) + 9}.{name}.{signature}", f"{end}.boss.{signature}", f"{end}.{name}.", "", "..", f"٣.{name}.x"):
        assert sessions.key([key, other], forged, now=1001.0) is None


def test_the_secret_of_sessions_is_made_once_and_for_its_user_alone(tmp_path: Path) -> None:
    secret = kept_secret(tmp_path / "cache")
    assert len(secret) == 32
    assert kept_secret(tmp_path / "cache") == secret
    (file,) = (tmp_path / "cache").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.write_bytes(secret[:7])  # cut short
    assert len(kept_secret(tmp_path / "cache")) == 32


def test_where_nothing_can_be_kept_sessions_work_until_the_end(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    first, second = (kept_secret(tmp_path / "file" / "cache") for _ in range(2))
    assert len(first) == len(second) == 32
    assert first != second


def test_who_comes_too_often_waits_and_others_do_not() -> None:
    rate = Rate(2.0, 4)
    assert [rate.wait_s("a", now=100.0) for _ in range(6)] == [0, 0, 0, 0, 1, 1]
    assert rate.wait_s("b", now=100.0) == 0
    assert [rate.wait_s("a", now=100.5) for _ in range(2)] == [0, 1]
    assert [rate.wait_s("a", now=900.0) for _ in range(5)] == [0, 0, 0, 0, 1]  # what is not used is not saved up
    assert [Rate(0.1, 1).wait_s("a", now=1.0), Rate(0, 0).wait_s("a")] == [0, 0]


def test_keys_are_made_listed_and_revoked_on_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PASSAGES_INDEX", raising=False)

    def key(*words: str) -> str:
        done = CliRunner().invoke(app, ["key", *words])
        if done.exception:
            raise done.exception
        return done.stdout

    secret = json.loads(key("add", "web", "--scope", "read", "--origin", "https://www.example.org", "--json"))["key"]
    assert matching(KeyFile(tmp_path / "index").current(), secret) is not None
    listed = key("list") + key("list", "--json")
    assert listed.startswith("web read 20")
    assert "https://www.example.org" in listed
    assert not {secret, digest(secret)} & set(re.findall(r"\w+", listed))
    with pytest.raises(KeysError, match="already"):
        key("add", "web")
    assert "revoked" in key("revoke", "web")
    assert not KeyFile(tmp_path / "index").current()
    with pytest.raises(KeysError, match="no key web"):
        key("revoke", "web")
    monkeypatch.setenv("PASSAGES_API_KEYS", f"a read {'x' * 40}")
    with pytest.raises(KeysError, match="change them there"):
        key("add", "more")


@pytest.mark.parametrize(("host", "is_made"), [("0.0.0.0", True), ("::", True), ("192.0.2.1", True), ("127.0.0.1", False)])  # noqa: S104
def test_any_address_but_loopback_demands_a_key_and_makes_the_first(tmp_path: Path, host: str, is_made: bool) -> None:
    settings = load(index=tmp_path / "index", host=host)
    door, secret = door_of(settings)
    assert (door.policy.demanded, secret is not None, KeyFile(settings.folder).path.exists()) == (is_made, is_made, is_made)
    assert door_of(settings)[1] is None  # made once


def test_loopback_demands_a_key_if_it_is_told_to(tmp_path: Path) -> None:
    door, secret = door_of(load(index=tmp_path / "index", require_key=True))
    assert (door.policy.demanded, secret is not None, door.access_log) == (True, True, True)


def test_with_given_keys_nothing_is_written(tmp_path: Path) -> None:
    given = SecretStr(f"ci write {'x' * 40}")
    door, secret = door_of(load(index=tmp_path / "index", host="0.0.0.0", api_keys=given))  # noqa: S104
    assert (secret, [key.name for key in door.policy.current()], list(tmp_path.iterdir())) == (None, ["ci"], [])
    with pytest.raises(KeysError, match="no key in it"):
        door_of(load(index=tmp_path / "index", api_keys=SecretStr("")))
    with pytest.raises(KeysError, match="is no origin"):
        door_of(load(index=tmp_path / "index", cors_origins="*"))


def test_a_folder_that_cannot_be_written_is_told_what_to_do(unprivileged: Path) -> None:
    (unprivileged / "index").mkdir(mode=0o500)
    with pytest.raises(KeysError, match="PASSAGES_API_KEYS"):
        door_of(load(index=unprivileged / "index", require_key=True))
