"""How an application is reached: who is let in, what one request may cost, what is logged. Made of the settings."""

from __future__ import annotations

from dataclasses import dataclass, field

from indexer.engines.address import Address
from indexer.graph import cache_folder
from service.access import Policy
from service.keys import GivenKeys, KeyFile, Keyring, KeysError, check_origin
from service.limits import Rate
from service.origins import host_of, is_loopback
from service.sessions import Sessions, kept_secret
from service.settings import Settings

FIRST_KEY = "first"
_MAX_BODY_BYTES = 16_777_216


@dataclass
class Door:
    """What stands in front of an application; by default no key is needed and only loopback names are answered."""

    policy: Policy = field(default_factory=Policy)
    max_body_bytes: int = _MAX_BODY_BYTES
    access_log: bool = False
    log_questions: bool = False


def door_of(settings: Settings) -> tuple[Door, str | None]:
    """The door, and the first key, if it had to be made. Raises :class:`KeysError`: nothing may be served then."""
    keyring = _keyring(settings)
    demanded = settings.require_key or not is_loopback(settings.host)
    made = keyring.add_first(FIRST_KEY) if demanded and isinstance(keyring, KeyFile) and not keyring.current() else None
    policy = Policy(
        keyring=keyring,
        sessions=Sessions(lambda: _session_secret(settings)),
        demanded=demanded,
        allowed_hosts=frozenset(host_of(one) for one in _listed(settings.allowed_hosts)),
        cors_origins=frozenset(_origins(settings.cors_origins)),
        rate=Rate(settings.rate, 2 * settings.rate),
    )
    needs_key = bool(policy.current()) or demanded
    log_lines = needs_key if settings.access_log is None else settings.access_log
    return Door(policy, settings.max_body_bytes, log_lines or settings.log_questions, settings.log_questions), made


def _keyring(settings: Settings) -> Keyring:
    if settings.api_keys is None and settings.api_keys_file is None:
        if isinstance(settings.index, Address):  # nothing is kept beside it: any number of servers have the same keys
            if settings.require_key or not is_loopback(settings.host):
                raise KeysError(
                    f"whoever asks needs a key here, and {settings.index} keeps none: set PASSAGES_API_KEYS or "
                    "PASSAGES_API_KEYS_FILE"
                )
            return GivenKeys(None, None)
        return KeyFile(settings.index)
    return GivenKeys(settings.api_keys.get_secret_value() if settings.api_keys is not None else None, settings.api_keys_file)


def _session_secret(settings: Settings) -> bytes:
    if settings.session_secret is not None:
        return settings.session_secret.get_secret_value().encode()
    return kept_secret(cache_folder())


def _origins(text: str) -> list[str]:
    origins = _listed(text)
    for origin in origins:
        try:
            check_origin(origin)
        except KeysError as error:
            raise KeysError(f"PASSAGES_CORS_ORIGINS: {error}") from error
    return origins


def _listed(text: str) -> list[str]:
    return [one.strip() for one in text.split(",") if one.strip()]
