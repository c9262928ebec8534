"""A private Redis for demo, tests and `simpledist redis`, so that a new machine needs no server.

server.py    finds a server, starts it, ends it       watchdog.py  ends a process when the one that started it is gone

Knows nothing of keys, verbs or the redis library.
"""

from simpledist.embedded.server import (
    FAKE,
    HOST,
    INFO,
    PING,
    EmbeddedRedis,
    ask,
    bundled_servers,
    find_server,
    server_at,
    system_server,
)

__all__ = [
    "FAKE",
    "HOST",
    "INFO",
    "PING",
    "EmbeddedRedis",
    "ask",
    "bundled_servers",
    "find_server",
    "server_at",
    "system_server",
]
