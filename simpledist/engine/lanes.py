"""Lanes to which this client submits calls, and for which code: the lane of each function, and what a call asks for.

Owns what Redis has answered about lanes, and the lines for the caller where no worker may have a call, or one of other
code has it. Asked when calls are submitted or nudged, from any thread; asks Redis nothing itself.
"""

from __future__ import annotations

import functools
import shlex
import time
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from typing import Any

from simpledist import policy
from simpledist.broker.lane import named_tags, without_class
from simpledist.broker.records import NO_DIGEST, NO_KEY, Wish
from simpledist.engine.call import Call
from simpledist.engine.known import NEVER, Key, Store
from simpledist.engine.notices import Notices
from simpledist.engine.own_code import OwnCode
from simpledist.errors import BRINGS
from simpledist.job import Priority
from simpledist.reasons import Why
from simpledist.wire.keyring import Keyring

MOVED_SECONDS = 10.0  # a function's own lane, and its own code, are tried again after so long
MOST_NAMES = 1000
SETTLED_SECONDS = 1.0  # Redis may repeat an answer for so long (policy.UNMET_MS)
REFUSALS: dict[str, Why] = {
    "no_worker": "no_worker",
    "key": "key",
    "other_code": "other_code",
    "disabled": "disabled",
}

About = tuple[dict[str, Any], dict[str, str]]  # a worker's row, and the parts of its code


