"""The key that the processes of one user share: where it is looked for, how it is made, whose is refused."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from simpledist.config import Config, load
from simpledist.errors import ConfigurationError
from simpledist.wire import key_file, user_key
from simpledist.wire.key_file import new_secret
from simpledist.wire.process_keys import check_codec, keyring_of
from tests import needs

HERE = "redis://localhost"


class Places:
    """The home of the passwd entry, the folder for temporary files and that of the machine, all below one folder."""

    def __init__(self, folder: Path) -> None:
        self.home, self.temporary = folder / "home", folder / "tmp"
        self.for_all = folder / "etc" / "simpledist" / "key"
        for one in (self.home, self.temporary, self.for_all.parent):
            one.mkdir(parents=True)
        self.at_home = self.home / ".config" / "simpledist" / "key"
        self.in_temporary = self.temporary / f"simpledist-{os.geteuid()}" / "key"

    def all(self) -> list[Path]:
        return [self.at_home, self.for_all, self.in_temporary]


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    one = Places(tmp_path)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.delenv("SIMPLEDIST_SECRET_FILE", raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda user: SimpleNamespace(pw_dir=str(one.home)))  # type: ignore[misc]
    monkeypatch.setattr(tempfile, "tempdir", str(one.temporary))
    monkeypatch.setattr(user_key, "FOR_ALL", one.for_all)
    return one


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(0o600)
    path.write_text(new_secret())
    return path


def test_the_first_key_is_made_at_home_and_found_by_the_next_process(places: Places) -> None:
    assert user_key.find(HERE) is None
    made = user_key.find_or_make(HERE)
    assert made == places.at_home
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    assert stat.S_IMODE(made.parent.stat().st_mode) == 0o700
    text = made.read_text()
    assert user_key.find_or_make(HERE) == made
    assert made.read_text() == text
    assert [file.name for file in made.parent.iterdir()] == ["key"], "no draft stays"


def test_another_home_in_the_environment_is_not_looked_at(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(places.temporary))
    assert user_key.find_or_make(HERE) == places.at_home


def test_the_first_place_that_holds_a_key_counts(places: Places) -> None:
    for path in reversed(places.all()):
        put(path)
        assert user_key.find_or_make(HERE) == path


def test_xdg_config_home_counts_only_if_it_holds_a_key(
    places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "chosen"))
    assert user_key.find_or_make(HERE) == places.at_home
    chosen = put(tmp_path / "chosen" / "simpledist" / "key")
    assert user_key.find_or_make(HERE) == chosen


def test_without_a_home_the_key_is_in_a_private_temporary_folder(places: Places) -> None:
    places.home.rmdir()
    made = user_key.find_or_make(HERE)
    assert made == places.in_temporary
    assert stat.S_IMODE(made.parent.stat().st_mode) == 0o700
    assert not places.home.exists()


def test_a_user_without_an_entry_has_a_key_too(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(user: int) -> object:
        raise KeyError(user)

    monkeypatch.setattr("pwd.getpwuid", unknown)
    assert user_key.find_or_make(HERE) == places.in_temporary


@pytest.mark.parametrize("mode", [0o755, 0o777])
def test_an_open_temporary_folder_of_our_name_is_neither_read_nor_written(places: Places, mode: int) -> None:
    put(places.in_temporary)
    places.in_temporary.parent.chmod(mode)
    assert user_key.find(HERE) is None
    assert user_key.find_or_make(HERE) == places.at_home
    places.at_home.unlink()
    places.at_home.parent.rmdir()
    places.at_home.parent.parent.rmdir()
    places.home.rmdir()
    with pytest.raises(ConfigurationError, match="is open to others") as raised:
        user_key.find_or_make(HERE)
    assert len(str(raised.value).splitlines()) == 1
    assert "--insecure" in str(raised.value)


def test_a_link_in_place_of_the_temporary_folder_is_not_followed(places: Places, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    put(elsewhere / "key")
    places.in_temporary.parent.symlink_to(elsewhere)
    assert user_key.find(HERE) is None


def test_a_folder_at_home_that_all_may_write_to_is_refused(places: Places) -> None:
    put(places.at_home)
    places.at_home.parent.chmod(0o777)
    with pytest.raises(ConfigurationError, match="chmod 700"):
        user_key.find_or_make(HERE)


def test_a_private_redis_has_its_key_beside_its_socket(places: Places, tmp_path: Path) -> None:
    room = tmp_path / "room with%sign"
    room.mkdir(mode=0o700)
    url = f"unix://{str(room).replace('%', '%25').replace(' ', '%20')}/redis.sock"
    user_key.make_next_to_socket(url)
    beside = room / "simpledist.key"
    assert user_key.find(url) == beside
    put(places.at_home)
    assert user_key.find(url) == beside
    assert user_key.find("unix:///elsewhere/redis.sock") == places.at_home
    room.chmod(0o755)
    assert user_key.find(url) == places.at_home, "others might have put it there"


def test_a_key_that_another_process_has_made_meanwhile_stays(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    url = f"unix://{tmp_path}/redis.sock"
    user_key.make_next_to_socket(url)
    first = (tmp_path / "simpledist.key").read_text()
    user_key.make_next_to_socket(url)
    assert (tmp_path / "simpledist.key").read_text() == first
    assert [file.name for file in tmp_path.iterdir()] == ["simpledist.key"], "no draft stays"


MAKES = """
import sys
from pathlib import Path
from types import SimpleNamespace
import pwd
pwd.getpwuid = lambda user: SimpleNamespace(pw_dir=sys.argv[1])
from simpledist.wire import user_key
from simpledist.wire import key_file
from simpledist.wire.keyring import Keyring
sys.stdin.readline()
print(key_file.keyring_from(str(user_key.find_or_make("redis://localhost"))).signing_id.hex())
"""


def test_processes_that_start_at_once_have_one_key(places: Places) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "XDG_CONFIG_HOME"}
    racing = [
        subprocess.Popen(
            [sys.executable, "-c", MAKES, str(places.home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for _ in range(8)
    ]
    for one in racing:
        assert one.stdin is not None
        one.stdin.write("\n")
        one.stdin.flush()
    ids = {one.communicate(timeout=30)[0].strip() for one in racing}
    assert [one.returncode for one in racing] == [0] * 8
    assert ids == {key_file.keyring_from(str(places.at_home)).signing_id.hex()}


# --- of other users --------------------------------------------------------------------------------------------------

SEEKS = """
import os, sys, tempfile
from simpledist.errors import SimpledistError
from simpledist.wire import user_key
from simpledist.wire import key_file
from simpledist.wire.keyring import Keyring
import pwd
from types import SimpleNamespace
home = sys.argv[1]
pwd.getpwuid = lambda user: SimpleNamespace(pw_dir=home)
tempfile.tempdir = sys.argv[2]
open("/dev/null").close()
os.setegid(1000), os.seteuid(1000)
try: print(user_key.find_or_make("redis://localhost"))
except SimpledistError as error: print(type(error).__name__, error)
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        yield Path(folder)


