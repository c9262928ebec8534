"""Words about calls that run here: those of `info.detail`, and the line of the log.

Owns which reason is said by which topic, how often and how loudly; reasons.py has the words and the remedies, lanes.py
what Redis said of other code and other keys. `line` is called by threads that log (local_run_counts.py) and may ask
Redis; `detail` by the thread that runs a call, and asks Redis nothing.
"""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Sequence
from typing import Any, Protocol

from simpledist import job, shipped
from simpledist.broker import denials
from simpledist.broker.lane import Lane, function_of, parsed
from simpledist.code.distributions import installed_with, missing_module
from simpledist.config import Config, settings
from simpledist.engine.known import Key, Store
from simpledist.engine.lanes import REFUSALS, Lanes, needs_text, none_has
from simpledist.engine.local_run_counts import Last, Line
from simpledist.engine.notices import AGAIN_SECONDS, ONCE
from simpledist.engine.ready import RunHere
from simpledist.engine.signal_safe_event import SignalSafeEvent
from simpledist.engine.spec import FunctionSpec
from simpledist.errors import RedisDown, RedisRefused
from simpledist.reasons import REASONS, Why, words

NAMED = 3  # names in one line
ANY = f"{job.ANY}@"
OUR_PYTHON = shipped.FUNCTION.removeprefix(ANY)


class Cluster(Protocol):
    """What a session knows of it."""

    @property
    def config(self) -> Config: ...

    @property
    def lanes(self) -> Lanes: ...

    @property
    def store(self) -> Store: ...

    @property
    def last_error(self) -> RedisDown | RedisRefused | None: ...

    @property
    def trouble(self) -> Why | None: ...

    @property
    def epoch(self) -> str: ...

    @property
    def first_attempt(self) -> SignalSafeEvent: ...

    @property
    def outages(self) -> int: ...

    def live_workers(self) -> list[dict[str, Any]]: ...


