"""Settings: defaults, then ``passages.toml``, then ``PASSAGES_*`` variables, then command-line options."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from indexer.engines.address import Address, Consistency, Where, where_of
from indexer.errors import PassagesError
from indexer.models import DEFAULT_MODEL
from indexer.runtimes import Kind, cores

PREFIX = "PASSAGES_"
SETTINGS_FILE = Path("passages.toml")
PLACEHOLDER = "REPLACE"  # for what is secret, in deploy/kubernetes/secret.yaml


class SettingsError(PassagesError):
    """A setting is unknown or has a value that it cannot have."""


def _named(index: object) -> object:
    return where_of(index) if isinstance(index, str) else index


def _replaced(token: SecretStr | None) -> SecretStr | None:
    if token is not None and token.get_secret_value().rpartition(":")[2] == PLACEHOLDER:
        raise SettingsError(
            f"the setting milvus_token ({PREFIX}MILVUS_TOKEN) is the placeholder of deploy/kubernetes/secret.yaml: put the "
            "password of the services' user there"
        )
    return token


class Settings(BaseSettings):
    """Every setting, by its name in ``passages.toml``; the variable is the name in capitals behind ``PASSAGES_``."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, toml_file=SETTINGS_FILE, extra="forbid", frozen=True)

    index: Annotated[Where, BeforeValidator(_named)] = Field(
        Path("index"), description="the index folder, or a collection on a Milvus server: milvus://HOST:19530/COLLECTION"
    )
    host: str = Field("127.0.0.1", description="the address that the server listens on")
    port: int = Field(8080, ge=0, le=65535, description="the port that the server listens on; 0 takes a free one")
    model: str = Field(DEFAULT_MODEL, description="a sentence-transformers model: a folder, or a name in the local cache")
    runtime: Kind = Field("auto", description="what runs the model: auto, cuda, openvino, bfloat16 or float32")
    processes: int = Field(
        default_factory=cores, ge=0, description="processes that search, by default one for each core; 0: the server's own"
    )
    queue: int = Field(64, ge=0, description="requests that may wait for their turn; more are told to come again")
    deadline_ms: int = Field(10_000, ge=1, description="milliseconds that a request may take, waiting included")
    require_key: bool = Field(False, description="whether a key is needed on loopback too, as behind a reverse proxy")
    api_keys: SecretStr | None = Field(None, description="keys instead of those in the index folder: NAME SCOPE KEY; ...")
    api_keys_file: Path | None = Field(None, description="a file with such keys, one a line")
    session_secret: SecretStr | None = Field(None, min_length=32, description="what signs the page's sessions, for replicas")
    allowed_hosts: str = Field(
        "", description="names by which the server is asked, with commas; any, if empty and keys are needed"
    )
    cors_origins: str = Field("", description="origins whose pages may ask with any key, with commas")
    rate: float = Field(50.0, ge=0, description="requests a second for each key, twice as many at once; 0: no limit")
    max_body_bytes: int = Field(16_777_216, ge=1024, description="the largest body of a request")
    access_log: bool | None = Field(
        None, description="a line for each request on standard output; by default where keys are needed"
    )
    log_questions: bool = Field(
        False, description="questions in the access log, and the messages of faults, which may quote them"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("warning", description="what standard error tells")
    extraction_timeout_s: float = Field(60.0, gt=0, description="seconds that reading one file may take, by the clock")
    file_mb: int = Field(200, ge=1, description="the largest file that is read, in MiB; a larger one is reported")
    url: str | None = Field(None, description="for `passages mcp`: a server to ask, instead of opening an index")
    key: SecretStr | None = Field(None, description="for `passages mcp`: the key that it sends to that server")
    milvus_token: Annotated[SecretStr | None, AfterValidator(_replaced)] = Field(
        None, description="for a Milvus server that asks for it: user:password, or its key"
    )
    milvus_authority: Path | None = Field(
        None, description="the certificate that a Milvus server's is signed with: the connection is encrypted then"
    )
    milvus_consistency: Consistency = Field(
        "Bounded", description="how new what a Milvus server finds must be: Strong, Session, Bounded or Eventually"
    )
    data: Path = Field(Path("../shared/data"), description="judged question sets, for tests and measurements only")

    @property
    def where(self) -> Where:
        """Where the index is, with what a server asks for."""
        return self.reached(self.index)

    def reached(self, where: Where) -> Where:
        """The same with what a server asks for."""
        if isinstance(where, Path):
            return where
        token = self.milvus_token.get_secret_value() if self.milvus_token is not None else None
        authority = self.milvus_authority and self.milvus_authority.expanduser()
        return replace(where, token=token, authority=authority, consistency=self.milvus_consistency)

    @property
    def folder(self) -> Path:
        """The index folder. Raises :class:`SettingsError` where the index is none."""
        if isinstance(self.index, Address):
            raise SettingsError(
                f"{self.index} is a collection on a server, and this works on an index folder: name one by --index; "
                "passages copy makes one. Keys of services over a server are those of PASSAGES_API_KEYS"
            )
        return self.index

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource, dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:  # fmt: skip
        """Which source wins: the first."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def load(**options: Any) -> Settings:
    """The settings in force; ``options`` that are None are not given. Raises :class:`SettingsError`."""
    for name in os.environ:
        if name.startswith(PREFIX) and name.removeprefix(PREFIX).lower() not in Settings.model_fields:
            raise SettingsError(f"the variable {name} is not a setting{_hint(name, lambda known: PREFIX + known.upper())}")
    try:
        return Settings(**{name: value for name, value in options.items() if value is not None})
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{SETTINGS_FILE} is not valid TOML: {error}") from error
    except ValidationError as error:
        raise SettingsError("; ".join(_explain(one["type"], one["loc"], one["msg"]) for one in error.errors())) from error


def _explain(kind: str, place: tuple[int | str, ...], message: str) -> str:
    name = ".".join(map(str, place))
    if kind == "extra_forbidden":
        return f"{name} in {SETTINGS_FILE} is not a setting{_hint(name)}"
    return f"the setting {name} ({PREFIX}{name.upper()}) cannot be used: {message}"


def _hint(name: str, spelled: Callable[[str], str] = str) -> str:
    known = [*Settings.model_fields]
    close = difflib.get_close_matches(name.removeprefix(PREFIX).lower(), known, n=1)
    return f"; did you mean {spelled(close[0])}?" if close else f"; settings are {', '.join(map(spelled, known))}"
