"""What is deployed is confined as docs/container.md says, and sets only what there is to set."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

import service.service
from indexer.collection import Collection
from indexer.models import DEFAULT_MODEL
from service.app import create_app
from service.settings import PREFIX, Settings
from tools.commands import commands

DEPLOY = Path(__file__).parent.parent / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
SERVICES: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))["services"]
UNITS = sorted(DEPLOY.glob("*.service"))


def test_the_base_image_is_pinned_by_its_digest_and_used_in_every_stage() -> None:
    base = re.search(r"^ARG BASE=(\S+)$", DOCKERFILE, re.MULTILINE)
    assert base
    assert re.search(r":3\.11\.\d+-slim-\w+@sha256:[0-9a-f]{64}$", base[1])
    assert set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)) == {"${BASE}"}


def test_the_image_is_not_root_s_and_its_volume_belongs_to_who_runs_it() -> None:
    user = re.search(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE)
    volume = re.search(r"^VOLUME (\S+)$", DOCKERFILE, re.MULTILINE)
    assert user
    assert volume
    assert int(user[1]) > 0
    assert f"install -d -o {user[1]} -g {user[2]} -m 700 {volume[1]}" in DOCKERFILE
    written = re.findall(r"^ +(?:PASSAGES_INDEX|XDG_CACHE_HOME)=(\S+)", DOCKERFILE, re.MULTILINE)
    assert len(written) == 2
    assert all(Path(path).is_relative_to(volume[1]) for path in written)


def test_the_health_check_asks_a_route_that_needs_no_key() -> None:
    route = re.search(r"HEALTHCHECK.*'(/\w+)'", DOCKERFILE, re.DOTALL)
    assert route
    operation = create_app(Path("unused"), DEFAULT_MODEL).openapi()["paths"][route[1]]["get"]
    assert operation["security"] == []


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_is_confined(name: str) -> None:
    one = SERVICES[name]
    assert one["read_only"] is True
    assert one["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in one["security_opt"]
    assert one["mem_limit"]
    assert all(volume.startswith("index:") or volume.endswith(":ro") for volume in one["volumes"])
    assert all(port.startswith("127.0.0.1:") for port in one.get("ports", ()))


def test_every_setting_that_is_made_there_is_one() -> None:
    files = [DOCKERFILE, *(path.read_text(encoding="utf-8") for path in [DEPLOY / "compose.yaml", *UNITS])]
    named = {name for text in files for name in re.findall(rf"\b{PREFIX}[A-Z_]*[A-Z]", text)}
    assert "PASSAGES_INDEX" in named
    assert named - {PREFIX + field.upper() for field in Settings.model_fields} == set()


def test_every_command_that_is_run_there_is_one() -> None:
    run = [
        re.findall(r'CMD \["(\w+)"\]', DOCKERFILE),
        *([service["command"][0]] for service in SERVICES.values() if "command" in service),
    ]
    run += [re.findall(r"^ExecStart=\S+ (\w+)", unit.read_text(encoding="utf-8"), re.MULTILINE) for unit in UNITS]
    assert {word for words in run for word in words} == {"serve", "watch"}
    assert {"passages serve", "passages watch"} <= {name for name, _ in commands()}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze here")
@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_systemd_finds_nothing_wrong_with_a_unit(unit: Path, tmp_path: Path) -> None:
    """The command is not where it will be: another stands for it."""
    tried = tmp_path / unit.name
    command = "/opt/passages/.venv/bin/passages"
    text = unit.read_text(encoding="utf-8")
    assert f"ExecStart={command} " in text
    tried.write_text(text.replace(f"ExecStart={command}", "ExecStart=/bin/true"), encoding="utf-8")
    done = subprocess.run(["systemd-analyze", "verify", tried], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_image_that_leaves_the_seeds_out_starts_with_an_empty_index(
    collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service.service, "SEEDS", tmp_path / "left-out")
    service.service._seed(collection, lambda _: None)
    with collection.catalog.read() as snapshot:
        assert snapshot.counts().documents == 0
