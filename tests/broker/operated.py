"""The model with the verbs of operators."""

from __future__ import annotations

from collections.abc import Iterable

from simpledist.broker.lane import function_of
from tests.broker.model import Model


class Operated(Model):
    """What the verbs of operators do to the state, and what they answer."""

    def drain(self, workers: Iterable[str]) -> list[str]:
        words: list[str] = []
        for worker in workers:
            row = self.workers.get(worker)
            if row is None:
                words.append("gone")
            elif row.dead is not None:
                words.append("dead")
            else:
                words.append("asked" if row.offers else "draining")
        return words

    def forget(self, function: str) -> str:
        if any(job.state in ("queued", "running") and function_of(job.lane) == function for job in self.jobs.values()):
            return "busy"
        if self.all_offers(function):
            return "offered"
        if function in self.disabled:
            return "disabled"
        for lane in {function, *self.lanes.pop(function, {})}:
            self.idle.pop(lane, None)
        self.cleared.pop(function, None)
        self.kept = {address: one for address, one in self.kept.items() if one[0] != function}
        return "forgotten"

    def disable(self, function: str, *, enable: bool) -> tuple[str, int]:
        if enable:
            self.disabled.discard(function)
            return "enabled", 0
        self.disabled.add(function)
        queued = [job for job in self.jobs.values() if job.state == "queued" and function_of(job.lane) == function]
        for job in queued:
            self._finish(job, "failed", "disabled")
        return "disabled", len(queued)
