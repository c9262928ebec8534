"""What is fuzzed: each target takes a source of randomness, and raises where anything but ours comes out."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Sequence
from typing import Any

from flask.testing import FlaskClient

from simpledist import wire
from simpledist.broker import Keys, Link, parsing, rows, shapes
from simpledist.broker.keys import TEMPLATES
from simpledist.errors import BadEnvelope, RedisDown, RedisRefused, Undecodable
from tests.sealing import KEY, open_call, outcome_of, sealed
from tests.web.site import ADDRESSES

Draw = random.Random
_CALL = sealed()
_SEALED = (bytes(_CALL.data), bytes(outcome_of(_CALL)))
READERS: dict[str, Callable[[Any], Any]] = {
    "submit": parsing.parse_submitted,
    "complete": parsing.parse_completed,
    "claim": parsing.parse_claimed,
    "reap": parsing.parse_reaped,
    "clear": parsing.parse_cleared,
    "beat": parsing.parse_held,
    "fail": parsing.parse_texts,
    "row": parsing.parse_object,
}
ODD = (b"", b"\xff", b"-inf", b"nan", b"9" * 5000, b"1e400", b"{}", b"[1", b"\x1b[31m", b"x@", b"0", b"-1", b"9" * 17)
WORDS = (
    b"w1",
    b"c1-0",
    b"succeeded",
    b"-",
    b"1",
    b"1700000000000",
    b"inline",
    b"beside",
    b"fib",
    b"running",
    b"queued",
)
FIELDS = (
    b"minute",
    b"submitted",
    b"run:3",
    b"max_queued",
    b"mark",
    b"wanted",
    b"w1",
    b"c1-0:5",
    b"lane",
    b"state",
    b"fence",
)


def envelope(draw: Draw) -> None:
    """Open an envelope that is not quite what was sealed."""
    which = draw.randrange(2)
    data = bytearray(_SEALED[which])
    how = draw.randrange(4)
    if how == 0:
        data[draw.randrange(len(data))] ^= draw.randrange(1, 256)
    elif how == 1:
        del data[draw.randrange(len(data)) :]
    elif how == 2:
        data[draw.randrange(len(data)) : draw.randrange(len(data))] = draw.randbytes(draw.randrange(1, 40))
    else:
        data = bytearray(draw.randbytes(draw.randrange(200)))
    if bytes(data) == _SEALED[which]:
        return
    try:
        if which == 0:
            open_call("fib@3", bytes(data), KEY)
        else:
            wire.open_outcome("fib@3", bytes(data), _CALL.digest, KEY)
    except (BadEnvelope, Undecodable):
        return
    raise AssertionError(f"opened: {bytes(data)!r}")


def text(draw: Draw) -> bytes:
    """A value as hostile as anything."""
    how = draw.randrange(5)
    if how == 0:
        return draw.choice(ODD)
    if how == 1:
        return draw.randbytes(draw.randrange(30))
    if how == 2:
        return b'{"functions":["%b"],"slots":%b,"label":"x"}' % (
            draw.choice(WORDS),
            draw.choice((b"4", b"1e15", b"-1", b"[]")),
        )
    words = [draw.choice(ODD if draw.random() < 0.2 else WORDS) for _ in range(draw.randrange(1, 11))]
    return draw.choice((b" ", b" ", b":", b"\n")).join(words)


def value(draw: Draw, depth: int = 3) -> Any:
    """Anything that a reader of Redis' protocol returns."""
    how = draw.randrange(8 if depth else 6)
    if how < 3:
        return text(draw)
    if how < 6:
        return draw.choice((None, 0, 1, -1, 10**15, True, 1.5, {b"a": 1}))
    return [value(draw, depth - 1) for _ in range(draw.randrange(8))]


def reply(draw: Draw) -> None:
    """Read what no Redis of ours answers: an element of a list, a verb's answer, a plain command's."""
    for read in (parsing.parse_reply, parsing.parse_given, parsing.parse_word):
        with contextlib.suppress(parsing.Unreadable):
            read(text(draw))
    verb = draw.choice(list(READERS))
    answer = value(draw)
    with contextlib.suppress(RedisRefused):
        parsing.read(verb, READERS[verb], answer)
    command = draw.choice(list(shapes.SHAPES))
    with contextlib.suppress(RedisRefused):
        shapes.checked((command, "key", "field"), answer)


def write(draw: Draw, link: Link, keys: Keys) -> None:
    """Put anything at a key of ours."""
    template = draw.choice(list(TEMPLATES))
    part = draw.choice(("fib", "w1", "c1-0", "x@", str(int(time.time() // 3600)), "odd"))
    key: str | bytes = keys.named(template, part) if "{" in TEMPLATES[template] else keys.prefix + TEMPLATES[template]
    kind = draw.randrange(5)
    pair = (draw.choice(FIELDS) if draw.random() < 0.7 else text(draw), text(draw))
    orders: Sequence[tuple[Any, ...]] = (
        ("HSET", key, *pair),
        ("RPUSH", key, *pair),
        ("SADD", key, *pair),
        ("ZADD", key, draw.choice(("-inf", "inf", "1", "1e300", str(time.time() * 1e6))), pair[1]),
        ("SET", key, pair[1]),
    )
    order = orders[kind]
    if kind == 4 or draw.random() < 0.1:
        link.call("DEL", key)
    try:
        link.call(*order)
    except RedisRefused as error:
        if "WRONGTYPE" not in str(error):
            raise


def page(draw: Draw, client: FlaskClient) -> None:
    """Ask for a page."""
    path = draw.choice(ADDRESSES)
    answer = client.get(path)
    assert answer.status_code in (200, 404, 503), (path, answer.text[-300:])
    assert "\x1b" not in answer.text


def verbs(draw: Draw, link: Link, broker: Any) -> None:
    """Run a verb over what stands there; ours is all that may come out of it.

    Refused is only what meets another type at a key of the whole namespace, which is not removed.
    """
    steps: tuple[Callable[[], object], ...] = (
        lambda: broker.submit("fib", "c1", link.identity, [("c1-0", b"call")], require_worker=False),
        lambda: broker.nudge("c1", link.identity, [("fib", "c1-0")]),
        lambda: broker.reap(run_id=link.run_id, workers=[("w1", "")], functions=["fib"]),
        lambda: broker.claim("w1", "n", "fib", [text(draw)], [0]),
        lambda: broker.beat("w1", link.identity, []),
        lambda: broker.cancel("c1", [("fib", "c1-0")]),
        lambda: broker.leave("w1", final=True),
        lambda: broker.clear("fib"),
        lambda: rows.live_workers(broker),
        lambda: rows.about_worker(broker, "w1"),
    )
    try:
        draw.choice(steps)()
    except RedisDown:
        return
    except RedisRefused as error:
        if "WRONGTYPE" not in str(error):
            raise
