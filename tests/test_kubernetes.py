"""deploy/kubernetes is what Kubernetes takes, and names only what the application has: settings, routes, ports, metrics."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from indexer.engines.address import Address, where_of
from indexer.engines.milvus.tables import NAMED
from indexer.models import DEFAULT_MODEL
from service.app import create_app
from service.door import door_of
from service.ending import GRACE_S
from service.keys import KeysError
from service.settings import PREFIX, Settings, SettingsError, load
from tests.users import SCRIPT, users
from tools import capacity

DEPLOY = Path(__file__).parent.parent / "deploy"
FOLDER = DEPLOY / "kubernetes"
FILES: dict[str, dict[str, Any]] = {
    path.relative_to(FOLDER).with_suffix("").as_posix(): yaml.safe_load(path.read_text(encoding="utf-8"))
    for path in sorted(FOLDER.rglob("*.yaml"))
}
# Kinds that operators bring, values for Helm, and kustomize's own files.
FOREIGN = ["adapter", "kustomization", "milvus/kustomization", "milvus/server", "monitoring"]
POD: dict[str, Any] = FILES["deployment"]["spec"]["template"]
(CONTAINER,) = POD["spec"]["containers"]
ENV: dict[str, Any] = {one["name"]: one for one in CONTAINER["env"]}
SERVER: dict[str, Any] = FILES["milvus/server"]
JOB: dict[str, Any] = FILES["milvus/users"]["spec"]["template"]
(USERS,) = JOB["spec"]["containers"]
NAMESPACE = "kubernetes.io/metadata.name"


@pytest.mark.parametrize("name", sorted(FILES.keys() - set(FOREIGN)))
def test_an_object_is_as_its_official_schema_says(name: str) -> None:
    kubernetes_validate.validate(FILES[name], "1.37", strict=True)


def test_the_schema_would_find_a_misspelled_field() -> None:
    wrong = yaml.safe_load((FOLDER / "disruption.yaml").read_text(encoding="utf-8"))
    wrong["spec"]["maxUnavailabel"] = wrong["spec"].pop("maxUnavailable")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, "1.37", strict=True)


def test_every_file_is_applied_or_has_a_kind_of_somebody_else() -> None:
    listed = [Path(name).stem for name in FILES["kustomization"]["resources"]]
    milvus = [f"milvus/{Path(name).stem}" for name in FILES["milvus/kustomization"]["resources"]]
    assert sorted({*listed, *milvus, *FOREIGN}) == sorted(FILES)
    assert "milvus/server" in milvus
    (image,) = FILES["kustomization"]["images"]
    assert [image] == FILES["milvus/kustomization"]["images"]
    assert image["name"] == CONTAINER["image"] == USERS["image"]


def test_every_setting_that_is_made_there_is_one() -> None:
    named = {name for name in ENV if name.startswith(PREFIX)}
    assert {"PASSAGES_INDEX", "PASSAGES_SESSION_SECRET", "PASSAGES_MILVUS_TOKEN"} <= named
    assert named - {PREFIX + field.upper() for field in Settings.model_fields} == set()
    # The service of that name would set PASSAGES_PORT and PASSAGES_SERVICE_HOST, and an unknown setting is an error.
    assert FILES["service"]["metadata"]["name"] == "passages"
    assert POD["spec"]["enableServiceLinks"] is False


def test_the_settings_are_taken_by_the_application(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, one in ENV.items():
        monkeypatch.setenv(name, one.get("value", "2" * 32))
    settings = load()
    assert settings.index == where_of(ENV["PASSAGES_INDEX"]["value"])
    assert settings.port == port_of("http")


def test_every_secret_that_is_asked_for_is_there_and_no_placeholder_lets_anybody_in(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    secret = FILES["secret"]["stringData"]
    asked = [one["valueFrom"]["secretKeyRef"] for one in ENV.values() if "secretKeyRef" in one.get("valueFrom", {})]
    asked += [FILES["monitoring"]["spec"]["podMetricsEndpoints"][0]["authorization"]["credentials"]]
    (keys,) = [volume["secret"] for volume in POD["spec"]["volumes"] if volume["name"] == "keys"]
    assert {one["key"] for one in asked} | {item["key"] for item in keys["items"]} == set(secret)
    assert {one["name"] for one in asked} | {keys["secretName"]} == {FILES["secret"]["metadata"]["name"]}
    mounted = next(mount["mountPath"] for mount in CONTAINER["volumeMounts"] if mount["name"] == "keys")
    assert ENV["PASSAGES_API_KEYS_FILE"]["value"] == f"{mounted}/{keys['items'][0]['path']}"

    with pytest.raises(SettingsError, match="session_secret"):
        load(session_secret=secret["session-secret"])
    with pytest.raises(SettingsError, match=r"milvus_token.*placeholder"):
        load(milvus_token=secret["milvus-token"])
    (tmp_path / "keys").write_text(secret["keys"], encoding="utf-8")
    with pytest.raises(KeysError):
        door_of(load(index=str(tmp_path / "index"), api_keys_file=str(tmp_path / "keys"), host="0.0.0.0"))  # noqa: S104


def port_of(name: str) -> int:
    """The container's port of that name."""
    return next(int(port["containerPort"]) for port in CONTAINER["ports"] if port["name"] == name)


