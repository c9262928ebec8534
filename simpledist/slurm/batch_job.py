"""Shell script of a job of Slurm, which starts one worker, and the file with what no other user may read.

A script is kept by Slurm, and its environment too; so neither has the URL of Redis, which may hold a password. The URL
stands in a 0600 file below the user's cache folder, the key stays in its own file: the machines of a Slurm cluster
share the home. Knows nothing of how many jobs there are. Called by cli/slurm.py.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shlex
import stat
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2s
from pathlib import Path

from simpledist import private_files
from simpledist.config import Config
from simpledist.errors import ConfigurationError

CACHE = "simpledist-slurm"
URL_FILE = "redis-url"
CPUS = 4  # of a worker, where nothing says how many
GRACE_SECONDS = 60.0  # jobs may take longer than a container's
NOTICE_SECONDS = 30.0  # between the end of that and the end of the Slurm job
IDLE_EXIT = "5m"
LOG = "simpledist-%A_%a.log"  # in the folder in which the command was started
SIGNAL_MOST_SECONDS = 65535
KEPT_BACK = ("SIMPLEDIST_REDIS_URL", "SIMPLEDIST_SECRET_FILE", "SIMPLEDIST_NAMESPACE")


@dataclass(frozen=True, slots=True)
class WorkerCommand:
    """Which worker each job starts. `words`: its targets and options; `given`: those of its options that were set."""

    config: Config
    key_file: str | None
    words: tuple[str, ...]
    given: Mapping[str, object]

    @property
    def grace_seconds(self) -> float:
        grace = self.given.get("grace")
        return float(grace) if isinstance(grace, (int, float)) else GRACE_SECONDS

    def options(self, *, idle_exit: bool) -> list[str]:
        """Return the words of the worker, with our own defaults; `idle_exit`: it may end by itself for want of jobs."""
        chosen = ["--namespace", self.config.namespace, *([] if self.key_file else ["--insecure"])]
        if "lifetime" not in self.given:
            chosen += ["--lifetime", "auto"]
        if "idle_exit" not in self.given and idle_exit:
            chosen += ["--idle-exit", IDLE_EXIT]
        if "grace" not in self.given:
            chosen += ["--grace", f"{GRACE_SECONDS:g}"]
        return [*chosen, *self.words]


def name_of(command: WorkerCommand, sbatch: Sequence[str]) -> str:
    """Return the name of the jobs: the same command has the same name later, and finds the jobs that it has left."""
    config = command.config
    # Every user of Slurm sees it: nothing in it may help to guess a password.
    text = json.dumps([config.safe_url, config.namespace, command.words, [*sbatch]])
    return f"simpledist-{blake2s(text.encode('utf-8', 'replace'), digest_size=4).hexdigest()}"


def folder_of(name: str) -> Path:
    """Return the folder for the files of these jobs, made now. Raises ConfigurationError."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / CACHE / name
    try:
        for one in (folder.parent, folder):
            one.mkdir(mode=0o700, parents=True, exist_ok=True)
            status = one.lstat()
            if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
                raise ConfigurationError(f"{one} must be a folder that only you can enter: remove it, or chmod 700 it")
    except OSError as error:
        raise ConfigurationError(f"no folder for the jobs' files: {folder}: {error.strerror or error}") from None
    return folder


def write_url(folder: Path, url: str) -> Path:
    """Write the file with the URL of Redis, and return it. Raises ConfigurationError."""
    try:
        private_files.replace(folder / URL_FILE, url)
    except OSError as error:
        raise ConfigurationError(f"{folder / URL_FILE} cannot be written: {error}") from None
    return folder / URL_FILE


def remove(folder: Path) -> None:
    """Remove the files: a job that has not started by now ends at once."""
    with contextlib.suppress(OSError):
        (folder / URL_FILE).unlink(missing_ok=True)
        folder.rmdir()


def script_of(command: WorkerCommand, url_file: Path, *, idle_exit: bool) -> str:
    """Return what each job runs. It has no secret, only where they are."""
    file = shlex.quote(str(url_file))
    worker = [sys.executable, "-m", "simpledist.cli.worker", *command.options(idle_exit=idle_exit)]
    lines = [
        "unset " + " ".join(KEPT_BACK),
        f"if ! read -r SIMPLEDIST_REDIS_URL < {file}; then",
        f"    echo {shlex.quote(f'simpledist slurm: no {url_file} on this node, or its workers are to end')} >&2",
        "    exit 2",
        "fi",
        "export SIMPLEDIST_REDIS_URL",
        *([f"export SIMPLEDIST_SECRET_FILE={shlex.quote(command.key_file)}"] if command.key_file else []),
        # From Slurm 22.05 on srun does not inherit --cpus-per-task. It passes Slurm's signals on to the worker.
        'exec srun --ntasks=1 --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}" --kill-on-bad-exit=0 '
        + " ".join(map(shlex.quote, worker))
        + ("" if "label" in command.given else ' --name "slurm-$SLURM_JOB_ID"'),
    ]
    return "\n".join(lines)


def defaults(command: WorkerCommand) -> list[str]:
    """Return the options of sbatch that the user's own come after."""
    slots = command.given.get("slots") or command.given.get("gpu_count") or CPUS
    notice = min(math.ceil(command.grace_seconds + NOTICE_SECONDS), SIGNAL_MOST_SECONDS)
    return [
        "--ntasks=1",
        f"--cpus-per-task={slots}",
        f"--signal=TERM@{notice}",
        f"--output={LOG}",
    ]


def slots_of(command: WorkerCommand, cpus: int | None) -> int:
    """Return how many slots each worker has; `cpus`: of its job, by the options of sbatch; None: by our own."""
    chosen = command.given.get("slots") or command.given.get("gpu_count")
    return chosen if isinstance(chosen, int) else cpus or CPUS
