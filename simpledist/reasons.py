"""Everything that is said about a reason why a call ran at its client, in one table.

One row a word of `Info.why`. Routing and the rest of the engine go by its marks; pages, command lines, the doctor and
docs/operations.md take their text from here. That page has an anchor for each reason, to which the README and the
doctor link. Knows nothing of how a reason comes about.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Why = Literal[
    "no_worker",
    "redis_down",
    "redis_refused",
    "crashed",
    "lost",
    "memory",
    "worker_error",
    "unserialisable",
    "undecodable",
    "too_big",
    "timeout",
    "queue_full",
    "nested",
    "key",
    "closed",
    "called_off",
    "other_code",
    "disabled",
    "undeliverable",
    "cheaper",
    "local",
]
WHYS: tuple[str, ...] = get_args(Why)


@dataclass(frozen=True, slots=True)
class Reason:
    """What one reason means.

    `words`: what happened, as the end of a sentence: "fib ran here: no live worker offers it". `remedy`: what to do, ""
    where there is nothing to do. `asked_for`: somebody asked for it, so no warning is due. `transient`: it may pass; a
    future that waits for a local slot travels then. `suspect`: the call may kill the process that runs it. `queued`:
    its job may still be in Redis, to be cancelled there.
    """

    words: str
    remedy: str
    asked_for: bool = False
    transient: bool = False
    suspect: bool = False
    queued: bool = False


REASONS: dict[str, Reason] = {
    "no_worker": Reason(
        "no live worker offers it",
        "start one with simpledist-worker MODULE:FUNCTION, or see what is offered with simpledist workers",
        transient=True,
    ),
    "redis_down": Reason(
        "Redis cannot be reached",
        "start Redis, or correct its URL; simpledist doctor says more",
        transient=True,
        queued=True,
    ),
    "redis_refused": Reason(
        "Redis refuses us",
        "simpledist doctor names the cause: password, rights, version, memory, cluster mode",
        transient=True,
        queued=True,
    ),
    "crashed": Reason(
        "it killed each process that ran it",
        "look into the worker's log: a segmentation fault, os._exit, or the machine ran out of memory",
        suspect=True,
    ),
    "lost": Reason(
        "the workers that ran it vanished",
        "see whether their machines ran out of memory or lost their network; simpledist workers lists the dead",
        suspect=True,
    ),
    "memory": Reason(
        "it used more memory than its worker has or allows",
        "raise --memory of the workers, or give the call less data",
        suspect=True,
    ),
    "worker_error": Reason(
        "the worker could not run it (a failed import, a recursion limit, an interrupt)",
        "look into the worker's log",
    ),
    "unserialisable": Reason(
        "its arguments or its result cannot be sent",
        "pass data instead of open files, locks, connections and generators",
    ),
    "undecodable": Reason(
        "its arguments or its result cannot be read at the other end",
        "give clients and workers the same packages, files and Python",
    ),
    "too_big": Reason(
        "its arguments or its result are too big to send",
        "send less, or a path to the data; max_value_bytes= is the limit",
    ),
    "undeliverable": Reason(
        "its result did not get through to Redis", "see the worker's log: a limit of the server, a right, a slow link"
    ),
    "key": Reason("the worker signs with another key", "give every process the same --secret-file"),
    "other_code": Reason(
        "only workers with other code of this function, or of what its arguments name, are there",
        "restart the workers, or update the caller's code",
    ),
    "timeout": Reason(
        "it took longer than timeout= allows", "raise timeout=, or start more workers", True, queued=True
    ),
    "queue_full": Reason(
        "its queue was full (max_queue=)", "start more workers, or raise max_queue=", True, transient=True
    ),
    "disabled": Reason(
        "an operator disabled the function", "ask the operator who disabled it to enable it again", True
    ),
    "called_off": Reason("an operator called it off (simpledist cancel)", "", True),
    "nested": Reason("it was called inside a worker's child, where calls are not passed on", "", True),
    "closed": Reason("its client was closed", "keep the client open until its calls have ended", True),
    "cheaper": Reason("its trip would have cost more than to run it here (policy=auto)", "", True),
    "local": Reason("its function's policy keeps it local (policy=local)", "", True),
}


TRANSIENT = frozenset(why for why, reason in REASONS.items() if reason.transient)
SUSPECT = frozenset(why for why, reason in REASONS.items() if reason.suspect)
MAY_BE_QUEUED = frozenset(why for why, reason in REASONS.items() if reason.queued)


def is_silent(why: str) -> bool:
    """Return whether no line is logged of calls that ran here for this reason: somebody asked for it."""
    return why in REASONS and REASONS[why].asked_for


def why_of(word: str) -> Why:
    """Return the reason that a worker's word means; an unknown word of a newer worker is `worker_error`."""
    return word if word in WHYS else "worker_error"  # type: ignore[return-value]


def anchor(why: str) -> str:
    """Return the anchor of a reason in the table of docs/operations.md."""
    return f"why-{why}"


def address(why: str) -> str:
    """Return the page that explains a reason, with its anchor."""
    return f"docs/operations.md#{anchor(why)}"


def row(why: str) -> str:
    """Return the line of a reason in the table of docs/operations.md."""
    reason = REASONS[why]
    remedy = f"{reason.remedy or 'nothing'}{' (asked for)' if reason.asked_for else ''}"
    return f'| <a id="{anchor(why)}"></a>`{why}` | {reason.words} | {remedy} |'


def words(why: str | None) -> str:
    """Return what people read of a reason; an unknown word of a newer version is its own text."""
    reason = REASONS.get(why or "")
    return reason.words if reason is not None else why or ""


def sentence(why: str | None) -> str:
    """Return a reason with its remedy in one line."""
    reason = REASONS.get(why or "")
    if reason is None:
        return why or "it did not run"
    return f"{reason.words}: {reason.remedy}" if reason.remedy else reason.words
