"""What a job is: its name, its states, the words that say why a call ran here, and the facts of its end.

Owns the vocabulary that Redis, Python, pages and docs share. Knows nothing of Redis, bytes or processes.
"""

from __future__ import annotations

import re
import secrets
import string
from dataclasses import dataclass
from typing import Literal, get_args

from simpledist.errors import ConfigurationError

State = Literal["queued", "running", "succeeded", "failed", "cancelled"]

Why = Literal[
    "no_worker",
    "redis_down",
    "redis_refused",
    "crashed",
    "lost",
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

# Where calls run: on workers if they can, here, or wherever it costs less (placement.py).
Policy = Literal["remote", "auto", "local"]

DEFAULT_NAMESPACE = "simpledist"
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,127}")
OFFER = "__simpledist_offer__"  # a decorated function's (qualified name, function): what a worker offers in its place
LETTERS = string.ascii_letters + string.digits
VERSION = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True, slots=True)
class Info:
    """How one call came to its outcome; `Future.info`, None until the future is done.

    `where` is "remote" or "local"; `why` says why it ran here (None if remote). Seconds are measured on the
    worker (run) and by Redis (queued); for a local run `queued_seconds` is the time lost before it began. `joined`: it
    is the outcome of an identical call that was in flight; `cached`: the value of an earlier one, kept in Redis.
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


def why_of(word: str) -> Why:
    """Return the reason that a worker's word means; an unknown word of a newer worker is `worker_error`."""
    return word if word in WHYS else "worker_error"  # type: ignore[return-value]


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
