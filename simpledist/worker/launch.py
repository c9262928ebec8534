"""Start arguments of a process of the worker: named fields, as one JSON argument of its command line.

The parent starts the template (template_process.py), and the template starts children where it cannot fork them
(template.py). Descriptors are numbers of the process that is started.
"""

from __future__ import annotations

import json
import os
import site
import sys
from dataclasses import asdict, dataclass

from simpledist import policy

_TEMPLATE = "from simpledist.worker.template import main; main()"
_CHILD = "from simpledist.worker.child import main; main()"


@dataclass(frozen=True, slots=True)
class Preparation:
    """What a template has before its children come. `distributions`: a folder for its path (distributions.py).

    `setup`: module:function, called once, within so many seconds (setup.py).
    """

    distributions: str = ""
    setup: str = ""
    setup_seconds: float = policy.SETUP_SECONDS


@dataclass(frozen=True, slots=True)
class Launch:
    """`parent`: the process id of the starter. `token` and `serial`: the mark that it bears (mark.py)."""

    socket: int
    parent: int
    token: int
    targets: list[str]
    serial: int = 0  # of a child; 0: the template
    loaded: str = ""  # of a child: what its template has loaded (introduction.py)
    distributions: str = ""  # this and the rest: as in Preparation
    setup: str = ""
    setup_seconds: float = policy.SETUP_SECONDS

    def command(self) -> list[str]:
        """Return the command line that starts the process."""
        return [sys.executable, "-c", _CHILD if self.serial else _TEMPLATE, json.dumps(asdict(self))]


def launched() -> Launch:
    """Return what this process was given; programs that it starts do not inherit the socket."""
    launch = Launch(**json.loads(sys.argv[1]))
    os.set_inheritable(launch.socket, False)
    return launch


def set_path(launch: Launch) -> None:
    """Make the current folder importable, also where PYTHONSAFEPATH keeps it from the path, and the distributions.

    They come behind the standard library and before what is installed with simpledist: a function finds the versions
    that were asked for, with all that they need.
    """
    if sys.path[:1] != [""]:
        sys.path.insert(0, "")
    if launch.distributions:
        before = list(sys.path)
        site.addsitedir(launch.distributions)
        added = [one for one in sys.path if one not in before]
        installed = (n for n, one in enumerate(before) if os.path.basename(one) in ("site-packages", "dist-packages"))
        at = next(installed, len(before))
        sys.path[:] = [*before[:at], *added, *before[at:]]
