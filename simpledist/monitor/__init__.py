"""The read model: everything that pages, metrics and `status` know of Redis. Start at monitor.py."""

from simpledist.monitor.monitor import Monitor
from simpledist.monitor.snapshot import FunctionState, RedisState, RunningJob, Snapshot, WorkerState

__all__ = ["FunctionState", "Monitor", "RedisState", "RunningJob", "Snapshot", "WorkerState"]
