"""One worker as people see it: its numbers, and each problem in words with a remedy.

Pages, `simpledist workers`, `top` and `doctor` all show these problems, so that they never disagree. Pure; knows
nothing of keys, connections or pages. Built by rows.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from simpledist import policy
from simpledist.broker.worker_stats import WorkerStats
from simpledist.code.distributions import known_as

LIVE = ("alive", "late")
NAMED = 5  # functions that one problem names


@dataclass(frozen=True, slots=True)
class Refusal:
    """Jobs of one function that a worker recently refused: the latest reason, and how many since it started."""

    function: str
    why: str
    error: str
    count: int

    @property
    def lacks_a_module(self) -> bool:
        """Return whether an import failed: the worker cannot run the function until something is installed."""
        return "No module named" in self.error or "ImportError" in self.error or "ModuleNotFoundError" in self.error


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a live worker.

    `word` is short enough for a table; `text` continues a sentence that begins with the worker's name. `bad`: the
    worker does not do its work, so it is shown in red.
    """

    word: str
    text: str
    remedy: str
    bad: bool = True


@dataclass(frozen=True, slots=True)
class WorkerState:
    """One worker's row. Numbers and texts are 0, "" or None where the row has none."""

    id: str
    label: str
    host: str
    pid: int
    slots: int
    busy: int
    beat_age_seconds: float | None
    health: str  # as policy.worker_health: alive, late, silent, dead
    draining: bool  # it lives and offers nothing any more
    functions: tuple[str, ...]
    python: str
    started_seconds: float | None  # ago
    simpledist: str = ""  # its version
    mismatched: tuple[str, ...] = ()  # functions that a client recently called with other code
    generators: tuple[str, ...] = ()  # random generators in modules, of which each child has a copy
    trouble: str = ""  # why its children cannot start, or its results do not get through
    trouble_kind: str = ""  # "children" or "commands": which of them
    stats: WorkerStats = field(default_factory=WorkerStats)  # from its last heartbeats
    protocol: int | None = None  # that it speaks
    speaks_ours: bool = True  # whether it can meet clients of this version in a job
    keys: tuple[str, ...] = ()  # the ids of its keys
    other_key: bool = False  # it shares no key with most of the live workers
    refusals: tuple[Refusal, ...] = ()  # recent ones
    tags: tuple[str, ...] = ()  # what calls may need of it
    memory_bytes: int | None = None  # that one slot may take (--memory)
    missing: tuple[str, ...] = ()  # modules that calls recently needed and it does not have
    distributions: tuple[tuple[str, str], ...] = ()  # name and version of what calls find that bring their modules
    withdrawn: tuple[str, ...] = ()  # functions that it stopped offering for a while: others run what it refuses

    @property
    def live(self) -> bool:
        """Return whether it still beats."""
        return self.health in LIVE

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Return what is wrong with it, the worst first; nothing for a worker that does not live or drains."""
        return tuple(_problems(self)) if self.live and not self.draining else ()

    @property
    def condition(self) -> str:
        """Return how it is, in one or two words: `draining`, the word of its worst problem, or its health."""
        if not self.live:
            return self.health
        if self.draining:
            return "draining"
        # What is over, though its row still says it, is no condition.
        over = {"stuck", "no child"} if self.functions else set[str]()
        return next((one.word for one in self.problems if one.word not in over), self.health)

    @property
    def bad(self) -> bool:
        """Return whether it is dead, silent, or does not do its work."""
        return self.health not in LIVE or any(one.bad for one in self.problems)

    @property
    def undelivered(self) -> bool:
        """Return whether its trouble is a command that does not get through, not a child that cannot start."""
        return self.trouble_kind == "commands"


def _problems(worker: WorkerState) -> Iterator[Problem]:
    if worker.trouble:
        # A worker that offers its functions again shows what happened, but does its work.
        yield _trouble(worker, stopped=not worker.functions)
    if not worker.speaks_ours:
        yield Problem(
            "other version",
            f"speaks protocol {worker.protocol or 1} of simpledist, the others protocol {policy.PROTOCOL}: calls of "
            "clients that speak another protocol run at their clients",
            "install the same simpledist everywhere",
        )
    if worker.other_key:
        yield Problem(
            "other key",
            f"signs with another key than most workers ({' '.join(worker.keys[:2]) or 'none'}): no call of theirs "
            "reaches it",
            "give every process the same --secret-file",
        )
    yield from _refused(worker)
    if worker.mismatched:
        yield Problem(
            "other code",
            f"has other code of {some(worker.mismatched)} than a client that called it",
            "restart whichever is older, or give the new code a version (MODULE:NAME@2 and version=2)",
        )


def _trouble(worker: WorkerState, *, stopped: bool) -> Problem:
    if worker.undelivered:
        return Problem(
            "stuck",
            f"is stuck: {worker.trouble}",
            "look for a limit of Redis (proto-max-bulk-len, client-output-buffer-limit), a right that its user lost "
            "(docs/acl.md) or a slow link; it offers its functions again by itself after a pause",
            stopped,
        )
    return Problem(
        "no child",
        f"runs no jobs: {worker.trouble}",
        "look at its log for what its child processes lack (a port, a lock, a module, processes or open files); it "
        "tries again by itself, every 30 s at the latest",
        stopped,
    )


def _refused(worker: WorkerState) -> Iterator[Problem]:
    refusals = worker.refusals
    lacking = [one for one in refusals if one.lacks_a_module]
    refusal = lacking[0] if lacking else refusals[0] if refusals else None
    lacks = some(sorted({known_as(one) for one in worker.missing}))
    install = f"install {lacks} there (docs/how-to/packages.md)" if lacks else "install what it lacks"
    if worker.withdrawn:
        why = "" if refusal is None else f" ({refusal.why}: {refusal.error})"
        yield Problem(
            "withdrawn",
            f"does not offer {some(worker.withdrawn)} for a while, because other workers run the jobs that it "
            f"refuses{why}",
            f"{install}, or stop it" if lacks else "give it what it lacks (the module, the memory), or stop it",
        )
    elif refusal is not None:
        count = sum(one.count for one in refusals)
        yield Problem(
            "missing module" if lacking else "refuses jobs",
            f"{f'lacks {lacks}: it ' if lacks else ''}refused {count:,} {'job' if count == 1 else 'jobs'} of "
            f"{some([one.function for one in refusals])} ({refusal.why}: {refusal.error})",
            f"{install}, or stop it" if lacking else "look into its log: it may lack something, or a client",
            bool(lacking),
        )


def some(names: list[str] | tuple[str, ...]) -> str:
    """Return a few names in one text, and how many more there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
