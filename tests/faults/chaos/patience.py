"""Long jobs on a cluster that nothing strikes, beside the one that everything does: each has to run exactly once.

One of them holds the interpreter's lock in C all the time. The machine is as busy as the chaos makes it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.faults.conftest import counting_cluster
from tests.faults.functions import work
from tests.faults.history import offered

GIL_SECONDS, LONG_SECONDS = 60.0, 300.0
GRACE_SECONDS = 20.0


class Patience:
    """Use it in a `with` block; `seconds` is how long the run takes, and no job takes more than half of it."""

    def __init__(self, folder: Path, seconds: float) -> None:
        self._log = folder / "long-runs"
        self._seconds = [min(GIL_SECONDS, seconds / 4), min(LONG_SECONDS, seconds / 2)]
        self._cluster = counting_cluster(self._log)
        self._futures: list[Any] = []

    def __enter__(self) -> Patience:
        cluster = self._cluster.__enter__()
        cluster.start_worker()
        client = cluster.connect()
        gil, long = self._seconds
        self._futures = [offered(client, "hold_gil").submit(1, gil), offered(client, "work").submit(2, long)]
        return self

    def __exit__(self, *error: Any) -> None:
        self._cluster.__exit__(*error)

    def findings(self) -> list[str]:
        """A sentence for each job that did not run once, on its worker, to its own value."""
        due = {1: 1, 2: work.value_of(2)}
        found: list[str] = []
        for n, future in zip(due, self._futures, strict=True):
            future.exception(self._seconds[1] + GRACE_SECONDS)
            runs = work.runs(self._log).get(n, 0)
            if (runs, future.info.where, future.exception() or future.result()) != (1, "remote", due[n]):
                found.append(f"{future!r} ran {runs} times: {future.info}")
        return found

    def line(self) -> str:
        gil, long = self._seconds
        return f"{gil:.0f} s with the interpreter's lock held in C, {long:.0f} s asleep: runs {work.runs(self._log)}"
