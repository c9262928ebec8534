"""A big value travels in slices: what arrives is what was sent, whatever happens between two of them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from typing import Any

import pytest

from simpledist import policy
from simpledist.broker import Broker, Keys, Link
from simpledist.broker.slices import Download, Upload
from simpledist.buffers import Pieces
from simpledist.embedded import EmbeddedRedis
from simpledist.errors import RedisDown, RedisRefused
from tests import servers
from tests.broker.bench import Place, whole
from tests.links import open_link

KEYS = Keys()
SIZES = (1, 1000, 64 * 1024, 128 * 1024, 128 * 1024 + 1, 1_000_000, 5_000_001)


def upload(link: Link, value: bytes | Pieces) -> Upload:
    return Broker(link, KEYS).upload("call", "c1-1", value)


def download(link: Link) -> Download:
    return Broker(link, KEYS).download_call("c1-1")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("pieces", [False, True])
def test_what_was_sent_is_read(link: Link, size: int, pieces: bool) -> None:
    value = secrets.token_bytes(size)
    upload(link, Pieces([value[:70_001], value[70_001:]]) if pieces else value).run()
    assert whole(download(link).run()) == value
    assert link.call("PTTL", KEYS.named("call", "c1-1")) > 0
    assert len(link.call("KEYS", "*")) == 1, "nothing else is left"


def test_what_is_not_there_is_none(link: Link) -> None:
    assert download(link).run() is None


def test_small_commands_have_their_turn_between_two_slices(link: Link) -> None:
    value = secrets.token_bytes(2_000_000)
    up, steps = upload(link, value), 1
    while not up.step():
        steps += 1
        assert link.call("EXISTS", KEYS.named("call", "c1-1")) == 0, "no one sees half a value"
    down = download(link)
    while not down.step():
        assert link.call("PING") in (b"PONG", True)
    assert steps > 2
    assert whole(down.value) == value


def test_every_moment_of_it_has_a_lifetime(link: Link) -> None:
    up = upload(link, bytes(1_000_000))
    done = False
    while not done:
        done = up.step()
        assert [link.call("PTTL", key) > 0 for key in link.call("KEYS", "*")] == [True]


@pytest.mark.parametrize("after", [1, 2, 3])
def test_what_breaks_between_two_slices_begins_anew(real_place: Place, after: int) -> None:
    with open_link(real_place.url) as link:
        link.call("FLUSHALL")
        value = secrets.token_bytes(3_000_000)
        up = upload(link, value)
        for _ in range(after):
            up.step()
        link.close()
        with pytest.raises(RedisDown):
            up.step()
        link.connect()
        up.run()
        down = download(link)
        down.step()
        link.close()
        with pytest.raises(RedisDown):
            down.step()
        link.connect()
        assert whole(down.run()) == value
        link.call("FLUSHALL")


def test_a_value_of_which_redis_has_lost_the_beginning_is_sent_again(link: Link) -> None:
    value = secrets.token_bytes(1_000_000)
    up = upload(link, value)
    up.step()
    link.call("FLUSHALL")
    with pytest.raises(RedisDown, match="has lost"):
        up.step()
    up.run()
    assert whole(download(link).run()) == value


def test_a_value_that_redis_loses_before_it_has_its_name_is_sent_again(
    link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    value, call, lost = secrets.token_bytes(1_000_000), link.call, iter([True])

    def lose(*command: str | bytes | int) -> Any:
        if command[0] == "RENAME" and next(lost, False):
            call("FLUSHALL")
        return call(*command)

    monkeypatch.setattr(link, "call", lose)
    up = upload(link, value)
    with pytest.raises(RedisDown, match="has lost"):
        up.run()
    up.run()
    assert whole(download(link).run()) == value


def test_a_value_that_goes_while_it_is_read_is_none_and_no_half(link: Link) -> None:
    upload(link, bytes(1_000_000)).run()
    down = download(link)
    down.step()
    link.call("FLUSHALL")
    assert down.run() is None


LIMITS = (
    ("--client-query-buffer-limit", "1mb"),
    ("--client-output-buffer-limit", "normal 1mb 1mb 1"),
)


@pytest.fixture(params=LIMITS, ids=lambda limit: limit[0])
def narrow(request: pytest.FixtureRequest) -> Iterator[Link]:
    with EmbeddedRedis(servers.server(servers.NEWER), arguments=request.param) as redis, open_link(redis.url) as link:
        yield link


def test_limits_of_a_server_on_its_buffers_are_met_by_no_value(narrow: Link) -> None:
    value = secrets.token_bytes(8_000_000)
    upload(narrow, value).run()
    assert whole(download(narrow).run()) == value


def test_a_value_that_redis_will_not_take_is_refused_and_the_connection_lives() -> None:
    with (
        EmbeddedRedis(servers.server(servers.NEWER), arguments=("--proto-max-bulk-len", "1mb")) as redis,
        open_link(redis.url) as link,
    ):
        with pytest.raises(RedisRefused, match="exceeds maximum"):
            upload(link, bytes(3_000_000)).run()
        assert link.call("PING") == b"PONG"


# --- how long a slice is ---------------------------------------------------------------------------------------------


def slices(rate: float, trip: float = 0.0) -> list[int]:
    """The slices that a wire of so many bytes a second gets, from the first on."""
    found = [policy.SLICE_BYTES_FIRST]
    while len(found) < 12:
        found.append(policy.next_slice_bytes(found[-1], found[-1], found[-1] / rate))
    return found


def test_a_slice_takes_a_fifth_of_a_second_once_the_speed_is_known() -> None:
    for rate in (100e3, 200e3, 1e6, 3e6):
        assert slices(rate)[-1] / rate == pytest.approx(policy.SLICE_SECONDS, rel=0.01)
    assert slices(16e3)[1] == policy.SLICE_BYTES_LEAST
    assert slices(1e9)[-1] == policy.SLICE_BYTES_MOST


def test_a_slice_grows_twofold_at_most_and_only_by_what_was_seen() -> None:
    assert policy.next_slice_bytes(100_000, 100_000, 0.001) == 200_000
    assert policy.next_slice_bytes(100_000, 20_000, 0.001) == 100_000
    assert policy.next_slice_bytes(100_000, 20_000, 0.1) == 100_000, "a short one says little"
    assert policy.next_slice_bytes(100_000, 20_000, 1.0) == policy.SLICE_BYTES_LEAST, "a slow one says enough"


def test_the_time_that_a_command_has_is_for_what_moves() -> None:
    assert policy.allowed_seconds(1.5, 0) == 1.5
    assert policy.allowed_seconds(1.5, 160 * 1024) == 11.5


def test_a_wire_is_measured_but_for_the_way_there_and_back(real_place: Place) -> None:
    with open_link(real_place.url) as link:
        link.saw(policy.SLICE_BYTES_FIRST, time.monotonic())
        grown = link.slice_bytes
        assert grown == 2 * policy.SLICE_BYTES_FIRST
        link.saw(grown, time.monotonic() - 2.0)
        assert link.slice_bytes < grown
