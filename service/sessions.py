"""Sessions of the page: a signed cookie instead of the key, so that no script and no disk of the browser holds the key.

The cookie names its key and its end, and is signed; nothing is stored. So it holds after a restart and in every process that
has the secret, and ends with its key, whose hash is signed too. The secret is kept out of the index folder: whoever has a
copy of that, hashes of keys included, cannot sign.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import secrets
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

from indexer.files import write_private
from service.keys import Key

COOKIE = "passages_session"
LIFETIME_S = 12 * 3600  # a working day
_SECRET_BYTES = 32

log = logging.getLogger(__name__)


class Sessions:
    """Makes and checks the cookie's value, ``END.NAME.SIGNATURE``; END is in seconds of the epoch."""

    def __init__(self, secret: Callable[[], bytes]) -> None:
        self._make = secret

    @cached_property
    def _secret(self) -> bytes:  # only where there is a session
        return self._make()

    def begin(self, key: Key, now: float | None = None) -> str:
        """The value for a session of ``key``."""
        signed = f"{int(now or time.time()) + LIFETIME_S}.{key.name}"
        return f"{signed}.{self._signature(signed, key)}"

    def key(self, keys: Sequence[Key], value: str, now: float | None = None) -> Key | None:
        """The key whose session ``value`` is; None if it is forged, has ended, or its key is gone."""
        signed, _, signature = value.rpartition(".")
        end, _, name = signed.partition(".")
        key = next((one for one in keys if one.name == name), None)
        if key is None or not (end.isascii() and end.isdecimal() and signature.isascii()) or len(end) > 12:
            return None
        is_signed = hmac.compare_digest(self._signature(signed, key), signature)
        return key if is_signed and int(end) > (now or time.time()) else None

    def _signature(self, signed: str, key: Key) -> str:
        return hmac.new(self._secret, f"{signed}.{key.sha256}".encode(), hashlib.sha256).hexdigest()


def kept_secret(folder: Path) -> bytes:
    """The secret of this user on this machine, made if there is none; one for this process alone if it cannot be kept."""
    path = folder / "session-secret"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if (found := _read(path)) is None:
            _make(path)
            found = _read(path)
    except OSError as error:
        log.warning("%s cannot be kept (%s): sessions of the page end with this server", path, error.strerror)
        found = None
    return found or secrets.token_bytes(_SECRET_BYTES)


def _read(path: Path) -> bytes | None:
    try:
        found = path.read_bytes()
    except FileNotFoundError:
        return None
    if len(found) != _SECRET_BYTES:  # cut short by a power loss
        path.unlink(missing_ok=True)
        return None
    return found


def _make(path: Path) -> None:
    """Appears whole, and once: of two servers that start together, the second takes what the first made."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
    write_private(temporary, secrets.token_bytes(_SECRET_BYTES))
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        pass
    finally:
        temporary.unlink(missing_ok=True)
