"""A function's digest: worked out by the first call that would travel, by no other, and kept only where it is final."""

from __future__ import annotations

import copy
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest

from simpledist.code.digest import CodeDigest, digests
from simpledist.engine.inside import thread
from simpledist.engine.known import Key, Store
from simpledist.engine.own_code import OwnCode
from simpledist.engine.routing import TRAVEL, Here, Later, Routing
from simpledist.engine.spec import FunctionSpec
from simpledist.job import Why
from simpledist.policy import Experience


def helped(n: int) -> int:
    return n


class Redis:
    def __init__(self, trouble: Why | None = None) -> None:
        self.trouble: Why | None = trouble


class Asked:
    """Stands between routing and the digests: counts, and raises what a test wants."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.times = 0
        self.raises: BaseException | Callable[[], None] | None = None
        self._of = digests.of
        monkeypatch.setattr(digests, "of", self.of)

    def of(self, function: Callable[..., Any]) -> CodeDigest:
        self.times += 1
        if isinstance(self.raises, BaseException):
            raise self.raises
        if self.raises is not None:
            self.raises()
        return self._of(function)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    return Asked(monkeypatch)


class Kept(list[tuple[Key, str]]):
    def __call__(self, key: Key, reason: str) -> None:
        self.append((key, reason))


def routing(trouble: Why | None = None, kept: Kept | None = None) -> Routing:
    return Routing(Redis(trouble), Store(), kept if kept is not None else Kept(), closed=False)


@pytest.mark.parametrize("policy", ["local", "remote"])
def test_a_call_that_stays_at_home_has_no_digest_made(asked: Asked, policy: Any) -> None:
    spec = FunctionSpec("f", helped, policy=policy)
    away = routing("redis_down") if policy == "remote" else routing()
    assert isinstance(away.route(spec, "call"), Here)
    assert isinstance(away.route(spec, "submit"), Later)
    assert (asked.times, spec.code.known, spec.code.key) == (0, False, Key("f"))


def test_the_first_call_that_travels_has_it_made_and_the_others_not(asked: Asked) -> None:
    spec, way = FunctionSpec("f", helped), routing()
    for face in ("call", "submit", "map", "again"):
        assert way.route(spec, face) is TRAVEL
    assert asked.times == 1
    digest = digests.of(helped).text
    assert spec.code.key == Key("f", digest, "test_own_code.helped")


@pytest.mark.parametrize(
    ("options", "place"),
    [({"match": "code"}, ""), ({"strict": True}, ""), ({}, "test_own_code.helped")],
)
def test_the_place_says_which_other_code_will_do(options: Any, place: str) -> None:
    code = FunctionSpec("f", helped, **options).code
    assert code.work_out(helped, Store())
    assert code.key.place == place
    versioned = FunctionSpec("f@3", helped, **options).code
    assert versioned.work_out(helped, Store())
    assert versioned.key.place == (place and "*")


def test_by_name_no_digest_is_made(asked: Asked) -> None:
    spec = FunctionSpec("f", helped, match="name")
    assert routing().route(spec, "call") is TRAVEL
    assert (asked.times, spec.code.key) == (0, Key("f"))


def test_without_a_digest_it_goes_by_name_unless_the_code_is_asked_for() -> None:
    assert routing().route(FunctionSpec("f", abs), "call") is TRAVEL
    assert routing().route(FunctionSpec("f", abs, strict=True), "call") is TRAVEL
    kept = Kept()
    assert routing(kept=kept).route(FunctionSpec("f", abs, match="code"), "call") == Here("other_code")
    ((key, reason),) = kept
    assert key == Key("f")
    assert "its code cannot be identified" in reason


def test_an_interruption_has_none_made(asked: Asked) -> None:
    spec, way = FunctionSpec("f", helped), routing()
    thread.interrupting = True
    try:
        assert way.route(spec, "submit") == Later("nested")
    finally:
        thread.interrupting = False
    assert asked.times == 0
    assert way.route(spec, "submit") is TRAVEL


@pytest.mark.parametrize("error", [RecursionError(), MemoryError()])
def test_what_the_machine_had_no_room_for_is_tried_again(asked: Asked, error: Exception) -> None:
    spec, way = FunctionSpec("f", helped), routing()
    asked.raises = error
    assert way.route(spec, "call") == Here("other_code"), "never by name: its code may be known a moment later"
    asked.raises = None
    assert way.route(spec, "call") is TRAVEL
    assert spec.code.key.digest


def test_a_bug_in_it_lets_the_function_go_by_name(asked: Asked) -> None:
    asked.raises = KeyError("odd")
    spec = FunctionSpec("f", helped)
    assert routing().route(spec, "call") is TRAVEL
    assert spec.code.key == Key("f")


def test_what_a_signal_handler_raises_reaches_the_caller_and_nothing_is_kept(asked: Asked) -> None:
    class Stop(Exception):
        pass

    def handler(*_: object) -> None:
        raise Stop

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        asked.raises = lambda: os.kill(os.getpid(), signal.SIGUSR1)
        spec, way = FunctionSpec("f", helped), routing()
        with pytest.raises(Stop):
            way.route(spec, "call")
        assert not spec.code.known
        asked.raises = None
        assert way.route(spec, "call") is TRAVEL
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_what_was_seen_of_a_function_before_its_code_was_known_counts_on() -> None:
    store = Store()
    store.of(Key("f")).at_client = Experience().ran(3, 0.3)
    spec = FunctionSpec("f", helped)
    Routing(Redis(), store, Kept(), closed=False).route(spec, "call")
    assert store.of(spec.code.key).at_client.calls == 3


def test_a_pickled_one_begins_again() -> None:
    code = OwnCode("f", "code")
    code.work_out(helped, Store())
    again = copy.copy(code)  # by what `pickle` asks for, too
    assert (again.key, again.known, again.match) == (Key("f"), False, "code")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_amid_another_threads_work_leaves_the_child_a_lock_of_its_own() -> None:
    locked, go = threading.Event(), threading.Event()

    def hold() -> None:
        with digests._lock:  # pyright: ignore[reportPrivateUsage]
            locked.set()
            go.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    locked.wait(30)
    child = os.fork()
    if child == 0:
        signal.alarm(10)
        os._exit(0 if digests.of(helped).text else 1)
    go.set()
    holder.join()
    assert os.waitpid(child, 0)[1] == 0
