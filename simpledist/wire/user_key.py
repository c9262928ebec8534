"""The key that all processes of one user share: where it is, and how it is made at first need.

Owns the places and the making; key_file.py reads the file and checks it. Called by process_keys.py, for a process whose
user names no key file and does not say `insecure`, and by clusters that end with the program.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from urllib.parse import unquote, urlsplit

from simpledist import private_files
from simpledist.errors import ConfigurationError
from simpledist.wire.key_file import ROOT, new_secret

NAME = "key"
NEXT_TO_SOCKET = "simpledist.key"
FOLDER = "simpledist"
FOR_ALL = Path("/etc/simpledist/key")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a key may lie. `others`: others can write to the folder above, so that the folder itself must be ours."""

    path: Path
    may_make: bool = False
    others: bool = False


def find(url: str) -> Path | None:
    """Return the file of the user's key for the Redis at `url`: the first that exists; None where there is none yet.

    Raises ConfigurationError where another user could have put it there.
    """
    for place in _places(url):
        if not _exists(place.path):
            continue
        trouble = _trouble(place.path.parent, private=place.others)
        if not trouble:
            return place.path
        if not place.others:  # anyone can make a folder of our name in a folder of all: that one is passed over
            raise ConfigurationError(f"{place.path.parent}, the folder of the key, {trouble}, or name a --secret-file")
    return None


def find_or_make(url: str) -> Path:
    """Return the file of the user's key, made in the first place that can be written where there is none.

    Raises ConfigurationError where there is none and none can be made.
    """
    found = find(url)
    if found is not None:
        return found
    troubles: list[str] = []
    for place in _places(url):
        if not place.may_make:
            continue
        try:
            _make_folder(place)
            private_files.make(place.path, new_secret())
        except OSError as error:
            troubles.append(f"{place.path}: {error.strerror or error}")
        except ConfigurationError as error:
            troubles.append(str(error))
        else:
            return place.path
    raise ConfigurationError(
        f"no key for this user's processes, and none can be made ({'; '.join(troubles)}): make one with "
        "`simpledist secret FILE` and name it (--secret-file FILE, SIMPLEDIST_SECRET_FILE), or say --insecure"
    )


def make_next_to_socket(url: str) -> None:
    """Make a key for a private Redis next to its Unix socket: each process that is given its URL finds it there."""
    private_files.make(_next_to_socket(url), new_secret())


def _next_to_socket(url: str) -> Path:
    return Path(unquote(urlsplit(url).path)).parent / NEXT_TO_SOCKET


def _places(url: str) -> Iterator[_Place]:
    if url.lower().startswith("unix:"):
        path = _next_to_socket(url)
        if not _trouble(path.parent, private=True):
            yield _Place(path)
    if chosen := os.environ.get("XDG_CONFIG_HOME"):
        yield _Place(Path(chosen) / FOLDER / NAME)
    # Not $HOME: sudo, cron and services set another one, and all processes of a user are to find the same key.
    with contextlib.suppress(KeyError):  # the user of a container need not have an entry
        home = Path(import_module("pwd").getpwuid(os.geteuid()).pw_dir)
        yield _Place(home / ".config" / FOLDER / NAME, may_make=True)
    if os.access(FOR_ALL, os.R_OK):
        yield _Place(FOR_ALL)
    temporary = import_module("tempfile").gettempdir()
    yield _Place(Path(temporary) / f"{FOLDER}-{os.geteuid()}" / NAME, may_make=True, others=True)


def _exists(path: Path) -> bool:
    """Return whether a file is there. One that we cannot look at is none: root's folder, under another user's name."""
    try:
        path.lstat()
    except OSError:
        return False
    return True


def _trouble(folder: Path, *, private: bool) -> str:
    """Return why another user can put files into this folder; "" where none but root can.

    `private`: it is no link, it is ours, and others cannot even look into it.
    """
    try:
        status = folder.lstat() if private else folder.stat()
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if not stat.S_ISDIR(status.st_mode):
        return "is no folder: remove it"
    user = os.geteuid()
    if status.st_uid != user and (private or status.st_uid != ROOT):
        return f"belongs to user {status.st_uid}: remove it"
    if status.st_mode & (0o077 if private else 0o002):
        return "is open to others: chmod 700 it"
    return ""


def _make_folder(place: _Place) -> None:
    folder = place.path.parent
    if not place.others:
        folder.parent.mkdir(exist_ok=True)  # not the home: a user without one has none
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    if trouble := _trouble(folder, private=place.others):
        raise ConfigurationError(f"{folder} {trouble}")
