"""What GitHub's answers mean, whoever asked: the JSON in them, the message, whether to come back later and when."""

from __future__ import annotations

import time
from typing import Any

import httpx

VERSION = "2022-11-28"
# A limit of requests an hour is told by the time when it ends.
LONGEST_WAIT_S = 3700.0
_BRIEF_WAIT_S = 60.0


def headers_of(token: str) -> dict[str, str]:
    """What every request says."""
    return {
        "Authorization": f"Bearer {token}", "Accept": "application/vnd.github+json",
        "X-GitHub-Api-Version": VERSION, "User-Agent": "pymint",
    }  # fmt: skip


def json_of(answer: httpx.Response) -> Any:
    """The JSON of an answer, or {}."""
    try:
        return answer.json()
    except ValueError:
        return {}


def message_of(body: Any) -> str:
    """What an error's JSON says, in at most 300 characters."""
    if not isinstance(body, dict):
        return ""
    details = [one if isinstance(one, dict) else {"message": one} for one in body.get("errors") or []]
    errors = [str(one.get("message") or f"{one.get('field', '')} {one.get('code', '')}") for one in details]
    return " ".join([str(body.get("message", "")), *errors])[:300].strip()


def is_limited(answer: httpx.Response, message: str) -> bool:
    """Whether a 403 is one of the limits, which are told by 429 or by 403."""
    return (
        "retry-after" in answer.headers
        or answer.headers.get("x-ratelimit-remaining") == "0"
        or "rate limit" in message.lower()
    )


def wait_of(answer: httpx.Response) -> float:
    """Seconds: as long as was asked for, else until the limit ends, else a minute, which is the documented least."""
    after = answer.headers.get("retry-after", "")
    if after.isdigit():
        return min(float(after), LONGEST_WAIT_S)
    reset = answer.headers.get("x-ratelimit-reset", "")
    if answer.headers.get("x-ratelimit-remaining") == "0" and reset.isdigit():
        return min(max(float(reset) - time.time(), 1.0), LONGEST_WAIT_S)
    return _BRIEF_WAIT_S
