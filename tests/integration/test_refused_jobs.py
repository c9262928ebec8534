"""Two workers, one of which lacks something: its jobs run on the other one, and log, page and command line say so."""

from __future__ import annotations

import json
import logging
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import simpledist
from simpledist.broker import Keys, Link
from simpledist.cluster import Cluster
from tests import standing
from tests.commands import run
from tests.links import open_link
from tests.waiting import wait_until

CALLS = 400
MODULE = """
import time

def need(n):
    time.sleep(0.005)
    import only_here
    return only_here.PLUS + n

def sq(n):
    time.sleep(0.002)
    return n * n

class Odd:
    def __reduce__(self):
        return __import__, ("nowhere_at_all",)
"""


def need_here(n: int) -> int:
    return n + 1


def sq_here(n: int) -> int:
    return n * n


def odd_here(_: Odd) -> str:
    return "here"


class Odd:
    """No worker has its module."""


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster without workers, whose functions need what only some workers have."""
    (tmp_path / "needs.py").write_text(MODULE)
    (tmp_path / "extra").mkdir()
    (tmp_path / "extra" / "only_here.py").write_text("PLUS = 1\n")
    with Cluster("needs", workers=0, slots=2, folder=tmp_path) as one:
        yield one
        standing.roots.difference_update(worker.pid for worker in one.workers)


def start(shop: Cluster, tmp_path: Path, *, has_all: bool, **options: Any) -> Any:
    path = os.pathsep.join(filter(None, [str(tmp_path / "extra") if has_all else "", os.environ.get("PYTHONPATH", "")]))
    worker = shop.start_worker(environment={"PYTHONPATH": path}, **options)
    standing.roots.add(worker.pid)
    return worker


def where(futures: list[simpledist.Future[Any]]) -> Counter[str]:
    return Counter(future.info.where for future in futures if future.info is not None)


def row(link: Link, worker: Any) -> dict[str, Any]:
    return json.loads(link.call("HGET", Keys().workers, worker.id))


@pytest.mark.parametrize("batched", [False, True])
def test_a_worker_without_a_module_takes_no_jobs_from_one_that_has_it(
    shop: Cluster, tmp_path: Path, *, batched: bool
) -> None:
    bad, good = start(shop, tmp_path, has_all=False), start(shop, tmp_path, has_all=True)
    with shop.connect() as client, open_link(shop.url) as link:
        need = simpledist.worker_function(client, "need", need_here)
        if batched:
            assert list(need.map(range(CALLS))) == [n + 1 for n in range(CALLS)]
            local = sum(
                int(value)
                for name, value in _pairs(link.call("HGETALL", Keys().named("meta", "need")))
                if name.startswith("local:")
            )
        else:
            futures = [need.submit(n) for n in range(CALLS)]
            assert [future.result(30) for future in futures] == [n + 1 for n in range(CALLS)]
            local = where(futures)["local"]
        assert local <= CALLS * 0.02, f"{local} of {CALLS} ran here"
        wait_until(lambda: row(link, bad)["refusals"].get("need"), 10, "its row says what it refuses")
        refusal = row(link, bad)["refusals"]["need"]
        assert refusal["why"] == "worker_error"
        assert "only_here" in refusal["error"]
        assert row(link, good)["refusals"] == {}
        assert bad.stderr_text().count("refused") <= 3, "once a minute, with a count"
        errors = run("errors", "--redis", shop.url).stdout
        assert bad.id in errors, "people see which worker it is"


def _pairs(flat: list[bytes]) -> list[tuple[str, str]]:
    texts = [one.decode() for one in flat]
    return list(zip(texts[::2], texts[1::2], strict=True))


def test_a_worker_that_refuses_what_others_do_is_withdrawn_for_a_while(shop: Cluster, tmp_path: Path) -> None:
    bad, _ = start(shop, tmp_path, has_all=False), start(shop, tmp_path, has_all=True)
    with shop.connect() as client, open_link(shop.url) as link:
        need = simpledist.worker_function(client, "need", need_here)

        def withdrawn() -> bool:
            futures = [need.submit(n) for n in range(100)]
            assert [future.result(30) for future in futures] == [n + 1 for n in range(100)]
            return "need" in row(link, bad)["withdrawn"]

        wait_until(withdrawn, 30, "three strikes")
        assert link.call("HGET", Keys().named("offers", "need"), bad.id) is None
        assert link.call("HGET", Keys().named("offers", "sq"), bad.id) is not None, "the function alone"
        report = run("doctor", "--redis", shop.url).stdout
        assert bad.id in report
        assert "only_here" in report
        wait_until(lambda: link.call("HGET", Keys().named("offers", "need"), bad.id), 10, "it offers it again")


def test_calls_that_no_one_can_read_switch_no_worker_off(shop: Cluster, tmp_path: Path) -> None:
    workers = [start(shop, tmp_path, has_all=True), start(shop, tmp_path, has_all=True)]
    with shop.connect() as client, shop.connect() as odd_client, open_link(shop.url) as link:
        sq = simpledist.worker_function(client, "sq", sq_here)
        odd = simpledist.worker_function(odd_client, "sq", odd_here)
        futures: list[simpledist.Future[Any]] = []
        strange: list[simpledist.Future[Any]] = []
        for n in range(CALLS):
            futures.append(sq.submit(n))
            if n % 20 == 0:
                strange.append(odd.submit(Odd()))
        assert [future.result(30) for future in futures] == [n * n for n in range(CALLS)]
        assert [future.result(30) for future in strange] == ["here"] * len(strange)
        assert where(futures)["local"] <= CALLS * 0.02
        assert [row(link, worker)["withdrawn"] for worker in workers] == [[], []]


def test_a_worker_with_another_key_gets_no_calls(shop: Cluster, tmp_path: Path, caplog: Any) -> None:
    other = tmp_path / "other.key"
    other.write_text("ab" * 32 + "\n")
    other.chmod(0o600)
    good = start(shop, tmp_path, has_all=True)
    bad = start(shop, tmp_path, has_all=True, arguments=["--secret-file", str(other)])
    with shop.connect() as client, open_link(shop.url) as link:
        sq = simpledist.worker_function(client, "sq", sq_here)
        futures = [sq.submit(n) for n in range(CALLS)]
        assert [future.result(30) for future in futures] == [n * n for n in range(CALLS)]
        assert where(futures)["local"] <= CALLS * 0.02
        assert row(link, good)["keys"] != row(link, bad)["keys"]
        good.stop()
        with caplog.at_level(logging.WARNING, "simpledist"):
            future = sq.submit(3)
            assert future.result(5) == 9
            wait_until(lambda: "other keys (" in caplog.text, 5, "a line")
        assert future.info is not None
        assert (future.info.where, future.info.why) == ("local", "key")
        assert link.call("EXISTS", Keys().queue("sq")) == 0, "nothing was queued"
