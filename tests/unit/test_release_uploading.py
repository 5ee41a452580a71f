"""What has to be done about a file, by what a place lists of it. Where a listing is wrong, the audit finds it too."""

from __future__ import annotations

import pytest

from master.release.model import Asset
from master.release.places.base import Held
from master.release.uploading import Verdict, verdict

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
