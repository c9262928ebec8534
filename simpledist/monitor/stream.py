"""The attempts of all functions that ended in the last minute, read as they come.

Reads the heads of recent:<function> through a Reader: only of functions with an attempt that ended since the last look,
and at most LINES_A_LOOK lines. Monitor's lock guards it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from simpledist.monitor.attempts import Attempt, attempt
from simpledist.monitor.measures import Tally
from simpledist.monitor.reader import Reader
from simpledist.monitor.rows import decoded

SECONDS = 60.0
LINES_A_LOOK = 2000
KEPT = 3000
FIRST_LOOK = 500


@dataclass
class Stream:
    """The attempts, the newest last; where too many end, some are left out."""

    attempts: list[Attempt] = field(default_factory=list[Attempt])
    _ended: dict[str, int] = field(default_factory=dict[str, int])  # function -> how many had ended at the last look

    def look(self, reader: Reader) -> tuple[Attempt, ...]:
        """Read what is new; return all attempts of the last minute."""
        young = reader.now - SECONDS
        ended = {name: _ended(facts.tally) for name, facts in reader.facts.items()}
        emptied = {name for name, number in self._ended.items() if ended.get(name, 0) < number}
        self.attempts = [one for one in self.attempts if one.function not in emptied]
        news = {
            name: min(number - self._ended.get(name, number - FIRST_LOOK), FIRST_LOOK)
            for name, number in ended.items()
            if number != self._ended.get(name, 0) and reader.changed.get(name, 0.0) > young
        }
        most = max(5, LINES_A_LOOK // max(len(news), 1))
        replies = reader.ask(
            ("LRANGE", reader.keys.named("recent", name), 0, max(0, min(number, most) - 1))
            if number > 0
            # Fewer than before: Redis was emptied.
            else ("LRANGE", reader.keys.named("recent", name), 0, most - 1)
            for name, number in news.items()
        )
        known = {(one.function, one.id, one.attempt, one.ended) for one in self.attempts}
        for name, lines in zip(news, replies, strict=True):
            read = (attempt(name, decoded(line)) for line in lines or ())
            self.attempts += [
                one for one in read if one and (one.function, one.id, one.attempt, one.ended) not in known
            ]
        self._ended = ended
        self.attempts = sorted((one for one in self.attempts if one.ended > young), key=lambda one: one.ended)[-KEPT:]
        return tuple(self.attempts)


def _ended(tally: Tally) -> int:
    return tally["succeeded"] + tally["failed"] + tally["cancelled"] + tally["requeued"]
