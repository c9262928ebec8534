"""The Flask application: puts guard, pages and API together, and shows a page for each error."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from flask import Flask, render_template
from werkzeug.exceptions import HTTPException

from simpledist.config.web_token import web_token
from simpledist.monitor import Monitor
from simpledist.monitor.looks import Looks

from . import api, human, pages, probes, scale, scrape
from .guard import ANY_HOSTS, guard

ADVICE = {
    401: "The dashboard needs its token: a browser opens /?token=... once, a script sends Authorization: Bearer ...",
    404: "Nothing has this name. Ended jobs are remembered for a day, the last 500 of each function.",
    405: "The dashboard is read only: GET and HEAD. The simpledist command changes things.",
}


def create_app(monitor: Monitor | None = None, *, hosts: Iterable[str] = (), token: str | None = None) -> Flask:
    """Return the dashboard over `monitor`; by default one of the environment's Redis, with the environment's token.

    `hosts`: more host names than loopback that it answers (against DNS rebinding). `token`: every request must
    send it, as `Authorization: Bearer`, as a cookie, or once as `?token=`, which sets that cookie. Without a token,
    only requests from this machine are answered.
    """
    if monitor is None and token is None and (token := web_token()) is not None:
        hosts = [*hosts, *ANY_HOSTS]  # `flask run` does not tell where it listens
    app = Flask("simpledist_web")
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    words: Any = app.jinja_env
    looks = Looks()
    words.filters.update(human.filters(looks))
    words.globals["assets"] = _fingerprint(Path(app.static_folder or "."))
    guard(app, hosts=hosts, token=token, open_paths=probes.OPEN)
    source = monitor or Monitor.connect()
    pages.add_to(app, source, looks)
    api.add_to(app, source, looks)
    scrape.add_to(app, source)
    scale.add_to(app, source)
    probes.add_to(app, source)

    @app.errorhandler(HTTPException)
    def refused(error: HTTPException) -> tuple[str, int]:  # pyright: ignore[reportUnusedFunction]
        code = error.code or 500
        said = ADVICE.get(code) or error.description or ""
        return render_template("refused.html", code=code, title=error.name, said=said), code

    return app


def _fingerprint(folder: Path) -> str:
    """Return a text that changes with the files, so that no browser mixes a page with the script of an older one."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:8]
