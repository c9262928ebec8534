"""A call is called off: the attempt that is meant stops, and no other."""

from __future__ import annotations

from pathlib import Path

import simpledist
from simpledist.broker import Keys, Link
from simpledist.cluster import Cluster
from tests.faults.functions import work
from tests.faults.history import History, offered, probe
from tests.waiting import wait_until


def test_a_word_that_meant_an_earlier_attempt_stops_no_one(
    cluster: Cluster, client: simpledist.Client, link: Link, history: History, tmp_path: Path
) -> None:
    worker = cluster.start_worker(slots=1)
    probe(client)
    until, control = tmp_path / "until", Keys().named("control", worker.id)
    future = offered(client, "linger").submit(1, str(until))
    wait_until(lambda: work.runs(history.log), 5, "it runs")
    for fence in (17, 18):  # once the second has been read, the first has been obeyed
        link.call("RPUSH", control, f"cancel {future.call.id}:{fence}")
        link.call("EXPIRE", control, 60)
        wait_until(lambda: not link.call("EXISTS", control), 5, "its worker has read the word")
    until.touch()
    assert future.result(10) == work.value_of(1)
    assert work.runs(history.log) == {1: 1}
    probe(client)
