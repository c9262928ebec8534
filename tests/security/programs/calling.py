"""A program that calls until its stdin ends: `python -m tests.security.programs.calling URL SECRET_FILE`.

After every few calls it prints, as a line of JSON, what came of all of them so far.
"""

from __future__ import annotations

import itertools
import json
import select
import sys
from collections import Counter

import simpledist
from tests.security.functions.cubes import cube

AT_ONCE = 8


def main() -> None:
    """Call, and check each value."""
    url, secret_file = sys.argv[1:]
    came: Counter[str] = Counter()
    with simpledist.connect(url, secret_file=secret_file) as client:
        function = simpledist.worker_function(client, "cube", cube)
        for first in itertools.count(0, AT_ONCE):
            futures = {n: function.submit(n) for n in range(first, first + AT_ONCE)}
            for n, future in futures.items():
                came["wrong"] += future.result(60) != n**3
                assert future.info is not None
                came[future.info.why or "remote"] += 1
            print(json.dumps(came), flush=True)
            if select.select([sys.stdin], [], [], 0)[0]:
                return


if __name__ == "__main__":
    main()
