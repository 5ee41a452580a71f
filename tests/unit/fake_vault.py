"""Vault on loopback, as its API is documented: the transit engine signs with named keys in versions, the key/value
store (version 2) gives secrets, for who has a token; AppRoles get one.

https://developer.hashicorp.com/vault/api-docs/secret/transit#sign-data: POST transit/sign/NAME; `input` is base64,
`key_version` the newest when it is left out, the digest sha2-256 and the signature ASN.1 for an ECDSA key unless asked
otherwise; the answer is "vault:v1:<base64>". What is wrong is told as {"errors": [...]}.

https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2#read-secret-version: GET MOUNT/data/PATH; what was
deleted is 404 with `data: null` and its metadata. https://developer.hashicorp.com/vault/api-docs/auth/approle: POST
auth/approle/login with role_id and secret_id.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

TOKEN = "hvs.FAKEtoken0123456789abcdefghijklmnop"


class FakeVault(ThreadingHTTPServer):
    """keys: by name, the versions' private keys from 1 on. sealed: answers nothing but that it is.

    secrets: by path below `secret/`; None for what was deleted. roles: their secret ids. tokens: which are good now;
    lease_s: for how long those of roles are. elsewhere: an address to which everything is redirected.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.keys: dict[str, list[ec.EllipticCurvePrivateKey]] = {}
        self.sealed = False
        self.secrets: dict[str, dict[str, Any] | None] = {}
        self.roles: dict[str, str] = {}
        self.tokens = {TOKEN}
        self.lease_s = 3600
        self.elsewhere = ""
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def sign(self, name: str, said: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if name not in self.keys:
            return 400, {"errors": ["signing key not found"]}
        versions = self.keys[name]
        version = int(said.get("key_version") or 0) or len(versions)
        if not 1 <= version <= len(versions):
            return 400, {"errors": ["requested version for signing is higher than the latest key version"]}
        wanted = said.get("hash_algorithm") or "sha2-256", said.get("marshaling_algorithm") or "asn1"
        if wanted != ("sha2-256", "asn1") or said.get("prehashed"):
            return 400, {"errors": [f"this fake knows no {wanted}"]}
        made = versions[version - 1].sign(base64.b64decode(said["input"], validate=True), ec.ECDSA(hashes.SHA256()))
        signature = f"vault:v{version}:{base64.b64encode(made).decode()}"
        return 200, {"data": {"signature": signature, "key_version": version}}

    def read(self, path: str) -> tuple[int, dict[str, Any]]:
        if path not in self.secrets:
            return 404, {"errors": []}
        data = self.secrets[path]
        gone = "" if data is not None else "2026-11-30T00:00:00Z"
        metadata = {"version": 1, "deletion_time": gone, "destroyed": False, "created_time": "2026-11-29T00:00:00Z"}
        return 200 if data is not None else 404, {"data": {"data": data, "metadata": metadata}}

    def login(self, said: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if self.roles.get(said.get("role_id", "")) != said.get("secret_id"):
            return 400, {"errors": ["invalid role or secret ID"]}
        token = f"hvs.FAKErole{len(self.tokens)}"
        self.tokens.add(token)
        return 200, {"auth": {"client_token": token, "lease_duration": self.lease_s, "renewable": True}}


class _Handler(BaseHTTPRequestHandler):
    server: FakeVault

    def log_message(self, *said: Any) -> None:
        pass

    def do_POST(self) -> None:
        said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(self.path)
        found = re.fullmatch(r"/v1/transit/sign/([\w-]+)", self.path)
        if self.server.sealed:
            status, answer = 503, {"errors": ["Vault is sealed"]}
        elif self.path == "/v1/auth/approle/login":
            status, answer = self.server.login(said)
        elif self.headers.get("X-Vault-Token") not in self.server.tokens:
            status, answer = 403, {"errors": ["permission denied"]}
        elif found is None:
            status, answer = 404, {"errors": []}
        else:
            status, answer = self.server.sign(found[1], said)
        self._send(status, answer)

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        if self.server.elsewhere:
            self.send_response(307)
            self.send_header("Location", self.server.elsewhere + self.path)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if self.server.sealed:
            self._send(503, {"errors": ["Vault is sealed"]})
        elif self.headers.get("X-Vault-Token") not in self.server.tokens:
            self._send(403, {"errors": ["permission denied"]})
        elif self.path.startswith("/v1/secret/data/"):
            self._send(*self.server.read(self.path.removeprefix("/v1/secret/data/")))
        else:
            self._send(404, {"errors": []})

    def _send(self, status: int, answer: dict[str, Any]) -> None:
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_PUT = do_POST


@contextlib.contextmanager
def running() -> Iterator[FakeVault]:
    server = FakeVault()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
