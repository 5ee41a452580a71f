"""Timestamps against OpenSSL's own: it believes ours, and we ask it for one over HTTP as of any other service."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from master.home import Home
from master.signing import keeping, statement, timestamps
from master.signing.certificates import Authority
from master.signing.pen import pen_of
from master.signing.verify import Wanted, verify
from tests.unit.signing_samples import BUILDER, COMMIT, CONTENT, NAME, NAMES, evidence, published, sha, signed, signing
from workers.errors import Failure

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl (a Debian package)")
SIGNATURE = b"a signature"
CONFIG = """
[tsa]
default_tsa = here
[here]
serial = {place}/serial
default_policy = 1.2.3.4.1
digests = sha256
ess_cert_id_alg = sha256
signer_digest = sha256
"""


def openssl(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False)


def service_of(bundle_home: Path) -> tuple[Authority, Home]:
    made = signed(bundle_home, "ca")
    assert isinstance(made.pen.service, Authority)
    return made.pen.service, made.home


def test_openssl_believes_our_timestamps(tmp_path: Path) -> None:
    service, _ = service_of(tmp_path / "home")
    (tmp_path / "root.pem").write_bytes(service.chain[-1].public_bytes(Encoding.PEM))
    (tmp_path / "signed").write_bytes(SIGNATURE)
    (tmp_path / "token").write_bytes(timestamps.issue(service, SIGNATURE, datetime.now(UTC)))
    files = {"-data": "signed", "-in": "token", "-CAfile": "root.pem"}
    command = ["ts", "-verify", *(part for option, name in files.items() for part in (option, tmp_path / name))]
    judged = openssl(*command)
    assert judged.returncode == 0, judged.stderr
    (tmp_path / "signed").write_bytes(SIGNATURE + b"?")
    assert openssl(*command).returncode == 1


Answer = Callable[[bytes], bytes]


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], str]]:
    """Starts a service on loopback that answers requests by a function; its address."""
    servers = []

    def start(answer: Answer) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = answer(self.rfile.read(int(self.headers["content-length"])))
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *said: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def replying(place: Path, home: Home) -> Answer:
    """OpenSSL as the service, with the key of that home."""
    place.mkdir()
    (place / "ts.cnf").write_text(CONFIG.format(place=place))
    (place / "serial").write_text("01\n")

    def answer(query: bytes) -> bytes:
        (place / "query").write_bytes(query)
        told = openssl(
            "ts", "-reply", "-config", place / "ts.cnf", "-queryfile", place / "query", "-out", place / "reply",
            "-signer", home.keys / "farm-tsa.crt", "-inkey", home.keys / "farm-tsa.pem",
        )  # fmt: skip
        assert told.returncode == 0, told.stderr
        return (place / "reply").read_bytes()

    return answer


def test_somebody_elses_service_dates_a_bundle(tmp_path: Path, serve: Callable[[Answer], str]) -> None:
    _, theirs = service_of(tmp_path / "theirs")
    url = serve(replying(tmp_path / "ts", theirs))
    home, settings = Home(tmp_path / "ours", tmp_path), signing("ca", timestamp_url=url)
    keeping.prepare(home, settings)
    with pytest.raises(Failure, match=r"farm-tsa\.crt can't be read"):
        pen_of(home, settings, dry_run=False)
    (home.keys / "farm-tsa.crt").write_bytes((theirs.keys / "farm-tsa.crt").read_bytes())
    keeping.prepare(home, settings)
    payload = statement.payload(statement.of_build(evidence(), NAMES))
    bundle = pen_of(home, settings, dry_run=False).sign(payload, NAMES, COMMIT, datetime.now(UTC)).bundle
    found = verify(NAME, sha(CONTENT), bundle, published(home), Wanted(builder=BUILDER))
    assert found.at is not None
    assert abs(datetime.now(UTC) - found.at) < timedelta(hours=1)


@pytest.mark.parametrize("garbage", [b"", b"no timestamp", b"0\x030\x01\x02"])
def test_a_service_that_talks_nonsense_is_told_by_its_address(serve: Callable[[Answer], str], garbage: bytes) -> None:
    url = serve(lambda query: garbage)
    with pytest.raises(Failure, match="the timestamping service gave no timestamp") as caught:
        timestamps.ask(url, SIGNATURE)
    assert url in str(caught.value)


def test_an_old_answer_is_no_answer(tmp_path: Path, serve: Callable[[Answer], str]) -> None:
    """A recorded timestamp of the same signature lacks our nonce."""
    service, _ = service_of(tmp_path / "home")
    url = serve(lambda query: timestamps.issue(service, SIGNATURE, datetime.now(UTC)))
    with pytest.raises(Failure, match="the timestamping service answered something else"):
        timestamps.ask(url, SIGNATURE)


def test_a_service_that_is_not_there_is_told(serve: Callable[[Answer], str]) -> None:
    with pytest.raises(Failure, match="the timestamping service gave no timestamp"):
        timestamps.ask("http://127.0.0.1:1/", SIGNATURE)
