"""A Sentinel that is not to be trusted sends no one's password, call or result to another machine."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import simpledist
from simpledist.errors import ConfigurationError
from simpledist.wire.key_file import new_secret
from tests.broker.scripted import ScriptedServer, bulk
from tests.commands import WORKER, run

ASK = "SENTINEL GET-MASTER-ADDR-BY-NAME"
WORD, SENTINEL_WORD = "the-word-of-redis", "the-word-of-sentinel"
# What is no loopback address counts as another machine; this one can be reached all the same.
OTHER_MACHINE = "0.0.0.0"


@pytest.fixture
def primary() -> Iterator[ScriptedServer]:
    """What the Sentinel names; it keeps what it hears."""
    with ScriptedServer({}) as one:
        yield one


@pytest.fixture
def sentinel(primary: ScriptedServer) -> Iterator[ScriptedServer]:
    port = b"%d" % (urlsplit(primary.url).port or 0)
    with ScriptedServer({ASK: b"*2\r\n" + bulk(OTHER_MACHINE.encode()) + bulk(port)}) as one:
        yield one


def url(sentinel: ScriptedServer, host: str = "127.0.0.1") -> str:
    port = urlsplit(sentinel.url).port
    return f"redis+sentinel://:{WORD}@{host}:{port}/main?sentinel_password={SENTINEL_WORD}"


def test_a_sentinel_that_names_another_machine_gets_nothing_sent_there_without_a_key(
    sentinel: ScriptedServer, primary: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "simpledist"), simpledist.connect(url(sentinel)) as client:
        future = simpledist.worker_function(client, "f", divmod).submit(7, 2)
        assert future.result(20) == (3, 1)
        assert future.info is not None
        assert (future.info.where, future.info.why) == ("local", "redis_refused")
        assert "which is on another machine, and no key is set" in str(client.last_error)
    done = run("--redis", url(sentinel), "os:getpid", module=WORKER)
    assert done.returncode == 2
    assert "which is on another machine, and no key is set" in done.stderr
    assert primary.seen == []
    assert WORD not in caplog.text + done.stderr


def test_a_sentinel_hears_its_own_password_alone(
    sentinel: ScriptedServer, primary: ScriptedServer, tmp_path: Path
) -> None:
    file = tmp_path / "key"
    file.touch(0o600)
    file.write_text(new_secret())
    with simpledist.connect(url(sentinel), secret_file=str(file)) as client:
        assert simpledist.worker_function(client, "f", divmod)(7, 2) == (3, 1)
    assert f"AUTH {SENTINEL_WORD}" in sentinel.seen
    assert not any(WORD in command for command in sentinel.seen)
    assert f"AUTH {WORD}" in primary.seen, "who names a key says that Redis may be elsewhere"


def test_a_sentinel_on_another_machine_needs_a_key_to_begin_with(sentinel: ScriptedServer) -> None:
    with pytest.raises(ConfigurationError, match="not on this machine and no key is set"):
        simpledist.connect(url(sentinel, OTHER_MACHINE))
    assert sentinel.seen == []
