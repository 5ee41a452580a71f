"""A real S3 service on loopback, SeaweedFS, with users and keys; and a way to it that breaks as connections do."""

from __future__ import annotations

import contextlib
import functools
import json
import re
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from botocore.exceptions import BotoCoreError, ClientError

from master.bucket.access import Access
from master.bucket.client import client_of
from master.fleet import authority

KEY_ID = "AKIAPYMINTTEST000000"
SECRET = "s3cr3t/with+slashes0123456789abcdefghijklm"
BUCKET = "pythons"
# A second on an idle machine.
_START_S = 600


def free_ports(count: int) -> list[int]:
    """Ports whose neighbour, 10000 above, is free too: SeaweedFS speaks gRPC there."""
    found: list[int] = []
    with contextlib.ExitStack() as stack:
        while len(found) < count:
            one = stack.enter_context(socket.socket())
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
            if port > 55000:
                continue
            with contextlib.suppress(OSError):
                other = stack.enter_context(socket.socket())
                other.bind(("127.0.0.1", port + 10000))
                found.append(port)
    return found


@dataclass
class Seaweed:
    """endpoint: its address. process: the server, by that command. root: where it keeps everything.

    secure_port: where it speaks TLS, with a certificate for 127.0.0.1 of the authority in the file.
    """

    endpoint: str
    secure_port: int
    command: list[str]
    root: Path
    credentials: Path

    def start(self) -> None:
        """Begins, or goes on with what it has. It answers a second later, or many on a busy machine."""
        with self.log.open("ab") as stream:
            self.process = subprocess.Popen(self.command, stdout=stream, stderr=subprocess.STDOUT, cwd=self.root)

    def kill(self) -> None:
        self.process.kill()  # asked kindly, it waits half a minute for connections that idle
        self.process.wait()

    @property
    def log(self) -> Path:
        return self.root / "weed.log"

    @property
    def authority(self) -> Path:
        return authority.Files(self.root / "tls").authority

    @functools.cached_property
    def client(self) -> Any:
        """Straight to it."""
        return client_of(self.access(""), 4)

    def access(self, prefix: str, endpoint: str | None = None) -> Access:
        where = endpoint or self.endpoint
        return Access(BUCKET, prefix, where, "us-east-1", self.credentials, connect_s=5, read_s=20)


@contextlib.contextmanager
def running(root: Path) -> Iterator[Seaweed]:
    """Started, with an empty bucket. Raises RuntimeError with the server's last words when it does not answer."""
    (root / "data").mkdir(parents=True)
    identities = {
        "identities": [
            {
                "name": "farm",
                "credentials": [{"accessKey": KEY_ID, "secretKey": SECRET}],
                "actions": ["Admin", "Read", "Write", "List", "Tagging"],
            }
        ]
    }
    (root / "s3.json").write_text(json.dumps(identities))
    credentials = root / "credentials.toml"
    credentials.write_text(f'access_key_id = "{KEY_ID}"\nsecret_access_key = "{SECRET}"\n')
    credentials.chmod(0o600)
    s3, filer, master, volume, secure = free_ports(5)
    files = authority.Files(root / "tls")
    authority.ensure(files, ["127.0.0.1"])
    command = [
        str(Path(sys.executable).with_name("weed")), f"-logdir={root}", "server",
        "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
        f"-dir={root / 'data'}", f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}",
        "-master.volumeSizeLimitMB=1024", "-volume.max=50", "-filer", "-s3", f"-s3.port={s3}",
        f"-s3.config={root / 's3.json'}", "-s3.port.iceberg=0", "-s3.port.lance=0",
        f"-s3.port.https={secure}", f"-s3.cert.file={files.certificate}", f"-s3.key.file={files.key}",
    ]  # fmt: skip
    server = Seaweed(f"http://127.0.0.1:{s3}", secure, command, root, credentials)
    server.start()
    try:
        _make_bucket(server, server.log)
        yield server
    finally:
        server.kill()


