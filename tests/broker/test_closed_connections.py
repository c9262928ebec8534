"""Which registered connections are closed, and silence where that is not known."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from simpledist.broker import Link, closed_connections
from simpledist.broker.records import Suspect
from tests.broker.conftest import Place
from tests.waiting import wait_until


@pytest.fixture
def observer(real_place: Place) -> Iterator[Link]:
    one = real_place.link()
    yield one
    one.close()


def suspect(link: Link, id: str = "w1") -> Suspect:
    return Suspect("worker", id, link.identity)


def test_only_the_closed_ones_are_found(real_place: Place, observer: Link) -> None:
    whole, broken = real_place.link(), real_place.link()
    suspects = [suspect(whole, "w1"), suspect(broken, "w2")]
    assert closed_connections.among(observer, suspects) == []
    broken.close()
    wait_until(lambda: closed_connections.among(observer, suspects) == [suspects[1]], 2, "the closed one is found")
    whole.close()


def test_connections_to_another_run_of_redis_prove_nothing(observer: Link) -> None:
    own = observer.identity.partition(":")[2]
    others = [Suspect("worker", "w1", f"{'0' * 40}:{own}"), Suspect("worker", "w2", "-"), Suspect("client", "c1", "")]
    assert closed_connections.among(observer, others) == []


def test_without_the_permission_to_look_no_one_is_suspected(real_place: Place, observer: Link) -> None:
    broken = real_place.link()
    suspects = [suspect(broken)]
    broken.close()
    wait_until(lambda: closed_connections.among(observer, suspects), 2, "it is closed")
    observer.call("ACL", "SETUSER", "blind", "on", ">pass", "~*", "+@all", "-client")
    observer.call("AUTH", "blind", "pass")
    assert closed_connections.among(observer, suspects) == []
    observer.connect()
    observer.call("ACL", "DELUSER", "blind")


def test_an_observer_that_does_not_know_itself_suspects_no_one(link: Link) -> None:
    link.identity = ""
    assert closed_connections.among(link, [Suspect("worker", "w1", "run1:1")]) == []


def test_a_thousand_are_asked_about_at_once(observer: Link) -> None:
    run_id = observer.run_id
    suspects = [Suspect("worker", f"w{n}", f"{run_id}:{10_000_000 + n}") for n in range(1000)]
    assert closed_connections.among(observer, suspects) == suspects
