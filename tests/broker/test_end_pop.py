"""A worker ends its own pop by a word on its control list, and loses nothing that the pop has taken."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from simpledist import config, policy
from simpledist.broker import Link
from simpledist.worker.beat_schedule import BeatSchedule
from simpledist.worker.links import WAKE, Links, Pop
from tests.broker.bench import Place

CONTROL, QUEUE = "simpledist:control:w1", "simpledist:queue:fib"


@pytest.fixture
def links(real_place: Place, real_link: Link) -> Iterator[Links]:
    assert real_link.connected  # and Redis is empty
    links = Links(config.load(real_place.url, insecure=True), BeatSchedule(policy.TIMINGS))
    links.connect()
    links.start_pop(Pop.of((CONTROL, QUEUE), 5), "queues")
    yield links
    links.close()


def test_a_pop_that_is_ended_brings_nothing_and_leaves_nothing(links: Links, real_link: Link) -> None:
    assert links.end_pop(CONTROL) is None
    assert links.popping is None
    assert not real_link.call("EXISTS", CONTROL)


def test_what_it_had_taken_comes_and_the_word_is_for_the_next_pop(links: Links, real_link: Link) -> None:
    real_link.call("RPUSH", QUEUE, "element")
    assert links.end_pop(CONTROL) == (QUEUE, b"element")
    links.start_pop(Pop.of((CONTROL, QUEUE), 5), "queues")
    assert links.take_pop() == (CONTROL, WAKE)
    assert not real_link.call("EXISTS", CONTROL)


def test_where_a_full_redis_refuses_the_word_the_connection_goes(links: Links, real_link: Link) -> None:
    real_link.call("CONFIG", "SET", "maxmemory", "1")
    try:
        assert links.end_pop(CONTROL) is None
    finally:
        real_link.call("CONFIG", "SET", "maxmemory", "0")
    assert links.popping is None
    assert not links.pop.connected
    assert links.command.link.connected