def _make_bucket(server: Seaweed, log: Path) -> None:
    end = time.monotonic() + _START_S
    while True:
        try:
            server.client.create_bucket(Bucket=BUCKET)
            server.client.put_object(Bucket=BUCKET, Key="ready", Body=b"1")
            server.client.delete_object(Bucket=BUCKET, Key="ready")
        except (BotoCoreError, ClientError) as error:
            if (getattr(error, "response", None) or {}).get("Error", {}).get("Code") == "BucketAlreadyOwnedByYou":
                return
            if server.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{error}: {log.read_text()[-3000:]}") from error
            time.sleep(0.3)
        else:
            return


@dataclass
class Fault:
    """What happens to a connection whose request matches. request: a regular expression over "METHOD path".

    kind: dropped; answered with a status; or cut, so that the service sees half of it. when: before the service has
    seen it, or after it has carried it out. after_bytes: of the request, before it is dropped. reached: the service has
    half of what is cut; hold: it gets no more once this is set.
    """

    request: str
    kind: Literal["drop", "cut"] | int
    when: Literal["before", "after"] = "before"
    times: int = 1
    skip: int = 0
    after_bytes: int = 0
    reached: threading.Event = field(default_factory=threading.Event)
    hold: threading.Event = field(default_factory=threading.Event)
    struck: int = field(default=0)


class Wire:
    """A relay to the service, one request a connection. It changes nothing, so that signatures stay right."""

    def __init__(self, target: str) -> None:
        self._target = ("127.0.0.1", int(target.rpartition(":")[2]))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.faults: list[Fault] = []
        self.requests: list[str] = []
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _fault(self, line: str) -> Fault | None:
        with self._lock:
            self.requests.append(line)
            for one in self.faults:
                if one.times and re.search(one.request, line):
                    if one.skip:
                        one.skip -= 1
                        continue
                    one.times -= 1
                    one.struck += 1
                    return one
        return None

    def _relay(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), client:
            client.settimeout(30)
            with client.makefile("rb") as request:
                head = request.readline()
                line = head.decode("latin-1").rpartition(" ")[0]
                length, expects = 0, False
                while (header := request.readline()) not in (b"\r\n", b""):
                    name, _, value = header.partition(b":")
                    length = int(value) if name.lower() == b"content-length" else length
                    expects = expects or name.lower() == b"expect"
                    # One request a connection, so that each is met by its own fault.
                    head += header if name.lower() not in (b"connection", b"expect") else b""
                fault = self._fault(line)
                if fault is not None and fault.kind == "cut":
                    if expects:
                        client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                    return self._cut(head, request.read(length // 2), fault)
                if fault is not None and fault.when == "before":
                    if fault.after_bytes and expects:
                        client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                    request.read(min(length, fault.after_bytes))
                    return _end(client, fault)
                if expects:
                    client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                answer = self._carried_out(head, request, length)
                if fault is not None:
                    return _end(client, fault)
                client.sendall(answer)
        return None

    def _cut(self, head: bytes, half: bytes, fault: Fault) -> None:
        """The service sees half of it, and then nobody any more."""
        with socket.create_connection(self._target, timeout=30) as server:
            server.sendall(head + b"Connection: close\r\n\r\n" + half)
            fault.reached.set()
            fault.hold.wait()

    def _carried_out(self, head: bytes, request: object, length: int) -> bytes:
        with socket.create_connection(self._target, timeout=30) as server:
            server.sendall(head + b"Connection: close\r\n\r\n")
            while length:
                block = request.read(min(length, 65536))  # type: ignore[attr-defined]
                if not block:
                    raise ValueError("the client left")
                server.sendall(block)
                length -= len(block)
            answer = bytearray()
            while block := server.recv(65536):
                answer += block
            return bytes(answer)


def _end(client: socket.socket, fault: Fault) -> None:
    if not isinstance(fault.kind, int):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return
    body = b"<Error><Code>MadeToFail</Code><Message>made to fail</Message></Error>"
    client.sendall(
        b"HTTP/1.1 %d Fault\r\nContent-Type: application/xml\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"
        % (fault.kind, len(body), body)
    )
