"""Workers on other machines, by the system's ssh: a tunnel to the caller's Redis, and a worker at its other end.

hosts.py       HOST[:PORT], and the file that lists them       invocation.py  the command lines of ssh
tunnel.py      from the caller's URL to both ends of a tunnel  archive.py     our own files, for a host without them
launcher.py    the program that runs on the other machine      messages.py    its lines, checked: a host may be hostile
session.py     one connection to one host                      fleet.py       all hosts: starts, tries again, drains

Knows nothing of terminals: cli/ssh.py shows what happens.
"""
