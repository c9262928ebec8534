"""Prometheus itself takes our files, scrapes a distributor, and fires an alert when Redis goes."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import simpledist
from simpledist.cluster import Cluster
from tests.commands import free_port
from tests.deploy.files import DEPLOY
from tests.integration.conftest import FUNCTIONS
from tests.integration.functions import farm
from tests.machines.programs import program, running
from tests.waiting import wait_until

FOLDER = DEPLOY / "prometheus"


def test_promtool_takes_configuration_and_rules(tmp_path: Path) -> None:
    for path in FOLDER.iterdir():
        shutil.copy(path, tmp_path)
    (tmp_path / "token").write_text("x" * 64)
    for words in (("check", "config", "prometheus.yml"), ("check", "rules", "rules.yml")):
        done = subprocess.run(
            [program("promtool"), *words], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "SUCCESS" in done.stdout


def test_each_alert_fires_when_its_test_says() -> None:
    words = [program("promtool"), "test", "rules", "rules.test.yml"]
    done = subprocess.run(words, cwd=FOLDER, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def ask(port: int, path: str) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/{path}", timeout=10) as answer:
        return json.load(answer)["data"]


def value(port: int, query: str) -> float:
    found = ask(port, f"query?query={query}")["result"]
    return float(found[0]["value"][1]) if found else -1.0


def test_a_real_prometheus_reads_a_real_distributor_and_says_that_redis_is_away(tmp_path: Path) -> None:
    port = free_port()
    with Cluster("farm", workers=1, slots=2, folder=FUNCTIONS, distributor=True, web=True) as cluster:
        host = cluster.dashboard_url.removeprefix("http://").rstrip("/")
        configuration = (FOLDER / "prometheus.yml").read_text().replace("127.0.0.1:8080", host).replace("15s", "1s")
        (tmp_path / "prometheus.yml").write_text(configuration)
        (tmp_path / "rules.yml").write_text((FOLDER / "rules.yml").read_text().replace("for: 1m", "for: 2s"))
        (tmp_path / "token").write_text("not asked for on loopback")
        with running(
            "prometheus",
            f"--config.file={tmp_path / 'prometheus.yml'}",
            f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            log=tmp_path / "log",
        ):

            def answers() -> bool:
                try:
                    return value(port, "max(simpledist_up)") == 1
                except OSError:
                    return False

            wait_until(answers, 60, "a scrape by Prometheus")
            with cluster.connect() as client:
                echo = simpledist.worker_function(client, "echo", farm.echo)
                assert list(echo.map(range(40), chunksize=1)) == list(range(40))
            ended = 'sum(simpledist_jobs_ended_total{function="echo"})'
            wait_until(lambda: value(port, ended.replace('"', "%22")) == 40, 30, "the number of jobs in Prometheus")
            cluster.redis.stop()
            wait_until(
                lambda: (
                    {one["labels"]["alertname"] for one in ask(port, "alerts")["alerts"] if one["state"] == "firing"}
                    >= {"SimpledistRedisDown"}
                ),
                60,
                "the alert",
            )
