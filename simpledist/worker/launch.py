"""Start arguments of a process of the worker: named fields, as one JSON argument of its command line.

The parent starts the template (template_process.py), and the template starts children where it cannot fork them
(template.py). Descriptors are numbers of the process that is started.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass

_TEMPLATE = "from simpledist.worker.template import main; main()"
_CHILD = "from simpledist.worker.child import main; main()"


@dataclass(frozen=True, slots=True)
class Launch:
    """`parent`: the process id of the starter. `token` and `serial`: the mark that it bears (mark.py)."""

    socket: int
    parent: int
    token: int
    targets: list[str]
    serial: int = 0  # of a child; 0: the template
    loaded: str = ""  # of a child: what its template has loaded (introduction.py)

    def command(self) -> list[str]:
        """Return the command line that starts the process."""
        return [sys.executable, "-c", _CHILD if self.serial else _TEMPLATE, json.dumps(asdict(self))]


def launched() -> Launch:
    """Return what this process was given; programs that it starts do not inherit the socket."""
    launch = Launch(**json.loads(sys.argv[1]))
    os.set_inheritable(launch.socket, False)
    return launch


def import_from_current_folder() -> None:
    """Make the current folder importable also where PYTHONSAFEPATH keeps it from the path."""
    if sys.path[:1] != [""]:
        sys.path.insert(0, "")
