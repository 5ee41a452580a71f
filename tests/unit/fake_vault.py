"""Vault's transit engine on loopback, as its API is documented: signs with named keys in versions, for who has a token.

https://developer.hashicorp.com/vault/api-docs/secret/transit#sign-data: POST transit/sign/NAME; `input` is base64,
`key_version` the newest when it is left out, the digest sha2-256 and the signature ASN.1 for an ECDSA key unless asked
otherwise; the answer is "vault:v1:<base64>". What is wrong is told as {"errors": [...]}.
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
    """keys: by name, the versions' private keys from 1 on. sealed: answers nothing but that it is."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.keys: dict[str, list[ec.EllipticCurvePrivateKey]] = {}
        self.sealed = False
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
        elif self.headers.get("X-Vault-Token") != TOKEN:
            status, answer = 403, {"errors": ["permission denied"]}
        elif found is None:
            status, answer = 404, {"errors": []}
        else:
            status, answer = self.server.sign(found[1], said)
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
