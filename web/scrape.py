"""/metrics: the numbers of the cluster for Prometheus. What they are is metrics.py's."""

from __future__ import annotations

from flask import Flask, Response, request

from simpledist.monitor import Monitor
from simpledist.monitor.metrics import exposition


def add_to(app: Flask, monitor: Monitor) -> None:
    def metrics() -> Response:
        # Redis away is simpledist_up 0: a scrape that fails would tell less.
        body, content_type = exposition(monitor.snapshot(), request.headers.get("Accept", ""))
        return Response(body, content_type=content_type)

    app.add_url_rule("/metrics", "metrics", metrics)
