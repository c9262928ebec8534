"""Reads what Redis answers, element by element, into the records of the verbs. Calls and outcomes stay bytes.

Anyone who can write to Redis may have written it. So texts are read whatever their bytes are, numbers have a bound, and
an element that cannot be read is dropped: it raises Unreadable, or is not in the list that is returned.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar, cast

from simpledist import policy
from simpledist.broker.records import Claimed, Held, Reaped, Reply, Submitted
from simpledist.errors import RedisRefused
from simpledist.printable import logger

log = logger("simpledist")

T = TypeVar("T")

MOST_ROW_BYTES = 1 << 20  # of a worker's row; one that offers 1,000 functions has 100 KB
MOST_SLOTS = 65_536
NUMBER = re.compile(r"-?[0-9]{1,16}")
_SMALL = {str(number): number for number in range(1000)}  # most numbers: looked up in a tenth of the time
# What code raises that takes an answer for what it is not.
MISREAD = (ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError, RecursionError)


class Unreadable(ValueError):
    """An element is not what our verbs and processes write."""


def read(verb: str, reader: Callable[[Any], T], answer: Any) -> T:
    """Return what `reader` makes of a verb's answer. Raises RedisRefused where no script of ours answers so."""
    try:
        return reader(answer)
    except MISREAD as error:
        raise RedisRefused(f"what Redis answers to {verb} cannot be read: is it a Redis?") from error


def parse_given(element: bytes) -> Claimed:
    """Read one element of a worker's list of given jobs. Raises Unreadable."""
    header, _, call = element.partition(b"\n")
    lane, id, fence, slot = _words(header, 4)
    return Claimed(Held(lane, id, fence), slot=_number(slot), attempt=1, queued_ms=0, call=call or None)


def parse_reply(element: bytes) -> Reply:
    """Read one element of a reply list, or what a nudge says of an ended job. Raises Unreadable."""
    header, _, result = element.partition(b"\n")
    id, state, why, worker, attempts, queued_ms, run_ms, place = _words(header, 8)
    return Reply(
        id=id,
        state=state,
        why=None if why == "-" else why,
        worker=None if worker == "-" else worker,
        attempts=_number(attempts),
        queued_ms=_number(queued_ms),
        run_ms=_number(run_ms),
        place=place,
        result=result if place in ("inline", "cached") else None,
        detail="" if why == "-" else parse_line(result),
    )


def parse_word(word: bytes) -> str | Reply:
    """Read what a verb says of one job: a word, or how it ended. What cannot be read is a job that is missing."""
    if b"\n" not in word:
        return parse_text(word)
    try:
        return parse_reply(word)
    except Unreadable:
        _dropped("a reply")
        return "missing"


def parse_text(value: bytes) -> str:
    """Read a text, whatever bytes it has."""
    return value.decode("utf-8", "replace")


def parse_line(value: bytes) -> str:
    """Read words for people: one line, of characters that do nothing to a terminal."""
    text = parse_text(value[: 4 * policy.DETAIL_CHARACTERS])[: policy.DETAIL_CHARACTERS]
    return text if text.isprintable() else "".join(one if one.isprintable() else " " for one in text).strip()


def parse_texts(values: Iterable[bytes]) -> list[str]:
    """Read words."""
    return [value.decode("utf-8", "replace") for value in values]


def parse_pairs(values: Sequence[bytes]) -> list[tuple[str, str]]:
    """Read words, two and two."""
    words = parse_texts(values)
    return list(zip(words[::2], words[1::2], strict=True))


def parse_held(fields: Sequence[bytes]) -> list[Held]:
    """Read jobs in a worker's hands, as `Held.field` writes them."""
    parts = [parse_text(field).rsplit(":", 2) for field in fields]
    return [Held(*part) for part in parts if len(part) == 3]


def parse_claimed(flat: Sequence[bytes]) -> list[Claimed]:
    """Read what `claim` and `complete` hand out: seven values a job."""
    return list(_claimed(flat))


