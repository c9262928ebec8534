"""What a job prints reaches the worker's stderr, its id in front; what it does to its streams ends with it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

import simpledist
from simpledist.cluster import Cluster, RoleProcess
from tests.trees import ROOT
from tests.values.functions import limited
from tests.waiting import wait_until

MODULE = "tests.values.functions.printing"


def _not_here(*_: Any) -> Any:
    raise AssertionError("it ran at its client")


def of(client: simpledist.Client, name: str) -> simpledist.WorkerFunction[..., Any]:
    return simpledist.worker_function(client, name, _not_here)


@pytest.fixture(scope="module")
def own() -> Iterator[Cluster]:
    """A worker of one slot."""
    with Cluster((MODULE, "tests.values.functions.limited"), workers=1, slots=1, folder=ROOT) as one:
        yield one


@pytest.fixture
def printing(own: Cluster) -> Iterator[simpledist.Client]:
    with own.connect() as one:
        yield one


def shows(worker: RoleProcess, line: str) -> None:
    wait_until(lambda: f"{line}\n" in worker.stderr_text(), 5, f"{line!r} in:\n{worker.stderr_text()}")


WAYS = [
    "say",
    "by_buffer",
    "by_descriptor",
    "by_program",
    "by_c",
    "by_home_stream",
    "by_stderr",
    "by_log",
    "by_thread",
    "without_newline",
]


@pytest.mark.parametrize("name", WAYS)
def test_each_way_to_print_is_marked_with_its_job(own: Cluster, printing: simpledist.Client, name: str) -> None:
    for number in range(3):
        future = of(printing, name).submit(f"{name} {number} é")
        future.result(20)
        shows(own.workers[0], f"[{future.call.id}] {name} {number} é")


def test_jobs_that_print_in_one_breath_keep_their_own_ids(own: Cluster, printing: simpledist.Client) -> None:
    names = ("say", "by_descriptor", "by_stderr", "without_newline")
    futures = [(name, of(printing, name).submit(f"{name} of {n}")) for n in range(25) for name in names]
    for number, (name, future) in enumerate(futures):
        future.result(20)
        shows(own.workers[0], f"[{future.call.id}] {name} of {number // len(names)}")


def test_a_warning_is_marked_too(own: Cluster, printing: simpledist.Client) -> None:
    future = of(printing, "by_warning").submit("take care")
    future.result(20)
    wait_until(lambda: re.search(rf"\[{future.call.id}\] .*take care", own.workers[0].stderr_text()), 5, "the warning")


def test_lines_come_in_the_order_in_which_they_were_printed(own: Cluster, printing: simpledist.Client) -> None:
    future = of(printing, "in_order").submit("step")
    future.result(20)
    shows(own.workers[0], f"[{future.call.id}] step 6")
    lines = [line for line in own.workers[0].stderr_text().splitlines() if line.startswith(f"[{future.call.id}]")]
    assert lines == [f"[{future.call.id}] step {number}" for number in range(1, 7)]


def test_much_output_comes_whole(own: Cluster, printing: simpledist.Client) -> None:
    future = of(printing, "say_much").submit("much", 5000)
    future.result(30)
    mark = f"[{future.call.id}] "
    shows(own.workers[0], f"{mark}much 4999 " + "x" * 200)
    lines = [line for line in own.workers[0].stderr_text().splitlines() if line.startswith(mark)]
    assert lines == [f"{mark}much {number} " + "x" * 200 for number in range(5000)]


def test_what_a_target_prints_at_import_has_no_mark(own: Cluster) -> None:
    shows(own.workers[0], "printed at import")
    assert "] printed at import" not in own.workers[0].stderr_text()


def test_the_streams_are_those_of_a_program(printing: simpledist.Client) -> None:
    assert of(printing, "attributes")(0) == {
        "name": "<stdout>",
        "mode": "w",
        "encoding": "utf-8",
        "line_buffering": True,
        "fileno": 1,
        "isatty": False,
        "closed": False,
        "writable": True,
        "readable": False,
        "buffer": "<stdout>",
        "text": True,
        "binary": True,
        "stderr": ("<stderr>", 2),
        "stdin": "",
    }


DEEDS = [
    "close",
    "close_both_and_stdin",
    "close_descriptors",
    "redirect_descriptor",
    "nothing_there",
    "replace",
    "wrap_and_forget",
    "detach",
    "make_ascii",
]


@pytest.mark.parametrize("name", DEEDS)
def test_what_a_job_does_to_its_streams_ends_with_it(own: Cluster, printing: simpledist.Client, name: str) -> None:
    assert of(printing, name)(0) in (None, True)
    for way in WAYS:
        future = of(printing, way).submit(f"é after {name} by {way}")
        future.result(20)
        shows(own.workers[0], f"[{future.call.id}] é after {name} by {way}")
    assert of(printing, "attributes")(0)["stdin"] == ""


@pytest.mark.parametrize("name", [name for name in DEEDS if name != "close_descriptors"])
def test_it_ends_with_its_call_in_a_batch_too(printing: simpledist.Client, name: str) -> None:
    assert set(of(printing, name).map(range(20), chunksize=10)) <= {None, True}
    assert list(of(printing, "say").map(map(str, range(20)), chunksize=10)) == [str(n) for n in range(20)]


def test_what_is_redirected_is_the_functions_own(printing: simpledist.Client) -> None:
    assert of(printing, "redirected")("to itself") == "to itself\n"
    assert of(printing, "half_a_surrogate")(0) is None


def _worker(own: Cluster, stderr: int) -> subprocess.Popen[bytes]:
    line = ["--redis", own.url, "--namespace", "other", "--slots", "1", MODULE, "tests.values.functions.limited"]
    return subprocess.Popen(
        [sys.executable, "-m", "simpledist.cli.worker", *line], cwd=ROOT, stderr=stderr, stdout=subprocess.DEVNULL
    )


@pytest.mark.parametrize("how", ["full", "closed", "no space"])
def test_a_stderr_that_takes_nothing_holds_up_no_job(own: Cluster, how: str) -> None:
    read_end, write_end = os.pipe()
    worker = _worker(own, os.open("/dev/full", os.O_WRONLY) if how == "no space" else write_end)
    os.close(write_end)
    if how == "closed":
        os.close(read_end)
    try:
        with simpledist.connect(own.url, namespace="other") as client:
            depth = simpledist.worker_function(client, "limit", limited.limit)

            def runs_there() -> bool:
                future = depth.submit()
                return future.result(20) > 0 and future.info is not None and future.info.where == "remote"

            wait_until(runs_there, 20, "the worker is there")
            much = of(client, "say_much")
            assert [future.result(30) for future in [much.submit("full", 2000) for _ in range(3)]] == [2000] * 3
            assert of(client, "by_program")("x" * 1000) == 0
            assert runs_there()
        worker.terminate()
        assert worker.wait(20) == 0
    finally:
        worker.kill()
        worker.wait()
        if how != "closed":
            os.close(read_end)


def test_a_reader_that_comes_back_learns_what_it_missed(own: Cluster) -> None:
    read_end, write_end = os.pipe()
    worker = _worker(own, write_end)
    os.close(write_end)
    try:
        with simpledist.connect(own.url, namespace="other") as client, os.fdopen(read_end, "rb") as reader:
            assert b"offers" in reader.readline() + reader.readline()
            wait_until(lambda: b"ready" in reader.readline(), 10, "it is ready")
            assert of(client, "say_much")("lost", 5000) == 5000
            assert of(client, "say_much")("lost", 5000) == 5000
            worker.terminate()
            written = reader.read()
            assert worker.wait(20) == 0
        assert re.search(rb"\d+ bytes of output were lost", written)
    finally:
        worker.kill()
        worker.wait()
