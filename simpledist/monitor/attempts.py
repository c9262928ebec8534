"""Past attempts, failures in groups, and one job with all its attempts.

Makes records from the texts that the verbs leave in Redis, and skips any other text. Reads nothing itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from simpledist.broker.lane import function_of
from simpledist.monitor.rows import integer
from simpledist.printable import printable

TIMED_OUT = "timed_out"  # in the place of a reason: a worker ended the run, as its caller asked
TRACEBACK_LIMIT = 4000
MESSAGE_LIMIT = 300


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt that is over; times are Unix seconds of Redis' clock, None where they are not known.

    `state`: succeeded, failed, cancelled, or requeued (the attempt was taken from its worker, for `why`).
    """

    function: str
    id: str
    state: str
    worker: str | None
    slot: int | None
    attempt: int
    submitted: float | None
    claimed: float | None
    ended: float
    run_seconds: float
    why: str | None


@dataclass(frozen=True, slots=True)
class Failure:
    """One group of failures of a function: the type of the exception (or `why`), its place, a count, one traceback."""

    function: str
    kind: str
    place: str
    count: int
    first: float
    last: float
    job: str
    traceback: str

    @property
    def message(self) -> str:
        """Return the text of the exception in one line, from the end of the traceback; "" where there is none."""
        lines = self.traceback.splitlines()
        # Notes and texts of several lines follow the line that names the type, so the last such line counts.
        for number in reversed(range(len(lines))):
            head, colon, _ = lines[number].partition(":")
            if colon and head.rpartition(".")[2] == self.kind.rpartition(".")[2]:
                text = " ".join(" ".join(lines[number:]).partition(":")[2].split())
                return text if len(text) <= MESSAGE_LIMIT else text[: MESSAGE_LIMIT - 1] + "…"
        return ""


@dataclass(frozen=True, slots=True)
class Trip:
    """One attempt of a job as its page shows it; while it runs, `ended` is None."""

    worker: str
    slot: int | None
    claimed: float | None
    ended: float | None
    how: str


@dataclass(frozen=True, slots=True)
class JobState:
    """One job; `kept` is False where its keys are gone and only its attempts are remembered."""

    id: str
    function: str
    state: str
    why: str | None
    error: str
    attempts: int
    crashes: int
    losses: int
    submitted: float | None
    ended: float | None
    run_seconds: float | None
    queued_seconds: float | None
    waiting_clients: int
    trips: tuple[Trip, ...]
    kept: bool = True


@dataclass(frozen=True, slots=True)
class QueuedJob:
    """A job in a ledger that has waited for `seconds`; the job at `place` 0 is the next."""

    function: str
    id: str
    place: int
    seconds: float


def attempt(function: str, line: str) -> Attempt | None:
    """Return an attempt from an element of recent:<function>, None for any other text."""
    words = line.split(" ")
    if len(words) != 10 or (ended := _seconds(words[7])) is None:
        return None
    return Attempt(
        function=printable(function),
        id=printable(words[0]),
        state=printable(words[1]),
        worker=_known(words[2]),
        slot=integer(words[3]),
        attempt=integer(words[4]) or 0,
        submitted=_seconds(words[5]),
        claimed=_seconds(words[6]),
        ended=ended,
        run_seconds=(integer(words[8]) or 0) / 1000,
        why=_known(words[9]),
    )


def failure(function: str, field: str, value: str) -> Failure | None:
    """Return a group of failures from a field of failures:<function>, None for any other text."""
    head, _, trace = value.partition("\n")
    words = head.split(" ")
    if len(words) != 4 or (count := integer(words[0])) is None:
        return None
    kind, _, place = field.partition(" ")
    return Failure(
        function=printable(function),
        kind=printable(kind),
        place=printable("" if place == "-" else place),
        count=count,
        first=_seconds(words[1]) or 0.0,
        last=_seconds(words[2]) or 0.0,
        job=printable(words[3]),
        traceback="\n".join(printable(line) for line in trace[:TRACEBACK_LIMIT].splitlines()),
    )


def job_state(id: str, fields: Mapping[str, str]) -> JobState:
    """Return a job from its hash; while it is queued, `stamp` comes from the ledger."""
    state, fence = fields.get("state", ""), integer(fields.get("fence"))
    trips = [trip for line in fields.get("trail", "").split(";") if (trip := _trip(line)) is not None]
    worker, ended = _known(fields.get("worker", "-")), _seconds(fields.get("ended"))
    run_ms, queued_ms = integer(fields.get("run_ms")), integer(fields.get("queued_ms"))
    submitted = _seconds(fields.get("submitted")) or _micros(fields.get("stamp"))
    if worker is not None and state != "queued":
        claimed = None if fence is None else fence / 1e6
        if claimed is None and ended is not None:
            claimed = ended - (run_ms or 0) / 1000
        trips.append(Trip(worker, integer(fields.get("slot")), claimed, ended, "" if state == "running" else state))
    return JobState(
        id=printable(id),
        function=printable(function_of(fields.get("lane", ""))),
        state=printable(state),
        why=_known(fields.get("why", "-")),
        error=printable(fields.get("error", ""), 400),
        attempts=integer(fields.get("attempts")) or 0,
        crashes=integer(fields.get("crashes")) or 0,
        losses=integer(fields.get("losses")) or 0,
        submitted=submitted,
        ended=ended,
        run_seconds=None if run_ms is None else run_ms / 1000,
        queued_seconds=None if queued_ms is None else queued_ms / 1000,
        waiting_clients=sum(name.startswith("waiting:") for name in fields),
        trips=tuple(trips),
    )


def remembered(attempts: list[Attempt]) -> JobState:
    """Return a job from its attempts (newest first, at least one) where its hash is gone."""
    last = attempts[0]
    trips = [Trip(one.worker or "", one.slot, one.claimed, one.ended, one.why or one.state) for one in attempts]
    return JobState(
        id=last.id,
        function=last.function,
        state=last.state,
        why=None if last.why == TIMED_OUT else last.why,
        error="timed out (hard_timeout)" if last.why == TIMED_OUT else "",
        attempts=last.attempt,
        crashes=0,
        losses=0,
        submitted=last.submitted,
        ended=last.ended,
        run_seconds=last.run_seconds,
        queued_seconds=None,
        waiting_clients=0,
        trips=tuple(reversed(trips)),
        kept=False,
    )


def _trip(line: str) -> Trip | None:
    words = line.split(" ")
    if len(words) != 5:
        return None
    return Trip(printable(words[0]), integer(words[1]), _seconds(words[2]), _seconds(words[3]), printable(words[4]))


def _known(word: str) -> str | None:
    return None if word in ("-", "") else printable(word)


def _seconds(milliseconds: str | None) -> float | None:
    number = integer(milliseconds)
    return None if number is None else number / 1000


def _micros(stamp: str | None) -> float | None:
    number = integer(stamp)
    return None if number is None else number / 1e6
