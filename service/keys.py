"""API keys: who may read or write. Only SHA-256 hashes are kept: a key is 256 random bits, which nobody can try through, so a
slow hash, which is for words that people choose, would cost time at every request and protect nothing."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Protocol
from urllib.parse import urlsplit

from filelock import FileLock

from indexer.errors import PassagesError
from indexer.files import make_folder, sync_folder, write_private

Scope = Literal["read", "write"]
KEYS_FILE = "keys.json"
PREFIX = "passages_"  # so that scanners for leaked secrets, and people, know what it is
MIN_PLAIN_CHARS = 32  # of a key that comes from outside: shorter ones could be tried through
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_HASH = re.compile(r"[0-9a-f]{64}")


class KeysError(PassagesError):
    """The keys cannot be read or changed. While they cannot be read, nobody is let in."""


@dataclass(frozen=True)
class Key:
    """A key as it is kept. ``write`` includes ``read``. A key with ``origins`` is for pages of these sites, and only reads."""

    name: str
    scope: Scope
    sha256: str
    origins: tuple[str, ...] = ()
    created: str | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise KeysError(f"{self.name!r} is no name for a key: use 1 to 64 of the characters A-Z, a-z, 0-9, _ and -")
        if self.scope not in ("read", "write"):
            raise KeysError(f"the key {self.name} has another scope than read or write")
        if not _HASH.fullmatch(self.sha256):
            raise KeysError(f"the hash of the key {self.name} is not 64 hexadecimal digits")
        if self.origins and self.scope != "read":
            raise KeysError(f"the key {self.name} has origins, so whoever visits them can see it: its scope must be read")
        for origin in self.origins:
            check_origin(origin)


class Keyring(Protocol):
    """Where keys come from."""

    def current(self) -> Sequence[Key]:
        """The keys of this moment. Raises :class:`KeysError`."""
        ...


def digest(secret: str) -> str:
    """What is kept of a key."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def matching(keys: Sequence[Key], secret: str) -> Key | None:
    """The key that ``secret`` is. All are compared, whole, so that the time tells nothing about any."""
    offered, found = digest(secret), None
    for key in keys:
        if hmac.compare_digest(key.sha256, offered):
            found = key
    return found


def check_origin(origin: str) -> None:
    """Raises :class:`KeysError` unless it is written as browsers send it, which is how it is compared."""
    parts = urlsplit(origin)
    if parts.scheme not in ("http", "https") or not parts.netloc or origin != f"{parts.scheme}://{parts.netloc}".lower():
        raise KeysError(f"{origin!r} is no origin: write scheme and host alone, such as https://www.example.org")


