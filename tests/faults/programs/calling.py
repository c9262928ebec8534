"""A client as a program of its own: calls `work` over some numbers, says how each ended, one line of JSON each.

Arguments: the URL, the first number, the number after the last one, seconds a call.
"""

from __future__ import annotations

import json
import sys
import time

import simpledist
from tests.faults.functions import work


def main() -> None:
    url, first, last, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    with simpledist.connect(url) as client:
        function = simpledist.worker_function(client, "work", work.work, timeout=20)
        for n in range(first, last):
            future = function.submit(n, seconds)
            raised = future.exception()  # without a timeout: libfaketime loses the wake-up of a wait that has one
            assert future.info is not None
            outcome = {
                "n": n,
                "came": repr(raised or future.result()),
                "where": future.info.where,
                "why": future.info.why,
                "queued_seconds": future.info.queued_seconds,
                "run_seconds": future.info.run_seconds,
                "clock": time.time(),
            }
            print(json.dumps(outcome), flush=True)


if __name__ == "__main__":
    main()
