"""`simpledist-worker --gpus N`: each child sees one of N GPUs, as long as its slot lives."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

import simpledist
from simpledist.cluster import Cluster
from tests import commands
from tests.integration.conftest import FUNCTIONS
from tests.integration.functions import gpu
from tests.waiting import wait_until


@pytest.mark.parametrize("target", ["gpu", "gpu_thread"], ids=["forked", "spawned"])
def test_each_child_sees_one_and_its_successor_the_same(target: str) -> None:
    with Cluster(f"{target}:visible", workers=0, folder=FUNCTIONS) as cluster, cluster.connect() as client:
        cluster.start_worker(arguments=["--gpus", "3", "--tag", "gpu"])
        visible = simpledist.worker_function(client, "visible", gpu.visible, needs="gpu", match="name")

        def seen() -> dict[int, tuple[str, ...]]:
            return dict(one.result(30) for one in [visible.submit(0.5) for _ in range(3)])

        wait_until(lambda: len(seen()) == 3, 20, "three slots")
        first = seen()
        assert sorted(first.values()) == [(n, n, "-") for n in "012"]
        os.kill(killed := next(iter(first)), signal.SIGKILL)
        wait_until(lambda: len(seen()) == 3 and killed not in seen(), 20, "it is replaced")
        assert sorted(seen().values()) == sorted(first.values())


@pytest.mark.parametrize(
    ("environment", "shown"),
    [
        ({"CUDA_VISIBLE_DEVICES": "5, GPU-8932f937,7"}, [("5", "5", "-"), ("GPU-8932f937", "GPU-8932f937", "-")]),
        ({"ROCR_VISIBLE_DEVICES": "2,3", "CUDA_VISIBLE_DEVICES": "0,1"}, [("0", "0", "2"), ("0", "0", "3")]),
    ],
)
def test_it_is_one_of_those_that_the_worker_sees(
    own_cluster: Cluster, environment: dict[str, str], shown: list[tuple[str, ...]]
) -> None:
    own_cluster.start_worker("gpu:visible", slots=2, arguments=["--gpus", "2"], environment=environment)
    with own_cluster.connect() as client:
        visible = simpledist.worker_function(client, "visible", gpu.visible)
        found = [one.result(30) for one in [visible.submit(0.5) for _ in range(2)]]
        assert sorted(one for _, one in found) == shown


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--gpus", "3"], "--gpus 3: CUDA_VISIBLE_DEVICES=4,5 leaves 2 to this worker."),
        (["--gpus", "2", "--slots", "3"], "--slots 3 with --gpus 2: each slot needs a GPU of its own."),
        (["--gpus", "0"], "0 is not in the range"),
    ],
)
def test_more_than_there_are_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, options: list[str], words: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    done = commands.run("gpu:visible", *options, module=commands.WORKER, cwd=tmp_path)
    assert done.returncode == 2
    assert words in commands.complaint(done)
