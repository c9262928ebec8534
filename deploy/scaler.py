"""Start workers on this machine while there is demand; they end by themselves (--idle-exit).

python scaler.py http://127.0.0.1:8080 fib 8 4 simpledist-worker fns:fib --slots 8 --idle-exit 5m
                 the dashboard         | | |  the command of a worker
                               functions | at most so many workers
                                     slots of each
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import Request, urlopen

signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends this at once; workers have it too, and drain
url, functions, slots, most, *command = sys.argv[1:]
token_file = os.environ.get("SIMPLEDIST_WEB_TOKEN_FILE", os.devnull)
question = Request(f"{url}/api/scale.json?{urlencode({'functions': functions, 'slots': slots})}")
question.add_header("Authorization", f"Bearer {Path(token_file).read_text().strip()}")
workers: list[subprocess.Popen[bytes]] = []
while True:
    workers = [one for one in workers if one.poll() is None]
    try:
        with urlopen(question, timeout=5) as answer:
            wanted = json.load(answer)["workers"]
    except OSError as error:  # the dashboard or its Redis is away: what runs goes on
        print(f"no answer from {url}: {error}", file=sys.stderr)
        wanted = 0
    workers += [subprocess.Popen(command) for _ in range(min(wanted, int(most)) - len(workers))]
    time.sleep(float(os.environ.get("SCALER_SECONDS", "5")))
