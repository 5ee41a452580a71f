"""The authority of the workers' connection, and what a worker finds out before it joins: by real TLS on loopback."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from master.fleet import authority
from master.fleet.authority import CERTIFICATE_DAYS, Files
from master.fleet.invitation import Invitation
from master.fleet.joining import try_master
from workers.errors import Failure

NAMES = ["mint.example", "127.0.0.1"]
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    made = Files(tmp_path / "protocol")
    authority.ensure(made, NAMES)
    return made


@contextmanager
def serving(files: Files | None) -> Iterator[int]:
    """A master's port, as far as the handshake; without files one that speaks something else."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                if files is None:
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                    connection.recv(1000)
                    return
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(files.certificate, files.key)
                try:
                    context.wrap_socket(connection, server_side=True).recv(1)
                except (ssl.SSLError, OSError):
                    return

        thread = threading.Thread(target=answer)
        thread.start()
        yield server.getsockname()[1]
        thread.join(10)


def invited(files: Files, port: int, host: str = "127.0.0.1") -> Invitation:
    return Invitation(host, port, "a", "word", files.authority.read_text())


def test_the_certificate_is_taken_by_who_pins_the_authority(files: Files) -> None:
    with serving(files) as port:
        assert try_master(invited(files, port)) == "TLS 1.3"


def test_another_authoritys_certificate_is_refused(files: Files, tmp_path: Path) -> None:
    other = Files(tmp_path / "other")
    authority.ensure(other, NAMES)
    with serving(other) as port, pytest.raises(Failure, match="does not show the certificate of the master"):
        try_master(invited(files, port))


def test_a_certificate_for_other_names_is_refused(files: Files) -> None:
    authority.ensure(files, ["mint.example"])
    with serving(files) as port, pytest.raises(Failure) as refused:
        try_master(invited(files, port))
    assert "a certificate for 127.0.0.1" in str(refused.value)


def test_what_speaks_no_tls_is_refused(files: Files) -> None:
    with serving(None) as port, pytest.raises(Failure, match="answers, but not by TLS"):
        try_master(invited(files, port))


def test_where_nobody_listens_is_said(files: Files) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(Failure, match=f"no master answers at 127.0.0.1:{port}"):
        try_master(invited(files, port))


def test_keys_are_for_their_owner_only_and_one_that_is_not_is_refused(files: Files) -> None:
    assert files.key.stat().st_mode & 0o777 == 0o600
    assert files.authority_key.stat().st_mode & 0o777 == 0o600
    files.key.chmod(0o640)
    with pytest.raises(Failure, match="can be read by others"):
        authority.ensure(files, NAMES)


def state(files: Files) -> tuple[bytes, bytes]:
    return files.authority.read_bytes(), files.certificate.read_bytes()


def test_nothing_is_made_anew_without_a_reason(files: Files) -> None:
    before = state(files)
    authority.ensure(files, NAMES)
    assert state(files) == before


@pytest.mark.parametrize("days", [CERTIFICATE_DAYS - 100, CERTIFICATE_DAYS + 500])
def test_a_certificate_that_runs_out_is_renewed_by_the_same_authority(tmp_path: Path, days: int) -> None:
    files = Files(tmp_path)
    authority.ensure(files, NAMES, NOW)
    before = state(files)
    later = NOW + timedelta(days=days)
    authority.ensure(files, NAMES, later)
    assert state(files)[0] == before[0], "workers have pinned it"
    assert state(files)[1] != before[1]
    assert authority.ends(files) > later + timedelta(days=CERTIFICATE_DAYS - 2)


def test_a_key_of_another_certificate_is_noticed(files: Files) -> None:
    before = state(files)
    files.key.write_bytes(files.authority_key.read_bytes())
    authority.ensure(files, NAMES)
    assert state(files)[1] != before[1]


def test_an_authority_without_its_key_issues_nothing(files: Files, tmp_path: Path) -> None:
    other = Files(tmp_path / "other")
    authority.ensure(other, NAMES)
    files.authority_key.write_bytes(other.authority_key.read_bytes())
    with pytest.raises(Failure, match="can't be used"):
        authority.ensure(files, ["new.example"])
