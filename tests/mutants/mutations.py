"""What `make mutants` takes out, one at a time: each a mechanism that carries the promise, and the tests that miss it.

A mutation is an exact text of one file, found there once, and what stands in its place. Whoever changes such a line
changes it here as well (tests/unit/test_mutants.py says so).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

LUA = "simpledist/broker/lua/"


@dataclass(frozen=True, slots=True)
class Mutation:
    """`tests` are tried in this order, until one fails: paths or ids of pytest, with `-k WORD` after some."""

    mechanism: str
    removed: str  # for people
    path: str
    text: str
    instead: str
    tests: str

    def applied_to(self, root: Path) -> str:
        """The file's text without the mechanism. Raises ValueError where the text is not there exactly once."""
        whole = (root / self.path).read_text()
        if (times := whole.count(self.text)) != 1:
            raise ValueError(f"{self.mechanism}: {self.removed}: found {times} times in {self.path}: {self.text!r}")
        return whole.replace(self.text, self.instead)


MUTATIONS = (
    # --- one outcome, and the right one -------------------------------------------------------------------------------
    Mutation(
        "fence",
        "an error counts whoever brings it",
        LUA + "complete.lua",
        "kind == 'error' and job.fence ~= fence",
        "false",
        "tests/broker/test_complete.py",
    ),
    Mutation(
        "fence",
        "a crash counts whoever reports it",
        LUA + "fail.lua",
        "job.fence ~= fence",
        "false",
        "tests/broker/test_fail_and_release.py",
    ),
    Mutation(
        "fence",
        "what runs elsewhere can be given back",
        LUA + "_prelude.lua",
        "job.state ~= 'running' or job.fence ~= fence then return 'stale'",
        "job.state ~= 'running' then return 'stale'",
        "tests/broker/test_fail_and_release.py",
    ),
    Mutation(
        "fence",
        "a beat goes on with what runs elsewhere",
        LUA + "beat.lua",
        "elseif job.fence ~= fence then",
        "elseif false then",
        "tests/broker/test_beat_and_leave.py",
    ),
    Mutation(
        "fence",
        "a call-off stops whichever attempt it meets",
        "simpledist/worker/jobs.py",
        'name == f"{held.id}:{held.fence}"',
        'name.partition(":")[0] == held.id',
        "tests/faults/test_cancel.py",
    ),
    Mutation(
        "first value wins",
        "a second value ends the job once more",
        LUA + "complete.lua",
        "elseif ended[job.state] then",
        "elseif false then",
        "tests/broker/test_complete.py",
    ),
    Mutation(
        "a late value counts",
        "a value from a spent fence is refused",
        LUA + "complete.lua",
        "kind == 'error' and job.fence ~= fence",
        "job.fence ~= fence",
        "tests/broker/test_complete.py",
    ),
    Mutation(
        "a late value counts",
        "on the short way it leaves the other attempt in its worker's hands",
        LUA + "complete.lua",
        "job.state == 'running' and job.fence == fence and not job.shared",
        "job.state == 'running' and not job.shared",
        "tests/broker/test_short_ways.py",
    ),
    Mutation(
        "digest",
        "a result is taken for that of any call",
        "simpledist/wire/envelope.py",
        "carried + _CODEC_IDS[codec] != digest",
        "False",
        "tests/faults/test_hostile.py -k anothers",
    ),
    Mutation(
        "MAC",
        "any signature fits",
        "simpledist/signing.py",
        "if not hmac.compare_digest(self.mac(person, key_id, *parts), mac):",
        "if False:",
        "tests/faults/test_hostile.py -k forged",
    ),
    Mutation(
        "MAC",
        "what is not signed is taken as well",
        "simpledist/wire/envelope.py",
        '        if keyring:\n            raise WrongKey("not signed',
        '        if False:\n            raise WrongKey("not signed',
        "tests/faults/test_hostile.py tests/unit/test_wire.py -k 'replies or unsigned'",
    ),
    # --- nothing lost -------------------------------------------------------------------------------------------------
    Mutation(
        "ledger",
        "what was popped and never claimed is not pushed back",
        LUA + "_duties.lua",
        "      requeue(fn, id, job)\n      bump(fn, 'lost_pops')\n",
        "",
        "tests/faults/test_points.py -k popped-1",
    ),
    Mutation(
        "ledger",
        "a stale element claims like a true one",
        LUA + "_prelude.lua",
        "if stamp and scores[i] and tonumber(scores[i]) == stamp and not taken[id] then",
        "if stamp and not taken[id] then",
        "tests/broker/test_claim.py",
    ),
    Mutation(
        "ledger",
        "a requeued job is stamped like a new one",
        LUA + "_prelude.lua",
        "text(oldest[2] and tonumber(oldest[2]) - 1 or stamps(fn, 1))",
        "text(stamps(fn, 1))",
        "tests/broker/test_fail_and_release.py tests/broker/test_reap.py",
    ),
    Mutation(
        "nonce",
        "a claim said again claims anew",
        LUA + "claim.lua",
        "if again then",
        "if false then",
        "tests/broker/test_claim.py",
    ),
    Mutation(
        "nonce",
        "a complete said again brings no jobs",
        LUA + "complete.lua",
        "if again then",
        "if false then",
        "tests/broker/test_complete.py",
    ),
    Mutation(
        "nonce",
        "a worker never says that it asks again",
        "simpledist/worker/jobs.py",
        "errand.send(again)",
        "errand.send(False)",
        "tests/faults/test_lost_replies.py -k said_again",
    ),
    Mutation(
        "held-jobs beat",
        "what a beat does not name stays with its worker",
        LUA + "beat.lua",
        "if release(fn, id, fence, 'unheld') == 'requeued' then bump(fn, 'unheld') end",
        "",
        "tests/broker/test_beat_and_leave.py",
    ),
    Mutation(
        "held-jobs beat",
        "a beat names nothing",
        "simpledist/worker/presence.py",
        "held = list(self._jobs.held)",
        "held: list[Held] = []",
        "tests/faults/test_silence.py -k longer_than_any_silence",
    ),
    Mutation(
        "requeue",
        "an expelled worker's jobs are not pushed back",
        LUA + "_duties.lua",
        "requeue(fn, id, job, 'lost')",
        "",
        "tests/broker/test_reap.py",
    ),
    Mutation(
        "submit by id",
        "what is there already enters once more",
        LUA + "submit.lua",
        "  if state == 'queued' or state == 'running' then\n    words[i], waits",
        "  if false then\n    words[i], waits",
        "tests/broker/test_submit.py",
    ),
    Mutation(
        "resubmit",
        "what Redis has forgotten is not submitted again",
        "simpledist/client/listener.py",
        "        self._submit_again([future for future in missing if future.forgotten <= policy.FORGOTTEN_CAP])\n",
        "",
        "tests/faults/test_redis_death.py -k emptied",
    ),
    Mutation(
        "epoch",
        "a client does not notice that Redis was emptied",
        "simpledist/client/listener.py",
        "restarted = bool(session.epoch) and nudged.epoch != session.epoch",
        "restarted = False",
        "tests/faults/test_redis_death.py -k emptied",
    ),
    Mutation(
        "grace",
        "'no worker' counts at once when Redis has just come back",
        "simpledist/client/listener.py",
        "return future.call.began < self._restarted_at and not over",
        "return False",
        "tests/faults/test_redis_death.py -k 'emptied or two_hundred'",
    ),
    # --- nobody stuck -------------------------------------------------------------------------------------------------
    Mutation(
        "nudge",
        "a waiting client never asks",
        "simpledist/client/listener.py",
        "            self._nudge(self._some_futures())\n",
        "            pass\n",
        "tests/faults/test_points.py -k popped-1",
    ),
    Mutation(
        "nudge",
        "an outcome found by asking is not taken",
        "simpledist/client/listener.py",
        "                    self._outcomes.arrived(word)\n",
        "                    pass\n",
        "tests/faults/test_lost_replies.py -k asks_again",
    ),
    Mutation(
        "nudge",
        "nobody left to run it: it waits for ever",
        "simpledist/client/listener.py",
        '            self._call_off(nobody, "no_worker")\n',
        "            pass\n",
        "tests/integration/test_deaths.py -k 'second_signal'",
    ),
    Mutation(
        "deaf connection",
        "a reply connection that says nothing is kept",
        "simpledist/client/listener.py",
        'raise RedisDown("the reply connection is deaf")',
        "return",
        "tests/faults/test_lost_replies.py -k asks_again",
    ),
    Mutation(
        "suspicion",
        "closed connections are not looked for",
        "simpledist/broker/suspicion.py",
        "    return [one for one, id in zip(asked, ids, strict=True) if id not in open_ids]",
        "    return []",
        "tests/broker/test_suspicion.py",
    ),
    Mutation(
        "suspicion",
        "it is acted upon without a grace",
        LUA + "_duties.lua",
        "if age < CLOSED_MS then",
        "if false then",
        "tests/broker/test_reap.py",
    ),
    Mutation(
        "suspicion",
        "a beat does not clear it",
        LUA + "beat.lua",
        "call('HDEL', key_suspects(), worker)",
        "call('HDEL', key_suspects(), '')",
        "tests/broker/test_reap.py tests/broker/test_beat_and_leave.py",
    ),
    Mutation(
        "silence",
        "a worker that says nothing is not expelled",
        LUA + "_duties.lua",
        "elseif not dead and withdrawn < WITHDRAWN_MOST then",
        "elseif false then",
        "tests/broker/test_reap.py",
    ),
    Mutation(
        "child-death report",
        "the template does not tell of a death",
        "simpledist/worker/template.py",
        '                self._tell({"ended": pid, "status": os.waitstatus_to_exitcode(status)})\n',
        "                pass\n",
        "tests/faults/test_child_death.py",
    ),
    Mutation(
        "child-death report",
        "the end of a child's channel means nothing",
        "simpledist/worker/worker.py",
        "            slot.ends_at = time.monotonic() + STATUS_SECONDS\n",
        "            pass\n",
        "tests/faults/test_child_death.py",
    ),
    Mutation(
        "budget",
        "timeout= bounds nothing",
        "simpledist/client/listener.py",
        "        self._end_budgets(now)\n",
        "",
        "tests/integration/test_calls.py -k spent_budget",
    ),
    Mutation(
        "redis_grace",
        "a Redis that stays away is waited for",
        "simpledist/client/listener.py",
        "over = now - self._down_since >= self._timings.redis_grace_seconds",
        "over = False",
        "tests/integration/test_deaths.py -k gone_for_good",
    ),
    Mutation(
        "unread reply",
        "a connection with a reply on it is used again",
        "simpledist/broker/link.py",
        "if to_send and self._unread:",
        "if False:",
        "tests/broker/test_link.py",
    ),
    Mutation(
        "slow job",
        "what a child was given waits behind a job that turned out slow",
        "simpledist/worker/worker.py",
        "        self._jobs.recall_slow(now)\n",
        "",
        "tests/integration/test_batches.py -k turns_out_slow",
    ),
    Mutation(
        "drain",
        "a worker that drains still offers its functions",
        "simpledist/worker/worker.py",
        "            self._presence.leave(final=False)\n",
        "",
        "tests/integration/test_deaths.py -k drain_finishes",
    ),
    Mutation(
        "fork",
        "both sides of a fork are one client",
        "simpledist/client/client.py",
        "        self._begin()\n        outcomes.heir",
        "        outcomes.heir",
        "tests/integration/test_calls.py -k sides_of_a_fork",
    ),
    # --- it may be the job --------------------------------------------------------------------------------------------
    Mutation(
        "attempt cap",
        "a job is claimed for ever",
        LUA + "_prelude.lua",
        "if attempt > ATTEMPT_CAP then",
        "if false then",
        "tests/broker/test_claim.py",
    ),
    Mutation(
        "crash cap",
        "a job may kill children for ever",
        LUA + "fail.lua",
        "call('HINCRBY', key_job(id), 'crashes', 1) < CRASH_CAP",
        "call('HINCRBY', key_job(id), 'crashes', 1)",
        "tests/broker/test_fail_and_release.py",
    ),
    Mutation(
        "loss cap",
        "a job may take workers along for ever",
        LUA + "_duties.lua",
        "if losses >= LOSS_CAP then",
        "if false then",
        "tests/broker/test_reap.py",
    ),
    Mutation(
        "throw-away child",
        "a suspect runs in the client's own process",
        "simpledist/client/outcomes.py",
        "if why in SUSPECT:",
        "if False:",
        "tests/integration/test_what_a_caller_sees.py -k throw_away_child",
    ),
    # --- nobody works for the dead ------------------------------------------------------------------------------------
    Mutation(
        "dead clients",
        "their queued jobs are claimed",
        LUA + "_prelude.lua",
        "if not bytes or not anyone_waits(job) then",
        "if not bytes then",
        "tests/broker/test_claim.py",
    ),
    Mutation(
        "dead clients",
        "their running jobs go on",
        LUA + "beat.lua",
        "elseif ended[job.state] or not anyone_waits(job) then",
        "elseif ended[job.state] then",
        "tests/broker/test_beat_and_leave.py",
    ),
    Mutation(
        "dead clients",
        "a worker goes on with what a beat tells it to stop",
        "simpledist/worker/presence.py",
        '            self._jobs.call_off(held, "nobody waits for it, or it runs elsewhere")\n',
        "            pass\n",
        "tests/integration/test_deaths.py -k dead_clients",
    ),
    Mutation(
        "lifeline",
        "a process of the worker outlives the one above it",
        "simpledist/worker/lifeline.py",
        "        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)\n",
        "        pass\n",
        "tests/integration/test_deaths.py -k killed_template",
    ),
    # --- calls that are the same call ---------------------------------------------------------------------------------
    Mutation(
        "join address",
        "a call joins a job that is over",
        LUA + "_content.lua",
        "return (state == 'queued' or state == 'running') and id or nil",
        "return id or nil",
        "tests/broker/test_content.py",
    ),
    Mutation(
        "shared outcomes",
        "a worker with other code fills the cache",
        "simpledist/worker/jobs.py",
        "if self._compare(held.function, call.fingerprint) and call.shared:",
        "if self._compare(held.function, call.fingerprint) and False:",
        "tests/integration/test_cache.py -k other_code",
    ),
    Mutation(
        "clear",
        "what was in flight when the cache was cleared is kept",
        LUA + "_content.lua",
        "or job.generation ~= generation(fn) then return end",
        "then return end",
        "tests/broker/test_content.py -k clear",
    ),
)
