"""What the errors of Redis mean: each kind has a cause, a remedy, and the words by which it is known."""

from __future__ import annotations

import pytest

from simpledist.broker.denials import denial_in, explained, remedy_of

TEXTS = [
    ("NOPERM this user has no permissions to run the 'time' command", "right", "docs/acl.md"),
    ("The user executing the script can't run this command or subcommand script: 0a5", "right", "docs/acl.md"),
    ("Error setting client name", "right", "docs/acl.md"),
    ("Redis refuses our user or password: Authentication required.", "password", "USER:PASSWORD"),
    ("SMEMBERS simpledist:functions: MOVED 2059 127.0.0.1:7001", "Redis Cluster", "cluster-enabled no"),
    ("CLUSTERDOWN Hash slot not served", "Redis Cluster", "cluster-enabled no"),
    ("READONLY You can't write against a read only replica.", "replica", "primary"),
    ("MASTERDOWN Link with MASTER is down", "lost its primary", "primary"),
    ("LOADING Redis is loading the dataset in memory", "loading", "wait"),
    ("DENIED Redis is running in protected mode", "protected mode", "requirepass"),
    ("max number of clients reached", "no connection left", "maxclients"),
    ("Invalid Database", "no database", "last '/'"),
    ("DB index is out of range", "no database", "last '/'"),
    ("WRONGTYPE Operation against a key holding the wrong kind of value", "not ours", "redis-cli DEL"),
    ("OOM command not allowed when used memory > 'maxmemory'.", "memory is full", "maxmemory"),
    ("MISCONF Redis is configured to save RDB snapshots", "disk", "CONFIG SET save"),
    ("Redis 5.0.7 is too old: simpledist needs 6.2 or newer", "too old", "6.2"),
    ("unknown command `HRANDFIELD`, with args beginning with:", "lacks a command", "6.2"),
    ('Protocol error, got "<" as reply type byte', "does not speak", "host and port"),
]


@pytest.mark.parametrize(("text", "cause", "remedy"), TEXTS, ids=[text[:24] for text, _, _ in TEXTS])
def test_a_refusal_has_a_cause_and_a_remedy(text: str, cause: str, remedy: str) -> None:
    found = denial_in(text)
    assert found is not None
    assert cause in found.cause
    assert remedy in found.remedy == remedy_of(text)
    assert explained(text).startswith(found.cause)
    assert text in explained(text)


@pytest.mark.parametrize(
    "text", ["Error 111 connecting to localhost:6379. Connection refused.", "Timeout reading from socket", ""]
)
def test_a_redis_that_is_away_refuses_no_one(text: str) -> None:
    assert denial_in(text) is None
    assert "doctor" in remedy_of(text)
