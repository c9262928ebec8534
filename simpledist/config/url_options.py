"""Options behind the "?" of a Redis URL, checked before anything is opened.

redis-py hands an option that it does not know to its connections, which fail at each attempt: a worker would wait for
ever for a Redis that is there. Owns the names; config.py checks by it.
"""

from __future__ import annotations

import difflib
import os
from urllib.parse import unquote_plus

from simpledist.errors import ConfigurationError

_TLS_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
TLS = (
    *_TLS_FILES,
    "ssl_ca_path",
    "ssl_ca_data",
    "ssl_cert_reqs",
    "ssl_check_hostname",
    "ssl_ciphers",
    "ssl_min_version",
    "ssl_password",
    "ssl_validate_ocsp",
    "ssl_validate_ocsp_stapled",
)
LOGIN = ("username", "password")
SENTINEL = ("sentinel_username", "sentinel_password")
# Known to redis-py, and set by simpledist itself whatever a URL says: they do no harm in one that others use too.
OURS = (
    "client_name",
    "decode_responses",
    "encoding",
    "encoding_errors",
    "health_check_interval",
    "max_connections",
    "protocol",
    "retry_on_timeout",
    "socket_connect_timeout",
    "socket_keepalive",
    "socket_timeout",
    "timeout",
)
CERT_REQS = ("none", "optional", "required")


def check(query: str, *, tls: bool, sentinel: bool) -> None:
    """Raise ConfigurationError, whose text quotes no value, unless each option of a URL is known and can be used."""
    known = ("db", *LOGIN, *TLS, *OURS, *(SENTINEL if sentinel else ()))
    for pair in filter(None, query.split("&")):
        name, equals, value = pair.partition("=")
        value = unquote_plus(value)
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            # One that resembles none may be a part of a password: it is not shown.
            said = (
                f"its option {name} is not known: did you mean {near[0]}?"
                if near
                else (f"one of its options is not known: there are {', '.join(('db', *LOGIN, *TLS))}")
            )
            raise ConfigurationError(f"{said} (a '?' in a path or password is written %3F, an '&' %26)")
        if not equals or not value:
            raise ConfigurationError(f"its option {name} has no value: write {name}=VALUE")
        if name in TLS and not tls:
            raise ConfigurationError(f"its option {name} is for TLS: begin the URL with rediss://")
        if name == "db" and not (value.isascii() and value.isdecimal()):
            raise ConfigurationError("its option db is the number of a database")
        if name == "ssl_cert_reqs" and value.lower() not in CERT_REQS:
            raise ConfigurationError(f"its option ssl_cert_reqs is one of {', '.join(CERT_REQS)}")


def check_files(query: str) -> None:
    """Raise ConfigurationError where a certificate or key that a URL names is not there."""
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        path = unquote_plus(value)
        if name in _TLS_FILES and not os.path.isfile(path):
            raise ConfigurationError(f"its option {name} names no file that is there: {path}")
