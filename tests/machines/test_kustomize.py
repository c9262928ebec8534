"""kubectl's own kustomize puts the manifests together: names of secrets, images, and what KEDA reads."""

from __future__ import annotations

import base64
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.files import DEPLOY
from tests.deploy.test_kubernetes import OURS, VERSIONS, kubernetes_validate


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The manifests with secrets, made as the page says."""
    copy = tmp_path / "kubernetes"
    shutil.copytree(DEPLOY / "kubernetes", copy)
    text = (copy / "base" / "kustomization.yaml").read_text("utf-8")
    line = next(line.lstrip("# ") for line in text.splitlines() if "openssl rand" in line)
    subprocess.run(["sh", "-c", line], cwd=copy / "base", check=True)
    return copy


def rendered(folder: Path) -> list[dict[str, Any]]:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("no kubectl here; Debian has none of this kind")
    done = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def test_the_example_is_whole(folder: Path) -> None:
    objects = rendered(folder / "example")
    for one in objects:
        if one["apiVersion"] not in OURS:
            kubernetes_validate.validate(one, VERSIONS[-1], strict=True)
        assert one["kind"] == "Namespace" or one["metadata"]["namespace"] == "simpledist"
    secrets = {one["metadata"]["name"]: one["data"] for one in objects if one["kind"] == "Secret"}
    assert {tuple(data) for data in secrets.values()} == {("key", "token"), ("password",)}
    assert all(base64.b64decode(value).strip().isalnum() for data in secrets.values() for value in data.values())
    named = [
        volume["secret"]["secretName"]
        for one in objects
        if one["kind"] == "Deployment"
        for volume in one["spec"]["template"]["spec"]["volumes"]
        if "secret" in volume
    ]
    assert len(named) == 2
    assert set(named) <= secrets.keys()
    images = {
        container["image"].partition("@")[0]
        for one in objects
        if one["kind"] == "Deployment"
        for container in one["spec"]["template"]["spec"]["containers"]
    }
    assert images == {"registry.example.com/team/simpledist:1", "redis:7.4.11-alpine"}