def as_user(home: Path, temporary: Path) -> str:
    """What user 1000 finds or makes."""
    if os.geteuid():
        needs.missing("only root can be two users: run this test as root")
    environment = {name: value for name, value in os.environ.items() if name != "XDG_CONFIG_HOME"}
    line = [sys.executable, "-c", SEEKS, str(home), str(temporary)]
    return subprocess.run(line, stdout=subprocess.PIPE, text=True, check=True, env=environment).stdout.strip()


def test_a_read_only_home_is_passed_over(open_folder: Path) -> None:
    home = open_folder / "home"
    home.mkdir(mode=0o755)
    assert as_user(home, open_folder) == str(open_folder / "simpledist-1000" / "key")


def test_the_temporary_folder_of_another_user_is_not_taken(open_folder: Path) -> None:
    squatted = open_folder / "simpledist-1000"
    squatted.mkdir(mode=0o700)
    put(squatted / "key")
    for path in (squatted, squatted / "key"):
        os.chown(path, 1001, 1001)
    found = as_user(open_folder / "none", open_folder)
    assert found.startswith("ConfigurationError")
    assert "belongs to user 1001" in found


def test_a_shared_home_where_another_user_was_first_is_refused(open_folder: Path) -> None:
    theirs = open_folder / ".config" / "simpledist"
    theirs.mkdir(parents=True, mode=0o755)
    theirs.chmod(0o755)
    put(theirs / "key")
    os.chown(theirs, 1001, 1001)
    found = as_user(open_folder, open_folder)
    assert found.startswith("ConfigurationError")
    assert "belongs to user 1001" in found


# --- which process holds which key -----------------------------------------------------------------------------------


def test_on_this_machine_every_process_of_a_user_has_the_same_key(places: Places) -> None:
    one, other = keyring_of(load(HERE)), keyring_of(load("unix:///run/redis.sock", codec="json"))
    assert one.signing_id == other.signing_id
    assert (one.file, one.pickles) == (str(places.at_home), True)


def test_a_key_that_is_named_goes_before_the_users(places: Places, tmp_path: Path) -> None:
    named = put(tmp_path / "named")
    assert keyring_of(load(HERE, secret_file=str(named))).file == str(named)
    assert not places.at_home.exists()


@pytest.mark.parametrize(
    "settings",
    [
        load(HERE, insecure=True),
        load("memory://", memory=True),
        Config(url="redis://elsewhere", insecure=True),
    ],
)
def test_who_signs_nothing_makes_no_key(places: Places, settings: Config) -> None:
    keyring = keyring_of(settings)
    assert not keyring
    assert keyring.pickles
    assert not places.at_home.exists()


def test_a_workers_child_holds_no_key(places: Places, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SIMPLEDIST_NESTED", "1")
    assert not keyring_of(load(HERE, secret_file=str(put(tmp_path / "named"))))
    assert not keyring_of(load(HERE))
    assert not places.at_home.exists()


def test_json_to_another_machine_without_a_key_means_no_pickles(places: Places) -> None:
    keyring = keyring_of(load("redis://elsewhere", codec="json"))
    assert not keyring
    assert not keyring.pickles
    check_codec("json", keyring)
    with pytest.raises(ConfigurationError, match="codec='json'"):
        check_codec("pickle", keyring)
    assert not places.at_home.exists()
