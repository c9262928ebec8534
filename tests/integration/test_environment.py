"""The environment of functions on a worker: threads of numerical libraries for one slot, and none of our secrets."""

from __future__ import annotations

import os

import pytest

import simpledist
from simpledist.cluster import Cluster
from simpledist.worker.cpus import cpus


def here(name: str) -> str | None:
    return f"{name} was asked for here"


@pytest.mark.parametrize("slots", [1, 8])
def test_the_slots_share_the_cpus_unless_the_user_said_otherwise(slots: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    with (
        Cluster("os:getenv", slots=slots, environment={"MKL_NUM_THREADS": "7"}) as cluster,
        cluster.connect() as client,
    ):
        getenv = simpledist.worker_function(client, "getenv", here)
        assert getenv("OMP_NUM_THREADS") == getenv("OPENBLAS_NUM_THREADS") == str(max(1, cpus() // slots))
        assert getenv("MKL_NUM_THREADS") == "7"
        assert getenv("SIMPLEDIST_REDIS_URL") is None
        assert getenv("PATH") == os.environ["PATH"], "ran on the worker"
