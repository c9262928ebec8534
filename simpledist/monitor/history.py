"""The minutes of functions and of all workers, each read once, because a minute that is over does not change any more.

Reads history:<function> and pulse:<hour> through a Reader and keeps what it has read. Monitor's lock guards it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from simpledist import policy
from simpledist.monitor.measures import Tally, minute_row, numbers, summed_gauges
from simpledist.monitor.reader import Reader
from simpledist.monitor.rows import Facts, decoded, integer

HOUR = 60
DAY = 24 * HOUR
PULSE_FIELDS = 20_000  # of an hour: a field for each minute, and each number of slots and of jobs


@dataclass
class _Minutes:
    """One function: the rows of minutes in [since, counting) are read; `mark` are its counters as `counting` began."""

    since: int
    counting: int
    mark: Tally | None
    rows: dict[int, Tally] = field(default_factory=dict[int, Tally])


@dataclass
class Histories:
    """What each minute added, by function."""

    _functions: dict[str, _Minutes] = field(default_factory=dict[str, _Minutes])
    _together: dict[int, Tally] = field(default_factory=dict[int, Tally])

    def minutes(self, reader: Reader, names: Iterable[str], span: int) -> dict[str, dict[int, Tally]]:
        """Return function -> minute -> what it added, of the last `span` minutes; empty minutes are missing."""
        first, facts = reader.minute - span + 1, reader.facts
        counting = {
            name: minute
            for name in names
            if name in facts and (minute := facts[name].minute) is not None and minute <= reader.minute
        }
        self._read(reader, first, counting)
        self._functions = {name: one for name, one in self._functions.items() if name in facts}
        return {name: self._of(name, facts[name], first) for name in counting if name in self._functions}

    def together(self, reader: Reader, span: int = HOUR) -> dict[int, Tally]:
        """Return minute -> what all functions added in it; queues and running jobs are summed."""
        last = reader.minute
        if last - span + 1 not in self._together:
            self._together.clear()
        missing = [minute for minute in range(last - span + 1, last + 1) if minute not in self._together]
        # This minute, and the one before (its rows may not all be written yet), are summed each time.
        names = [
            name for name in reader.facts if reader.changed.get(name, 0.0) >= (min(missing, default=last) - 1) * 60
        ]
        found = self.minutes(reader, names, span)
        for minute in {*missing, last - 1, last}:
            self._together[minute] = summed_gauges(rows[minute] for rows in found.values() if minute in rows)
        result = {minute: self._together[minute] for minute in range(last - span + 1, last + 1)}
        self._together = {minute: tally for minute, tally in result.items() if minute < last - 1}
        return result

    def _read(self, reader: Reader, first: int, counting: dict[str, int]) -> None:
        wanted: dict[str, range] = {}
        for name, minute in counting.items():
            known = self._functions.get(name)
            if known is None or known.since > first:
                wanted[name] = range(max(first, minute - policy.HISTORY_MINUTES + 1), minute)
            elif known.counting != minute:
                wanted[name] = range(max(first, known.counting), minute)
        replies = reader.ask(
            ("HMGET", reader.keys.named("history", name), "mark", *(m % policy.HISTORY_MINUTES for m in minutes))
            for name, minutes in wanted.items()
        )
        for (name, minutes), reply in zip(wanted.items(), replies, strict=True):
            mark, *rows = reply or [None]
            known = self._functions.get(name)
            if known is None or known.since > first:
                known = self._functions[name] = _Minutes(first, 0, None)
            known.counting = counting[name]
            known.mark = None if mark is None else numbers(decoded(mark))
            for minute, row in zip(minutes, rows, strict=False):
                read = minute_row(decoded(row)) if row is not None else None
                if read is not None and read[0] == minute:
                    known.rows[minute] = read[1]
            if len(known.rows) > policy.HISTORY_MINUTES + HOUR:
                known.rows = dict(sorted(known.rows.items())[-policy.HISTORY_MINUTES :])

    def _of(self, name: str, facts: Facts, first: int) -> dict[int, Tally]:
        known = self._functions[name]
        found = {minute: row for minute, row in known.rows.items() if minute >= first}
        if known.mark is not None and known.counting >= first:
            found[known.counting] = Tally(
                {
                    counter: number if counter.startswith("max_") else number - known.mark[counter]
                    for counter, number in facts.tally.numbers.items()
                    if number > known.mark[counter]
                }
            )
        return found


@dataclass(frozen=True, slots=True)
class Pulse:
    """The workers of one minute on average: how many lived, how many slots they had, how many slots were busy."""

    workers: float
    slots: float
    busy: float


def pulses(reader: Reader, span: int = HOUR) -> dict[int, Pulse]:
    """Return minute -> the pulse of all workers, of the last `span` minutes."""
    first, last = reader.minute - span + 1, reader.minute
    hours = range(first // 60, last // 60 + 1)
    replies = reader.bounded.fields((reader.keys.named("pulse", str(hour)), PULSE_FIELDS) for hour in hours)
    found: dict[int, Pulse] = {}
    for hour, reply in zip(hours, replies, strict=True):
        sums = _sums(reply)
        for minute in range(max(first, hour * 60), min(last, hour * 60 + 59) + 1):
            seen = reader.now - minute * 60 if minute == last else 60.0
            beats = max(seen, policy.TIMINGS.beat_seconds) / policy.TIMINGS.beat_seconds
            found[minute] = Pulse(*(number / beats for number in sums.get(minute % 60, (0, 0, 0))))
    return found


def _sums(fields: Iterable[tuple[str, str]]) -> dict[int, tuple[int, int, int]]:
    """Return minute of the hour -> beats, and the slots and jobs that they named, from a pulse's fields."""
    found: dict[int, tuple[int, int, int]] = {}
    for name, value in fields:
        minute, slots, held = (*(integer(word) for word in name.split(":")), None, None, None)[:3]
        if minute is not None and slots is not None and held is not None:
            n, before = integer(value) or 0, found.get(minute, (0, 0, 0))
            found[minute] = before[0] + n, before[1] + n * slots, before[2] + n * held
    return found
