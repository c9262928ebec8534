"""Everything in Redis at one moment, and what must hold of it whatever was called before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from simpledist import policy
from simpledist.broker.parsing import parse_reply
from simpledist.broker.records import Reply
from tests.broker.bench import Bench
from tests.broker.model import Model
from tests.broker.state import ENDED, Job

Fields = dict[str, str]


@dataclass
class Stored:
    """One job's keys: its hash, how many bytes of its call and what outcome lie in Redis."""

    fields: Fields
    call_bytes: int
    result: bytes | None


@dataclass
class Snapshot:
    """`lists` and `ledgers` by lane, in order; `holders`: what current and held say; replies by client."""

    jobs: dict[str, Stored]
    lists: dict[str, list[tuple[int, str]]]
    ledgers: dict[str, dict[str, int]]
    holders: dict[str, Fields]
    replies: list[tuple[str, Reply]]
    joins: dict[str, str]

    @classmethod
    def take(
        cls,
        bench: Bench,
        ids: Sequence[str],
        lanes: Sequence[str],
        workers: Sequence[str],
        clients: Sequence[str],
        addresses: Sequence[str],
    ) -> Snapshot:
        named = bench.keys.named
        commands: list[tuple[str | int, ...]] = []
        for id in ids:
            commands += [("HGETALL", named("job", id))]
            commands += [("STRLEN", named("call", id)), ("GET", named("result", id))]
        for lane in lanes:
            commands += [("LRANGE", named("queue", lane), 0, -1)]
            commands += [("ZRANGE", named("queued", lane), 0, -1, "WITHSCORES")]
            commands += [("HGETALL", named("current", lane))]
        commands += [("HGETALL", named("held", worker)) for worker in workers]
        commands += [("LRANGE", named("reply", client), 0, -1) for client in clients]
        commands += [("GET", named("join", address)) for address in addresses]
        answers = iter(bench.link.pipeline(commands))
        snapshot = cls({}, {}, {}, {}, [], {})
        for id in ids:
            fields, call_bytes, result = _texts(next(answers)), next(answers), next(answers)
            if fields:
                snapshot.jobs[id] = Stored(fields, call_bytes, result)
            else:
                # A big call is SET before `submit` has its say.
                assert call_bytes == 0 or call_bytes > policy.BESIDE_BYTES, f"{id}: a call without a job"
                assert result is None, f"{id}: a result without a job"
        for lane in lanes:
            snapshot.lists[lane] = [_element(element) for element in next(answers)]
            snapshot.ledgers[lane] = _scores(next(answers))
            snapshot.holders[f"current:{lane}"] = _texts(next(answers))
        for worker in workers:
            snapshot.holders[f"held:{worker}"] = _texts(next(answers))
        for client in clients:
            snapshot.replies += [(client, parse_reply(element)) for element in next(answers)]
        for address in addresses:
            id = next(answers)
            if id is not None:
                snapshot.joins[address] = id.decode()
        return snapshot

    def live_elements(self, lane: str) -> list[tuple[int, str]]:
        """Those elements of the list that the ledger knows."""
        ledger = self.ledgers[lane]
        return [(stamp, id) for stamp, id in self.lists[lane] if ledger.get(id) == stamp]


def check(model: Model, snapshot: Snapshot) -> None:
    """Redis and the model agree, and Redis agrees with itself."""
    assert set(snapshot.jobs) == set(model.jobs)
    for id, stored in snapshot.jobs.items():
        _check_job(model.jobs[id], stored)
    _check_queues(model, snapshot)
    _check_holders(model, snapshot)
    in_flight = {job.id for job in model.jobs.values() if job.state in ("queued", "running")}
    assert snapshot.joins == {address: id for address, id in model.joins.items() if id in in_flight}
    sent = Counter((client, one.id, one.state, one.why or "") for client, one in snapshot.replies)
    assert sent == Counter(model.replies), "the wrong clients have replies"


def _check_job(job: Job, stored: Stored) -> None:
    fields = stored.fields
    assert (job.id, fields["state"], fields.get("fence", "")) == (job.id, job.state, job.fence)
    for name, count in (("attempts", job.attempts), ("crashes", job.crashes), ("losses", job.losses)):
        assert int(fields.get(name, "0")) == count, f"{job.id}: {name}"
    assert fields["lane"] == job.lane, "no job leaves its lane"
    assert fields.get("refused_by", "").split() == job.refused_by, f"{job.id}: who refused it"
    assert {name[8:] for name in fields if name.startswith("waiting:")} == job.waiting, job.id
    assert ("stamp" not in fields) if job.state == "queued" else ("stamp" in fields or "submitted" in fields), job.id
    assert len(fields.get("stamp", "1" * 16)) == 16, f"{job.id}: a stamp has 16 digits"
    if job.state == "running":
        assert fields["worker"] == job.worker
    if job.state not in ENDED:
        assert stored.call_bytes == len(job.call), f"{job.id} ({job.state}): its call's bytes"
    else:
        assert stored.call_bytes == 0 or stored.call_bytes > policy.BESIDE_BYTES, f"{job.id} ended: its call's bytes"
    assert stored.result == job.outcome, f"{job.id}: the first outcome wins"
    assert fields.get("why", "") == job.why


def _check_queues(model: Model, snapshot: Snapshot) -> None:
    for lane, ledger in snapshot.ledgers.items():
        queued = {job.id for job in model.jobs.values() if job.state == "queued" and job.lane == lane}
        assert set(ledger) == queued, "the ledger names exactly the queued jobs"
        assert len(set(ledger.values())) == len(ledger), "two jobs with one stamp"
        elements = snapshot.lists[lane]
        assert elements == sorted(set(elements)), "the list is sorted and names nothing twice"


def _check_holders(model: Model, snapshot: Snapshot) -> None:
    current: Counter[tuple[str, str, str]] = Counter()
    held: Counter[tuple[str, str, str]] = Counter()
    for key, fields in snapshot.holders.items():
        kind, _, owner = key.partition(":")
        for name, value in fields.items():
            if kind == "current":
                current[value.split(" ")[0], owner, name] += 1
            else:
                lane, _, rest = name.partition(":")
                held[owner, lane, rest] += 1
    running = Counter(
        (job.worker, job.lane, f"{job.id}:{job.fence}") for job in model.jobs.values() if job.state == "running"
    )
    assert current == running
    assert held == running


def _element(element: bytes) -> tuple[int, str]:
    stamp, _, id = element.decode().partition(".")
    assert len(stamp) == 16, f"{element!r}: a stamp has 16 digits"
    return int(stamp), id


def _pairs(answer: Any) -> dict[bytes, bytes]:
    if isinstance(answer, dict):
        return cast("dict[bytes, bytes]", answer)
    return dict(zip(answer[::2], answer[1::2], strict=True))


def _texts(answer: Any) -> Fields:
    return {name.decode(): value.decode() for name, value in _pairs(answer).items()}


def _scores(answer: Any) -> dict[str, int]:
    rows = answer if not answer or isinstance(answer[0], list | tuple) else zip(answer[::2], answer[1::2], strict=True)
    return {id.decode(): round(float(score)) for id, score in rows}