class KeyFile:
    """The keys of one index, in a file of mode 600 in its folder. Safe to share between threads and processes."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / KEYS_FILE
        self._read: tuple[tuple[int, ...] | None, Sequence[Key]] = (None, ())

    def current(self) -> Sequence[Key]:
        """The keys of this moment, none if there is no file. Raises :class:`KeysError` if it cannot be trusted."""
        version = _version(self.path)
        known, keys = self._read
        if version != known:
            keys = self._load() if version is not None else ()
            self._read = version, keys
        return keys

    def add(self, name: str, scope: Scope, origins: Sequence[str] = ()) -> str:
        """A new key, which is returned this once and never kept. Raises :class:`KeysError` if the name is taken."""
        secret = PREFIX + secrets.token_urlsafe(32)
        key = Key(name, scope, digest(secret), tuple(origins), datetime.now(UTC).isoformat(timespec="seconds"))
        with self._changing() as keys:
            if any(other.name == name for other in keys):
                raise KeysError(f"there is a key {name} already: choose another name, or run: passages key revoke {name}")
            keys.append(key)
        return secret

    def add_first(self, name: str) -> str | None:
        """A key that may do everything, if there is none at all: two servers that start at once make one."""
        with self._changing() as keys:
            if keys:
                return None
            secret = PREFIX + secrets.token_urlsafe(32)
            keys.append(Key(name, "write", digest(secret), (), datetime.now(UTC).isoformat(timespec="seconds")))
        return secret

    def revoke(self, name: str) -> None:
        """Delete a key; servers that run refuse it from their next request on. Raises :class:`KeysError`."""
        with self._changing() as keys:
            kept = [key for key in keys if key.name != name]
            if len(kept) == len(keys):
                raise KeysError(f"there is no key {name}; passages key list shows which there are")
            keys[:] = kept

    @contextmanager
    def _changing(self) -> Iterator[list[Key]]:
        try:
            make_folder(self.path.parent)
            with FileLock(self.path.with_name(f".{KEYS_FILE}.lock"), mode=0o600):
                keys = list(self.current())
                yield keys
                _write(self.path, {"keys": [asdict(key) for key in keys]})
        except OSError as error:
            raise KeysError(
                f"{self.path} cannot be written: {error.strerror}; where the folder is read-only, give keys by "
                "PASSAGES_API_KEYS or PASSAGES_API_KEYS_FILE"
            ) from error

    def _load(self) -> Sequence[Key]:
        try:
            if stat.S_IMODE(self.path.stat().st_mode) & 0o022:
                raise KeysError(
                    f"others may write {self.path}, so it is not believed; look into it, then: chmod 600 {self.path}"
                )
            return _parsed(json.loads(self.path.read_text(encoding="utf-8")))
        except OSError as error:
            raise KeysError(f"{self.path} cannot be read: {error.strerror}; nobody is let in until it can") from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise KeysError(
                f"{self.path} is damaged, and nobody is let in until it is not: put a copy back, or delete it and make new "
                "keys: passages key add NAME"
            ) from error


class GivenKeys:
    """Keys from a setting, or a file that somebody else writes: nothing is written here."""

    def __init__(self, text: str | None, file: Path | None) -> None:
        self._given = parsed_entries(text, "PASSAGES_API_KEYS") if text is not None else ()
        self._file = file
        self._read: tuple[tuple[int, ...] | None, Sequence[Key]] = (None, ())

    def current(self) -> Sequence[Key]:
        """The keys of this moment; a secret that is rotated is noticed. Raises :class:`KeysError`."""
        if self._file is None:
            return self._given
        version = _version(self._file)
        known, keys = self._read
        if version is None or version != known:
            keys = self._load(self._file)
            self._read = version, keys
        return [*self._given, *keys]

    @staticmethod
    def _load(file: Path) -> Sequence[Key]:
        try:
            return parsed_entries(file.read_text(encoding="utf-8"), str(file))
        except OSError as error:
            raise KeysError(f"{file} (PASSAGES_API_KEYS_FILE) cannot be read: {error.strerror}; nobody is let in") from error
        except UnicodeDecodeError as error:
            raise KeysError(f"{file} (PASSAGES_API_KEYS_FILE) is not UTF-8 text; nobody is let in") from error


def parsed_entries(text: str, source: str) -> Sequence[Key]:
    """Keys as ``NAME SCOPE KEY [ORIGIN...]``, by line or semicolon; KEY is the key itself or ``sha256:`` and its hash.

    Raises :class:`KeysError`, which never tells what was in an entry's third place.
    """
    lines = [line.partition("#")[0] for line in text.replace(";", "\n").splitlines()]
    keys = [_entry(line.split(), source) for line in lines if line.strip()]
    if not keys or len({key.name for key in keys}) < len(keys):
        raise KeysError(f"{source} has {'two keys of the same name' if keys else 'no key in it'}; nobody is let in")
    return keys


def _entry(words: Sequence[str], source: str) -> Key:
    if len(words) < 3:
        raise KeysError(f"an entry of {source} is not of the form: NAME read|write KEY [ORIGIN...]")
    name, scope, secret, *origins = words
    hashed = secret.startswith("sha256:")
    if not hashed and len(secret) < MIN_PLAIN_CHARS:
        raise KeysError(f"the key {name} in {source} is too short: use {MIN_PLAIN_CHARS} random characters or more")
    return Key(name, scope, secret.removeprefix("sha256:").lower() if hashed else digest(secret), tuple(origins))  # type: ignore[arg-type]


def _parsed(record: Any) -> Sequence[Key]:
    keys = [Key(**{**one, "origins": tuple(one["origins"])}) for one in record["keys"]]
    if len({key.name for key in keys}) < len(keys):
        raise ValueError("two keys of the same name")
    return keys


def _version(path: Path) -> tuple[int, ...] | None:
    """What changes when a file does; None if it is not there. A few microseconds: it is asked at every request."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise KeysError(f"{path} cannot be read: {error.strerror}; nobody is let in until it can") from error
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_mode


def _write(path: Path, record: Any) -> None:
    """Whole or not at all, readable by nobody else from its first byte on; on the disk when this returns, or a key that was
    revoked would be back when the machine has stopped."""
    temporary = path.with_name(f".{path.name}.new")
    write_private(temporary, json.dumps(record, indent=2).encode())
    temporary.replace(path)
    sync_folder(path.parent)
