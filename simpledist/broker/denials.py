"""Denials: what it means when Redis answers and does not serve us, and what to do about it.

Pure: from the text of an error to a cause and a remedy. Knows no connection and no command. Used by the monitor and the
command lines, so that pages, `doctor` and every command say the same of the same trouble. (A job that a worker does not
take is a refusal.)
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Denial:
    """One kind of denial: why Redis does not serve us, and what somebody has to do."""

    cause: str
    remedy: str


_RIGHTS = "give it the rights of its role (docs/acl.md; redis-cli ACL LOG names what was refused)"
_CLUSTER = Denial(
    "it is a node of a Redis Cluster",
    "name a Redis without cluster mode (cluster-enabled no) in the URL; or put the namespace in braces, which keeps "
    "all its keys on one node, and name that node",
)
_REPLICA = Denial("it is a replica, which takes no calls", "name its primary in the URL")

# The first that is found in an error's text counts. Words of the server come first, redis-py's own words last.
_KINDS: tuple[tuple[re.Pattern[str], Denial], ...] = tuple(
    (re.compile(pattern), refusal)
    for pattern, refusal in (
        (
            r"\bNOPERM\b|Error setting client name|user executing the script can't|ACL failure in script",
            Denial("the user in the URL lacks a right", _RIGHTS),
        ),
        (
            r"\bWRONGPASS\b|\bNOAUTH\b|our user or password|invalid password|Authentication required",
            Denial(
                "it wants another user or password",
                "correct them in the URL: redis://USER:PASSWORD@HOST:PORT/0 (its users: docs/acl.md)",
            ),
        ),
        (r"\b(MOVED|ASK|CROSSSLOT|CLUSTERDOWN)\b|in a cluster node", _CLUSTER),
        (r"\bREADONLY\b", _REPLICA),
        (
            r"\bMASTERDOWN\b",
            Denial("it is a replica that has lost its primary", "name the primary in the URL, or start it again"),
        ),
        (r"\bLOADING\b", Denial("it is still loading its data", "wait until it has loaded them, and ask again")),
        (
            r"\bDENIED\b|protected mode",
            Denial(
                "its protected mode refuses other machines",
                "give it a password (requirepass) or a user (docs/acl.md), and name that in the URL",
            ),
        ),
        (
            r"max number of clients",
            Denial("it has no connection left", "raise maxclients in its configuration, or close what is not needed"),
        ),
        (
            r"Invalid Database|DB index is out of range",
            Denial(
                "it has no database of that number",
                "correct the number behind the last '/' of the URL (0 is always there)",
            ),
        ),
        (
            r"\bWRONGTYPE\b",
            Denial(
                "a value under our namespace is not ours",
                "delete it (redis-cli DEL KEY), or use another --namespace everywhere",
            ),
        ),
        (
            r"\bOOM\b",
            Denial("its memory is full", "raise maxmemory, or remove what fills it (simpledist jobs --state queued)"),
        ),
        (
            r"\bMISCONF\b",
            Denial(
                "it cannot save to its disk and takes no writes", "make room there, or redis-cli CONFIG SET save ''"
            ),
        ),
        (
            r"\bNOREPLICAS\b",
            Denial("it has too few replicas to take writes", "start them, or lower min-replicas-to-write"),
        ),
        (
            r"\bBUSY\b",
            Denial("it is busy with somebody's script", "wait, or end the script with redis-cli SCRIPT KILL"),
        ),
        (
            r"is too old",
            Denial("its version is too old", "install Redis 6.2 or newer"),
        ),
        (
            r"unknown command",
            Denial(
                "it lacks a command that simpledist needs",
                "use Redis 6.2 or newer, with its commands not renamed and no proxy in front of it",
            ),
        ),
        (
            r"[Pp]rotocol [Ee]rror|InvalidResponse|WRONG_VERSION_NUMBER",
            Denial(
                "what answers there does not speak Redis' protocol",
                "correct host and port in the URL; rediss:// is for TLS, redis:// for plain connections",
            ),
        ),
        (
            r"(?:Hostname|IP address) mismatch, certificate is not valid",
            Denial(
                "its certificate is for another host",
                "name the host in the URL as its certificate does; if it is not the Redis that you mean, stop here",
            ),
        ),
        (
            r"CERTIFICATE_VERIFY_FAILED",
            Denial(
                "its certificate cannot be verified",
                "name the authority's file in the URL: rediss://HOST:PORT/0?ssl_ca_certs=FILE",
            ),
        ),
    )
)
START = "start it (on this machine: simpledist redis), or correct --redis"  # where it is not there
_UNKNOWN = "see what `simpledist doctor` says"


def denial_in(text: str) -> Denial | None:
    """Return the kind of denial that the text of an error shows; None where Redis may simply not be there."""
    return next((refusal for pattern, refusal in _KINDS if pattern.search(text)), None)


def remedy_of(text: str, *, otherwise: str = _UNKNOWN) -> str:
    """Return what to do about an error of this text."""
    found = denial_in(text)
    return found.remedy if found is not None else otherwise


def explained(text: str) -> str:
    """Return an error of Redis as one line: its cause in our words, its own words, and what to do."""
    found = denial_in(text)
    return f"{text}; {_UNKNOWN}" if found is None else f"{found.cause} ({text}); {found.remedy}"
