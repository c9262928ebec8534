"""The read model: everything that pages, metrics and command lines know of Redis.

monitor.py   the questions that it answers   reader.py    the commands to Redis, and when they are repeated
snapshot.py  the state at one moment         rows.py      makes that state from the texts in Redis
workers.py   one worker and its problems     history.py   minutes, read once
measures.py  counters, histograms, bins      metrics.py   the numbers for Prometheus
attempts.py  past attempts, failures, jobs   stream.py    the attempts of the last minute
bounded.py   reads within bounds, and counts what is left out
offers.py    what workers offer of a function
demand.py    what clients compute for want of a worker
scales.py    how many workers there should be
looks.py     colour and pattern by function  times.py     times as people read them
"""

from simpledist.monitor.attempts import Attempt, Failure, JobState, QueuedJob, Trip
from simpledist.monitor.history import Pulse
from simpledist.monitor.measures import BOUNDS_SECONDS, Bin, Histogram, Tally
from simpledist.monitor.monitor import Monitor
from simpledist.monitor.snapshot import Dropped, FunctionState, Measure, RedisState, RunningJob, Snapshot, WorkerState

__all__ = [
    "BOUNDS_SECONDS",
    "Attempt",
    "Bin",
    "Dropped",
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
