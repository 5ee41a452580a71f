"""What has to be done about a file, by what a place lists of it, and when. The audit sees what a listing has wrong."""

from __future__ import annotations

import pytest

from master.release.model import Asset
from master.release.places.base import Held
from master.release.uploading import Pacer, Patience, Verdict, verdict

SHA, OTHER = "a" * 64, "b" * 64
ASSET = Asset("a.tar.zst", 7, SHA, "application/zstd", "archive")


@pytest.mark.parametrize(
    ("held", "wanted"),
    [
        (None, "send"),
        (Held("a.tar.zst", 7), "keep"),
        (Held("a.tar.zst", 7, SHA), "keep"),
        (Held("a.tar.zst", 7, OTHER), "replace"),
        (Held("a.tar.zst", 6), "replace"),
        (Held("a.tar.zst", 6, SHA), "replace"),
        (Held("a.tar.zst", 7, SHA, whole=False), "replace"),
    ],
)
def test_only_a_file_of_which_all_that_is_listed_fits_is_kept(held: Held | None, wanted: Verdict) -> None:
    assert verdict(ASSET, held) == wanted


class Clock:
    """Time goes on by sleeping only."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def pacer(self, pace_s: float) -> Pacer:
        return Pacer(pace_s, Patience(sleep=self.sleep), lambda: self.now)


def test_what_creates_something_is_kept_apart() -> None:
    clock = Clock()
    pacer = clock.pacer(1.5)
    for _ in range(3):
        pacer.turn()
    assert clock.slept == [1.5, 1.5], "the first goes at once"
    clock.now += 60
    pacer.turn()
    assert clock.slept == [1.5, 1.5], "who comes late does not wait, and earns no haste"
    pacer.turn()
    assert clock.slept == [1.5, 1.5, 1.5]


def test_all_wait_where_one_was_told_to() -> None:
    clock = Clock()
    pacer = clock.pacer(1.0)
    pacer.turn()
    pacer.hold(30)
    pacer.turn()
    pacer.hold(0)
    pacer.turn()
    assert clock.slept == [30.0, 1.0]
