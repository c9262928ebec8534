"""Keys: secret files, codes over bytes, rotation."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpledist.errors import ConfigurationError, WrongKey
from simpledist.wire import key_file
from simpledist.wire.key_file import new_secret, unsafe
from simpledist.wire.keyring import KEY_ID_BYTES, MAC_BYTES, Keyring
from tests import needs

ONE, OTHER = b"1" * 32, b"2" * 32


def secret_file(folder: Path, text: str, mode: int = 0o600) -> str:
    path = folder / "secret"
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def test_secrets_are_32_random_bytes_in_hex() -> None:
    made = {new_secret() for _ in range(50)}
    assert len(made) == 50
    assert all(len(bytes.fromhex(secret)) == 32 for secret in made)


def test_an_empty_keyring_is_falsy_and_one_with_a_key_is_not() -> None:
    assert not Keyring()
    assert Keyring([ONE])


def test_a_key_id_is_four_bytes_and_differs_between_keys() -> None:
    assert len(Keyring([ONE]).signing_id) == KEY_ID_BYTES == 4
    assert Keyring([ONE]).signing_id != Keyring([OTHER]).signing_id
    assert ONE not in Keyring([ONE]).signing_id


@given(st.lists(st.binary(max_size=100), max_size=4))
def test_what_a_key_signed_it_verifies_however_it_was_cut_into_parts(parts: list[bytes]) -> None:
    keyring = Keyring([ONE])
    mac = keyring.mac(b"p", keyring.signing_id, b"fib", *parts)
    assert len(mac) == MAC_BYTES == 32
    keyring.verify(b"p", keyring.signing_id, mac, b"fib", memoryview(b"".join(parts)))


def test_what_was_signed_about_one_function_is_nothing_to_another_one_however_many_there_were() -> None:
    keyring = Keyring([ONE])
    names = [b"f%d" % number for number in range(3000)]
    macs = [keyring.mac(b"p", keyring.signing_id, name, b"data") for name in names]
    assert len(set(macs)) == 3000
    assert macs == [Keyring([ONE]).mac(b"p", keyring.signing_id, name, b"data") for name in names]
    with pytest.raises(WrongKey):
        keyring.verify(b"p", keyring.signing_id, macs[0], names[1], b"data")


def test_what_is_remembered_of_functions_has_a_bound() -> None:
    keyring = Keyring([ONE])
    keyring.mac(b"p", keyring.signing_id, b"f", b"data")
    tracemalloc.start()
    try:
        for number in range(20_000):
            keyring.mac(b"p", keyring.signing_id, b"f%d" % number, b"data")
        assert tracemalloc.get_traced_memory()[0] < 2_000_000
    finally:
        tracemalloc.stop()


@given(st.binary(min_size=1, max_size=60), st.data())
def test_a_changed_byte_or_code_does_not_verify(data: bytes, draw: st.DataObject) -> None:
    keyring = Keyring([ONE])
    mac = keyring.mac(b"p", keyring.signing_id, b"fib", data)
    at = draw.draw(st.integers(0, len(data) + MAC_BYTES - 1))
    changed = bytearray(data + mac)
    changed[at] ^= draw.draw(st.integers(1, 255))
    with pytest.raises(WrongKey):
        keyring.verify(b"p", keyring.signing_id, bytes(changed[len(data) :]), b"fib", bytes(changed[: len(data)]))


def test_a_code_for_calls_is_none_for_results() -> None:
    keyring = Keyring([ONE])
    mac = keyring.mac(b"call", keyring.signing_id, b"data")
    with pytest.raises(WrongKey):
        keyring.verify(b"result", keyring.signing_id, mac, b"data")


def test_the_key_of_another_is_refused() -> None:
    theirs = Keyring([OTHER])
    mac = theirs.mac(b"p", theirs.signing_id, b"data")
    with pytest.raises(WrongKey, match="not ours"):
        Keyring([ONE]).verify(b"p", theirs.signing_id, mac, b"data")
    with pytest.raises(WrongKey):
        Keyring().verify(b"p", theirs.signing_id, mac, b"data")


def test_after_a_rotation_the_old_key_still_verifies_and_the_new_one_signs() -> None:
    old, both = Keyring([OTHER]), Keyring([ONE, OTHER])
    assert both.signing_id == Keyring([ONE]).signing_id
    both.verify(b"p", old.signing_id, old.mac(b"p", old.signing_id, b"x"), b"x")


def test_a_file_gives_its_keys_first_one_first(tmp_path: Path) -> None:
    path = secret_file(tmp_path, f"\n{ONE.hex().upper()}\r\n\n  {OTHER.hex()}")
    keyring = key_file.keyring_from(path)
    assert keyring.signing_id == Keyring([ONE]).signing_id
    keyring.mac(b"p", Keyring([OTHER]).signing_id, b"x")


@pytest.mark.parametrize(
    "text",
    ["", "\n", "secret", "0" * 63, "0" * 62, "0" * 65, "0" * 130, "g" * 64, "0" * 64 + "\nsecret", "0" * 64 + "é"],
)
def test_anything_but_keys_in_a_file_is_refused_and_not_quoted(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigurationError, match="simpledist secret") as raised:
        key_file.keyring_from(secret_file(tmp_path, text))
    assert "0" * 20 not in str(raised.value)
    assert "ggg" not in str(raised.value)


@pytest.mark.parametrize("name", ["absent", ".", "nul\0byte"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="secret file"):
        key_file.keyring_from(str(tmp_path / name))


@pytest.mark.parametrize("key", [b"", b"short", b"x" * 31, b"x" * 65])
def test_a_key_of_another_length_is_refused(key: bytes) -> None:
    with pytest.raises(ConfigurationError):
        Keyring([key])


US, ROOT, THEM = 1000, 0, 1001


@pytest.mark.parametrize(
    ("mode", "owner", "user", "trouble"),
    [
        (0o600, US, US, ""),
        (0o400, US, US, ""),
        (0o700, US, US, ""),
        (0o640, US, US, "others can read it: chmod 600"),
        (0o604, US, US, "others can read it: chmod 600"),
        (0o620, US, US, "others can write to it: chmod 600"),
        (0o602, US, US, "others can write to it"),
        (0o444, ROOT, US, ""),  # a container's secret
        (0o640, ROOT, US, ""),
        (0o644, ROOT, ROOT, ""),
        (0o664, ROOT, US, "others can write to it"),
        (0o666, ROOT, ROOT, "others can write to it"),
        (0o600, THEM, US, "belongs to user 1001, neither to us"),
        (0o600, US, ROOT, "belongs to user 1000, neither to us"),
    ],
)
def test_a_key_file_is_safe_where_others_can_neither_write_it_nor_read_ours(
    mode: int, owner: int, user: int, trouble: str
) -> None:
    found = unsafe(mode, owner=owner, user=user)
    assert trouble in found
    assert bool(trouble) == bool(found)


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_key_file_that_is_not_safe_is_refused_before_it_is_read(tmp_path: Path, mode: int) -> None:
    path = secret_file(tmp_path, ONE.hex(), mode)
    with pytest.raises(ConfigurationError, match="others can write to it") as raised:
        key_file.keyring_from(path)
    assert path in str(raised.value)
    assert ONE.hex() not in str(raised.value)


READS = """
import os, sys
from simpledist.wire import key_file
from simpledist.wire.keyring import Keyring
open(sys.argv[1], encoding="ascii").close()  # another user may not reach the library
os.setegid(1000), os.seteuid(1000)
try: print(key_file.keyring_from(sys.argv[1]).signing_id.hex())
except Exception as error: print(type(error).__name__, error)
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user reaches; each run of pytest closes its own to others, beside us too."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


