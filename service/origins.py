"""Where a request comes from and whom it was meant for, by what browsers say truthfully: Host, Origin and Sec-Fetch-Site."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from functools import lru_cache
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}


@lru_cache(maxsize=1024)
def host_of(authority: str) -> str:
    """The name or address of a Host header, without its port, in lower case; empty if it is none."""
    try:
        return (urlsplit(f"//{authority}").hostname or "").rstrip(".")
    except ValueError:
        return ""


@lru_cache(maxsize=1024)
def is_loopback(host: str) -> bool:
    """Whether a name or address is this machine's own and can be no other's: names are not looked up, which a website could
    have changed in between (DNS rebinding)."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@lru_cache(maxsize=1024)
def is_same_origin(origin: str, authority: str) -> bool:
    """Whether an Origin is of the Host that was asked. The scheme is left out: behind a proxy that ends TLS it is not known."""
    try:
        ours, theirs = urlsplit(f"//{authority}"), urlsplit(origin)
        default = _PORTS.get(theirs.scheme)
        return (
            default is not None
            and ours.hostname is not None
            and (theirs.hostname, theirs.port or default) == (ours.hostname, ours.port or default)
        )
    except ValueError:
        return False


def is_foreign(origin: str | None, fetch_site: str | None, authority: str, trusted: Collection[str]) -> bool:
    """Whether the page that made the request is of another site than ours and none of ``trusted``.

    Programs say neither and are not foreign. ``same-site`` is: another port, or another name below the same domain.
    """
    if origin is not None:
        return origin not in trusted and not is_same_origin(origin, authority)
    return fetch_site not in (None, "same-origin", "none")
