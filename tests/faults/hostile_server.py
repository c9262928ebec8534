"""A server that speaks some of Redis' protocol and answers as no Redis does; a test gives its address to a role.

One thread a connection. `introduces`: it first says of itself what a Redis says, so that the role goes on to its verbs.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
from collections.abc import Sequence

from tests.faults.listening import Listening
from tests.faults.resp import name_of, whole_messages

ENDLESS = b"$2147483646\r\n"  # the bytes of which never end
INFO = b"# Server\r\nredis_version:7.2.4\r\nrun_id:0123456789abcdef\r\nrole:master\r\n"
PIECE = b"x" * 65_536

WRONG = (
    b":7\r\n",
    b":-1\r\n",
    b"+OK\r\n",
    b"$-1\r\n",
    b"*-1\r\n",
    b"*0\r\n",
    b"$0\r\n\r\n",
    b"$3\r\n\xff\xfe\x00\r\n",
    b"*2\r\n:1\r\n:2\r\n",
    b"*3\r\n$1\r\na\r\n$-1\r\n:5\r\n",
    b"*2\r\n$1\r\na\r\n*2\r\n$1\r\nb\r\n*1\r\n:0\r\n",
    b"*7\r\n" + b"$1\r\nx\r\n" * 7,
    b"*7\r\n" + b"*0\r\n" * 7,
    b"*5\r\n" + b":3\r\n" * 5,
    b"*2\r\n$5\r\nother\r\n$3\r\nx y\r\n",
    b"%1\r\n$1\r\na\r\n:1\r\n",
    b"~2\r\n:1\r\n:2\r\n",
    b",1.5\r\n",
    b"#t\r\n",
    b"(123456789012345678901234567890\r\n",
    b"=5\r\ntxt:a\r\n",
    b"_\r\n",
    b"-ERR \x1b[31mred\x07\r\n",
    b"-\xff\xfe\r\n",
    b"-\r\n",
)
BROKEN = (
    b"*1\r\n" * 10_000,
    b"*1000000000\r\n",
    b"*99999999999999999999\r\n",
    b"$99999999999999999999\r\n",
    b"$-7\r\n",
    b":" + b"9" * 5000 + b"\r\n",
    b":abc\r\n",
    b"\r\n\r\n\r\n",
    b"\x00\xff\x01",
    b"HTTP/1.1 400 Bad Request\r\n\r\n",
    b"%1\r\n*1\r\n$1\r\na\r\n:1\r\n",
    b"!5\r\nERR a\r\n",
    b"$?\r\n;1\r\na\r\n;0\r\n",
)
STUCK = (
    ENDLESS,
    b"",  # nothing at all
    b"$100\r\nabc",  # half a reply
    b"$2147483647\r\n",  # announced, and then nothing
    b"#f\r\n",  # what its reader takes for no reply
    b"*2\r\n$1\r\na\r\n",
)


class HostileServer(Listening):
    """Answers one command after the other with the next of `replies`, around and around."""

    def __init__(self, replies: Sequence[bytes], *, introduces: bool = True) -> None:
        super().__init__()
        self._replies = itertools.cycle(replies)
        self._introduces = introduces
        self.answered = 0  # commands that had a hostile reply
        self.sent_bytes = 0

    def _took(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError, IndexError):
            for message in whole_messages(iter(lambda: sock.recv(1 << 16), b"")):
                self._answer(sock, name_of(message))
        self._let_go(sock)

    def _answer(self, sock: socket.socket, name: str) -> None:
        if self._introduces and name in ("CLIENT SETNAME", "CLIENT ID", "INFO", "AUTH", "SELECT", "TIME"):
            known = {"INFO": b"$%d\r\n%b\r\n" % (len(INFO), INFO), "CLIENT ID": b":5\r\n"}
            sock.sendall(known.get(name, b"+OK\r\n" if name != "TIME" else b"*2\r\n$10\r\n1700000000\r\n$1\r\n0\r\n"))
            return
        with self._lock:
            reply = next(self._replies)
        self.answered += 1
        sock.sendall(reply)
        while reply is ENDLESS and not self._ended.is_set():
            self.sent_bytes += sock.send(PIECE)
