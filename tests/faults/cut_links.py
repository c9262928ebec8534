"""`make cuts`: three worker hosts and a client's, whose links to Redis are cut, delayed or lose packets.

Each host is a network namespace of its own on a bridge; Redis is in one more. A cut drops every packet of a host (a
black hole), or answers each with a reset, as a router does that has forgotten a connection; the kernel loses packets
(iptables, xt_statistic) and holds rates (tc tbf), and a pair of TUN devices delays them. It takes root, `ip`, `tc` and
`iptables`, and a quarter of an hour. Ends with 1 where a call has no outcome or another than its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simpledist.embedded import EmbeddedRedis
from tests.faults.conftest import ROOT, TARGETS
from tests.faults.delayed import Delayed
from tests.faults.functions import work

NETWORK, SERVER, PORT = "10.213.58", "10.213.58.1", 6379
CLIENT, WORKERS = "c", ("w1", "w2", "w3")
HOSTS = {"w1": 11, "w2": 12, "w3": 13, CLIENT: 20}
BEFORE_SECONDS, AFTER_SECONDS = 4.0, 16.0
QUIET_SECONDS = 20.0  # for a link that is slow all the time
SLOTS = 4


@dataclass(frozen=True, slots=True)
class Case:
    """What is wrong with the links of some hosts, and for how long; 0: all the time."""

    what: str
    hosts: tuple[str, ...]
    how: str  # drop, reset, delay, loss or rate
    seconds: float = 0.0
    amount: str = ""

    @property
    def duration(self) -> float:
        return BEFORE_SECONDS + self.seconds + AFTER_SECONDS if self.seconds else QUIET_SECONDS


ONE, ALL, CALLER = ("one worker's link", ("w1",)), ("all workers' links", WORKERS), ("the client's link", (CLIENT,))
CASES = [
    *(
        Case(*whose, how, seconds)
        for whose in (ONE, ALL, CALLER)
        for how in ("drop", "reset")
        for seconds in (5, 15, 60)
    ),
    *(Case("all links", (*WORKERS, CLIENT), "delay", amount=amount) for amount in ("1 ms", "20 ms", "100 ms")),
    Case("all links", (*WORKERS, CLIENT), "loss", amount="1 %"),
    Case("all links", (*WORKERS, CLIENT), "rate", amount="10 Mbit/s"),
]
WORDS = {
    "drop": "a black hole",
    "reset": "resets",
    "delay": "each way later",
    "loss": "of the packets lost",
    "rate": "at",
}


def run(*command: str) -> None:
    subprocess.run(command, check=True)


class Network:
    """The namespaces, and what is wrong with their links; use it in a `with` block."""

    def __init__(self) -> None:
        self._mark = f"sd{os.getpid()}"
        self.server = f"{self._mark}s"

    def name(self, host: str) -> str:
        return f"{self._mark}{host}"

    def __enter__(self) -> Network:
        try:
            self._make()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _make(self) -> None:
        run("ip", "netns", "add", self.server)
        self.in_server("ip", "link", "add", "bridge0", "type", "bridge")
        self.in_server("ip", "address", "add", f"{SERVER}/24", "dev", "bridge0")
        for device in ("lo", "bridge0"):
            self.in_server("ip", "link", "set", device, "up")
        for host, number in HOSTS.items():
            name = self.name(host)
            run("ip", "netns", "add", name)
            ends = ("ip", "link", "add", host, "netns", self.server, "type", "veth")
            run(*ends, "peer", "eth0", "netns", name)
            self.in_server("ip", "link", "set", host, "master", "bridge0", "up")
            for command in (
                ("address", "add", f"{NETWORK}.{number}/24", "dev", "eth0"),
                ("link", "set", "eth0", "up"),
                ("link", "set", "lo", "up"),
            ):
                run("ip", "netns", "exec", name, "ip", *command)

    def __exit__(self, *_: object) -> None:
        for name in (self.server, *map(self.name, HOSTS)):
            subprocess.run(("ip", "netns", "delete", name), check=False)

    def in_server(self, *command: str) -> None:
        run("ip", "netns", "exec", self.server, *command)

    @contextlib.contextmanager
    def wrong(self, case: Case) -> Generator[None]:
        """Have it so in the block."""
        for host in case.hosts:
            self._change(case, host, begin=True)
        try:
            yield
        finally:
            for host in case.hosts:
                self._change(case, host, begin=False)

    def _change(self, case: Case, host: str, *, begin: bool) -> None:
        address, rule = f"{NETWORK}.{HOSTS[host]}", "-I" if begin else "-D"
        drop = ("-j", "DROP")
        match case.how:
            case "drop" | "reset":
                reset = ("-p", "tcp", "-j", "REJECT", "--reject-with", "tcp-reset")
                self.in_server("iptables", rule, "INPUT", "-s", address, *(reset if case.how == "reset" else drop))
                self.in_server("iptables", rule, "OUTPUT", "-d", address, *drop)
            case "loss":
                often = ("-m", "statistic", "--mode", "random", "--probability", "0.01")
                self.in_server("iptables", rule, "INPUT", "-s", address, *often, *drop)
                self.in_server("iptables", rule, "OUTPUT", "-d", address, *often, *drop)
            case "rate":
                rate = ("tbf", "rate", "10mbit", "burst", "32kb", "latency", "50ms") if begin else ()
                self.in_server("tc", "qdisc", "replace" if begin else "delete", "dev", host, "root", *rate)
            case _:  # a link of its own (delayed.py)
                pass


@contextlib.contextmanager
def process(network: Network, host: str, words: Sequence[str], log: Path) -> Generator[subprocess.Popen[str]]:
    """Run a Python module on a host for as long as the block lasts."""
    command = ["ip", "netns", "exec", network.name(host), sys.executable, "-m", *words]
    variables = {**os.environ, work.LOG_VARIABLE: str(log)}
    with subprocess.Popen(command, cwd=ROOT, env=variables, stdout=subprocess.PIPE, text=True) as one:
        try:
            yield one
        finally:
            one.terminate()


def made_calls(network: Network, case: Case, url: str, secret: Path, first: int, log: Path) -> dict[str, Any]:
    """Return what the client says of its calls while the links of a case are as it says."""
    words = ["tests.faults.programs.streaming", url, str(secret), str(first), str(case.duration)]
    always = network.wrong(case) if not case.seconds else contextlib.nullcontext()
    with always, process(network, CLIENT, words, log) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == "ready\n"
        if case.seconds:
            time.sleep(BEFORE_SECONDS)
            with network.wrong(case):
                time.sleep(case.seconds)
        return json.loads(client.stdout.readline())


def line_of(case: Case, found: dict[str, Any], second: int) -> str:
    how = f"{WORDS[case.how]} for {case.seconds:g} s" if case.seconds else f"{case.amount} {WORDS[case.how]}"
    how = f"at {case.amount}" if case.how == "rate" else how
    here = sum(found["local"].values())
    why = f" ({', '.join(f'{count} {why}' for why, count in sorted(found['local'].items()))})" if here else ""
    over = BEFORE_SECONDS + case.seconds
    again = f"{max(found['last_local'] - over, 0):.1f}" if here and case.seconds else "-"
    bad = found["wrong"] + found["stuck"]
    return (
        f"| {case.what}, {how} | {found['calls']:,} | {bad} | {here:,}{why} | {second} | {found['longest']:.1f} "
        f"| {again} |"
    )


def main() -> int:
    well = True
    wanted = sys.argv[1:]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sd-cuts-")))
        network = stack.enter_context(Network())
        delayed = {
            host: stack.enter_context(Delayed(network.server, network.name(host), number))
            for host, number in HOSTS.items()
        }
        program = folder / "redis-server"
        program.write_text(f'#!/bin/sh\nexec ip netns exec {network.server} redis-server "$@"\n')
        program.chmod(0o700)
        outside = ("--bind", "0.0.0.0", "--port", str(PORT), "--protected-mode", "no")
        stack.enter_context(EmbeddedRedis(str(program), arguments=outside))
        secret, log = folder / "secret", folder / "runs"
        run(sys.executable, "-m", "simpledist.cli.main", "secret", str(secret))
        titles = ("what", "calls", "lost or wrong", "at their client", "second runs", "longest (s)", "remote again (s)")
        print("| " + " | ".join(titles) + " |\n" + "|---" * len(titles) + "|", flush=True)
        first = 1
        for case in CASES:
            if wanted and not any(word in f"{case.what} {case.how} {case.seconds:g}" for word in wanted):
                continue
            late = case.how == "delay"
            urls = {host: f"redis://{delayed[host].server if late else SERVER}:{PORT}/0" for host in HOSTS}
            for one in delayed.values():
                one.seconds = float(case.amount.split()[0]) / 1000 if late else 0.0
            with ExitStack() as hosts:
                for host in WORKERS:
                    words = ["simpledist.cli.worker", "--redis", urls[host], "--secret-file", str(secret)]
                    words += ["--log-level", "error", "--slots", str(SLOTS), *TARGETS]
                    hosts.enter_context(process(network, host, words, log))
                found = made_calls(network, case, urls[CLIENT], secret, first, folder / "here")
            runs = work.runs(log)
            second = sum(max(runs.get(n, 0) - 1, 0) for n in range(first, found["last"]))
            print(line_of(case, found, second), flush=True)
            well = well and not found["wrong"] and not found["stuck"]
            first = found["last"]
    print("passed" if well else "FAILED")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
