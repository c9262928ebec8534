"""`python -m simpledist.embedded PORT`: fakeredis' server in a process of its own, where no real one is found."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from simpledist.embedded.server import HOST


def _serve_fake(port: int) -> None:
    fakeredis: Any = import_module("fakeredis")  # an extra, wanted only where no real server is to be had
    refusal: Any = import_module("redis").ResponseError
    server = fakeredis.TcpFakeServer((HOST, port), server_version=(7, 0))

    class Connection(server.RequestHandlerClass):
        """One whose client hears of an error and goes on, as with a real server; fakeredis 2.40 hangs up on it."""

        def setup(self) -> None:
            handler: Any = super()
            handler.setup()
            read = self.current_client.read_response

            def read_or_refusal() -> Any:
                try:
                    return read()
                except refusal as error:
                    return error

            self.current_client.read_response = read_or_refusal

    server.RequestHandlerClass = Connection
    server.daemon_threads = True
    server.serve_forever()


if __name__ == "__main__":
    _serve_fake(int(sys.argv[1]))
