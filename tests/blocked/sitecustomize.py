"""No Python socket connects beyond this machine, and no name is looked up.

``tests/conftest.py`` imports this, and puts its folder on PYTHONPATH, where Python runs it at the start of every child.
"""

import ipaddress
import socket
from typing import Any

_connect, _connect_ex, _getaddrinfo = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo


def _is_here(host: Any) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in ("localhost", "", None)


def _check(address: Any) -> None:
    if isinstance(address, tuple) and not _is_here(address[0]):
        raise OSError(f"the tests let nothing out: {address[0]} is not this machine")


def _blocked_connect(self: socket.socket, address: Any) -> None:
    _check(address)
    _connect(self, address)


def _blocked_connect_ex(self: socket.socket, address: Any) -> int:
    _check(address)
    return _connect_ex(self, address)


def _blocked_getaddrinfo(host: Any, *arguments: Any, **options: Any) -> Any:
    # Looking a name up is already a question to the network; a bare address is none.
    try:
        ipaddress.ip_address(host)
    except ValueError:
        _check((host,))
    return _getaddrinfo(host, *arguments, **options)


socket.socket.connect = _blocked_connect  # type: ignore[method-assign, assignment]
socket.socket.connect_ex = _blocked_connect_ex  # type: ignore[method-assign, assignment]
socket.getaddrinfo = _blocked_getaddrinfo
