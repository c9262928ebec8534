"""Each command line of deploy/ is one that our own commands take, and what ends a worker waits for its grace."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.deploy.files import (
    DEPLOY,
    ROOT,
    UNITS,
    command_lines,
    documents,
    of_nomad,
    of_unit,
    parsed,
    unit,
)

SPARE_SECONDS = 10  # between the end of the grace and the kill
LINES = command_lines()
SOURCE = "".join(path.read_text("utf-8") for path in [*ROOT.glob("simpledist/**/*.py"), *ROOT.glob("web/**/*.py")])


@pytest.mark.parametrize(("file", "words"), LINES, ids=[f"{file}: {' '.join(words)}" for file, words in LINES])
def test_our_own_commands_take_it(file: str, words: list[str]) -> None:
    assert parsed(words) is not None


def test_each_kind_of_file_has_some() -> None:
    folders = {file.partition("/")[0] for file, _ in LINES}
    assert folders >= {"kubernetes", "compose", "systemd", "nomad", "slurm"}
    assert sum(words[0] == "simpledist-worker" for _, words in LINES) >= 5


def containers() -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Each container of a Deployment, behind the pod's spec."""
    pods = [
        document["spec"]["template"]["spec"]
        for path in DEPLOY.glob("kubernetes/*/*.yaml")
        for document in documents(path)
        if document.get("kind") == "Deployment"
    ]
    return [(pod, one) for pod in pods for one in pod["containers"]]


def workers_of_compose() -> list[dict[str, Any]]:
    services = [one for path in DEPLOY.glob("compose/*.yml") for one in documents(path)[0]["services"].values()]
    return [one for one in services if one.get("command", [""])[0] == "simpledist-worker"]


def test_a_pod_that_ends_has_the_grace_of_its_worker_and_some_seconds() -> None:
    workers = [(pod, one) for pod, one in containers() if one["command"][0] == "simpledist-worker"]
    assert workers
    for pod, one in workers:
        assert pod["terminationGracePeriodSeconds"] == parsed(one["command"])["grace"] + SPARE_SECONDS


def test_a_container_that_is_stopped_has_it_too() -> None:
    assert workers_of_compose()
    for one in workers_of_compose():
        assert float(one["stop_grace_period"].removesuffix("s")) == parsed(one["command"])["grace"] + SPARE_SECONDS


def test_and_a_unit_and_a_task_of_nomad() -> None:
    worker = next(path for path in UNITS if "worker" in path.name)
    assert float(unit(worker)["TimeoutStopSec"]) == parsed(of_unit(worker))["grace"] + SPARE_SECONDS
    nomad = re.search(r'kill_timeout = "(\d+)s"', (DEPLOY / "nomad" / "worker.nomad.hcl").read_text("utf-8"))
    assert nomad
    assert float(nomad[1]) == parsed(of_nomad())["grace"] + SPARE_SECONDS


def test_slurms_notice_comes_before_the_grace_has_to_begin() -> None:
    text = (DEPLOY / "slurm" / "workers.sbatch").read_text("utf-8")
    notice = re.search(r"^#SBATCH --signal=TERM@(\d+)$", text, re.MULTILINE)
    assert notice
    words = next(words for file, words in LINES if file == "slurm/workers.sbatch" and "--lifetime" in words)
    assert float(notice[1]) >= parsed(words)["grace"] + SPARE_SECONDS


def test_probes_look_at_the_file_that_the_worker_touches() -> None:
    for _, one in containers():
        if one["command"][0] == "simpledist-worker":
            file = str(parsed(one["command"])["alive"])
            assert one["startupProbe"]["exec"]["command"] == ["test", "-e", file]
            assert f"find {file} -newermt" in one["livenessProbe"]["exec"]["command"][-1]
    for one in workers_of_compose():
        assert f"find {parsed(one['command'])['alive']} -newermt" in one["healthcheck"]["test"][-1]


def test_every_variable_of_ours_is_one_that_the_package_reads() -> None:
    named = {
        name
        for path in DEPLOY.rglob("*.*")
        if path.is_file()
        for name in re.findall(r"\b(SIMPLEDIST_\w+)", path.read_text("utf-8"))
    }
    own = {"SIMPLEDIST_USER", "SIMPLEDIST_HOST", "SIMPLEDIST_IMAGE"}  # of .env, read by Compose
    assert own < named
    for name in named - own:
        assert f'"{name}"' in SOURCE, name


def test_a_web_server_off_loopback_has_a_token() -> None:
    open_to_others = [one for _, one in containers() if "0.0.0.0" in one["command"]]
    assert open_to_others
    for one in open_to_others:
        assert "SIMPLEDIST_WEB_TOKEN_FILE" in {variable["name"] for variable in one["env"]}
    services = documents(DEPLOY / "compose" / "server.yml")[0]["services"]
    assert services["distributor"]["environment"]["SIMPLEDIST_WEB_TOKEN_FILE"] == "/run/secrets/token"
    assert services["distributor"]["ports"] == ["127.0.0.1:8080:8080"]