class Lines:
    """Of one client."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._saw_a_worker = False

    def detail(self, key: Key, ready: RunHere) -> str:
        """Return in words why a call runs here."""
        text = ready.detail
        if not text and ready.why in ("redis_down", "redis_refused"):
            text = self._trouble(ready.why)
        elif not text and ready.why in REFUSALS:
            text = self._cluster.store.of(key).absent_detail
        return f"{text or words(ready.why)}{f' (worker {ready.worker})' if ready.worker else ''}"

    def outlook(self, spec: FunctionSpec, ended: Why | None) -> str:
        """Return in words where calls of a function go, as far as it is known; `ended`: why none will ever travel."""
        cluster = self._cluster
        why = ended or ("local" if spec.policy == "local" else None)
        if why is None and cluster.trouble is not None and not cluster.first_attempt.is_set():
            return "goes to workers, not asked yet whether any are there"
        known = cluster.store.of(spec.code.key)
        why = why or cluster.trouble or ("other_code" if spec.code.keeps else known.absent)
        if why in (None, "no_worker") and spec.code.ships_until:
            return "goes with its modules to workers with --any"
        if why is None:
            return "goes to workers where its trip costs less" if spec.policy == "auto" else "goes to workers"
        return f"runs here, {none_has(spec.needs) if why == 'no_worker' and spec.needs else words(why)}"

    def line(self, lane: str, why: Why, last: Last) -> Line:
        """Return the line about calls that ran here for this reason: of a function, or those that need its tags."""
        cluster = self._cluster
        remedy = REASONS[why].remedy
        if why == "redis_down":
            reached = bool(cluster.epoch)
            level = logging.WARNING if reached or cluster.config.named else logging.INFO
            text = f"{self._trouble(why)}: calls run here (redis_down); {remedy}"
            return Line((why,), lambda: text, level, AGAIN_SECONDS, cluster.outages)
        if why == "redis_refused":
            return Line((why,), lambda: f"{self._trouble(why)}; calls run here (redis_refused)", logging.ERROR)
        explained = cluster.lanes.explanation(lane, why)
        if explained is not None:
            return Line((lane, why), explained)
        if why == "no_worker":
            rows = None if self._has_seen_a_worker() else self._rows()
            if rows is not None and not _names(rows):
                text = self._none_there(function_of(lane), last.arguments)
                return Line((why,), lambda: text, again_seconds=ONCE)
            return Line((lane, why), functools.partial(self._not_offered, parsed(lane), last.arguments))
        return Line((lane, why), functools.partial(self._said, function_of(lane), why, last))

    def _said(self, function: str, why: Why, last: Last) -> str:
        text = last.detail or words(why)
        if last.worker:
            text = f"{self._cluster.lanes.name_of(last.worker)}: {text}"
        lacks = installed_with(module) if (module := missing_module(last.detail)) else ""
        remedy = f"install {lacks} there: it is installed here" if lacks else REASONS[why].remedy
        return f"function {function}: calls run here ({why}): {text}; {remedy}"

    def _trouble(self, why: Why) -> str:
        """Return what is known of Redis: that it is away, or why it refuses us."""
        cluster = self._cluster
        where, error = cluster.config.safe_url, cluster.last_error
        if why == "redis_refused":
            because = f": {denials.explained(str(error))}" if isinstance(error, RedisRefused) else ""
            return f"Redis at {where} refuses us{because}"
        if cluster.trouble is None:
            return f"Redis at {where} has forgotten a call, or has lost its result"
        if error is None:
            return f"Redis at {where} has not answered yet"
        return f"Redis at {where} cannot be reached: {error}"

    # --- no worker -----------------------------------------------------------------------------------------------

    def _has_seen_a_worker(self) -> bool:
        self._saw_a_worker = self._saw_a_worker or self._cluster.store.any_on_workers()
        return self._saw_a_worker

    def _none_there(self, function: str, arguments: str) -> str:
        config = self._cluster.config
        namespace = "" if config.namespace == settings.DEFAULT_NAMESPACE else f", namespace {config.namespace}"
        return (
            f"no worker is running (Redis at {config.safe_url}{namespace}): calls run here (no_worker), those of "
            f"{function} and of any other function; {self._start(arguments)}"
        )

    def _not_offered(self, lane: Lane, arguments: str) -> str:
        function, tags = lane.function, lane.tags
        rows, under, remedy = self._rows() or [], "", ""
        having = [row for row in rows if any(_is_of(name, function) for name in row["functions"])]
        pythons, offered = sorted({row["python"] for row in having} - {""}), _names(rows)
        if pythons and OUR_PYTHON not in pythons:
            they = f"its workers run Python {_some(pythons)}, and code that travels with a call runs under {OUR_PYTHON}"
            under = f" under Python {OUR_PYTHON}"
        elif having and not any({*tags} <= {*row["tags"]} for row in having):
            they = f"it is called with needs={needs_text(tags)}, and {none_has(tags)}"
        elif having:
            they = "its workers were not there yet, or take none of these calls"
            remedy = f"simpledist explain {function} says what holds now"
        elif any(name.startswith(ANY) for name in offered):
            others = [name.removeprefix(ANY) for name in offered if name.startswith(ANY)]
            they = "no live worker offers it, and those with --any "
            if OUR_PYTHON in others:
                they += "were not there yet, or do not take it (ship=False, codec=, size)"
            else:
                they += f"run code of Python {_some(others)}, and this is {OUR_PYTHON}"
        else:
            they = "no live worker offers it" + (f", they offer {_some(offered)}" if offered else "")
        return f"function {function}: calls run here (no_worker): {they}; {remedy or self._start(arguments, under)}"

    def _rows(self) -> list[dict[str, Any]] | None:
        """Return the rows of live workers; None where Redis does not say."""
        try:
            rows = self._cluster.live_workers()
        except (RedisDown, RedisRefused):
            return None
        self._saw_a_worker = self._saw_a_worker or bool(rows)
        return rows

    def _start(self, arguments: str, under: str = "") -> str:
        """Return what starts a worker that this client finds."""
        config = self._cluster.config
        options = ""
        if config.named and not os.environ.get("SIMPLEDIST_REDIS_URL") and "***" not in config.safe_url:
            options += f" --redis {config.safe_url}"
        if config.namespace not in (settings.DEFAULT_NAMESPACE, os.environ.get("SIMPLEDIST_NAMESPACE")):
            options += f" --namespace {config.namespace}"
        return (
            f"start one with simpledist-worker {arguments}{options}{under} "
            "(simpledist workers lists those that are there)"
        )


def _names(rows: Sequence[dict[str, Any]]) -> list[str]:
    return sorted({name for row in rows for name in row["functions"]})


def _is_of(name: str, function: str) -> bool:
    """Return whether what a worker offers is this function; of what takes any, each Python has one of its own."""
    return name == function or (name.startswith(ANY) and function.startswith(ANY))


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def foreign(client: str) -> str:
    """Return the line about elements of the reply list that are not ours."""
    return f"passed over foreign elements in the reply list of client {client}: another program writes to this Redis"
