"""Settings: where Redis is, which namespace is ours, which keys we hold, and what a program may write for an option.

settings.py      the settings that every role shares: from arguments, else the environment, else the defaults
url_options.py   what may stand behind the "?" of a Redis URL          sentinel_url.py  URLs that name Sentinels
arguments.py     the options of `connect` and `worker_function`, checked where a program writes them

Opens nothing. Every role reads it.
"""

from simpledist.config.settings import (
    DEFAULT_URL,
    MEMORY_URL,
    NAMESPACE,
    NESTED_VARIABLE,
    SCHEMES,
    Config,
    check_url,
    load,
    nested,
    on_this_machine,
    redacted,
)

__all__ = [
    "DEFAULT_URL",
    "MEMORY_URL",
    "NAMESPACE",
    "NESTED_VARIABLE",
    "SCHEMES",
    "Config",
    "check_url",
    "load",
    "nested",
    "on_this_machine",
    "redacted",
]
