"""The manifests fit the schemas of Kubernetes, its strictest security level, and each other."""

from __future__ import annotations

import re
import subprocess
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from simpledist.wire.key_file import keyring_from, unsafe
from tests.deploy.files import DEPLOY, documents

FOLDER = DEPLOY / "kubernetes"
kubernetes_validate: Any = import_module("kubernetes_validate")
VERSIONS = ("1.27", "1.33")
OURS = {  # kustomize's own files, and what KEDA defines, are in no schema of Kubernetes
    "kustomize.config.k8s.io/v1beta1",
    "kustomize.config.k8s.io/v1alpha1",
    "keda.sh/v1alpha1",
}
FILES = sorted(path for path in FOLDER.rglob("*.yaml") if path.name not in ("kustomization.yaml", "names.yaml"))
OBJECTS = [(path, one) for path in FILES for one in documents(path)]
PODS: dict[str, dict[str, Any]] = {
    one["metadata"]["name"]: one["spec"]["template"]["spec"] for _, one in OBJECTS if one["kind"] == "Deployment"
}


@pytest.mark.parametrize("version", VERSIONS)
def test_each_object_fits_its_schema_and_has_no_field_that_is_unknown(version: str) -> None:
    checked = [one for _, one in OBJECTS if one["apiVersion"] not in OURS]
    assert len(checked) >= 7
    for one in checked:
        kubernetes_validate.validate(one, version, strict=True)


def test_a_wrong_field_is_found() -> None:
    wrong: dict[str, Any] = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"prots": []}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)


def test_every_file_belongs_to_a_kustomization_that_names_it() -> None:
    for path in FILES:
        owner = documents(path.parent / "kustomization.yaml")[0]
        assert path.name in owner["resources"]
    for path in FOLDER.rglob("kustomization.yaml"):
        owner = documents(path)[0]
        for name in [*owner.get("resources", []), *owner.get("components", []), *owner.get("configurations", [])]:
            assert (path.parent / name).exists(), f"{path}: {name}"


@pytest.mark.parametrize("name", PODS)
def test_a_pod_asks_for_no_more_than_the_strictest_level_allows(name: str) -> None:
    pod = PODS[name]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert {next(iter(volume.keys() - {"name"})) for volume in pod["volumes"]} <= {"secret", "emptyDir"}
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"]


@pytest.mark.parametrize("name", PODS)
def test_what_a_pod_mounts_and_reads_exists(name: str) -> None:
    made = {
        one["name"]: one["files"] for one in documents(FOLDER / "base" / "kustomization.yaml")[0]["secretGenerator"]
    }
    keys = {secret: {file.partition("=")[0] for file in files} for secret, files in made.items()}
    pod = PODS[name]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    for volume in pod["volumes"]:
        if "secret" in volume:
            items = {item["key"] for item in volume["secret"].get("items", [])}
            assert items <= keys[volume["secret"]["secretName"]]
    for container in pod["containers"]:
        assert {mount["name"] for mount in container["volumeMounts"]} == volumes.keys()
        for variable in container["env"]:
            if "secretKeyRef" in (source := variable.get("valueFrom", {})):
                assert source["secretKeyRef"]["key"] in keys[source["secretKeyRef"]["name"]]
            if variable["name"].endswith("_FILE"):
                assert Path(variable["value"]).name in keys["simpledist"]


def test_services_and_network_policy_select_pods_that_exist() -> None:
    labels = [one["spec"]["template"]["metadata"]["labels"] for _, one in OBJECTS if one["kind"] == "Deployment"]
    for _, one in OBJECTS:
        if one["kind"] == "Service":
            assert any(one["spec"]["selector"].items() <= has.items() for has in labels)
        if one["kind"] == "NetworkPolicy":
            assert any(one["spec"]["podSelector"]["matchLabels"].items() <= has.items() for has in labels)


def test_the_url_names_the_service_of_redis() -> None:
    services = {one["metadata"]["name"] for _, one in OBJECTS if one["kind"] == "Service"}
    for name in ("simpledist-worker", "simpledist-distributor"):
        variables = {one["name"]: one.get("value") for one in PODS[name]["containers"][0]["env"]}
        found = re.fullmatch(r"redis://:\$\(REDIS_PASSWORD\)@([a-z-]+):6379/0", variables["SIMPLEDIST_REDIS_URL"] or "")
        assert found
        assert found[1] in services
        # What a value names in brackets must stand before it.
        names = list(variables)
        assert names.index("REDIS_PASSWORD") < names.index("SIMPLEDIST_REDIS_URL")


def test_no_probe_of_a_worker_looks_at_redis() -> None:
    container = PODS["simpledist-worker"]["containers"][0]
    for probe in ("startupProbe", "livenessProbe"):
        assert container[probe].keys() & {"exec", "httpGet", "tcpSocket"} == {"exec"}
    assert "readinessProbe" not in container


def test_the_distributor_is_alive_without_redis_and_ready_with_it() -> None:
    container = PODS["simpledist-distributor"]["containers"][0]
    paths = {probe: container[probe]["httpGet"] for probe in ("livenessProbe", "readinessProbe")}
    assert paths == {
        "livenessProbe": {"path": "/healthz", "port": "web"},
        "readinessProbe": {"path": "/readyz", "port": "web"},
    }


def test_a_key_as_kubernetes_mounts_it_is_taken(tmp_path: Path) -> None:
    """A link to a file without a line end; it is root's, and the pod's group may read it."""
    (tmp_path / "..data").mkdir()
    file = tmp_path / "..data" / "key"
    file.touch(0o600)
    file.write_text("0f" * 32)
    (tmp_path / "key").symlink_to("..data/key")
    assert keyring_from(str(tmp_path / "key"))
    assert unsafe(0o100440, owner=0, user=PODS["simpledist-worker"]["securityContext"]["runAsUser"]) == ""


def test_secrets_are_made_without_a_line_end_and_git_does_not_see_them(tmp_path: Path) -> None:
    text = (FOLDER / "base" / "kustomization.yaml").read_text("utf-8")
    line = next(line.lstrip("# ") for line in text.splitlines() if "openssl rand" in line)
    subprocess.run(["sh", "-c", line], cwd=tmp_path, check=True)
    for name in ("key", "token", "redis-password"):
        assert re.fullmatch(r"[0-9a-f]{64}", (tmp_path / name).read_text())
        assert (tmp_path / name).stat().st_mode & 0o077 == 0
        assert f"/deploy/kubernetes/base/{name}" in (DEPLOY.parent / ".gitignore").read_text().splitlines()