class Lanes:
    """Has no lock: what it writes are single fields of `Known`."""

    def __init__(self, keyring: Keyring, store: Store, notices: Notices, *, about: Callable[[str], About]) -> None:
        self._key = keyring.signing_id.hex() if keyring else NO_KEY
        self._key_file = keyring.file
        self.wish = Wish(key=self._key)
        self._store = store
        self._notices = notices
        self._about = about  # returns what Redis knows of a worker and its code
        self._wishes: dict[tuple[str, str], Wish] = {}
        self._explained: dict[tuple[str, Why], Callable[[], str]] = {}
        self._names: dict[str, str] = {}  # of workers

    def of(self, key: Key, priority: Priority = "normal") -> str:
        """Return the lane on which a call of this function is submitted."""
        known = self._store.of(key)
        elsewhere = known.lane_until != NEVER and time.monotonic() < known.lane_until
        lane = known.lane if elsewhere else known.own_lane
        return lane if priority == "normal" else f"{lane}!{priority}"

    def wished(self, calls: Sequence[Call]) -> Wish:
        """Return what calls of one function ask for that travel together."""
        wish = self._wish(calls[0].spec.code.key, calls[0].wanted or "")
        for call in calls:
            if call.python:
                return wish._replace(python=call.python)
        return wish

    def asked(self, keys: Iterable[Key]) -> list[tuple[Key, str, Wish]]:
        """Return the functions to ask Redis about, each with its lane and what its calls wish for."""
        return [(key, self.of(key), self._wish(key, self._store.of(key).wanted())) for key in sorted(keys)]

    def _wish(self, key: Key, digest: str) -> Wish:
        # What serves by name is asked for strictly: nothing else may take its place unseen.
        place = key.place if digest == key.digest else ""
        wish = self._wishes.get((digest, place))
        if wish is None:
            wish = self._wishes[digest, place] = self.wish._replace(digest=digest, place=place)
        return wish

    # --- what Redis answers --------------------------------------------------------------------------------------

    def elsewhere(self, call: Call, word: str) -> bool:
        """Return whether `word` means that the call is to be submitted once more, on another lane or for other code."""
        kind, _, rest = word.partition(" ")
        key = call.spec.code.key
        known = self._store.of(key)
        if kind == "moved":
            known.moved(without_class(rest), MOVED_SECONDS)
            return True
        if kind == "named":
            lane, digest, place, worker = rest.split(" ")
            known.moved(without_class(lane), MOVED_SECONDS)
            known.named = digest
            if digest != NO_DIGEST:
                line = functools.partial(self._code_line, call.spec.code, worker, place)
                self._notices.tell((key.lane, key.digest, key.place, "named"), line)
            return True
        if kind in REFUSALS and kind != "disabled" and call.wanted != key.digest:
            # What served it by name has gone: perhaps its own code is there now, or something else under the name.
            return known.lost(call.wanted or "", SETTLED_SECONDS)
        return False

    def refused(self, key: Key, word: str, call: Call | None = None) -> Why | None:
        """Return why no worker may have a call, None where `word` says something else; the caller gets the details."""
        kind, _, details = word.partition(" ")
        why = REFUSALS.get(kind)
        if why is None:
            return None
        known = self._store.of(key)
        if not details:
            known.absent_detail = none_has(key.tags) if kind == "no_worker" and key.tags else ""
            self._explained.pop((key.lane, why), None)
        elif kind == "key":
            text = known.absent_detail = self._other_keys(key.function, details)
            self._explained[key.lane, why] = lambda: text
        elif kind == "no_worker":
            text = known.absent_detail = _other_protocols(key.function, details)
            self._explained[key.lane, why] = lambda: text
        elif call is not None and call.wanted == key.digest:
            self._has_other_code(call.spec.code, details.split()[0])
        return why

    def sent_home(self, call: Call, worker: str | None, detail: str = "") -> None:
        """Tell the caller that a worker has refused a call for its code.

        A package differs, or it was loaded since, or (as `detail` says) an argument names what differs.
        """
        if worker is None:
            return
        if detail.startswith(BRINGS):
            key = call.spec.code.key
            self._explained[key.lane, "other_code"] = functools.partial(self._argument_line, key, worker, detail)
        else:
            self._has_other_code(call.spec.code, worker)

    def kept(self, key: Key, reason: str) -> None:
        """Tell the caller that calls run here because of the code that this program has of their function."""
        self._store.of(key).absent_detail = reason
        self._explained[key.lane, "other_code"] = lambda: f"function {key.function}: {reason}; its calls run here"

    def _has_other_code(self, code: OwnCode, worker: str) -> None:
        self._store.of(code.key).absent_detail = f"worker {worker} has other code of it"
        self._explained[code.key.lane, "other_code"] = functools.partial(self._code_line, code, worker, None)

    def explanation(self, lane: str, why: Why) -> Callable[[], str] | None:
        """Return what makes the line for calls that run here for this reason, if Redis or a worker said more of it."""
        return self._explained.get((lane, why))

    def name_of(self, worker: str) -> str:
        """Return a worker as people find it; asks Redis."""
        if worker not in self._names:
            if len(self._names) >= MOST_NAMES:
                self._names.clear()
            other_code_lines = import_module("simpledist.engine.other_code_lines")
            self._names[worker] = other_code_lines.WorkerCode(worker, *self._about(worker)).name
        return self._names[worker]

    # --- lines for the caller ---------------------------------------------------------------------------------------

    def _code_line(self, code: OwnCode, worker: str, place: str | None) -> str:
        """Return the line about a worker with other code: it serves the calls by name from `place`, or (None) not."""
        other_code_lines = import_module("simpledist.engine.other_code_lines")  # compares code part by part: rare
        theirs = other_code_lines.WorkerCode(worker, *self._about(worker))
        line: str = (
            other_code_lines.stale(code, theirs) if place is None else other_code_lines.named(code, place, theirs)
        )
        return line

    def _argument_line(self, key: Key, worker: str, detail: str) -> str:
        """Return the line about a worker that has other code of what an argument names."""
        return (
            f"function {key.function}: {detail}, on {self.name_of(worker)}, which passes such calls on: they run here "
            "until a worker has this program's code; restart the one that is stale"
        )

    def _other_keys(self, function: str, ids: str) -> str:
        theirs = ", ".join("none" if id == NO_KEY else id for id in ids.split())
        ours = "none" if self._key == NO_KEY else f"{self._key} of {self._key_file}"
        return (
            f"function {function}: its workers hold other keys ({theirs}) than the one that signs our calls ({ours}), "
            f"which run here; {self._same_key()}"
        )

    def _same_key(self) -> str:
        """Return what gives the workers our key."""
        if not self._key_file:
            return "give every process the same --secret-file, or --insecure to all of them"
        file = shlex.quote(self._key_file)
        return (
            f"give the workers our key and start them again: scp {file} USER@HOST:.config/simpledist/key, or name one "
            "file everywhere (--secret-file FILE)"
        )


def needs_text(tags: Sequence[str]) -> str:
    """Return tags as a caller writes them behind `needs=`."""
    return repr(tags[0] if len(tags) == 1 else list(tags))


def none_has(tags: Sequence[str]) -> str:
    """Return in words that no worker may have calls which need these tags."""
    return f"no live worker that offers it has {named_tags(tags)}"


def _other_protocols(function: str, details: str) -> str:
    return (
        f"function {function}: its workers speak protocol {', '.join(details.split()[1:])} of simpledist, this client "
        f"protocol {policy.PROTOCOL}: calls run here; install the same version on both sides"
    )
