"""/metrics: the numbers of the cluster for Prometheus, as monitor/metrics.py makes them."""

from __future__ import annotations

from flask import Flask, Response, request

from simpledist.monitor import Monitor
from simpledist.monitor.metrics import exposition


def add_to(app: Flask, monitor: Monitor) -> None:
    """Add the route /metrics."""

    def metrics() -> Response:
        # Where Redis is away, simpledist_up is 0: a scrape that fails would say less.
        accept, now = request.headers.get("Accept", ""), monitor.snapshot()
        body, content_type = exposition(now, accept, dropped=monitor.dropped_in_all())
        return Response(body, content_type=content_type)

    app.add_url_rule("/metrics", "metrics", metrics)
