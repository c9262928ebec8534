"""Pure decisions: all timings with their units, and the small laws that read them.

Owns the numbers (how long, how often, how many) that several rooms go by, that Redis' scripts are given
(broker/scripts.py) or that a law below reads. A number that one room alone goes by stands in the file that it explains:
how long a pause of a reader is, how often a loop looks; what a call costs in costs.py. Touches no clock, socket or
process: time comes in as an argument.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Timings:
    """How often each duty is done and how long each silence may last."""

    beat_seconds: float = 2.5
    late_seconds: float = 5.0
    silent_seconds: float = 10.0
    duties_seconds: float = 0.25
    nudge_seconds: float = 1.0
    closed_grace_seconds: float = 0.5  # a closed connection is a suspicion for so long, then a death
    closed_client_grace_seconds: float = 1.0
    silent_client_seconds: float = 60.0
    unclaimed_seconds: float = 1.0  # popped and not claimed for so long: pushed back
    unheld_seconds: float = 1.0  # claimed, but not named by the holder's beat for so long: pushed back
    redis_grace_seconds: float = 5.0
    first_connection_seconds: float = 1.0
    unfinished_ttl_seconds: float = 86_400.0
    ended_ttl_seconds: float = 120.0
    control_ttl_seconds: float = 60.0
    forget_worker_seconds: float = 600.0  # a dead worker's row stays on the page for so long
    pass_seconds: float = 1.0  # a worker passes over the lane of a job that it refused for so long
    block_seconds: float = 5.0  # one slice of an idle worker's BLPOP
    lanes_seconds: float = 60.0  # a worker on another lane than the plain one asks for that so often
    claim_more_seconds: float = 0.1  # fairness: take the same function's next job for so long


TIMINGS = Timings()

# What clients, workers and scripts of one version agree on: calls, outcomes, arguments of the verbs. Builds with
# different numbers may share a Redis, and never meet in a job.
PROTOCOL = 3

REFUSAL_CAP = 2  # workers that may refuse a job before its client runs it
STRIKES = 3  # refused jobs that another worker could do, until a function is withdrawn
WITHDRAWN_SECONDS_MOST = 60.0
REFUSED = frozenset({"key", "undecodable", "worker_error", "other_code", "memory"})
# A call that was left of its batch for one of these becomes a job of its own.
TRIED_ALONE = frozenset({"crashed", "memory", "other_code"})
# A child's limits may be smaller than its caller's, and other children have the same: such a call runs at its client.
# Nor does another worker have a blob that Redis lost: its client puts it again. A file that a worker lacks may be on
# no machine: then no worker is to blame, and none is passed over.
FILE_MISSING = "FileNotFoundError"
# Nor may a function write next to its own modules there: on each worker other calls find the same files.
READ_ONLY = "its own files are read-only on a worker"
GOES_HOME = ("MemoryError", "RecursionError", "KeyboardInterrupt", "MissingBlob", FILE_MISSING, READ_ONLY)
LOW_FIRST_EVERY = 16  # one pop in so many asks low lanes first
CRASH_CAP = 2  # children that a job may kill on workers
LOSS_CAP = 3  # workers that may vanish while they run a job
ATTEMPT_CAP = 10  # claims without an outcome
FORGOTTEN_CAP = 5  # times that Redis may forget a call: then it is as good as away
INLINE_BYTES = 4096  # a result up to this size travels in the reply itself
BESIDE_BYTES = 64 * 1024  # a value over this size travels by a plain SET before the script
HEAD_BYTES = 2048  # the envelope of a call, and the note of it, are shorter than this
BATCH_ITEMS = 1000
DETAIL_CHARACTERS = 300  # of what a worker tells a caller in words
BATCH_BYTES = 1024 * 1024
BATCH_SECONDS = 0.005  # a child is given so much work at once, if its jobs are that short
CHILD_JOBS = 200  # ... and at most so many jobs
AHEAD_SECONDS = 0.2  # a job so long at most may wait behind one of its kind, to begin the moment that the child is free
SLOW_SECONDS = 0.05  # a job in front that has run for so long and its mean: those behind it go back
BATCH_SLOW_SECONDS = 0.1  # a call of a batch that has run for so long: the same
BATCH_LATE_SECONDS = 0.5  # ... or where all of it turns out to take so long
LOOK_SECONDS = 0.005  # between two calls or short jobs a child looks so often whether the rest was taken from it
REST_SECONDS = 0.002  # answers of short jobs are read together, so long after the first at the latest
MAP_BATCH_SECONDS = 0.02  # so much work is aimed at for a batch of a map
MAP_BATCH_CALLS = 1000  # ... which has at most so many calls
MAP_BATCH_BYTES = 256 * 1024  # ... of so many bytes
BATCH_OUTCOME_BYTES = 8 * 1024 * 1024  # outcomes of a batch that have grown to so much are handed back
GATHERED_CALLS = 16  # so many short calls that wait to be sent travel as one job, if that many take MAP_BATCH_SECONDS
GATHERED_JOBS = 4  # what waits is cut into so many, if they are big enough
GATHERED_CALL_BYTES = 4096  # a call that is longer travels by itself
GATHERED_BYTES = 32 * 1024  # with so many bytes such a job is full
PROBES = 64  # so many calls of a function that was never seen go out by themselves first
PROBE_SECONDS = 0.01  # ... and for so long a map waits to see whether they are short
SHORT_SECONDS = 0.002  # calls that take no longer run in the process of a map's caller while no worker is free
IN_FLIGHT_IN_BATCHES = 20_000  # calls of one map that may be under way at once in batches
IN_FLIGHT = 2000  # calls of one map that may be under way at once
WITHDRAWN_MOST = 5000  # offers of dead workers that one script withdraws
NUDGE_IDS = 100  # calls that a nudge asks about, in rotation
NUDGE_IDS_LEAST = 5
NUDGE_IDS_TOGETHER = 10_000  # ... of all clients, a second: about 12 us of Redis each
OFFERS_ASKED = 256  # workers of a function that one script asks, if none fits, as often as it is asked
UNMET_MS = 1000  # ... of more, no is the answer for so long
RECENT_CAP = 500  # attempts remembered of a function
RECENT_SPARE = 50  # so many more are kept before the oldest go, all at once
FAILURES_CAP = 40  # groups of failures remembered of a function
HISTORY_MINUTES = 1500  # 25 h: a day's chart, and the hour that is under way
SAMPLE_MS = 5000  # how often the length of a queue is looked at
TRAIL_CHARACTERS = 600  # of a job's earlier attempts
# Upper bounds of the histograms, of run times and of waits: six a decade, 1 ms to 700 s.
BOUNDS_MS = (1, 2, 3, 5, 7, *(first * 10**power for power in range(5) for first in (10, 15, 20, 30, 50, 70)))
WORK_SECONDS = (
    5.0  # an autoscaler starts no more workers than have so much to do (the target of dask's adaptive scaling)
)
CACHED_RESULT_BYTES = 1024 * 1024  # a bigger result is not kept
CACHED_BYTES = 64 * 1024 * 1024  # what the cached results of all functions may take together
CACHED_SECONDS = 30 * 86_400.0  # the longest that one may be kept
JOINED_SLACK_SECONDS = 2.0  # the outcome of a joined call may seem to be made so long before it was joined
CALL_LIFE_SECONDS = 24 * 3600.0  # a worker refuses a call that was sealed longer ago
ARCHIVE_SECONDS = 2 * 3600.0  # so long an archive stays in Redis after the last call that named it was sent ...
ARCHIVE_RENEWED_SECONDS = 600.0  # ... which its client says at most so often
BLOB_SECONDS = 600.0  # so long a blob stays in Redis after the last call that named it was sent, or was in flight ...
BLOB_RENEWED_SECONDS = 60.0  # ... which its client says at most so often
BLOBS_BYTES = 1 << 30  # what all blobs of a Redis without `maxmemory` may take together; else a quarter of that
DECODED_BYTES = 1 << 30  # of blobs whose objects a child keeps for later jobs
IN_BAND_SECONDS = 60.0  # a blob for which Redis had no room is not offered again for so long
BLOB_LOSSES = 2  # times that a blob may be missing for one call: then the call carries it
RESEAL_SECONDS = 12 * 3600.0  # a client seals a call again that waits or runs for so long
TERM_SECONDS = 2.0  # what a job left behind has so long between SIGTERM and SIGKILL
TRACKER_SECONDS = 1.0  # ... and what removes its shared memory so much longer
GIVE_UP_SECONDS = 8.0  # a process that does not even end by SIGKILL is left alone after so long
SWEEP_SECONDS = 0.25  # between two looks for what is left
RESTART_SECONDS_MOST = 30.0  # the longest pause before a place of a worker gets its next child
STEADY_SECONDS = 10.0  # a child that has lived so long was of use, also where no job came
PROOF_SECONDS = 1.0  # after children that ended at once, the next one must live so long before it gets a job
STUCK_STARTS = 2  # a place with so many children in a row that ended at once cannot have one, for the time being
BEGIN_SECONDS = 5.0  # a worker without a child for so long says so
SETUP_SECONDS = 60.0  # a function of --setup that has not ended after so long ends its process
START_SECONDS = 30.0  # a child that has not begun after so long (or ten times its template's import) is replaced
TEMPLATE_DEATHS, TEMPLATE_SECONDS = 3, 60.0  # so many deaths of templates in so long end a worker
HOPELESS_SECONDS = 15.0  # a worker whose children have failed for so long, and none of which ever began, ends
# A call whose budget is spent while Redis hangs is to end within 2 s after it: what it waits for takes less than that.
COMMAND_TIMEOUT_SECONDS = 1.5
# A router or firewall forgets a connection that is idle for a minute or more, without a word.
IDLE_CONNECTION_SECONDS = 30.0
GONE_SECONDS = 300.0  # a Redis that is away for so long does not come back: a worker with --idle-exit ends
# A signal that comes in the moment before the main thread blocks on a lock does not interrupt it: CPython looks for
# signals, lets go of the GIL, perhaps for milliseconds on a busy machine, and only then blocks. So Ctrl-C is looked for
# again after this time.
INTERRUPT_SECONDS = 1.0
RETELL_SECONDS = 60.0  # a worker says the same of other code, or of refused jobs, at most so often
LONGEST_SECONDS = 1e9  # 31 years; locks and timers refuse longer waits, on some systems much shorter ones
MAX_VALUE_BYTES = 256 * 1024 * 1024
SLOWEST_BYTES = 16 * 1024  # a second, each way: what moves slower than this does not move
SLICE_BYTES_FIRST = 128 * 1024  # a big value travels in slices: the first one of a connection is so long
REPLY_BYTES_MOST = 64_000_000  # of one reply of Redis: what has more was not written by us, and is not read
PAGE_BYTES_MOST = 16_000_000  # ... for a page or a command that looks
POP_BYTES_MOST = 4_000_000  # ... where replies, handed jobs or ids are popped
REPLIES_FIRST = SLICE_BYTES_FIRST // INLINE_BYTES  # replies to read at once, while their length is unknown
SLICE_BYTES_LEAST = 16 * 1024
SLICE_BYTES_MOST = 768 * 1024  # shorter than any limit that a server can be given
SLICE_SECONDS = 0.2  # so long is one slice under way, at most: what is small waits no longer
UNDELIVERED_TRIES = 3  # so often is a command tried, while Redis takes the beats of its worker


def worker_health(age_seconds: float, *, dead: bool, timings: Timings = TIMINGS) -> str:
    """Return the state that pages show for a worker with a heartbeat of this age: alive, late, silent or dead.

    A heartbeat far ahead of Redis' clock (a negative age) is no sign of life: a living worker replaces it soon.
    """
    if dead:
        return "dead"
    if abs(age_seconds) > timings.silent_seconds:
        return "silent"
    return "late" if age_seconds > timings.late_seconds else "alive"


def is_refusal(why: str, error: str) -> bool:
    """Return whether another worker may do better with a job that ended here with `why`."""
    return why in REFUSED and not error.startswith(GOES_HOME)


def may_take_next(
    *, others: bool, since_pop_seconds: float, taken: int, slots: int, timings: Timings = TIMINGS
) -> bool:
    """Return whether a busy worker may take its next job in the script that completes the last one.

    A worker of one function always may. One that offers others goes back to BLPOP over all of its queues once
    0.1 s have passed since its last BLPOP *and* it has taken `slots` jobs, so that a flooded function cannot keep
    the others waiting for more than their turn (threadmill#48, resque#117).
    """
    return not others or since_pop_seconds < timings.claim_more_seconds or taken < slots


@dataclass(frozen=True, slots=True)
class Standing:
    """How a worker stands with one function: refused jobs that others could do, and what came of that."""

    strikes: int = 0
    withdrawals: int = 0
    withdrawn_until: float = float("-inf")  # time.monotonic()

    def struck(self, now: float) -> Standing:
        """Return the standing after one more strike: the third one withdraws the function, for longer each time."""
        if self.strikes + 1 < STRIKES:
            return Standing(self.strikes + 1, self.withdrawals, self.withdrawn_until)
        seconds = min(2.0**self.withdrawals, WITHDRAWN_SECONDS_MOST)
        return Standing(0, min(self.withdrawals + 1, 10), now + seconds)


class Pace(NamedTuple):  # made for each job: a frozen dataclass takes twice as long
    """How fast a function's jobs are on one worker, and how many of them a child is given at once."""

    batch: int = 1
    mean_seconds: float | None = None

    def ran(self, seconds: float) -> Pace:
        """Return the pace after one more job: a moving average over about the last eight."""
        mean = seconds if self.mean_seconds is None else self.mean_seconds + (seconds - self.mean_seconds) / 8
        return Pace(self.batch, mean)

    def next_batch(self, most: int = CHILD_JOBS) -> Pace:
        """Return the pace with its next batch: aims at a duration, at most doubles, shrinks at once (joblib's law)."""
        if self.mean_seconds is None:
            return Pace(1, None)
        aim = int(BATCH_SECONDS / max(self.mean_seconds, 1e-6))
        return Pace(max(1, min(aim, 2 * self.batch, most)), self.mean_seconds)

    @property
    def ahead(self) -> bool:
        """Return whether a busy child may get its next job now: too long for batches, short enough to wait behind."""
        return self.mean_seconds is not None and BATCH_SECONDS / 2 < self.mean_seconds <= AHEAD_SECONDS

    @property
    def patience_seconds(self) -> float:
        """Return how long a job may run while others wait behind it."""
        return SLOW_SECONDS + (self.mean_seconds or 0.0)


class Experience(NamedTuple):  # made for each call
    """What a client has seen of a function: how many calls have run (elsewhere, or here), and how long one takes."""

    calls: int = 0
    mean_seconds: float | None = None

    def ran(self, calls: int, seconds: float) -> Experience:
        """Return the costs after `calls` more calls. Slower calls count at once, faster ones gradually."""
        if calls < 1:
            return self
        mean = seconds / calls
        if self.mean_seconds is not None:
            mean = self.mean_seconds + (mean - self.mean_seconds) * (0.5 if mean > self.mean_seconds else 0.25)
        return Experience(self.calls + calls, mean)

    def short(self) -> bool:
        """Return whether calls are so short that creating a future for each costs more than the call."""
        return self.mean_seconds is not None and self.mean_seconds <= SHORT_SECONDS

    def batch_calls(self) -> int:
        """Return how many calls of a map travel as one job: aims at a duration, at most doubles what was seen."""
        if self.mean_seconds is None:
            return 1
        aim = int(MAP_BATCH_SECONDS / max(self.mean_seconds, 1e-7))
        return max(1, min(aim, 2 * self.calls, MAP_BATCH_CALLS))


def nudge_ids(clients: int) -> int:
    """After how many of its calls a client asks with each nudge: so many clients share what Redis is asked a second."""
    return max(NUDGE_IDS_LEAST, min(NUDGE_IDS, NUDGE_IDS_TOGETHER // max(clients, 1)))


def batches(things: Iterable[T], length: Callable[[T], int], *, items: int, most_bytes: int) -> list[list[T]]:
    """Things in order, cut to what one script, or one job, may carry; one that is longer goes by itself."""
    cut: list[list[T]] = []
    size = 0
    for thing in things:
        added = length(thing)
        if not cut or len(cut[-1]) >= items or size + added > most_bytes:
            cut.append([])
            size = 0
        cut[-1].append(thing)
        size += added
    return cut


def allowed_seconds(seconds: float, moved_bytes: int) -> float:
    """Return how long a command may take: its own time, and what the slowest wire needs for its bytes."""
    return seconds + moved_bytes / SLOWEST_BYTES


def next_slice_bytes(slice_bytes: int, moved_bytes: int, seconds: float) -> int:
    """Return the size of the next slice, after `moved_bytes` took so many seconds (without the round trip).

    Grows twofold at most, and only where what moved was a good part of it; shrinks at once.
    """
    fitting = round(moved_bytes * SLICE_SECONDS / max(seconds, 1e-4))
    if fitting >= slice_bytes:
        grown = 2 * slice_bytes if 2 * moved_bytes >= slice_bytes else slice_bytes
        return min(fitting, grown, SLICE_BYTES_MOST)
    return max(fitting, SLICE_BYTES_LEAST) if 2 * moved_bytes >= slice_bytes or seconds > SLICE_SECONDS else slice_bytes


def next_replies(most: int, read: int, read_bytes: int) -> int:
    """Return how many replies to read at once, after a read of at most `most` returned `read`, of `read_bytes` in all.

    Replies of any length begin with as many as fit in the first slice. Short ones are read in bigger groups, which grow
    twofold at most: should all of the next ones be long, they are no more than one script may bring.
    """
    if not read:
        return most
    fitting = max(SLICE_BYTES_FIRST * read // max(read_bytes, 1), REPLIES_FIRST)
    return min(fitting, 2 * most if read == most else most, BATCH_BYTES // INLINE_BYTES)


def backoff_seconds(failures: int, jitter: float) -> float:
    """Return how long to wait before connection attempt number `failures` + 1; `jitter` is uniform in [0, 1)."""
    return min(0.05 * 2.0 ** min(failures, 5), 1.0) * (0.5 + jitter / 2)


def restart_seconds(failed: int) -> float:
    """Return how long a slot waits for its next child after `failed` children in a row ended as they started.

    The first is replaced at once: somebody may have killed it. Then the pause doubles, up to half a minute.
    """
    return 0.0 if failed < STUCK_STARTS else min(0.1 * 2.0 ** min(failed - STUCK_STARTS, 10), RESTART_SECONDS_MOST)