def test_a_key_file_of_another_user_is_refused_and_one_of_root_is_not(open_folder: Path) -> None:
    if os.geteuid():
        needs.missing("only root can make a file of another user: run this test as root")

    def reads(path: str) -> str:
        return subprocess.run([sys.executable, "-c", READS, path], stdout=subprocess.PIPE, text=True, check=True).stdout

    path = secret_file(open_folder, ONE.hex(), 0o444)
    assert reads(path).strip() == Keyring([ONE]).signing_id.hex()
    os.chown(path, 1001, 1001)
    assert "belongs to user 1001" in reads(path)
    os.chown(path, 1000, 1000)
    assert "others can read it" in reads(path)
    os.chmod(path, 0o400)
    assert reads(path).strip() == Keyring([ONE]).signing_id.hex()


def test_a_keyring_does_not_show_its_keys() -> None:
    keyring = Keyring([b"visible!" * 4])
    assert "visible" not in repr(keyring)
    assert "visible" not in str(keyring)


def test_what_is_handed_on_is_a_key_file_with_the_same_keys_in_the_same_order(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.touch(0o600)
    file.write_text(f"{new_secret()}\n{new_secret()}\n")
    keyring = key_file.keyring_from(str(file))
    assert keyring.as_file() == file.read_text()
    assert key_file.keyring_from(str(file)).ids == keyring.ids