def test_probes_ask_routes_that_need_no_key_and_ports_are_the_container_s() -> None:
    paths = create_app(Path("unused"), DEFAULT_MODEL).openapi()["paths"]
    probes = {name: one["httpGet"] for name, one in CONTAINER.items() if name.endswith("Probe")}
    assert {name: one["path"] for name, one in probes.items()} == {
        "startupProbe": "/livez",
        "livenessProbe": "/livez",
        "readinessProbe": "/readyz",
    }
    for probe in probes.values():
        assert paths[probe["path"]]["get"]["security"] == []
    (port,) = FILES["service"]["spec"]["ports"]
    (scraped,) = FILES["monitoring"]["spec"]["podMetricsEndpoints"]
    assert {port["targetPort"], scraped["port"], *(probe["port"] for probe in probes.values())} == {"http"}
    assert scraped["path"] in paths
    assert FILES["network"]["spec"]["ingress"][0]["ports"] == [{"protocol": "TCP", "port": port_of("http")}]
    exposed = re.search(r"^EXPOSE (\d+)$", (DEPLOY / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert exposed
    assert int(exposed[1]) == port_of("http")


def test_the_autoscaler_s_number_is_exported_and_passed_on() -> None:
    (metric,) = FILES["autoscaler"]["spec"]["metrics"]
    name = metric["pods"]["metric"]["name"]
    exported = create_app(Path("unused"), DEFAULT_MODEL).state.service.metrics.text().decode()
    assert re.search(rf"^{name} 0\.0$", exported, re.MULTILINE)
    (rule,) = FILES["adapter"]["rules"]["custom"]
    assert rule["seriesQuery"].startswith(name + "{")
    assert rule["name"] == {"matches": f"^{name}$", "as": name}
    target = FILES["autoscaler"]["spec"]["scaleTargetRef"]
    deployment = FILES["deployment"]
    assert (target["apiVersion"], target["kind"]) == (deployment["apiVersion"], deployment["kind"])
    assert target["name"] == deployment["metadata"]["name"]
    assert "replicas" not in deployment["spec"]  # applying it again would undo what the autoscaler did


def test_everything_selects_the_service_s_pods() -> None:
    labels = POD["metadata"]["labels"]
    spec = {name: FILES[name]["spec"] for name in ("deployment", "disruption", "monitoring", "network", "service")}
    spread = POD["spec"]["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"]
    selected = [spec[name]["selector"]["matchLabels"] for name in ("deployment", "disruption", "monitoring")]
    assert [*selected, spread, spec["service"]["selector"], spec["network"]["podSelector"]["matchLabels"]] == [labels] * 6


def test_a_replica_is_confined_as_the_image_is_and_writes_only_into_its_volumes() -> None:
    dockerfile = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    pod, own = POD["spec"]["securityContext"], CONTAINER["securityContext"]
    assert f"USER {pod['runAsUser']}:{pod['runAsGroup']}" in dockerfile
    assert (pod["runAsNonRoot"], pod["seccompProfile"]) == (True, {"type": "RuntimeDefault"})
    assert own == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    written = {mount["mountPath"] for mount in CONTAINER["volumeMounts"] if not mount.get("readOnly")}
    assert written == {"/tmp", *re.findall(r"^VOLUME (\S+)$", dockerfile, re.MULTILINE)}  # noqa: S108
    assert CONTAINER["resources"]["limits"]["memory"]


def test_what_was_asked_is_answered_before_a_replica_is_killed() -> None:
    paused = float(CONTAINER["lifecycle"]["preStop"]["exec"]["command"][-1])
    needed = paused + Settings.model_fields["deadline_ms"].default / 1000 + GRACE_S
    assert POD["spec"]["terminationGracePeriodSeconds"] > needed


def test_the_server_is_the_one_that_the_services_ask_and_may_reach() -> None:
    address, namespace = service_address(), SERVER["metadata"]["namespace"]
    # As its operator names it, and its namespace.
    assert address.host == f"{SERVER['metadata']['name']}-milvus.{namespace}.svc"
    assert namespace == FILES["milvus/kustomization"]["namespace"] == FILES["milvus/namespace"]["metadata"]["name"]
    assert FILES["kustomization"]["namespace"] == FILES["namespace"]["metadata"]["name"] != namespace
    (allowed,) = [rule for rule in FILES["network"]["spec"]["egress"] if "podSelector" in rule["to"][0]]
    assert [port["port"] for port in allowed["ports"]] == [address.port]
    assert allowed["to"][0]["namespaceSelector"]["matchLabels"] == {NAMESPACE: namespace}
    assert allowed["to"][0]["podSelector"]["matchLabels"]["app.kubernetes.io/instance"] == SERVER["metadata"]["name"]
    assert SERVER["spec"]["config"]["common"]["security"]["authorizationEnabled"] is True


def service_address() -> Address:
    """The server that the services ask."""
    address = where_of(ENV["PASSAGES_INDEX"]["value"])
    assert isinstance(address, Address)
    return address


def test_nobody_but_the_services_prometheus_and_the_operator_reaches_the_server_s_namespace() -> None:
    spec = FILES["milvus/network"]["spec"]
    assert (spec["podSelector"], spec["policyTypes"]) == ({}, ["Ingress", "Egress"])
    inside, *others = spec["ingress"]
    assert inside == {"from": [{"podSelector": {}}]}
    ports = {
        source["namespaceSelector"]["matchLabels"][NAMESPACE]: {port["port"] for port in one["ports"]}
        for one in others
        for source in one["from"]
    }
    etcd, storage, metrics = 2379, 9000, 9091
    assert ports == {
        FILES["kustomization"]["namespace"]: {service_address().port},
        "monitoring": {metrics},
        "milvus-operator": {etcd, storage, metrics, service_address().port},
    }
    itself, names = spec["egress"]
    assert itself == {"to": [{"podSelector": {}}]}
    assert {port["port"] for port in names["ports"]} == {53}


def test_root_has_no_published_password_and_the_services_are_not_root() -> None:
    (given,) = SERVER["spec"]["components"]["mixCoord"]["env"]
    asked = {one["name"]: one for one in USERS["env"]}
    assert given["valueFrom"] == asked["MILVUS_ROOT_PASSWORD"]["valueFrom"]
    # Milvus takes a setting from the variable that is named so.
    assert given["name"] == "common.security.defaultRootPassword".replace(".", "_").upper()
    user, _ = FILES["secret"]["stringData"]["milvus-token"].split(":")
    assert user == users.USER


def test_a_replica_is_started_anew_for_what_it_reads_at_its_start() -> None:
    docs = (DEPLOY.parent / "docs" / "kubernetes.md").read_text(encoding="utf-8")
    assert "secretKeyRef" in ENV["PASSAGES_MILVUS_TOKEN"]["valueFrom"]
    namespace, name = FILES["kustomization"]["namespace"], FILES["deployment"]["metadata"]["name"]
    job = FILES["milvus/users"]["metadata"]["name"]
    made, restarted = f"condition=complete job/{job}", f"kubectl rollout restart -n {namespace} deployment/{name}"
    assert docs.rindex(made) < docs.index(restarted)


def test_the_storage_has_keys_of_its_own_where_the_operator_looks_for_them() -> None:
    assert (
        SERVER["spec"]["dependencies"]["storage"]["inCluster"]["values"]["existingSecret"]
        == f"{SERVER['metadata']['name']}-minio"
    )


def test_the_secrets_that_the_docs_make_have_the_keys_that_are_asked_for() -> None:
    docs = (DEPLOY.parent / "docs" / "kubernetes.md").read_text(encoding="utf-8")
    made = {
        name: set(re.findall(r"--from-literal=([\w-]+)=", literals))
        for name, literals in re.findall(rf"create secret generic (\S+) -n {SERVER['metadata']['namespace']} (.*)", docs)
    }
    (root,) = SERVER["spec"]["components"]["mixCoord"]["env"]
    asked = [one["valueFrom"]["secretKeyRef"] for one in [*USERS["env"], root] if "valueFrom" in one]
    assert made["milvus-users"] == {one["key"] for one in asked if one["name"] == "milvus-users"}
    assert made["passages-minio"] >= {"accesskey", "secretkey"}


def test_the_job_gives_the_user_the_tables_of_the_collection_that_the_services_ask() -> None:
    asked, address = {one["name"]: one.get("value") for one in USERS["env"]}, service_address()
    assert asked["MILVUS_COLLECTION"] == address.collection
    assert asked["MILVUS_SERVER"] == f"http://{SERVER['metadata']['name']}-milvus:{address.port}"
    assert set(users.TABLES) == {"", *(f"_{table}" for table in NAMED)}
    script = SCRIPT.read_text(encoding="utf-8")
    assert set(re.findall(r"MILVUS_[A-Z_]+(?=\")", script)) == {*asked, "MILVUS_AUTHORITY"}
    (mount,), (volume,) = USERS["volumeMounts"], JOB["spec"]["volumes"]
    (made,) = FILES["milvus/kustomization"]["configMapGenerator"]
    assert (mount["name"], volume["configMap"]["name"]) == (volume["name"], made["name"])
    assert made["files"] == ["users.py"]
    assert USERS["command"] == ["python", f"{mount['mountPath']}/users.py"]


def test_the_job_is_confined_as_a_replica_is() -> None:
    pod = {name: value for name, value in POD["spec"]["securityContext"].items() if name != "fsGroup"}  # it writes nothing
    assert JOB["spec"]["securityContext"] == pod
    assert USERS["securityContext"] == CONTAINER["securityContext"]


def test_a_password_that_is_a_placeholder_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILVUS_PASSWORD", "REPLACE")
    with pytest.raises(SystemExit, match="16 to 72"):
        users._password("MILVUS_PASSWORD")


def test_the_server_has_the_query_nodes_that_the_capacity_page_computes() -> None:
    nodes = SERVER["spec"]["components"]["queryNode"]
    assert nodes["resources"]["limits"]["memory"] == nodes["resources"]["requests"]["memory"] == f"{capacity.POD_GIB}Gi"
    assert nodes["replicas"] == capacity.query_nodes(capacity.measured(), capacity.EXAMPLE)
    assert capacity.POD_GIB < capacity.NODE_GIB  # what runs on every node needs some of it


def test_a_replica_has_the_memory_that_the_capacity_page_computes_with() -> None:
    (tmp,) = [volume["emptyDir"] for volume in POD["spec"]["volumes"] if volume["name"] == "tmp"]
    assert tmp == {"medium": "Memory", "sizeLimit": f"{round(capacity.TMP_GIB * 1024)}Mi"}
    assert CONTAINER["resources"]["limits"]["memory"] == f"{capacity.REPLICA_GIB:.0f}Gi"
    assert CONTAINER["resources"]["requests"]["cpu"] == str(capacity.CORES)


def test_the_image_has_the_packages_of_the_extras_that_it_is_built_with() -> None:
    """The line of the Dockerfile that finds them, as it stands there."""
    code = re.search(r'python -c "(import os, tomllib; [^"]+)" > needed\.txt', (DEPLOY / "Dockerfile").read_text("utf-8"))
    assert code

    def needed(extras: str) -> str:
        command = [sys.executable, "-c", code[1]]
        env = {"EXTRAS": extras}
        return subprocess.run(command, cwd=DEPLOY.parent, env=env, capture_output=True, text=True, check=True).stdout

    assert "pymilvus" not in needed("")
    assert needed("milvus") == needed("") + "pymilvus==3.0.2\n"
