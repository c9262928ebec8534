"""Vocabulary of jobs: the name, its states, and the facts of its end; why a call ran here is in reasons.py.

Owns the vocabulary that Redis, Python, pages and docs share. Knows nothing of Redis, bytes or processes.
"""

from __future__ import annotations

import re
import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, make_dataclass
from typing import Any, Literal

from simpledist.errors import ConfigurationError
from simpledist.reasons import Why

State = Literal["queued", "running", "succeeded", "failed", "cancelled"]

# Where calls run: on workers if they can, here, or wherever it costs less (costs.py).
Policy = Literal["remote", "auto", "local"]
Priority = Literal["high", "normal", "low"]

DEFAULT_NAMESPACE = "simpledist"
ANY = "simpledist.any"  # runs functions that travel with their call; the dot keeps it apart from all others
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,127}")
OFFER = "__simpledist_offer__"  # a decorated function's (qualified name, function): what a worker offers in its place
LETTERS = string.ascii_letters + string.digits
VERSION = re.compile(r"[A-Za-z0-9_.-]{1,64}")
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}")  # of a worker; calls may need some
TAG_RULE = "use letters, digits, '_', '.' and '-', at most 32 of them"
MOST_NEEDS = 4  # tags that a function may need: they stand in the names of keys
MOST_TAGS = 32  # that a worker may have


@dataclass(frozen=True, slots=True)
class Info:
    """How one call came to its outcome; `Future.info`, None until the future is done.

    `where` is "remote" or "local"; `why` says why it ran here (None if remote). Seconds are measured on the
    worker (run) and by Redis (queued); for a local run `queued_seconds` is the time lost before it began. `joined`: it
    is the outcome of an identical call that was in flight; `cached`: the value of an earlier one, kept in Redis.
    `detail` says in words what led to a local run: the exception, the module that is missing, the worker, the ids of
    the keys; None if remote.
    """

    where: Literal["remote", "local"]
    why: Why | None = None
    worker: str | None = None
    version: str | None = None
    attempts: int = 0
    queued_seconds: float = 0.0
    run_seconds: float = 0.0
    joined: bool = False
    cached: bool = False
    detail: str | None = None


_Unfrozen: Any = make_dataclass("_Unfrozen", [(one.name, Any) for one in fields(Info)], slots=True)


def remote_info(
    worker: str | None,
    version: str | None,
    attempts: int,
    queued_seconds: float,
    run_seconds: float,
    joined: bool = False,
    cached: bool = False,
) -> Info:
    """Return the info of a call that ran on a worker.

    One is made for each call, and to fill a frozen dataclass takes four times as long as to fill this one.
    """
    info = _Unfrozen("remote", None, worker, version, attempts, queued_seconds, run_seconds, joined, cached, None)
    info.__class__ = Info
    return info


@dataclass(frozen=True, slots=True)
class Stats:
    """What the calls of one worker function came to, in this process; `WorkerFunction.stats()` returns one.

    `calls`: those that have an outcome, `remote` + the values of `local`. `local`: those that ran here, by reason
    (`Info.why`), the most frequent first. `failed`: those that raised, wherever they ran. `mean_run_seconds`: how long
    one ran; `mean_wait_seconds`: how long one waited before it began, in its queue or on its way back here. Both are
    None before the first outcome.
    """

    calls: int = 0
    remote: int = 0
    local: Mapping[str, int] = field(default_factory=dict[str, int])
    failed: int = 0
    mean_run_seconds: float | None = None
    mean_wait_seconds: float | None = None


def qualified(name: str, version: str | int | None = None) -> str:
    """Return the function's name in Redis, `fib` or `fib@3`. Raises ConfigurationError, with the rule."""
    if not isinstance(name, str) or not NAME.fullmatch(name):  # type: ignore[redundant-expr]
        raise ConfigurationError(
            f"function name {name!r}: use letters, digits, '_', '.' and '-', beginning with a letter or '_', "
            "at most 128 characters"
        )
    if version is None:
        return name
    if isinstance(version, bool) or not isinstance(version, (str, int)) or not VERSION.fullmatch(str(version)):  # type: ignore[redundant-expr]
        raise ConfigurationError(f"version {version!r} of {name}: use letters, digits, '_', '.' and '-'")
    return f"{name}@{version}"


def version_of(function: str) -> str | None:
    """Return the version in a qualified name, or None."""
    _, at, version = function.partition("@")
    return version if at else None


def new_client_id() -> str:
    """Return a new client id: 53 random bits as 9 letters and digits; the ids of its jobs begin with it.

    Short, for Redis holds it four times a queued job; of 10,000 clients at once two are namesakes once in 250 million.
    """
    return "".join(secrets.choice(LETTERS) for _ in range(9))


def new_worker_id() -> str:
    """Return a new worker id. It must be unique; labels, which are for people, need not be."""
    return "w" + secrets.token_hex(6)


def client_of(job_id: str) -> str:
    """Return the client that made a job id (`<client>-<number>`)."""
    return job_id.partition("-")[0]
