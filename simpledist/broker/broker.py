"""Redis seen as our verbs: one method a Lua file, and nothing else changes a job's state.

Called by client, worker and distributor, each with a Link of its own; owned by the thread that owns the Link. Calls and
outcomes are opaque bytes here. A verb raises RedisDown (send it again: every verb is idempotent, claims by their nonce)
or RedisRefused. docs/protocol.md has one row a verb.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from simpledist import policy
from simpledist.broker import scripts
from simpledist.broker.keys import Keys
from simpledist.broker.link import COMMAND_TIMEOUT_SECONDS, Argument, Link
from simpledist.broker.parsing import parse_claimed, parse_held, parse_reply, parse_texts
from simpledist.broker.records import (
    Beaten,
    Claimed,
    Cleared,
    Ended,
    Failed,
    Held,
    Nudged,
    Reaped,
    Reply,
    Submitted,
    Suspect,
    Take,
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
        max_queue: int | None = None,
        require_worker: bool = True,
        crashes: int = 0,
        then: bytes = b"",
    ) -> Submitted:
        """Enter jobs of one lane, (label, call) each; idempotent by id. They have killed `crashes` children.

        None for a call: its bytes were sent before, apart from the scripts. A label is the job's id, or `job_label` of
        it where the call is to be joined or its value kept. `then` is a blocking command that travels behind it (see
        Link.evaluate).
        """
        arguments: list[Argument] = [
            lane,
            wish.text,
            client,
            connection,
            -1 if max_queue is None else max_queue,
            int(require_worker),
            crashes,
            len(calls),
        ]
        for label, call in calls:
            arguments += (label, b"" if call is None else self._put_beside("call", label.partition(" ")[0], call))
        epoch, words = self._run("submit", arguments, then=then)
        return Submitted(epoch.decode(), [parse_reply(word) if b"\n" in word else word.decode() for word in words])

    def clear(self, function: str) -> Cleared:
        """Forget the cached values of a function."""
        forgotten, more, at_ms = 0, 1, 0
        while more:
            number, more, at_ms = self._run("clear", [function])
            forgotten += number
        return Cleared(forgotten, at_ms)

    def cancel(self, client: str | None, jobs: Sequence[tuple[str, str]], *, spare_running: bool = False) -> list[str]:
        """Say that `client` no longer wants these (function, id); a word each: cancelled, ended, gone.

        None is an operator: each job leaves the cluster, and its clients are told to run it (called_off).
        With `spare_running` what runs goes on, and its word is "running".
        """
        return parse_texts(self._run("cancel", [client or "", int(spare_running), len(jobs), *_flat(jobs)]))

    def ack(self, client: str, ids: Sequence[str], local: Mapping[tuple[str, str], int] | None = None) -> None:
        """Say that these outcomes were read, and bring the counts of local runs by (function, why)."""
        counts = local or {}
        arguments: list[Argument] = [client, len(ids), *ids, len(counts)]
        for (function, why), number in counts.items():
            arguments += (function, why, number)
        self._run("ack", arguments)

    def nudge(
        self,
        client: str,
        connection: str,
        jobs: Sequence[tuple[str, str]],
        asked: Mapping[str, Wish] | None = None,
        *,
        wish: Wish = BY_NAME,
    ) -> Nudged:
        """Beat, repair the queues of these (function, id), and learn what became of each.

        `asked`: lanes on which calls with such a wish would travel, if they may; `wish` is this client's own.
        """
        arguments: list[Argument] = [client, connection, self.link.run_id, wish.text, len(jobs), *_flat(jobs)]
        wanted = asked or {}
        arguments.append(len(wanted))
        for lane, its in wanted.items():
            arguments += (lane, its.text)
        sent = moment()
        epoch, words, lives, suspects, closing, clients, ms = self._run("nudge", arguments)
        pairs = parse_texts(suspects)
        return Nudged(
            epoch=epoch.decode(),
            words=[parse_reply(word) if b"\n" in word else word.decode() for word in words],
            live=dict(zip(wanted, parse_texts(lives), strict=True)),
            suspects=[Suspect("worker", pairs[i], pairs[i + 1]) for i in range(0, len(pairs), 2)],
            closing=bool(closing),
            clients=clients,
            clock=Reading(ms, sent, moment()),
        )

    def result_bytes(self, reply: Reply) -> Data | None:
        """Return the bytes of a reply whose place is `"beside"`; None if they are gone."""
        return self.download_result(reply.id).run()

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
        return parse_claimed(self._run("claim", [*arguments, deep, ahead, len(slots), *slots, idle_for]))

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
        words, claimed = self._run("complete", arguments, then=then)
        return parse_texts(words), parse_claimed(claimed)

    def upload_outcome(self, held: Held, outcome: Data) -> Upload:
        """Return the upload of an outcome over 64 KB, which travels apart from the scripts, before `complete`."""
        return self.upload("staged_result", _attempt(held), outcome)

    def fail(self, worker: str, failed: Sequence[Failed]) -> list[str]:
        """End attempts that the cluster brought to an end; a word each: requeued, failed, already, stale, gone."""
        arguments: list[Argument] = [worker, len(failed)]
        for one in failed:
            arguments += (*one.held, one.why, int(one.refused), one.error)
        return parse_texts(self._run("fail", arguments))

    def release(self, worker: str, held: Sequence[Held]) -> list[str]:
        """Give jobs back to their queues; no attempt is counted."""
        return parse_texts(self._run("release", [worker, len(held), *_flat(held)]))

    def beat(
        self,
        worker: str,
        connection: str,
        held: Sequence[Held],
        row: Mapping[str, Any] | None = None,
        functions: Sequence[str] | Mapping[str, str] = (),
        *,
        traits: Traits = ANY_WORKER,
        offered: Sequence[str] = (),
        slots: int = 0,
        stats: str = "",
    ) -> Beaten:
        """Say that the worker lives and what it holds; with `row` it registers, and offers `functions` by its `traits`.

        `functions` may have a digest of each one's code; offered without one it goes by name. `offered`: without a row,
        some functions that it offers; where Redis has lost one of these offers, it does not know the worker. `slots`
        and `stats` are for people: how many it has; the text of WorkerStats, empty: as it was.
        """
        text = json.dumps(row, separators=(",", ":")) if row is not None else ""
        arguments: list[Argument] = [worker, connection, slots, stats, text, len(held), *(one.field for one in held)]
        if text:
            digests = functions if isinstance(functions, Mapping) else dict.fromkeys(functions, "")
            arguments += (traits.text, traits.lifetime_ms, len(digests), *_flat(list(digests.items())))
        else:
            arguments += (len(offered), *offered)
        sent = moment()
        reply = self._run("beat", arguments)
        if reply == 0:
            return Beaten(False)
        stop, missing, lanes, ms = ((), (), (), reply) if isinstance(reply, int) else reply
        return Beaten(True, parse_held(stop), parse_held(missing), parse_texts(lanes), Reading(ms, sent, moment()))

    def tell_code(self, worker: str, code: Mapping[str, str]) -> None:
        """Note the parts of the code that a worker has loaded, each with its hash, for people who compare."""
        key, lifetime_ms = self.keys.code(worker), round(policy.TIMINGS.unfinished_ttl_seconds * 1000)
        self.link.pipeline([("DEL", key), ("HSET", key, *_flat(list(code.items()))), ("PEXPIRE", key, lifetime_ms)])

    def still_here(self, worker: str) -> bool:
        """Say that the worker lives, in the middle of another verb; whether Redis knows it."""
        return bool(self._run("beat", [worker, "-", 0, "", "", -1, 0], timeout=SLOW_BEAT_SECONDS))

    def leave(self, worker: str, *, final: bool) -> int:
        """Withdraw the worker's offers; `final`: give back what it holds and remove its rows (a client's as well)."""
        return self._run("leave", [worker, int(final)])

    def pass_on(self, roll_call: bytes) -> None:
        """Put a roll call back, for the worker that has waited longest."""
        lifetime_ms = round(policy.TIMINGS.control_ttl_seconds * 1000)
        self.link.pipeline([("RPUSH", self.keys.rollcall, roll_call), ("PEXPIRE", self.keys.rollcall, lifetime_ms)])

    def call_bytes(self, id: str) -> Data | None:
        """Return the bytes of a call that was sent apart from the scripts; None if they are gone."""
        return self.download_call(id).run()

    def download_call(self, id: str) -> Download:
        """Return the download of a call that travels apart from the scripts."""
        return Download(self.link, self.keys.named("call", id))

    # --- reading, no verb ----------------------------------------------------------------------------------------

    def any_queued(self, lanes: Sequence[str]) -> bool:
        """Return whether anything is in one of these queues."""
        return bool(lanes) and self.link.call("EXISTS", *map(self.keys.queue, lanes)) > 0

    def live_workers(self) -> list[dict[str, Any]]:
        """Return the rows of the workers with a fresh heartbeat, as they registered them."""
        clock, rows, beats = self.link.pipeline(
            [("TIME",), ("HGETALL", self.keys.workers), ("HGETALL", self.keys.heartbeats)]
        )
        for reply in (clock, rows, beats):
            if isinstance(reply, Exception):
                raise reply
        now_seconds, beat_ms = int(clock[0]), dict(zip(beats[::2], beats[1::2], strict=True))
        live: list[dict[str, Any]] = []
        for worker, text in zip(rows[::2], rows[1::2], strict=True):
            row = json.loads(text)
            age_seconds = now_seconds - int(beat_ms.get(worker, 0)) / 1000
            if policy.worker_health(age_seconds, dead="dead" in row) in ("alive", "late"):
                live.append(row)
        return live

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
        expelled, forgotten, requeued, dropped, closing = self._run("reap", arguments)
        return Reaped(parse_texts(expelled), forgotten, requeued, dropped, bool(closing))

    # --- how a verb travels ------------------------------------------------------------------------------------

    def _run(
        self, verb: str, arguments: Sequence[Argument], *, then: bytes = b"", timeout: float = COMMAND_TIMEOUT_SECONDS
    ) -> Any:
        script = (self._verbs or scripts.loaded())[verb]
        try:
            return self.link.evaluate(script.sha, script.text, self.keys.epoch, arguments, timeout=timeout, then=then)
        except RedisRefused as error:
            raise type(error)(script.error_with_places(str(error))) from error

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


def job_label(id: str, address: str, *, join: bool, cache_seconds: float, anew: bool = False) -> str:
    """Return how `submit` names a job that shares its outcome; `address` is that of its call; 0 seconds: not kept.

    `anew`: the kept value does not answer it.
    """
    cache_ms = round(cache_seconds * 1000)
    return f"{id} {address} {int(join)} {cache_ms} {int(cache_ms > 0 and not anew)}"


def _flat(rows: Sequence[Sequence[Argument]]) -> list[Argument]:
    return [value for row in rows for value in row]
