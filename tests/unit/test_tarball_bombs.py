"""Archives that unpack to more than any of Python's: refused as soon as it shows, however small they are packed."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from workers import tarball
from workers.errors import Failure
from workers.tarball import extract, find, reading


def bomb(path: Path, *members: tarfile.TarInfo) -> Path:
    """A zstd archive of the members; files are of zeros."""
    with path.open("wb") as raw, zstandard.ZstdCompressor().stream_writer(raw) as packed:
        with tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as tar:
            for info in members:
                tar.addfile(info, io.BytesIO(bytes(info.size)))
    return path


def file(name: str, size: int = 0, **pax: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size = size
    info.pax_headers = {key.replace("_", "."): value for key, value in pax.items()}
    return info


def read_whole(path: Path) -> None:
    with reading(path) as tar:
        for _ in tar:
            pass
        tar.finish()


def find_one(path: Path) -> None:
    find(path, lambda name: name == "p/none", limit=10)


BOMBS = {
    "in all": ("MOST_BYTES", 4_000_000, [file(f"p/{n}", 900_000) for n in range(9)], "at most 4000000 bytes"),
    "a file": ("LARGEST_FILE", 1_000_000, [file("p/x", 1_000_001)], "at most 1000000 bytes in 'p/x'"),
    "members": ("MOST_MEMBERS", 10, [file(f"p/{n}") for n in range(11)], "at most 10 members"),
    "headers": (
        "MOST_IN_HEADERS",
        3_000_000,
        [file("p/x", comment="a" * 5_000_000)],
        "3000000 of them besides its files",
    ),
}


@pytest.mark.parametrize("read", [read_whole, find_one], ids=["reading", "find"])
@pytest.mark.parametrize("kind", BOMBS)
def test_what_unpacks_to_more_than_an_archive_of_python_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, read: Callable[[Path], None]
) -> None:
    limit, value, members, wanted = BOMBS[kind]
    packed = bomb(tmp_path / "bomb.tar.zst", *members)
    read(packed)
    monkeypatch.setattr(tarball, limit, value)
    with pytest.raises(Failure, match=r"bomb\.tar\.zst unpacks to more than an archive of Python does") as caught:
        read(packed)
    assert wanted in (caught.value.wanted or "")


def test_a_sparse_file_counts_as_what_it_unpacks_to(tmp_path: Path) -> None:
    holes = {"GNU_sparse_map": "0,1", "GNU_sparse_name": "p/x"}
    one = bomb(tmp_path / "one.tar.zst", file("p/x", 1, GNU_sparse_size=str(10**12), **holes))
    with pytest.raises(Failure, match="unpacks to more"):
        extract(one, tmp_path / "out")
    several = bomb(
        tmp_path / "several.tar.zst", *(file(f"p/{n}", 1, GNU_sparse_size=str(9 * 10**8), **holes) for n in range(9))
    )
    with pytest.raises(Failure, match="unpacks to more") as caught, reading(several) as tar:
        for _ in tar.only(lambda member: False):
            pass
    assert caught.value.wanted == "at most 8000000000 bytes in its files"


def test_what_follows_the_last_member_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = bomb(tmp_path / "bomb.tar.zst", file("p/x"))
    packed.write_bytes(packed.read_bytes() + zstandard.compress(bytes(5_000_000)))
    read_whole(packed)
    monkeypatch.setattr(tarball, "MOST_BYTES", 4_000_000)
    with pytest.raises(Failure, match="unpacks to more"):
        read_whole(packed)


def test_the_wanted_files_are_limited_together(tmp_path: Path) -> None:
    packed = bomb(tmp_path / "a.tar.zst", *(file(f"p/{n}", 400) for n in range(3)))
    assert len(find(packed, lambda name: True, limit=1200)) == 3
    with pytest.raises(Failure, match=r"'p/2' in a\.tar\.zst is too large"):
        find(packed, lambda name: True, limit=1199)
