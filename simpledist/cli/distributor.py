"""`simpledist-distributor`: does the duties in a loop, and serves the dashboard."""

from __future__ import annotations

import signal
import socket
import sys
import threading
from importlib import import_module
from typing import Any

import click

from simpledist.cli.options import run, shared
from simpledist.config import Config
from simpledist.config.web_token import TOKEN_VARIABLE, web_token
from simpledist.distributor.daemon import Daemon
from simpledist.errors import ConfigurationError
from simpledist.monitor import Monitor
from simpledist.printable import logger

log = logger("simpledist.distributor")

LOOPBACK = ("127.0.0.1", "localhost", "::1")
STOP = (signal.SIGTERM, signal.SIGINT)


@click.command()
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help=f"Where the dashboard listens; off loopback it needs ${TOKEN_VARIABLE}.",
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="The port of the dashboard."
)
@click.option("--no-web", is_flag=True, help="Do only the duties.")
@shared(log_format=True)
def distributor(config: Config, host: str, port: int, no_web: bool) -> int:
    """Watch over workers and queues, and serve the dashboard.

    The cluster works without it. It notices dead workers a little sooner, removes what is left behind and shows what
    happens. Any number may run, and none is the leader. It waits for a Redis that is away. Ctrl-C or SIGTERM ends it.

    \b
        simpledist-distributor
        SIMPLEDIST_WEB_TOKEN_FILE=token simpledist-distributor --host 0.0.0.0
    """
    token = None if no_web else _token(host)
    listener = None if no_web else _listen(host, port)
    daemon = Daemon(config)
    daemon.check()
    # Blocked here and in every thread that starts from now on, so that only `sigwait` takes them: a handler could be
    # interrupted by itself, and without one at the interpreter's end a second Ctrl-C would kill.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP)
    # Before any thread: a failure here must end the process, not one thread of it.
    server = None if listener is None else _server(config, listener, host, token)
    duties = threading.Thread(target=daemon.run, name="simpledist-duties")
    duties.start()
    if server is not None:
        threading.Thread(target=server.run, name="simpledist-web", daemon=True).start()
    signal.sigwait(STOP)
    daemon.stop()
    duties.join()
    if server is not None:
        server.close()
    return 0


def _token(host: str) -> str | None:
    """Return the token that a browser must send; None on loopback without one."""
    token = web_token()
    if token is None and host not in LOOPBACK:
        raise ConfigurationError(
            f"--host {host} shows the dashboard to others: put a token of 32 characters or more into a file "
            f"(simpledist secret FILE) and name it in ${TOKEN_VARIABLE}"
        )
    return token


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"cannot serve the dashboard on {host} port {port}: {error.strerror}; choose another --port, or --no-web"
        ) from None
    return listener


def _server(config: Config, listener: socket.socket, host: str, token: str | None) -> Any:
    """Return the dashboard, ready to run; it is imported by name, so that --no-web needs no Flask."""
    monitor = Monitor.connect(config.url, config.namespace)
    try:
        web: Any = import_module("simpledist_web")
        app = web.create_app(monitor, hosts=[host], token=token)
        server = import_module("simpledist_web.serving").create_server(app, listener)
    except Exception as error:  # an import runs foreign code, which may fail in any way
        listener.close()
        raise ConfigurationError(
            f"cannot serve the dashboard: {type(error).__name__}: {error}; repair the installation, or use --no-web"
        ) from error
    shown = f"[{host}]" if ":" in host else host
    log.info("dashboard on http://%s:%d", shown, listener.getsockname()[1])
    return server


def main() -> None:
    """Run the command and exit."""
    run(distributor, "simpledist-distributor")


if __name__ == "__main__":
    sys.exit(main())
