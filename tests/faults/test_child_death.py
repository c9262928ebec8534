"""A child dies, or is lost to its worker: both are seen at once, each by a sign of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

import simpledist
from simpledist.cluster import Cluster
from tests.faults.functions import work
from tests.faults.history import History, offered, probe


@pytest.mark.parametrize(
    ("function", "sign"),
    [
        ("leave_an_heir", "exit status 7"),  # the channel stays open: only the wait status tells
        ("close_everything", "it closed its channel"),  # the process stays alive: only its channel tells
    ],
)
def test_a_lost_child_costs_its_job_one_attempt(
    cluster: Cluster, client: simpledist.Client, history: History, tmp_path: Path, function: str, sign: str
) -> None:
    worker = cluster.start_worker()
    probe(client)
    until = tmp_path / "until"
    try:
        future = offered(client, function).submit(1, str(until))
        assert future.result(5) == work.value_of(1)
    finally:
        until.touch()
    assert (future.info.where, future.info.attempts) == ("remote", 2)
    assert work.runs(history.log) == {1: 2}
    assert sign in worker.stderr_text()
    probe(client)
