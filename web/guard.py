"""Which requests are answered, under which host names, and the security headers of every answer. Knows no page.

Read only: GET and HEAD. Without a token only our own host names are answered, so that no foreign page can rebind its
name to this address. With a token, a browser sends it once as `/?token=...`, and then as a cookie that scripts cannot
read.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import quote, urlsplit

from flask import Flask, Response, abort, request

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
ANY_HOSTS = frozenset({"0.0.0.0", "::"})
TOKEN_COOKIE = "simpledist_token"  # behind it the port: browsers send a cookie to all ports of a host
TOKEN_SECONDS = 30 * 86_400

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def guard(app: Flask, *, hosts: Iterable[str], token: str | None, open_paths: frozenset[str]) -> None:
    """Check every request of `app`, and add the headers to every answer; `open_paths` need no token."""
    named = {host.strip("[]").lower() for host in hosts}
    allowed = LOOPBACK_HOSTS | named
    # A server on every address cannot know its names; there only the token keeps strangers out.
    anywhere = token is not None and bool(named & ANY_HOSTS)

    def judge() -> Response | None:
        if request.method not in ("GET", "HEAD"):
            abort(405)
        if token is None and not _is_near(request.remote_addr):
            abort(403, "Without a token only this machine is answered: set SIMPLEDIST_WEB_TOKEN_FILE.")
        if not anywhere and not _host_allowed(request.host, allowed):
            abort(403, "This host name is not one of ours: ask for http://127.0.0.1.")
        if token is None or request.path in open_paths or _has_token(token):
            return None
        if _same(request.args.get("token", ""), token):
            return _remembered(token)
        abort(401)

    def mark(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers[name] = value
        return response

    app.before_request(judge)
    app.after_request(mark)


def _is_near(address: str | None) -> bool:
    """Return whether a request comes from this machine: from loopback, or by a Unix socket, which has no address."""
    try:
        return ip_address(address or "127.0.0.1").is_loopback
    except ValueError:
        return address == "localhost"


def _cookie() -> str:
    _, _, port = request.host.rpartition("]")[2].partition(":")
    return f"{TOKEN_COOKIE}_{port}" if port.isdigit() else TOKEN_COOKIE


def _host_allowed(host: str, allowed: Iterable[str]) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return name.lower() in allowed


def _has_token(token: str) -> bool:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        given = request.cookies.get(_cookie(), "")
    return _same(given, token)


def _same(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), token.encode())


def _remembered(token: str) -> Response:
    """Return a redirect that moves the token from the address, which browsers show and store, into a cookie."""
    answer = Response(status=303, headers={"Location": "/" + quote(request.path.lstrip("/\\"))})
    # A proxy in front may speak TLS for us. Where this is false, the browser does not send the cookie: no harm.
    secure = request.is_secure or request.headers.get("X-Forwarded-Proto", "").lower() == "https"
    answer.set_cookie(_cookie(), token, max_age=TOKEN_SECONDS, httponly=True, samesite="Strict", secure=secure)
    return answer
