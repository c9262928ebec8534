"""Redis seen as our verbs: one method a Lua file, and nothing else changes a job's state.

Called by client, worker and distributor, each with a Link of its own; owned by the thread that owns the Link. Calls and
outcomes are opaque bytes here. A verb raises RedisDown (send it again: every verb is idempotent, claims by their nonce)
or RedisRefused. docs/protocol.md has one row a verb.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from simpledist import policy
from simpledist.broker import repairs, scripts
from simpledist.broker.keys import Keys
from simpledist.broker.link import Argument, Link
from simpledist.broker.parsing import (
    T,
    parse_claimed,
    parse_cleared,
    parse_completed,
    parse_disabled,
    parse_held,
    parse_pairs,
    parse_reaped,
    parse_submitted,
    parse_text,
    parse_texts,
    parse_word,
    read,
)
from simpledist.broker.records import (
    Beaten,
    Claimed,
    Cleared,
    Ended,
    Failed,
    Held,
    Nudged,
    Reaped,
    Submitted,
    Suspect,
    Take,
    Terms,
    Traits,
    Wish,
)
from simpledist.broker.slices import Download, Upload
from simpledist.buffers import Data
from simpledist.clock import Reading, moment
from simpledist.errors import RedisRefused

BY_NAME = Wish()  # of a client without a key
ANY_WORKER = Traits()
# A beat that shares a wire with bytes that move slowly waits behind those that are under way.
SLOW_BEAT_SECONDS = 5.0


class Broker:
    """The verbs, over one Link."""

    def __init__(self, link: Link, keys: Keys, verbs: Mapping[str, scripts.Script] | None = None) -> None:
        self.link = link
        self.keys = keys
        self._verbs = verbs
        self._repairs = repairs.Repairs()

    @property
    def batch_bytes(self) -> int:
        """Return how many bytes one script should bring, at the speed that was seen on this wire."""
        return max(min(self.link.slice_bytes, policy.BATCH_BYTES), policy.BESIDE_BYTES)

    # --- client ------------------------------------------------------------------------------------------------

    def submit(
        self,
        lane: str,
        client: str,
        connection: str,
        calls: Sequence[tuple[str, Data | None]],
        *,
        wish: Wish = BY_NAME,
        terms: Terms | None = None,
        require_worker: bool = True,
        crashes: int = 0,
        then: bytes = b"",
    ) -> Submitted:
        """Enter jobs of one lane, (label, call) each; idempotent by id. They have killed `crashes` children.

        None for a call: its bytes were sent before, apart from the scripts. A label is the job's id, or `job_label` of
        it where the call is to be joined or its value kept. `then` is a blocking command that travels behind it (see
        Link.evaluate).
        """
        arguments: list[Argument] = [lane, wish.text, client, connection, "" if terms is None else terms.text]
        arguments += (int(require_worker), crashes, len(calls))
        for label, call in calls:
            arguments += (label, b"" if call is None else self._put_beside("call", label.partition(" ")[0], call))
        return self._run("submit", arguments, parse_submitted, then=then)

    def clear(self, function: str) -> Cleared:
        """Forget the cached values of a function."""
        forgotten, more, at_ms = 0, 1, 0
        while more:
            number, more, at_ms = self._run("clear", [function], parse_cleared)
            forgotten += number
        return Cleared(forgotten, at_ms)

    def admit(self, blobs: Sequence[tuple[str, int]], budget_bytes: int) -> list[str]:
        """Let blobs (name, bytes) live on, and keep room for others; a word each: there, put or full."""
        return self._run("admit", [budget_bytes, len(blobs), *_flat(blobs)], parse_texts)

    def cancel(self, client: str | None, jobs: Sequence[tuple[str, str]], *, spare_running: bool = False) -> list[str]:
        """Say that `client` no longer wants these (function, id); a word each: cancelled, ended, gone.

        None is an operator: each job leaves the cluster, and its clients run it (called_off).
        With `spare_running` what runs goes on, and its word is "running".
        """
        return self._run("cancel", [client or "", int(spare_running), len(jobs), *_flat(jobs)], parse_texts)

    def ack(self, client: str, ids: Sequence[str], local: Mapping[tuple[str, str], int] | None = None) -> None:
        """Say that these outcomes were read, and bring the counts of local runs by (function, why)."""
        counts = local or {}
        arguments: list[Argument] = [client, len(ids), *ids, len(counts)]
        for (function, why), number in counts.items():
            arguments += (function, why, number)
        self._run("ack", arguments, bool)

    def nudge(
        self,
        client: str,
        connection: str,
        jobs: Sequence[tuple[str, str]],
        asked: Sequence[tuple[str, Wish]] = (),
        *,
        wish: Wish = BY_NAME,
        demand: str = "",
    ) -> Nudged:
        """Beat, repair the queues of these (function, id), and learn what became of each.

        `asked`: lanes on which calls with such a wish would travel, if they may; `wish` is this client's own.
        `demand`: what waits or runs here for want of a worker (client_demand.py).
        """
        arguments: list[Argument] = [client, connection, self.link.run_id, wish.text, len(jobs), *_flat(jobs)]
        arguments += (len(asked), *_flat([(lane, its.text) for lane, its in asked]), demand)
        sent = moment()

        def nudged(answer: Any) -> Nudged:
            epoch, words, lives, suspects, closing, clients, ms = answer
            pairs = parse_texts(suspects)
            return Nudged(
                epoch=parse_text(epoch),
                words=[parse_word(word) for word in words],
                live=parse_texts(lives[: len(asked)]),
                suspects=[Suspect("worker", pairs[i], pairs[i + 1]) for i in range(0, len(pairs), 2)],
                closing=bool(closing),
                clients=int(clients),
                clock=Reading(int(ms), sent, moment()),
            )

        return self._run("nudge", arguments, nudged)

    def download_result(self, id: str) -> Download:
        """Return the download of a result that travels apart from the scripts."""
        return Download(self.link, self.keys.named("result", id))

    # --- worker ------------------------------------------------------------------------------------------------

    def claim(
        self,
        worker: str,
        nonce: str,
        lane: str,
        popped: Sequence[bytes],
        slots: Sequence[int],
        *,
        deep: int = 1,
        ahead: int = 0,
        idle_for: str = "",
        again: bool = False,
    ) -> list[Claimed]:
        """Make running jobs of popped list elements and of what else is queued, at most `deep` a slot (see Take)."""
        arguments: list[Argument] = [worker, nonce, int(again), lane, len(popped), *popped]
        return self._run("claim", [*arguments, deep, ahead, len(slots), *slots, idle_for], parse_claimed)

    def complete(
        self,
        worker: str,
        nonce: str,
        ended: Sequence[Ended],
        take: Take | None = None,
        *,
        again: bool = False,
        then: bytes = b"",
    ) -> tuple[list[str], list[Claimed]]:
        """End attempts by their outcomes, and take next jobs in the same step; `then` as in `submit`."""
        arguments: list[Argument] = [worker, nonce, int(again), len(ended)]
        for one in ended:
            outcome = b"" if one.outcome is None else self._put_beside("staged_result", _attempt(one.held), one.outcome)
            arguments += (*one.held, one.kind, one.run_ms, one.error, outcome)
        arguments.append(int(take is not None))
        if take is not None:
            arguments += (take.lane, take.deep, take.ahead, len(take.slots), *take.slots, take.idle_for)
        return self._run("complete", arguments, parse_completed, then=then)

    def upload_outcome(self, held: Held, outcome: Data) -> Upload:
        """Return the upload of an outcome over 64 KB, which travels apart from the scripts, before `complete`."""
        return self.upload("staged_result", _attempt(held), outcome)

    def fail(self, worker: str, failed: Sequence[Failed]) -> list[str]:
        """End attempts that the cluster brought to an end; a word each: requeued, failed, already, stale, gone."""
        arguments: list[Argument] = [worker, len(failed)]
        for one in failed:
            arguments += (*one.held, one.why, int(one.refused), one.error)
        return self._run("fail", arguments, parse_texts)

    def release(self, worker: str, held: Sequence[Held]) -> list[str]:
        """Give jobs back to their queues; no attempt is counted."""
        return self._run("release", [worker, len(held), *_flat(held)], parse_texts)

    def beat(
        self,
        worker: str,
        connection: str,
        held: Sequence[Held],
        row: Mapping[str, Any] | None = None,
        functions: Sequence[str] | Mapping[str, str] = (),
        *,
        places: Mapping[str, str] | None = None,
        traits: Traits = ANY_WORKER,
        offered: Sequence[str] = (),
        slots: int = 0,
        stats: str = "",
    ) -> Beaten:
        """Say that the worker lives and what it holds; with `row` it registers, and offers `functions` by its `traits`.

        `functions` may have a digest of each one's code, and `places` its place (Wish); offered without a digest it
        goes by name. `offered`: without a row, some functions that it offers; where Redis has lost one of these, it
        does not know the worker. `slots` and `stats` (the text of WorkerStats, empty: as it was) are for people.
        """
        text = json.dumps(row, separators=(",", ":")) if row is not None else ""
        arguments: list[Argument] = [worker, connection, slots, stats, text, len(held), *(one.field for one in held)]
        if text:
            digests = functions if isinstance(functions, Mapping) else dict.fromkeys(functions, "")
            its = places or {}
            offers = [(name, digest, its.get(name, "")) for name, digest in digests.items()]
            arguments += (traits.text, traits.lifetime_ms, len(offers), *_flat(offers))
        else:
            arguments += (len(offered), *offered)
        sent = moment()

        def beaten(answer: Any) -> Beaten:
            if answer == 0:
                return Beaten(False)
            stop, missing, lanes, ms = ((), (), (), answer) if isinstance(answer, int) else answer
            clock = Reading(int(ms), sent, moment())
            return Beaten(True, parse_held(stop), parse_held(missing), parse_texts(lanes), clock)

        return self._run("beat", arguments, beaten)

    def tell_code(self, worker: str, code: Mapping[str, str]) -> None:
        """Note the parts of the code that a worker has loaded, each with its hash, for people who compare."""
        key, lifetime_ms = self.keys.code(worker), round(policy.TIMINGS.unfinished_ttl_seconds * 1000)
        self.link.pipeline([("DEL", key), ("HSET", key, *_flat(list(code.items()))), ("PEXPIRE", key, lifetime_ms)])

    def still_here(self, worker: str) -> bool:
        """Say that the worker lives, in the middle of another verb; whether Redis knows it."""
        return self._run("beat", [worker, "-", 0, "", "", -1, 0], bool, timeout=SLOW_BEAT_SECONDS)

    def leave(self, worker: str, *, final: bool) -> int:
        """Withdraw the worker's offers; `final`: give back what it holds and remove its rows (a client's as well)."""
        return self._run("leave", [worker, int(final)], int)

    def pass_on(self, roll_call: bytes) -> None:
        """Put a roll call back, for the worker that has waited longest."""
        lifetime_ms = round(policy.TIMINGS.control_ttl_seconds * 1000)
        self.link.pipeline([("RPUSH", self.keys.rollcall, roll_call), ("PEXPIRE", self.keys.rollcall, lifetime_ms)])

    def download_call(self, id: str) -> Download:
        """Return the download of a call that travels apart from the scripts."""
        return Download(self.link, self.keys.named("call", id))

    # --- reading, no verb ----------------------------------------------------------------------------------------

    def any_queued(self, lanes: Sequence[str]) -> bool:
        """Return whether anything is in one of these queues."""
        return bool(lanes) and self.link.call("EXISTS", *map(self.keys.queue, lanes)) > 0

    # --- anybody -----------------------------------------------------------------------------------------------

    def reap(
        self,
        *,
        run_id: str = "",
        workers: Sequence[tuple[str, str]] = (),
        clients: Sequence[tuple[str, str]] = (),
        functions: Sequence[str] = (),
        orphans: Sequence[tuple[str, str]] = (),
    ) -> Reaped:
        """Judge candidates and repair queues; safe at any time from anybody.

        `workers` and `clients` are (id, connection found closed or ""). `orphans` are queued (function, id) whose
        client seems gone. `run_id` is that of the Redis which was asked about the connections.
        """
        arguments: list[Argument] = [run_id]
        for pairs in (workers, clients):
            arguments += (len(pairs), *_flat(pairs))
        arguments += (len(functions), *functions, len(orphans), *_flat(orphans))
        return self._run("reap", arguments, parse_reaped)

    def drain(self, workers: Sequence[str]) -> list[str]:
        """Ask workers to finish their jobs and leave; a word each: asked, draining (already), dead, gone."""
        return self._run("drain", [len(workers), *workers], parse_texts)

    def forget(self, function: str) -> str:
        """Forget a function that is not in use; a word: forgotten, busy, offered, disabled, unknown."""
        while (word := self._run("forget", [function], parse_text)) == "more":
            pass
        return word

    def disable(self, function: str, *, enable: bool = False) -> tuple[str, int]:
        """Disable a function, or enable it again; (disabled, enabled or unknown; how many queued jobs went home)."""
        sent, more, word = 0, 1, ""
        while more:
            word, number, more = self._run("disable", [function, int(not enable)], parse_disabled)
            sent += number
        return word, sent

    def repair(self, names: Sequence[str]) -> list[tuple[str, str]]:
        """Remove what no verb wrote from the keys of these names; (key, what went: all, fields, or stays) each."""
        return self._run("repair", [len(names), *names], parse_pairs)

    def load_scripts(self) -> None:
        """Bring all scripts to Redis, for users who may only name them. Where that is refused, each brings its own."""
        verbs = self._verbs or scripts.loaded()
        self.link.pipeline([("SCRIPT", "LOAD", verbs[verb].text) for verb in verbs])

    # --- how a verb travels ------------------------------------------------------------------------------------

    def _run(
        self,
        verb: str,
        arguments: Sequence[Argument],
        reader: Callable[[Any], T],
        *,
        then: bytes = b"",
        timeout: float = policy.COMMAND_TIMEOUT_SECONDS,
    ) -> T:
        """Run a script, and return what `reader` makes of its answer."""
        script, key = (self._verbs or scripts.loaded())[verb], self.keys.epoch
        for again in (bool(then) or verb == "repair", True):
            try:
                answer = self.link.evaluate(script.sha, script.text, key, arguments, timeout=timeout, then=then)
                return read(verb, reader, answer)
            except RedisRefused as error:
                refused = type(error)(script.error_with_places(str(error)))
                if again or not repairs.by_content(str(error)):
                    raise refused from error
                self._repairs.tell(self.repair(repairs.names_in(arguments)), refused)
        raise AssertionError("unreachable")

    def _put_beside(self, template: str, id: str, value: Data) -> bytes:
        """Big values go by plain SET: through EVALSHA they cost three times as much, and Redis stands still."""
        if len(value) <= policy.BESIDE_BYTES:
            return bytes(value)
        self.upload(template, id, value).run()
        return b""

    def upload(self, template: str, id: str, value: Data) -> Upload:
        """Return the upload of a value that travels apart from the scripts."""
        return Upload(
            self.link,
            self.keys.named(template, id),
            value,
            round(policy.TIMINGS.ended_ttl_seconds * 1000),
            lambda: self.keys.named("slices", f"{id}:{secrets.token_hex(4)}"),
        )


def _attempt(held: Held) -> str:
    """Return the name under which an outcome waits, apart from the scripts, until `complete` counts it."""
    return f"{held.id}:{held.fence}"


def _flat(rows: Sequence[Sequence[Argument]]) -> list[Argument]:
    return [value for row in rows for value in row]
