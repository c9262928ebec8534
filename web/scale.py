"""/api/scale.json: the demand and how many workers there should be, for autoscalers (docs/autoscaling.md)."""

from __future__ import annotations

from typing import Any

from flask import Flask, Response, json, request

from simpledist.monitor import Monitor
from simpledist.monitor.scales import SCHEMA, Question, Scales


def add_to(app: Flask, monitor: Monitor) -> None:
    """Add the route /api/scale.json."""
    scales = Scales(monitor)

    def answer(body: dict[str, Any], status: int) -> Response:
        return Response(json.dumps(body) + "\n", status, mimetype="application/json")

    def scale() -> Response:
        try:
            question = Question.read(request.args)
        except ValueError as error:
            return answer({"schema": SCHEMA, "error": str(error)}, 400)
        found = scales.answer(question)
        if found is None:  # no number: an autoscaler must not take a Redis that is away for an idle cluster
            redis = monitor.redis()
            return answer({"schema": SCHEMA, "error": redis.error, "remedy": redis.remedy}, 503)
        return answer(found, 200)

    app.add_url_rule("/api/scale.json", "scale", scale)
