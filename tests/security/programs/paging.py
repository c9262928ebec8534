"""Asks pages of a dashboard of its own: prints the most memory that it ever had, and the status of each page."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from simpledist.monitor import Monitor
from tests.web.site import application

if __name__ == "__main__":
    url, *paths = sys.argv[1:]
    client = application(Monitor.connect(url, keep_seconds=0)).test_client()
    codes = [client.get(path).status_code for path in paths]
    status = Path("/proc/self/status").read_text().splitlines()
    peak_bytes = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
    print(json.dumps([peak_bytes, *codes]))
