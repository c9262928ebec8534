"""A client as a program of its own that keeps calls under way for some seconds, and says how they ended, as JSON.

Arguments: the URL, the file of the key, the first number, seconds. It prints "ready" when a call has run remotely.
Durations are in seconds, and moments in seconds since it was ready.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter, deque
from typing import Any

import simpledist
from tests.faults.functions import work
from tests.faults.history import probe

TOGETHER = 12  # calls under way
JOB_SECONDS = 0.05
STUCK_SECONDS = 100.0  # a call that takes longer is given up by the test


def main() -> None:
    url, secret, first, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    with simpledist.connect(url, secret_file=secret) as client:
        function: Any = simpledist.worker_function(client, "work", work.work)
        probe(client, 30)
        print("ready", flush=True)
        began = time.monotonic()
        under_way: deque[tuple[int, float, Any]] = deque()
        local = Counter[str]()
        wrong, stuck, longest, last_local, n = 0, 0, 0.0, 0.0, first
        while under_way or time.monotonic() < began + seconds:
            while len(under_way) < TOGETHER and time.monotonic() < began + seconds:
                under_way.append((n, time.monotonic(), function.submit(n, JOB_SECONDS)))
                n += 1
            number, submitted, future = under_way.popleft()
            try:
                came: object = future.result(STUCK_SECONDS)
            except work.Wrong as error:
                came = error
            except TimeoutError:
                stuck += 1
                continue
            right = isinstance(came, work.Wrong) if number % 7 == 6 else came == work.value_of(number)
            wrong += not right
            longest = max(longest, time.monotonic() - submitted)
            if future.info.where == "local":
                local[future.info.why] += 1
                last_local = time.monotonic() - began
        found = {"calls": n - first, "wrong": wrong, "stuck": stuck, "longest": longest, "last_local": last_local}
        print(json.dumps({**found, "local": local, "last": n}), flush=True)


if __name__ == "__main__":
    main()
