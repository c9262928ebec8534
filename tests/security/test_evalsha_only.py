"""Users who may name scripts and not bring them, as docs/acl.md says: a distributor brings them, again and again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import simpledist
from simpledist.broker import Link, scripts
from simpledist.cluster import Cluster
from simpledist.embedded import EmbeddedRedis
from simpledist.errors import RedisRefused
from tests.faults.sentinels import WORD, Trio
from tests.integration.test_acl import USERS, Users
from tests.links import open_link
from tests.security.functions.cubes import cube
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
TARGET = "tests.security.functions.cubes:cube"
CALLS = 100  # between two blows
EVAL = "+eval"


def refused(entries: list[Any], field: bytes = b"object") -> set[bytes]:
    """The commands that ACL LOG says were refused; or another field of its entries."""
    return {dict(zip(entry[::2], entry[1::2], strict=True))[field] for entry in entries}


@pytest.fixture
def users(redis_version_server: EmbeddedRedis) -> Iterator[Users]:
    one = Users(redis_version_server, without=EVAL)
    one.link.call("SCRIPT", "FLUSH")
    yield one
    one.link.close()


def cubes(client: simpledist.Client) -> Any:
    return simpledist.worker_function(client, "cube", cube)


def called(function: Any, first: int) -> Counter[str]:
    """CALLS calls, all of them right: how many ran remotely, and why the others did not."""
    futures = {n: function.submit(n) for n in range(first, first + CALLS)}
    for n, future in futures.items():
        assert future.result(30) == n**3
    return Counter((future.info and future.info.why) or "remote" for future in futures.values())


def test_a_cluster_lives_without_eval_and_nothing_is_refused(users: Users) -> None:
    with (
        Cluster(redis=users.url("distributor"), distributor=True, web=True),
        Cluster(TARGET, workers=2, slots=2, folder=ROOT, redis=users.url("worker")) as cluster,
        simpledist.connect(users.url("client")) as client,
    ):
        function = cubes(client)
        assert called(function, 0) == {"remote": CALLS}
        assert list(function.map(range(300))) == [n**3 for n in range(300)]
        cluster.workers[0].kill()
        assert called(function, 0)["remote"] > 0
        assert function.submit(7).result(20) == 343
    assert users.refused() == []


def test_a_clients_user_keeps_to_its_database_and_to_scripts_by_name(users: Users) -> None:
    with open_link(users.url("client")) as link:
        for attack in (
            ("SELECT", "1"),
            ("SWAPDB", "0", "1"),
            ("MOVE", "simpledist:epoch", "1"),
            ("COPY", "simpledist:epoch", "simpledist:other", "DB", "1"),
            ("CLIENT", "UNBLOCK", "1"),
            ("CLIENT", "KILL", "TYPE", "normal"),
            ("EVAL", "return 1", "0"),
            ("SCRIPT", "LOAD", "return 1"),
            ("SCRIPT", "FLUSH"),
        ):
            with pytest.raises(RedisRefused, match="NOPERM"):
                link.call(*attack)


def test_a_workers_user_ends_no_other_clients_waiting(users: Users) -> None:
    with open_link(users.url("worker")) as link, pytest.raises(RedisRefused, match="NOPERM"):
        link.call("CLIENT", "UNBLOCK", "1")


@pytest.mark.parametrize("user", ["client", "dashboard"])
def test_a_user_with_the_right_to_one_database_has_no_other(users: Users, user: str) -> None:
    users.link.call("ACL", "SETUSER", user, "+select|3")
    with open_link(users.url(user)) as link:
        assert link.call("SELECT", "3") == b"OK"
        with pytest.raises(RedisRefused, match="NOPERM"):
            link.call("SELECT", "4")


def test_before_the_first_distributor_workers_wait_and_calls_run_at_their_callers(users: Users) -> None:
    with (
        Cluster(TARGET, workers=0, slots=2, folder=ROOT, redis=users.url("worker")) as cluster,
        simpledist.connect(users.url("client")) as client,
    ):
        worker = cluster.start_worker(ready=False)
        assert set(called(cubes(client), 0)) <= {"redis_down", "no_worker"}
        wait_until(lambda: "until a distributor brings it" in worker.stderr_text(), 20, "the worker says what it lacks")
        assert "docs/acl.md" in worker.stderr_text()
        with Cluster(redis=users.url("distributor"), distributor=True):
            cluster.wait_ready(worker)
            wait_until(lambda: called(cubes(client), 0) == {"remote": CALLS}, 20, "calls run remotely")
    assert refused(users.refused()) == {b"eval"}


def test_scripts_that_redis_forgets_under_load_are_there_again_at_once(users: Users) -> None:
    came: Counter[str] = Counter()
    with (
        Cluster(redis=users.url("distributor"), distributor=True),
        Cluster(TARGET, workers=2, slots=1, folder=ROOT, redis=users.url("worker")) as cluster,
        simpledist.connect(users.url("client")) as client,
    ):
        function = cubes(client)
        for blow in range(10):
            users.link.call("SCRIPT", "FLUSH")
            came += called(function, blow * CALLS)
            wait_until(lambda: called(function, 0) == {"remote": CALLS}, 20, "calls run remotely again")
        assert all(worker.running for worker in cluster.workers)
    print(dict(came))
    assert set(came) <= {"remote", "redis_down", "no_worker"}
    assert refused(users.refused()) <= {b"eval"}
    assert b"distributor" not in refused(users.refused(), b"username"), "it knows what to do"


def test_a_distributor_brings_all_scripts_and_not_only_its_own(users: Users) -> None:
    verbs = scripts.load()
    users.link.call("SCRIPT", "LOAD", verbs["reap"].text)
    with Cluster(redis=users.url("distributor"), distributor=True):
        shas = [verbs[verb].sha for verb in verbs]
        wait_until(lambda: users.link.call("SCRIPT", "EXISTS", *shas) == [1] * len(shas), 10, "all are there")
    assert users.refused() == []


@pytest.fixture
def trio(tmp_path: Path) -> Iterator[Trio]:
    """A primary and a replica that know the users, and Sentinels."""
    with Trio(tmp_path) as one:
        for server in one.servers:
            with open_link(f"redis://:{WORD}@127.0.0.1:{server.port}") as link:
                set_users(link)
        yield one


def set_users(link: Link) -> None:
    for name, password, words in USERS:
        rights = [word for word in words.split() if word != EVAL]
        link.call("ACL", "SETUSER", name, "reset", "on", f">{password}", *rights)


def as_user(trio: Trio, name: str) -> str:
    password = next(password for user, password, _ in USERS if user == name)
    return trio.url.replace(f"://:{WORD}@", f"://{name}:{password}@")


def test_after_a_failover_the_new_primary_gets_its_scripts(trio: Trio) -> None:
    with ExitStack() as stack:
        stack.enter_context(Cluster(redis=as_user(trio, "distributor"), distributor=True))
        stack.enter_context(Cluster(TARGET, workers=2, slots=1, folder=ROOT, redis=as_user(trio, "worker")))
        client = stack.enter_context(simpledist.connect(as_user(trio, "client")))
        function = cubes(client)
        assert called(function, 0) == {"remote": CALLS}
        futures = {n: function.submit(n) for n in range(CALLS)}
        trio.fail_over()
        came = Counter({"wrong": sum(future.result(60) != n**3 for n, future in futures.items())})
        came += Counter((future.info and future.info.why) or "remote" for future in futures.values())
        wait_until(lambda: called(function, 0) == {"remote": CALLS}, 30, "calls run remotely on the new primary")
        print(dict(came))
        assert came["wrong"] == 0