def _claimed(flat: Sequence[bytes]) -> Iterator[Claimed]:
    for i in range(0, len(flat), 7):
        try:
            lane, id, fence, slot, attempt, queued_ms = [value.decode() for value in flat[i : i + 6]]
            numbers = _number(attempt), _number(queued_ms)
            if not (lane + id + fence).isprintable():
                raise Unreadable("not a job of ours")
        except ValueError:
            _dropped("a job")
            continue
        yield Claimed(
            held=Held(lane, id, fence),
            slot=_number(slot) if slot.isdigit() else 0,
            attempt=numbers[0],
            queued_ms=numbers[1],
            call=flat[i + 6] or None,
        )


def parse_submitted(answer: Any) -> Submitted:
    """Read the answer of `submit`."""
    epoch, words = answer
    return Submitted(parse_text(epoch), [parse_word(word) for word in words])


def parse_completed(answer: Any) -> tuple[list[str], list[Claimed]]:
    """Read the answer of `complete`."""
    words, claimed = answer
    return parse_texts(words), parse_claimed(claimed)


def parse_reaped(answer: Any) -> Reaped:
    """Read the answer of `reap`."""
    expelled, forgotten, requeued, dropped, closing = answer
    return Reaped(parse_texts(expelled), int(forgotten), int(requeued), int(dropped), bool(closing))


def parse_cleared(answer: Any) -> tuple[int, int, int]:
    """Read the answer of `clear`: how many were forgotten, whether there are more, the time."""
    number, more, at_ms = answer
    return int(number), int(more), int(at_ms)


def parse_disabled(answer: Any) -> tuple[str, int, int]:
    """Read the answer of `disable`: what became of it, how many jobs went home, whether there are more."""
    word, number, more = answer
    return parse_text(word), int(number), int(more)


def parse_row(text: bytes) -> dict[str, Any] | None:
    """Read what clients ask of a worker's row: functions, fingerprints, slots, tags, Python; None: not to be read."""
    row = parse_object(text)
    try:
        functions, slots = row["functions"], row["slots"]
        prints: dict[str, Any] = row.get("fingerprints") or {}
        tags: list[Any] = row.get("tags") or []
        if not all(isinstance(name, str) for name in [*functions, *tags]) or not 0 <= int(slots) <= MOST_SLOTS:
            return None
        fingerprints = {name: print_ for name, print_ in prints.items() if isinstance(print_, str)}
        minor = ".".join(str(row.get("python", "")).split(".")[:2])
    except MISREAD:
        return None
    return {
        "functions": list(functions),
        "slots": int(slots),
        "fingerprints": fingerprints,
        "tags": list(tags),
        "python": minor,
        "dead": "dead" in row,
    }


def parse_live(clock: Sequence[bytes], rows: Sequence[bytes], beats: Sequence[bytes]) -> list[dict[str, Any]]:
    """Read the rows of the workers that live, by their heartbeats."""
    now_seconds, beat_ms = parse_ms(clock[0]), dict(zip(beats[::2], beats[1::2], strict=True))
    live: list[dict[str, Any]] = []
    for worker, text in zip(rows[::2], rows[1::2], strict=True):
        row = parse_row(text)
        age_seconds = now_seconds - parse_ms(beat_ms.get(worker)) / 1000
        if row is not None and policy.worker_health(age_seconds, dead=row["dead"]) in ("alive", "late"):
            live.append(row)
    return live


def parse_object(text: bytes) -> dict[str, Any]:
    """Read an object of JSON; empty where it is none, or has too many bytes."""
    try:
        found: Any = json.loads(text) if len(text) <= MOST_ROW_BYTES else {}
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def parse_ms(text: bytes | None) -> int:
    """Read a moment; 0 where there is none, or none that can be read."""
    found = parse_text(text or b"")
    return int(found) if NUMBER.fullmatch(found) else 0


def _words(header: bytes, count: int) -> list[str]:
    try:
        text = header.decode()
    except UnicodeDecodeError:
        text = ""
    words = text.split(" ")
    if len(words) != count or not text.isprintable():
        raise Unreadable("not an element of ours")
    return words


def _number(text: str) -> int:
    small = _SMALL.get(text)
    if small is not None:
        return small
    if not NUMBER.fullmatch(text):
        raise Unreadable("not a number of ours")
    return int(text)


def _dropped(what: str) -> None:
    log.warning("dropped %s that cannot be read: another program writes to this Redis under our namespace", what)
