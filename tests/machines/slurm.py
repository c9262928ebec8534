"""A whole Slurm on this machine: munged, slurmctld and one slurmd, with folders and ports of its own."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import subprocess
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.commands import free_port
from tests.machines.programs import program, running
from tests.waiting import wait_until

CPUS = 8  # of the node, by its own word: more than this machine may have
KILL_WAIT_SECONDS = 10

# Control groups of version 1 and no rights over them: processes are found by /proc.
CONFIGURATION = """
ClusterName=simpledist
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
ReturnToService=2
KillWait={kill_wait}
SchedulerType=sched/builtin
SchedulerParameters=sched_interval=1,batch_sched_delay=0
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=65536 State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


@dataclass(frozen=True, slots=True)
class Slurm:
    """Runs Slurm's own commands against this one."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """Return what its commands need."""
        return {"SLURM_CONF": str(self.folder / "slurm.conf")}

    def run(self, *words: str, cwd: Path | None = None, more: Mapping[str, str] | None = None) -> str:
        """Return what a command of Slurm prints; it has to succeed."""
        done = subprocess.run(
            [program(words[0]), *words[1:]],
            env={**os.environ, **self.environment, **(more or {})},
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}{self.logs()}"
        return done.stdout

    def submit(self, *words: str, cwd: Path, more: Mapping[str, str] | None = None) -> int:
        """Submit a job and return its id."""
        return int(self.run("sbatch", "--parsable", *words, cwd=cwd, more=more))

    def states(self, job: int) -> list[str]:
        """Return the states of a job's tasks that are not over."""
        lines = self.run("squeue", "--noheader", "--array", "--format", "%F %T").splitlines()
        return [state for number, state in (line.split() for line in lines) if int(number) == job]

    def logs(self) -> str:
        """Return the end of its logs, for a test that fails."""
        return "".join(f"\n== {path.name}\n{path.read_text()[-2000:]}" for path in self.folder.glob("*.log"))


@contextlib.contextmanager
def slurm(folder: Path) -> Generator[Slurm]:
    """Start a Slurm in a folder; whatever runs in it ends with it."""
    one = Slurm(folder)
    folder.chmod(0o755)
    for name in ("state", "spool"):
        (folder / name).mkdir(mode=0o755)
    host = socket.gethostname().partition(".")[0]
    text = CONFIGURATION.format(
        host=host, controller=free_port(), node=free_port(), folder=folder, cpus=CPUS, kill_wait=KILL_WAIT_SECONDS
    )
    (folder / "slurm.conf").write_text(text)
    key = folder / "munge.key"
    key.touch(0o600)
    key.write_bytes(secrets.token_bytes(128))
    environment = {**os.environ, **one.environment}
    with contextlib.ExitStack() as stack:
        stack.enter_context(
            running(
                "munged",
                "--foreground",
                "--force",
                f"--key-file={key}",
                f"--socket={folder}/munge.socket",
                f"--pid-file={folder}/munge.pid",
                f"--seed-file={folder}/munge.seed",
                f"--log-file={folder}/munge-own.log",
                log=folder / "munge.log",
            )
        )
        wait_until((folder / "munge.socket").exists, 10, "the socket of munged")
        for name, words in (("slurmctld", ("-D", "-i")), ("slurmd", ("-D",))):
            stack.enter_context(running(name, *words, log=folder / f"{name}.log", environment=environment))
        began = time.monotonic()
        while "idle" not in _node(one):
            assert time.monotonic() - began < 60, one.logs()
            time.sleep(0.2)
        yield one
        subprocess.run(
            [program("scancel"), "--user=root", "--full"], env=environment, check=False, capture_output=True, timeout=60
        )
        wait_until(lambda: not one.run("squeue", "--noheader"), 60, f"the end of all jobs{one.logs()}")


def _node(one: Slurm) -> str:
    done = subprocess.run(
        [program("sinfo"), "--noheader", "--format", "%T"],
        env={**os.environ, **one.environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout
