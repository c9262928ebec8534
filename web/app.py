"""The Flask application: routes, and the headers and refusals that every answer gets."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Response, abort, jsonify, render_template, request

from simpledist.monitor import Monitor, Snapshot, WorkerState

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
TOKEN_COOKIE = "simpledist_token"

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def create_app(monitor: Monitor | None = None, *, hosts: Iterable[str] = (), token: str | None = None) -> Flask:
    """The dashboard over `monitor` (by default one of the environment's Redis).

    `hosts`: names beside loopback under which it may be asked (against DNS rebinding). `token`: what every request must
    bring, as `Authorization: Bearer` or as the cookie `simpledist_token`.
    """
    app = Flask("simpledist_web")
    source = monitor or Monitor.connect()
    allowed = LOOPBACK_HOSTS | {host.strip("[]").lower() for host in hosts}

    def refuse() -> None:
        if request.method not in ("GET", "HEAD"):
            abort(405)
        if not _host_allowed(request.host, allowed, anywhere=token is not None):
            abort(403, "this host name is not one of ours")
        if token is not None and not _has_token(token):
            abort(401)

    def mark(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers[name] = value
        return response

    app.before_request(refuse)
    app.after_request(mark)
    _add_routes(app, source.snapshot)
    return app


def _add_routes(app: Flask, snapshot: Callable[[], Snapshot]) -> None:
    def page(template: str, **values: Any) -> str:
        # The script asks for what is inside <main> alone.
        part = request.args.get("part") == "1"
        return render_template("part.html" if part else "page.html", inner=template, **values)

    def workers() -> tuple[str, int]:
        now = snapshot()
        return page("workers.html", snapshot=now), 200 if now.redis.ok else 503

    def worker(id: str) -> tuple[str, int]:
        now = snapshot()
        if not now.redis.ok:
            return page("workers.html", snapshot=now), 503
        found: WorkerState | None = now.worker(id)
        if found is None:
            abort(404)
        return page("worker.html", snapshot=now, worker=found), 200

    def healthz() -> tuple[str, int]:
        return ("ok\n", 200) if snapshot().redis.ok else ("Redis is away\n", 503)

    def api() -> tuple[Response, int]:
        now = snapshot()
        return jsonify(now.as_status()), 200 if now.redis.ok else 503

    app.add_url_rule("/", "home", workers)
    app.add_url_rule("/workers", "workers", workers)
    app.add_url_rule("/workers/<id>", "worker", worker)
    app.add_url_rule("/healthz", "healthz", healthz)
    app.add_url_rule("/api/snapshot.json", "snapshot", api)


def _host_allowed(host: str, allowed: frozenset[str], *, anywhere: bool) -> bool:
    """With a token a foreign page gains nothing by rebinding; without one only our own names are answered."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return anywhere or name.lower() in allowed


def _has_token(token: str) -> bool:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        given = request.cookies.get(TOKEN_COOKIE, "")
    return hmac.compare_digest(given.encode(), token.encode())
