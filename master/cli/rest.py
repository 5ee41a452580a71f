"""Buildbot's REST API as the commands use it: the same requests that the web page makes."""

from __future__ import annotations

from typing import Any

import httpx

from workers.errors import Failure

# Buildbot's result codes (buildbot/process/results.py).
RESULTS = ("success", "warnings", "failure", "skipped", "exception", "retry", "cancelled")
SUCCESS, WARNINGS, FAILURE, SKIPPED, EXCEPTION, RETRY, CANCELLED = range(7)


class Unreachable(Failure):
    """The master does not answer: not there (yet), or gone."""


class Refused(Failure):
    """The master answered that it won't: a form's field is wrong, or there is no such thing."""


class SignInFirst(Refused):
    """The master tells nothing to who did not sign in."""


class Rest:
    """A connection to one master. Raises Unreachable when it does not answer and Refused when it says no."""

    def __init__(self, api: str, *, timeout_s: float = 30) -> None:
        # A proxy that the environment names is for the world outside, never for this machine's own master.
        self._client = httpx.Client(base_url=api, timeout=timeout_s, trust_env=False)
        self._api = api

    def get(self, path: str, **query: str | int) -> dict[str, Any]:
        return self._answer(self._send("GET", path, params=query))

    def login(self, user: str, password: str) -> None:
        """From here on the requests are that user's. Raises Refused for a wrong password."""
        response = self._send("GET", f"{self._api.removesuffix('api/v2/')}auth/login", auth=(user, password))
        if not response.is_success and not response.is_redirect:
            raise Refused(
                "master", f"{user} is not let in ({response.status_code})", found="an unknown name or a wrong password",
                todo="[login] in settings.toml lists the users; `python -m master.access NAME` makes a line for it.",
            )  # fmt: skip

    def rows(self, kind: str, path: str, **query: str | int) -> list[dict[str, Any]]:
        """The list of a collection; `kind` is its plural name in the answer."""
        found: list[dict[str, Any]] = self.get(path, **query)[kind]
        return found

    def control(self, path: str, method: str, **params: Any) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        return self._answer(self._send("POST", path, json=body)).get("result")

    def _send(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        try:
            return self._client.request(method, path, **arguments)
        except httpx.HTTPError as error:
            raise Unreachable(
                "master",
                f"no answer from {self._api}",
                found=f"{type(error).__name__}: {error}",
                todo="`./mint status` says whether it runs, `./mint up` starts it.",
            ) from error

    def _answer(self, response: httpx.Response) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = response.json()
        except ValueError:
            answer = {}
        if response.is_success:
            return answer
        if response.status_code == 401:
            raise SignInFirst(
                "master", "this farm tells nothing to who did not sign in (401)", wanted="somebody with a role",
                found='nobody, and [access] read = "login"',
                todo="Say who you are: --user NAME, or MINT_USER. MINT_PASSWORD, or a question, is the password.",
            )  # fmt: skip
        if response.status_code == 403:
            raise Refused(
                "master", "you are not among those who may do that (403)", found=_message(answer),
                todo="Say who you are with --user NAME, where the command has it. settings.toml says who may:\n"
                "those named in [access] builders build, those in [access] releasers release: docs/access.md.",
            )  # fmt: skip
        raise Refused(
            "master",
            f"the master refused ({response.status_code})",
            found=_message(answer) or response.text[:500],
            todo="Change what it names and try again; `./mint status` and the page show what is there.",
        )


def _message(answer: dict[str, Any]) -> str:
    """Buildbot's error: a text, or a text for each field of a form."""
    error = answer.get("error")
    message = error.get("message") if isinstance(error, dict) else error
    if isinstance(message, dict):
        return "; ".join(f"{field or 'form'}: {text}" for field, text in message.items())
    return str(message or "")
