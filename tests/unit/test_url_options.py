"""Options of a Redis URL: what is misspelt is refused before anything is opened, and nothing of a password is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from simpledist.broker import Link
from simpledist.config import check_url, load
from simpledist.errors import ConfigurationError, RedisRefused


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://localhost/0?sockettimeout=5", "did you mean socket_timeout?"),
        ("rediss://localhost/0?ssl_ca_cert=ca.pem", "did you mean ssl_ca_certs?"),
        ("redis://localhost/0?colour=blue", "there are db"),
        ("redis://localhost/0?ssl_cert_reqs=none", "rediss://"),
        ("rediss://localhost/0?ssl_cert_reqs=maybe", "none, optional, required"),
        ("redis://localhost/0?db=one", "db is the number"),
        ("redis://localhost/0?db=", "has no value"),
        ("redis://localhost/0?db", "has no value"),
        ("unix:///tmp/a?b/redis.sock", "%3F"),
        ("unix:///tmp/a#b/redis.sock", "%23"),
        ("redis://localhost:0/0", "host or port"),
        ("redis://localhost:99999/0", "host or port"),
        ("redis://localhost:x/0", "host or port"),
        ("redis://localhost/\N{SUPERSCRIPT TWO}", "is a number"),
        ("redis+sentinel://a/mymaster?sentinel_pasword=w", "did you mean sentinel_password?"),
        ("redis+sentinel://a/mymaster?ssl_ca_certs=ca.pem", "rediss://"),
        ("redis://localhost/0?sentinel_password=w", "not known"),
    ],
)
def test_what_cannot_be_used_is_refused_with_what_to_write(url: str, expected: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        check_url(url)
    assert expected in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost/0?db=1&username=u&password=w",
        "redis://localhost/0?health_check_interval=30&socket_timeout=5&max_connections=3",
        "rediss://localhost/0?ssl_cert_reqs=none&ssl_check_hostname=false",
        "unix:///tmp/50%25%20off%3F/redis.sock?db=1",
    ],
)
def test_what_other_programs_write_is_taken(url: str) -> None:
    check_url(url)


def test_a_part_of_a_password_is_not_taken_for_an_options_name() -> None:
    with pytest.raises(ConfigurationError) as raised:
        check_url("redis://user:word@hunter2?hunter2@localhost:6379/0")
    assert "hunter2" not in str(raised.value)


def test_a_certificate_that_is_not_there_is_refused_instead_of_waiting_for_redis(tmp_path: Path) -> None:
    link = Link(f"rediss://localhost:1/0?ssl_ca_certs={tmp_path / 'ca.pem'}")
    with pytest.raises(RedisRefused, match=r"ca\.pem"):
        link.connect()


def test_space_around_a_url_is_no_part_of_it() -> None:
    assert load(" redis://localhost:6379/0\n").url == "redis://localhost:6379/0"
