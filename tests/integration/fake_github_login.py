"""A fake of what GitHub answers to who signs in: OAuth's web flow and the three questions about a member. Loopback.

Not GitHub: nobody clicks "Authorize", `as_` says who does. It is as strict as GitHub where it matters: a code works
once, for the client, secret and address that it was made for; a token is needed for each question.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

CLIENT, SECRET = "Iv1.client", "a-client-secret-0123456789"


@dataclass
class Account:
    """organisations: login to the membership's state. teams: organisation and slug."""

    login: str
    organisations: dict[str, str] = field(default_factory=dict)
    teams: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class GitHub:
    url: str = ""
    as_: Account = field(default_factory=lambda: Account("nobody"))
    denies: bool = False
    codes: dict[str, tuple[Account, str]] = field(default_factory=dict)
    tokens: dict[str, Account] = field(default_factory=dict)
    asked: list[dict[str, str]] = field(default_factory=list)
    broken: int = 0


def _answers(github: GitHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None: ...

        def _send(self, status: int, body: Any = None, **headers: str) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            said = {key: values[0] for key, values in parse_qs(parts.query).items()}
            if parts.path == "/login/oauth/authorize":
                github.asked.append(said)
                code = secrets.token_hex(10)
                github.codes[code] = (github.as_, said["redirect_uri"])
                back = {"error": "access_denied"} if github.denies else {"code": code}
                where = f"{said['redirect_uri']}?{urlencode({**back, 'state': said['state']})}"
                return self._send(302, Location=where)
            account = github.tokens.get(self.headers.get("Authorization", "").removeprefix("Bearer "))
            if github.broken or account is None:
                return self._send(github.broken or 401, {"message": "Bad credentials"})
            if parts.path == "/api/v3/user":
                return self._send(200, {"login": account.login, "name": f"{account.login} <b>X</b>"})
            if parts.path.startswith("/api/v3/user/memberships/orgs/"):
                name = parts.path.rpartition("/")[2]
                state = account.organisations.get(name)
                body = {"state": state, "organization": {"login": name}}
                return self._send(200, body) if state else self._send(404, {"message": "Not Found"})
            if parts.path == "/api/v3/user/teams":
                teams = [{"slug": slug, "organization": {"login": name}} for name, slug in account.teams]
                start, many = 100 * (int(said["page"]) - 1), int(said["per_page"])
                return self._send(200, teams[start : start + many])
            return self._send(404, {"message": "Not Found"})

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            said = {key: values[0] for key, values in parse_qs(self.rfile.read(length).decode()).items()}
            account, address = github.codes.pop(said.get("code", ""), (None, ""))
            right = (said.get("client_id"), said.get("client_secret"), said.get("redirect_uri"))
            if self.path != "/login/oauth/access_token" or account is None or right != (CLIENT, SECRET, address):
                return self._send(200, {"error": "bad_verification_code", "error_description": str(said)})
            token = f"gho_{secrets.token_hex(18)}"
            github.tokens[token] = account
            return self._send(200, {"access_token": token, "token_type": "bearer", "scope": "read:org"})

    return Handler


@contextmanager
def running() -> Iterator[GitHub]:
    github = GitHub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _answers(github))
    github.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield github
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
