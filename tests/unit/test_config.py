"""Settings: where they come from, what is refused without a network, and that no password is ever shown."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from simpledist import config
from simpledist.config import Config, check_url, load, nested, on_this_machine, redacted, sentinel_url
from simpledist.errors import ConfigurationError


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REDIS_URL", "NAMESPACE", "SECRET_FILE", "NESTED"):
        monkeypatch.delenv(f"SIMPLEDIST_{name}", raising=False)


# --- sources ---------------------------------------------------------------------------------------------------------


def test_without_anything_it_is_redis_on_this_machine() -> None:
    assert load() == Config("redis://localhost:6379/0", "simpledist", None, False, stays_here=True)


def test_arguments_go_before_the_environment_and_that_before_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMPLEDIST_REDIS_URL", "redis://127.0.0.1:1/1")
    monkeypatch.setenv("SIMPLEDIST_NAMESPACE", "env")
    monkeypatch.setenv("SIMPLEDIST_SECRET_FILE", "env.key")
    assert load() == Config("redis://127.0.0.1:1/1", "env", "env.key", False)
    given_ = load("redis://127.0.0.1:2/2", namespace="arg", secret_file="arg.key", insecure=True)
    assert given_ == Config("redis://127.0.0.1:2/2", "arg", "arg.key", True)


def test_empty_variables_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REDIS_URL", "NAMESPACE", "SECRET_FILE"):
        monkeypatch.setenv(f"SIMPLEDIST_{name}", "")
    assert load() == Config(stays_here=True)


def test_a_child_knows_that_it_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not nested()
    monkeypatch.setenv(config.NESTED_VARIABLE, "1")
    assert nested()


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["simpledist", "a.b-c_d", "{simpledist}", "{a:b}", "x" * 64])
def test_namespaces_that_can_be_used(name: str) -> None:
    assert load(namespace=name).namespace == name


@pytest.mark.parametrize("name", ["a b", "a:b", "{a", "a}", "{}", "a{b}", "x" * 65, "ä", "a\n", "*"])
def test_namespaces_that_cannot_be_used(name: str) -> None:
    with pytest.raises(ConfigurationError, match="namespace"):
        load(namespace=name)


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost",
        "redis://localhost:6379",
        "redis://localhost:6379/15",
        "rediss://localhost/0",
        "redis://[::1]:6379/0",
        "unix:///run/redis.sock",
        "unix://user:word@/run/redis.sock?db=1",
        "redis://user:word@localhost:6379/0?socket_timeout=2",
    ],
)
def test_urls_that_can_be_used(url: str) -> None:
    check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "localhost:6379",
        "http://localhost",
        "redis://",
        "redis:///0",
        "redis://h:port/0",
        "redis://h:99999/0",
        "redis://h/name",
        "unix://",
        "unix:///",
        "redis://[::1/0",
        "memory://host",
        "garbage",
        "//localhost",
    ],
)
def test_urls_that_cannot_be_used_are_refused_with_a_remedy(url: str) -> None:
    with pytest.raises(ConfigurationError, match="Redis URL"):
        check_url(url)


# --- trust -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost",
        "redis://LOCALHOST:1",
        "redis://localhost.",
        "redis://127.0.0.1",
        "redis://127.8.9.1",
        "redis://[::1]/0",
        "unix:///run/redis.sock",
        "redis://u:p@localhost/0",
    ],
)
def test_addresses_on_this_machine_need_no_key(url: str) -> None:
    assert on_this_machine(url)
    assert load(url).url == url


ELSEWHERE = [
    "redis://10.0.0.1",
    "redis://0.0.0.0",
    "redis://localhost.example.org",
    "redis://127.0.0.1.example.org",
    "redis://redis:6379",
    "redis://[::]/0",
    "redis://[fe80::1]/0",
    "redis://localhost@example.org/0",
    "redis://127.0.0.1:x@example.org/0",
    "rediss://example.org",
]


@pytest.mark.parametrize("url", ELSEWHERE)
def test_pickle_to_another_machine_needs_a_key_or_a_word(url: str) -> None:
    assert not on_this_machine(url)
    with pytest.raises(ConfigurationError, match="no key is set"):
        load(url)
    assert load(url, secret_file="key").secret_file == "key"
    assert load(url, insecure=True).insecure
    assert load(url, codec="json").url == url


# --- passwords -------------------------------------------------------------------------------------------------------

SECRET = "hunter2"

# A person's password as it is pasted into a URL, right or wrong; each holds SECRET twice, round about something odd.
WEIRD = [
    f"{SECRET}{odd}{SECRET}"
    for odd in ["", "/", "?", "#", "@", ":", "%", "%2F", "[", "]", " ", "&", "=", "\\", "\n", "é", "//", "://", "@@/"]
]
SHAPES = [
    "redis://:{}@host:6379/0",
    "redis://user:{}@host/0",
    "rediss://user:{}@host:port/0",
    "unix://user:{}@/run/redis.sock",
    "http://:{}@host",
    "redis:/user:{}@host",
    "user:{}@host",
    "redis://host/0?password={}",
    "redis://host/0?db=1&password={}&socket_timeout=1",
    "redis://host/0?PASSWORD={}",
    "redis://host/0?p%61ssword={}",
    "rediss://host/0?ssl_password={}",
]


@pytest.mark.parametrize("password", WEIRD)
@pytest.mark.parametrize("shape", SHAPES)
def test_no_part_of_a_password_is_ever_shown(shape: str, password: str) -> None:
    if "?" in shape and "&" in password:
        password = quote(password)  # there, and only there, it begins the next option
    url = shape.format(password)
    assert SECRET not in redacted(url)
    assert SECRET not in Config(url).safe_url
    for check in (check_url, load):
        error = _refusal(check, url)
        if error is not None:
            assert SECRET not in str(error)
            assert error.__cause__ is None
            assert error.__suppress_context__ or error.__context__ is None


def _refusal(check: Callable[[str], object], url: str) -> ConfigurationError | None:
    try:
        check(url)
    except ConfigurationError as error:
        return error
    return None


@given(st.text(min_size=1, max_size=12))
def test_whatever_a_password_is_made_of_nothing_of_it_is_shown(text: str) -> None:
    password = f"{SECRET}{text}{SECRET}"
    assume("\ud800" not in text)
    for url in (f"redis://:{password}@host:6379/0", f"redis://u:{quote(password, safe='')}@host:6379/0"):
        assert SECRET not in redacted(url)


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost:6379/0",
        "redis://user@localhost:6379/0",
        "rediss://host:1/2?socket_timeout=5&ssl_cert_reqs=required",
        "unix:///run/redis.sock?db=1",
        "redis://[::1]:6379/0",
        "garbage",
        "",
    ],
)
def test_what_holds_no_password_is_shown_as_it_is(url: str) -> None:
    assert redacted(url) == url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:word@host:6379/0", "redis://:***@host:6379/0"),
        ("redis://user:word@host:6379/0", "redis://user:***@host:6379/0"),
        ("unix://user:word@/run/redis.sock?db=1", "unix://user:***@/run/redis.sock?db=1"),
        ("redis://host/0?password=word&db=1", "redis://host/0?password=***&db=1"),
    ],
)
def test_the_rest_of_a_url_stays_readable(url: str, shown: str) -> None:
    assert redacted(url) == shown


# --- Sentinels -------------------------------------------------------------------------------------------------------

HERE = "redis+sentinel://127.0.0.1:26379,localhost:26380,[::1]/mymaster"


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://a/mymaster",
        "redis+sentinel://a:26379,b:26379,c/my-master.1/2",
        "REDISS+SENTINEL://user:word@a:1/mymaster/0?ssl_ca_certs=/ca.pem",
        "redis+sentinel://:word@a,[fe80::1]:26379/m?sentinel_username=u&sentinel_password=w",
        HERE,
    ],
)
def test_urls_of_sentinels_that_can_be_used(url: str) -> None:
    check_url(url)
    assert load(url, insecure=True).url == url


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis+sentinel://", "names no Sentinel"),
        ("redis+sentinel:///mymaster", "names no Sentinel"),
        ("redis+sentinel://a:26379", "names no service"),
        ("redis+sentinel://a:26379/", "names no service"),
        ("redis+sentinel://a,,b/m", "host or port"),
        ("redis+sentinel://a:0/m", "host or port"),
        ("redis+sentinel://a:99999/m", "host or port"),
        ("redis+sentinel://a:port/m", "host or port"),
        ("redis+sentinel://:hunter2/hunter2@a/m", "host or port"),
        ("redis+sentinel://a/m/db", "database"),
        ("redis+sentinel://a/m/0/1", "database"),
        ("redis+sentinel://a/my master", "service's name"),
        ("redis+sentinels://a/m", "begin it with"),
    ],
)
def test_urls_of_sentinels_that_cannot_be_used_are_refused_in_one_line(url: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match="Redis URL") as caught:
        load(url, insecure=True)
    assert said in str(caught.value)
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_sentinels_and_primary_are_given_of_the_url() -> None:
    url = sentinel_url.parse(
        "rediss+sentinel://me:a%2Fb@s1,[::1]:2/main/3?sentinel_password=word&ssl_ca_certs=ca.pem&socket_keepalive=1"
    )
    assert url.sentinels() == [
        ("s1:26379", "rediss://:word@s1:26379/?ssl_ca_certs=ca.pem"),
        ("[::1]:2", "rediss://:word@[::1]:2/?ssl_ca_certs=ca.pem"),
    ]
    assert url.primary("10.0.0.7", 6379) == "rediss://me:a%2Fb@10.0.0.7:6379/3?ssl_ca_certs=ca.pem&socket_keepalive=1"
    assert url.primary("::2", 1).startswith("rediss://me:a%2Fb@[::2]:1/3?")


@pytest.mark.parametrize("url", [HERE, "redis://localhost", "unix:///run/redis.sock"])
def test_who_names_no_key_stays_on_this_machine(url: str) -> None:
    assert load(url).stays_here
    assert load(url, codec="json").stays_here
    assert not load(url, insecure=True).stays_here
    assert not load(url, secret_file="key").stays_here
    assert not load(url, signs=False).stays_here


def test_memory_and_json_to_another_machine_are_nowhere_to_stay() -> None:
    assert not load("memory://", memory=True).stays_here
    assert not load("redis://elsewhere", codec="json").stays_here


def test_what_only_reads_needs_no_key_for_another_machine() -> None:
    assert load("redis://elsewhere", signs=False).url == "redis://elsewhere"


def test_sentinels_on_another_machine_need_a_key() -> None:
    with pytest.raises(ConfigurationError, match="no key is set"):
        load(HERE.replace("localhost", "elsewhere"))


def test_passwords_of_sentinels_are_not_shown() -> None:
    assert redacted("redis+sentinel://u:word@a:1,b:2/m?sentinel_password=word") == (
        "redis+sentinel://u:***@a:1,b:2/m?sentinel_password=***"
    )
