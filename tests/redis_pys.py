"""`make tls`: the tests of TLS with each redis-py that is supported, from the oldest to the newest, in a few minutes.

What redis-py checks of a certificate by default is not the same in all of them. Prints a row for each; ends with 1 if
a test failed.
"""

from __future__ import annotations

import re
import subprocess
import sys

from tests.environments import environment
from tests.matrix import NEEDED
from tests.trees import ROOT

# The oldest, and the last of each number; pyproject.toml names the range.
VERSIONS = ("5.0.0", "5.*", "6.*", "7.*", "8.*")
TESTS = ("tests/security/test_tls.py", "tests/security/test_sentinels.py", "tests/integration/test_tls.py")
SAYS = "import redis; print(redis.__version__)"


def main() -> int:
    """The whole table; returns the exit code."""
    unsound = 0
    print("| redis-py | result |\n|---|---|", flush=True)
    for version in VERSIONS:
        if sys.argv[1:] and version not in sys.argv[1:]:
            continue
        inside = environment(f"redis-{version.rstrip('.*')}", (f"redis[hiredis]=={version}", *NEEDED))
        exact = subprocess.run([inside, "-c", SAYS], check=True, capture_output=True, text=True).stdout.strip()
        line = [inside, "-m", "pytest", "-q", "-rfEs", "-p", "no:cacheprovider", *TESTS]
        done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
        said = re.findall(r"^=*\s*(\d.* in [\d.]+s.*?)\s*=*$", done.stdout, re.MULTILINE)
        print(f"| {exact} | {said[-1] if said else 'did not come to its end'} |", flush=True)
        if done.returncode:
            unsound += 1
            print(done.stdout + done.stderr, file=sys.stderr)
    return 1 if unsound else 0


if __name__ == "__main__":
    sys.exit(main())
