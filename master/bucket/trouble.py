"""What may be gone in a moment, whatever service it is that was asked."""

from __future__ import annotations


class Trouble(Exception):
    """A connection that broke, an answer of 5xx, a server that wants to be left alone.

    what: a sentence without secrets. wait_s: how long the service asked for, None when it did not say.
    """

    def __init__(self, what: str, wait_s: float | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.wait_s = wait_s
