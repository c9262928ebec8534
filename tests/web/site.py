"""The dashboard as tests serve and ask it, and what tests put before it."""

from __future__ import annotations

import threading
from importlib import import_module
from typing import Any, cast

from flask import Flask
from werkzeug.serving import make_server

from simpledist.monitor import Monitor
from tests.stage import Stage

HOSTILE = "<img src=x onerror=alert(1)>\"'\u202e\x1b[31m{{7*7}}" + "long" * 200
ERROR = "ValueError: <b>no</b>\nfns.py:31 in throw\nTraceback (most recent call last):\n  <script>alert(1)</script>\nno"

# What a person looks at, where a stage has the function "fib" and the worker "w1", and all that answers a GET.
PAGES = (
    "/",
    "/functions",
    "/functions/fib",
    "/workers",
    "/workers/w1",
    "/jobs",
    "/jobs?state=queued",
    "/jobs?state=ended",
)
ADDRESSES = (
    *PAGES,
    "/jobs/c1-0",
    "/errors",
    "/metrics",
    "/healthz",
    "/readyz",
    "/api/scale.json?functions=fib&slots=4",
    "/api/snapshot.json",
    "/api/stream.json",
)


def application(monitor: Monitor, **options: Any) -> Flask:
    """The dashboard; its package is installed under another name than its folder's, which type checkers do not see."""
    web: Any = import_module("simpledist_web")
    return cast("Flask", web.create_app(monitor, **options))


class Site:
    """The dashboard of a stage, served on loopback."""

    def __init__(self, stage: Stage, token: str | None = None) -> None:
        self.monitor = stage.monitor(keep_seconds=0.2)
        app = application(self.monitor, token=token)
        self._server = make_server("127.0.0.1", 0, app, threaded=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def json_of(response: Any) -> dict[str, Any]:
    """The object that an answer holds."""
    return cast("dict[str, Any]", response.get_json())
