"""Where a collection is: an index folder, or the address of one on a server."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import urlsplit

from indexer.errors import PassagesError

SCHEME = "milvus"
_PORT = 19530
# What a server takes as a name, less the room that the names of a collection's other tables need.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")

Consistency = Literal["Strong", "Session", "Bounded", "Eventually"]
CONSISTENCIES: tuple[Consistency, ...] = get_args(Consistency)


class AddressError(PassagesError):
    """It names neither a folder nor a collection on a server."""


@dataclass(frozen=True, slots=True)
class Address:
    """A collection on a Milvus server. ``token`` is ``user:password``, or an API key; ``authority`` the file of the certificate
    that the server's is signed with: with it the connection is encrypted. ``consistency`` is how new what is read must be."""

    host: str
    port: int
    collection: str
    token: str | None = field(default=None, repr=False)
    authority: Path | None = None
    consistency: Consistency = "Bounded"

    @property
    def server(self) -> str:
        """As its client names it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.authority else 'http'}://{host}:{self.port}"

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{SCHEME}://{host}:{self.port}/{self.collection}"


Where = Path | Address


def where_of(text: str) -> Where:
    """What ``text`` names. Raises :class:`AddressError`."""
    wanted = f"{SCHEME}://HOST:{_PORT}/COLLECTION"
    if text.startswith(f"{SCHEME}:") and not text.startswith(f"{SCHEME}://"):
        raise AddressError(f"{text} is neither a folder nor an address; write ./{text} for the folder, or {wanted}")
    if "://" not in text:
        return Path(text).expanduser()
    if "@" in text:  # before anything else: what follows shows the address
        raise AddressError(f"an address holds no password, which would be shown; set PASSAGES_MILVUS_TOKEN, and write {wanted}")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port or _PORT
    except ValueError as error:
        raise AddressError(f"{text} is no address ({error}); write {wanted}") from error
    if parts.scheme != SCHEME or not host:
        raise AddressError(f"{text} is neither a folder nor an address; write a folder, or {wanted}")
    name = parts.path.removeprefix("/")
    if not _NAME.fullmatch(name) or parts.query or parts.fragment:
        raise AddressError(
            f"{text} names no collection: up to 200 letters, digits and _, such as {SCHEME}://{host}:{port}/papers"
        )
    return Address(host, port, name)
