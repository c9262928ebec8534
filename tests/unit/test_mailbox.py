"""Lines and descriptors between parent and template: none is lost, whichever side is slow, and none stays open."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

from simpledist.worker.mailbox import Mailbox


def pair() -> tuple[Mailbox, Mailbox]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    return Mailbox(ours), Mailbox(theirs)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_what_the_socket_does_not_take_now_goes_later_in_order_each_with_its_descriptor() -> None:
    before = open_files()
    parent, template = pair()
    for serial in range(2000):
        descriptor = os.open(os.devnull, os.O_RDONLY) if serial % 10 == 0 else None
        parent.post({"start" if descriptor is not None else "kill": serial}, descriptor)
    assert parent.wants_to_write
    seen: list[int] = []
    while len(seen) < 2000:
        parent.flush()
        for line, descriptor in template.read() or ():
            ((verb, serial),) = line.items()
            assert (verb == "start") == (descriptor is not None) == (serial % 10 == 0)
            if descriptor is not None:
                assert not os.get_inheritable(descriptor)
                os.close(descriptor)
            seen.append(serial)
    assert seen == list(range(2000))
    parent.close()
    assert template.read() is None
    template.close()
    assert open_files() == before


def test_what_never_leaves_stays_open_nowhere() -> None:
    before = open_files()
    parent, template = pair()
    for serial in range(2000):
        parent.post({"start": serial}, os.open(os.devnull, os.O_RDONLY) if serial < 100 else None)
    template.close()
    parent.post({"kill": 1})
    assert not parent.wants_to_write, "no one is there to read it"
    parent.close()
    assert open_files() == before


def test_a_line_whose_descriptor_found_no_room_is_distinguished_from_the_next() -> None:
    program = (
        "import os, resource, socket\n"
        "from simpledist.worker.mailbox import Mailbox\n"
        "ours, theirs = socket.socketpair()\n"
        "parent, template = Mailbox(ours), Mailbox(theirs)\n"
        "parent.post({'start': 1}, os.open(os.devnull, os.O_RDONLY))\n"
        "parent.post({'start': 2}, os.open(os.devnull, os.O_RDONLY))\n"
        "hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))\n"
        "print(template.read())\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))\n"
        "((line, descriptor),) = template.read()\n"
        "print(line, descriptor is not None)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=20)
    assert done.stdout.splitlines() == ["[({'start': 1}, None)]", "{'start': 2} True"]


def test_ten_thousand_starts_leave_no_descriptor() -> None:
    before = open_files()
    parent, template = pair()
    for serial in range(10_000):
        parent.post({"start": serial}, os.open(os.devnull, os.O_RDONLY))
        for _, descriptor in template.read() or ():
            assert descriptor is not None
            os.close(descriptor)
    parent.close()
    template.close()
    assert open_files() == before
