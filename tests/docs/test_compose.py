"""docker-compose.yml and Dockerfile, held against the real command lines: no engine is needed for that."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from simpledist.cli.main import SUBCOMMANDS

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def commands() -> list[list[str]]:
    """Every command line of ours in the two files."""
    lines = [service["command"] for service in SERVICES.values() if "command" in service]
    lines += [re.findall(r'"([^"]+)"', line) for line in DOCKERFILE.splitlines() if line.startswith("CMD")]
    return [line for line in lines if line[0].startswith("simpledist")]


def click_command(program: str) -> click.Command:
    module = import_module(f"simpledist.cli.{program.removeprefix('simpledist-')}")
    return next(value for value in vars(module).values() if isinstance(value, click.Command))


@pytest.mark.parametrize("line", commands(), ids=" ".join)
def test_each_command_and_its_options_exist(line: list[str]) -> None:
    context = click_command(line[0]).make_context(line[0], line[1:])
    context.close()


def test_the_key_service_makes_key_and_token_with_our_own_command() -> None:
    script = SERVICES["key"]["command"][-1]
    assert "simpledist secret /keys/$$name" in script
    assert "for name in secret token;" in script
    assert "secret" in SUBCOMMANDS


def test_every_variable_is_one_that_the_package_reads() -> None:
    source = "".join(path.read_text() for path in [*ROOT.glob("simpledist/**/*.py"), *ROOT.glob("web/**/*.py")])
    for service in SERVICES.values():
        for variable in service.get("environment", {}):
            assert f'"{variable}"' in source, variable


def test_by_default_only_redis_starts() -> None:
    assert [name for name, service in SERVICES.items() if "profiles" not in service] == ["redis"]
    assert {name for name, service in SERVICES.items() if service.get("profiles") == ["cluster"]} == {
        "key",
        "distributor",
        "worker",
    }


def test_redis_never_evicts_and_tells_when_it_is_ready() -> None:
    line = SERVICES["redis"]["command"]
    assert line[line.index("--maxmemory-policy") + 1] == "noeviction"
    assert SERVICES["redis"]["healthcheck"]["test"] == ["CMD", "redis-cli", "ping"]


def test_what_is_published_is_published_on_loopback_only() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published == ["127.0.0.1:6379:6379", "127.0.0.1:8080:8080"]


def test_what_listens_off_loopback_has_a_token_and_every_process_has_the_key() -> None:
    for name in ("distributor", "worker"):
        service = SERVICES[name]
        assert service["environment"]["SIMPLEDIST_SECRET_FILE"] == "/keys/secret"
        assert service["environment"]["SIMPLEDIST_WEB_TOKEN_FILE"] == "/keys/token"
        assert service["volumes"] == ["keys:/keys:ro"]
        assert service["depends_on"] == {
            "redis": {"condition": "service_healthy"},
            "key": {"condition": "service_completed_successfully"},
        }


def test_a_stopped_worker_gets_longer_than_its_grace() -> None:
    line = SERVICES["worker"]["command"]
    grace = float(line[line.index("--grace") + 1])
    assert float(SERVICES["worker"]["stop_grace_period"].removesuffix("s")) > grace


def test_the_image_runs_as_an_ordinary_user_in_the_demo_folder() -> None:
    lines = DOCKERFILE.splitlines()
    user = next(line.split()[-1] for line in lines if line.startswith("RUN useradd"))
    assert [line for line in lines if line.startswith("USER")] == [f"USER {user}"]
    assert lines.index(f"USER {user}") > max(n for n, line in enumerate(lines) if line.startswith(("RUN", "COPY")))
    assert "WORKDIR /demo" in lines
    assert f"chown {user} " in SERVICES["key"]["command"][-1]


def test_what_the_image_copies_exists_and_is_not_ignored() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for line in DOCKERFILE.splitlines():
        if line.startswith("COPY"):
            for source in line.split()[1:-1]:
                assert (ROOT / source).exists(), source
                assert source in allowed, source
