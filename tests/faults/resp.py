"""Where one message of Redis' protocol (RESP2) ends, and what a request is called: all that the proxy understands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from simpledist.broker import scripts

_VERBS = {script.sha: verb for verb, script in scripts.load().items()}


def message_end(data: bytes | bytearray, begin: int = 0) -> int | None:
    """The index behind the message that begins at `begin`; None while it is not whole."""
    pending = 1
    while pending:
        line_end = data.find(b"\r\n", begin)
        if line_end < 0:
            return None
        kind, number = data[begin : begin + 1], data[begin + 1 : line_end]
        begin = line_end + 2
        pending -= 1
        if kind == b"$" and int(number) >= 0:
            begin += int(number) + 2
            if begin > len(data):
                return None
        elif kind == b"*":
            pending += max(int(number), 0)
    return begin


def whole_messages(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield each message as soon as it is whole, however the bytes of one side were cut."""
    buffer = bytearray()
    for data in chunks:
        buffer += data
        while (end := message_end(buffer)) is not None:
            yield bytes(buffer[:end])
            del buffer[:end]


def words_of(message: bytes) -> list[bytes]:
    """The first three words of a request."""
    words: list[bytes] = []
    begin = message.index(b"\r\n") + 2
    for _ in range(min(int(message[1 : begin - 2]), 3)):
        head_end = message.index(b"\r\n", begin)
        size = int(message[begin + 1 : head_end])
        words.append(message[head_end + 2 : head_end + 2 + size])
        begin = head_end + 4 + size
    return words


def name_of(message: bytes) -> str:
    """A request's name: the verb of one of our scripts ("claim"), else the command ("BLPOP", "CLIENT LIST")."""
    words = words_of(message)
    command = words[0].decode().upper()
    if command == "EVALSHA":
        return _VERBS.get(words[1].decode(), command)
    if command == "EVAL":
        return next((verb for verb, script in scripts.load().items() if script.text.encode() == words[1]), command)
    if command == "CLIENT":
        return f"CLIENT {words[1].decode().upper()}"
    return command
