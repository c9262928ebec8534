"""The read model: everything that pages, metrics and command lines know of Redis.

monitor.py   what can be asked               reader.py    what is asked of Redis, and when again
snapshot.py  the state at one moment         rows.py      from what stands in Redis to that state
history.py   minutes, read once              measures.py  counters, histograms, bins
attempts.py  what is remembered of jobs      stream.py    the attempts of the last minute
"""

from simpledist.monitor.attempts import Attempt, Failure, JobState, QueuedJob, Trip
from simpledist.monitor.history import Pulse
from simpledist.monitor.measures import BOUNDS_SECONDS, Bin, Histogram, Tally
from simpledist.monitor.monitor import Monitor
from simpledist.monitor.snapshot import FunctionState, Measure, RedisState, RunningJob, Snapshot, WorkerState

__all__ = [
    "BOUNDS_SECONDS",
    "Attempt",
    "Bin",
    "Failure",
    "FunctionState",
    "Histogram",
    "JobState",
    "Measure",
    "Monitor",
    "Pulse",
    "QueuedJob",
    "RedisState",
    "RunningJob",
    "Snapshot",
    "Tally",
    "Trip",
    "WorkerState",
]
