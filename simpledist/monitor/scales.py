"""Answers for autoscalers, which ask again and again how many workers there should be: /api/scale.json.

Remembers the last looks of each question, for there are to be fewer workers only after several looks (scaling.py). Any
thread may ask. A distributor that is started again has forgotten them, and answers with what is wanted now.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from simpledist.job import NAME, VERSION
from simpledist.monitor.monitor import Monitor
from simpledist.policy import WORK_SECONDS
from simpledist.scaling import Scale, workers_wanted

SCHEMA = 1
ALL = "*"  # the functions of a worker with --any
FUNCTIONS_MOST, SLOTS_MOST, SECONDS_MOST = 1000, 1_000_000, 86_400.0
LOOK_SECONDS = 1.0  # looks that are closer together count as one
QUESTIONS_MOST = 1000  # that are remembered
_WHOLE = re.compile(r"[0-9]{1,7}")
_DECIMAL = re.compile(r"[0-9]{1,7}(\.[0-9]{1,3})?")


@dataclass(frozen=True, slots=True)
class Question:
    """Which functions the workers offer, how many slots each worker has, and how long what waits may take."""

    functions: tuple[str, ...]
    slots: int = 1
    seconds: float = WORK_SECONDS

    @classmethod
    def read(cls, arguments: Mapping[str, str]) -> Question:
        """Return the question that the arguments of an address ask; raise ValueError with one line for people."""
        for name in arguments:
            if name not in ("functions", "slots", "seconds", "token"):
                raise ValueError("an argument is not known: there are functions, slots and seconds")
        functions = tuple(sorted({*filter(None, arguments.get("functions", "").split(","))}))
        if not functions:
            raise ValueError("say which functions the workers offer: functions=fib,primes (functions=* for --any)")
        if functions != (ALL,) and not all(map(_is_function, functions)):
            raise ValueError("functions has names with commas between them, such as fib,work@2, or * alone")
        if len(functions) > FUNCTIONS_MOST:
            raise ValueError(f"functions has at most {FUNCTIONS_MOST:,} names")
        slots, seconds = arguments.get("slots", "1"), arguments.get("seconds", str(WORK_SECONDS))
        if not _WHOLE.fullmatch(slots) or not 1 <= int(slots) <= SLOTS_MOST:
            raise ValueError(f"slots is how many a worker has: a number from 1 to {SLOTS_MOST:,}")
        if not _DECIMAL.fullmatch(seconds) or not 0 < float(seconds) <= SECONDS_MOST:
            raise ValueError(f"seconds is how long what waits may take: more than 0, at most {SECONDS_MOST:,.0f}")
        return cls(functions, int(slots), float(seconds))


def _is_function(text: str) -> bool:
    name, at, version = text.partition("@")
    return bool(NAME.fullmatch(name) and (VERSION.fullmatch(version) if at else True))


@dataclass
class _Asked:
    """One question: its scale, and when it was last looked at (time.monotonic())."""

    scale: Scale
    looked: float


class Scales:
    """Answers questions from one monitor."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self._lock = threading.Lock()  # guards the questions
        self._asked: dict[Question, _Asked] = {}

    def answer(self, question: Question) -> dict[str, Any] | None:
        """Return the demand and how many workers there should be; None where Redis does not answer."""
        anything = question.functions == (ALL,)
        demands = self._monitor.demands(None if anything else question.functions)
        now = self._monitor.snapshot()
        if not self._monitor.redis().ok:
            return None
        wanted = workers_wanted(demands.values(), slots=question.slots, seconds=question.seconds)
        live = [one for one in now.workers if one.live and not one.draining]
        names = {*question.functions}
        return {
            "schema": SCHEMA,
            "functions": list(question.functions),
            "slots": question.slots,
            "seconds": question.seconds,
            "running": round(sum(one.running for one in demands.values()), 3),
            "waiting": round(sum(one.waiting for one in demands.values()), 3),
            "demand": round(sum(one.jobs for one in demands.values()), 3),
            "workers": self._looked(question, wanted).workers,
            "live_workers": sum(anything or not names.isdisjoint(one.functions) for one in live),
        }

    def _looked(self, question: Question, wanted: int) -> Scale:
        now = time.monotonic()
        with self._lock:
            # Dictionaries keep their order: the question that was not asked for longest is the first.
            asked = self._asked.pop(question, None)
            if asked is None:
                asked = _Asked(Scale(wanted), now)
            elif now - asked.looked >= LOOK_SECONDS or wanted > asked.scale.workers:
                asked = _Asked(asked.scale.looked(wanted), now)
            self._asked[question] = asked
            if len(self._asked) > QUESTIONS_MOST:
                del self._asked[next(iter(self._asked))]
            return asked.scale
