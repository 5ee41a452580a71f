"""The edit that lets multiprocessing of 3.10 and 3.11 authenticate with FIPS mode on, on this machine's own source."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import importlib.util
import multiprocessing
import multiprocessing.connection
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from workers.edits import EDITS, apply_edits
from workers.fips.probes.processes import _hmac_md5

KEY = b"an authentication key"
pytestmark = pytest.mark.skipif(
    sys.version_info >= (3, 12), reason="the edit is for multiprocessing before 3.12, and this Python's is newer"
)


@pytest.fixture
def edited(tmp_path: Path) -> ModuleType:
    """This Python's multiprocessing.connection with the edit applied, as a module beside the real one."""
    source = tmp_path / "source"
    (source / "Lib/multiprocessing").mkdir(parents=True)
    (source / "Include").mkdir()
    (source / "Include/patchlevel.h").touch()
    target = source / "Lib/multiprocessing/connection.py"
    target.write_text(Path(multiprocessing.connection.__file__).read_text())
    only = tmp_path / "edits"
    only.mkdir()
    (only / "multiprocessing-digest.toml").write_text((EDITS / "multiprocessing-digest.toml").read_text())
    (applied,) = apply_edits(source, f"3.{sys.version_info.minor}", directory=only)
    assert applied.files == ("Lib/multiprocessing/connection.py",)
    spec = importlib.util.spec_from_file_location("multiprocessing.edited_connection", target)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


Connection = multiprocessing.connection.Connection
End = Callable[[Connection, bytes], None]


def authenticate(deliver: End, answer: End, key: bytes = KEY) -> str | None:
    """Lets one end challenge the other, which has `key`: the error of the delivering end, or None."""
    ours, theirs = multiprocessing.Pipe()

    def answering() -> None:
        # What the delivering end says is what counts.
        refused = (multiprocessing.AuthenticationError, ValueError, EOFError, OSError)
        with theirs, contextlib.suppress(*refused):
            answer(theirs, key)

    thread = threading.Thread(target=answering)
    thread.start()
    try:
        with ours:
            deliver(ours, KEY)
    except (multiprocessing.AuthenticationError, ValueError) as error:
        return str(error)
    finally:
        thread.join()
    return None


def newer_answers(connection: Connection, key: bytes) -> None:
    """What 3.12 and newer answer to a challenge that names a digest; to one that names none, HMAC-MD5."""
    message = connection.recv_bytes(256)[len(b"#CHALLENGE#") :]
    assert len(message) > 20, "a newer peer takes 20 bytes for a legacy challenge"
    assert message.startswith(b"{sha256}")
    connection.send_bytes(b"{sha256}" + hmac.new(key, message, "sha256").digest())
    connection.recv_bytes(256)


def newer_delivers(connection: Connection, key: bytes) -> None:
    message = b"{sha256}" + os.urandom(40)
    connection.send_bytes(b"#CHALLENGE#" + message)
    response = connection.recv_bytes(256)
    if response == b"{sha256}" + hmac.new(key, message, "sha256").digest():
        connection.send_bytes(b"#WELCOME#")
    else:
        connection.send_bytes(b"#FAILURE#")
        raise multiprocessing.AuthenticationError("refused")


def older_answers(connection: Connection, key: bytes) -> None:
    """As 3.11 does, with an MD5 that works in FIPS mode, too: a peer on another machine."""
    message = connection.recv_bytes(256)[len(b"#CHALLENGE#") :]
    connection.send_bytes(_hmac_md5(key, message))
    connection.recv_bytes(256)


def older_delivers(connection: Connection, key: bytes) -> None:
    message = os.urandom(20)
    connection.send_bytes(b"#CHALLENGE#" + message)
    welcome = connection.recv_bytes(256) == _hmac_md5(key, message)
    connection.send_bytes(b"#WELCOME#" if welcome else b"#FAILURE#")
    if not welcome:
        raise multiprocessing.AuthenticationError("refused")


@pytest.fixture
def no_md5(monkeypatch: pytest.MonkeyPatch) -> None:
    """hmac as it is with FIPS mode on."""
    real = hmac.new

    def new(key: bytes, message: bytes, digest: str) -> hmac.HMAC:
        if digest == "md5":
            raise ValueError("[digital envelope routines] unsupported")
        return real(key, message, digest)

    monkeypatch.setattr(hmac, "new", new)


def test_the_md5_of_these_tests_is_hmac_md5() -> None:
    assert _hmac_md5(KEY, b"a message") == hmac.new(KEY, b"a message", hashlib.md5).digest()


def test_two_edited_ends_authenticate_by_sha256(edited: ModuleType, no_md5: None) -> None:
    assert authenticate(edited.deliver_challenge, edited.answer_challenge) is None


def test_an_edited_end_and_a_newer_one_authenticate_in_both_directions(edited: ModuleType, no_md5: None) -> None:
    assert authenticate(edited.deliver_challenge, newer_answers) is None
    assert authenticate(newer_delivers, edited.answer_challenge) is None


def test_an_edited_end_and_an_older_one_authenticate_where_there_is_md5(edited: ModuleType) -> None:
    assert authenticate(edited.deliver_challenge, older_answers) is None
    assert authenticate(older_delivers, edited.answer_challenge) is None
    assert authenticate(edited.deliver_challenge, multiprocessing.connection.answer_challenge) is None
    assert authenticate(multiprocessing.connection.deliver_challenge, edited.answer_challenge) is None


def test_with_fips_mode_on_an_older_end_is_refused_in_an_orderly_way(edited: ModuleType, no_md5: None) -> None:
    assert authenticate(edited.deliver_challenge, older_answers) == "digest received was wrong"
    assert authenticate(older_delivers, edited.answer_challenge) == "refused"


def test_without_the_edit_nobody_authenticates_with_fips_mode_on(no_md5: None) -> None:
    plain = multiprocessing.connection
    assert authenticate(plain.deliver_challenge, plain.answer_challenge) is not None


def test_a_wrong_key_is_refused(edited: ModuleType) -> None:
    assert authenticate(edited.deliver_challenge, edited.answer_challenge, KEY[::-1]) == "digest received was wrong"
    assert authenticate(edited.deliver_challenge, older_answers, KEY[::-1]) == "digest received was wrong"


@pytest.mark.parametrize("response", [b"", b"{md4}" + bytes(16), b"{sha256}", b"{sha256" + bytes(40), bytes(33)])
def test_a_response_that_names_no_digest_or_an_unknown_one_is_refused(edited: ModuleType, response: bytes) -> None:
    def answers(connection: Connection, key: bytes) -> None:
        connection.recv_bytes(256)
        connection.send_bytes(response)
        assert connection.recv_bytes(256) == b"#FAILURE#"

    assert authenticate(edited.deliver_challenge, answers) == "digest received was wrong"


def test_nobody_in_between_can_have_a_weaker_digest_chosen(edited: ModuleType) -> None:
    """The MAC covers the name of the digest: with another name in the challenge it is another MAC."""

    def in_between(connection: Connection, key: bytes) -> None:
        message = connection.recv_bytes(256)[len(b"#CHALLENGE#") :]
        weaker = b"{md5}" + message.partition(b"}")[2]
        connection.send_bytes(b"{md5}" + hmac.new(key, weaker, "md5").digest())
        connection.recv_bytes(256)

    assert authenticate(edited.deliver_challenge, in_between) == "digest received was wrong"
