"""Deterministic tars: equal members give equal bytes, and damage is never taken for an archive."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from workers.compressing import compress
from workers.errors import Failure
from workers.tarball import Entry, entries_below, extract, reading, write_tar

LONG = "python/" + "a" * 120 + "/file with spaces and é.txt"


def tree(root: Path) -> Path:
    (root / "bin").mkdir(parents=True)
    (root / "bin/tool").write_bytes(b"#!/bin/sh\n")
    (root / "bin/tool").chmod(0o711)
    (root / "a.txt").write_text("a")
    (root / "a.txt").chmod(0o600)
    (root / "link").symlink_to("bin/tool")
    (root / "dirlink").symlink_to("bin")
    return root


def test_equal_trees_give_equal_bytes_whatever_their_times_modes_and_order(tmp_path: Path) -> None:
    one, two = tree(tmp_path / "one"), tree(tmp_path / "two")
    os.utime(two / "a.txt", (1, 1))
    (two / "a.txt").chmod(0o664)
    first = write_tar(tmp_path / "1.tar", entries_below(one, "p/"), epoch=1700000000)
    second = write_tar(tmp_path / "2.tar", reversed(list(entries_below(two, "p/"))), epoch=1700000000)
    assert (tmp_path / "1.tar").read_bytes() == (tmp_path / "2.tar").read_bytes()
    assert first == second
    assert first.members == 4


def test_members_are_sorted_owned_by_root_and_of_one_time_with_the_first_one_first(tmp_path: Path) -> None:
    entries = [*entries_below(tree(tmp_path / "t"), "p/"), Entry("p/zz.json", data=b"{}"), Entry(LONG, data=b"x")]
    write_tar(tmp_path / "t.tar", entries, epoch=1700000000, first="p/zz.json")
    with tarfile.open(tmp_path / "t.tar") as tar:
        members = tar.getmembers()
    assert [m.name for m in members] == ["p/zz.json", "p/a.txt", "p/bin/tool", "p/dirlink", "p/link", LONG]
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname) for m in members} == {(1700000000, 0, 0, "root", "root")}
    assert [oct(m.mode) for m in members] == ["0o644", "0o644", "0o755", "0o777", "0o777", "0o644"]
    assert not any(m.isdir() for m in members)


def test_two_entries_of_one_path_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="two files want to be p/x"):
        write_tar(tmp_path / "t.tar", [Entry("p/x", data=b"1"), Entry("p/x", data=b"2")], epoch=0)
    assert list(tmp_path.iterdir()) == []


def test_a_socket_in_a_tree_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Failure, match="neither a file nor a symlink"):
        list(entries_below(tmp_path, ""))


PACKERS: dict[str, Callable[[bytes], bytes]] = {"tar": bytes, "gz": gzip.compress, "zst": zstandard.compress}


@pytest.mark.parametrize("kind", ["tar", "gz", "zst"])
def test_an_archive_reads_the_same_however_it_is_compressed(tmp_path: Path, kind: str) -> None:
    written = write_tar(tmp_path / "t.tar", entries_below(tree(tmp_path / "t"), "p/"), epoch=5)
    data = (tmp_path / "t.tar").read_bytes()
    packed = tmp_path / "without.a.telling.name"
    packed.write_bytes(PACKERS[kind](data))
    with reading(packed) as tar:
        found = {member.path: (member.kind, content) for member, content in tar}
        tar.finish()
    assert found["p/a.txt"] == ("file", b"a")
    assert found["p/link"] == ("symlink", None)
    assert (tar.sha256, tar.size) == (written.sha256, written.size)


def _read_whole(path: Path) -> None:
    with reading(path) as tar:
        list(tar)
        tar.finish()


@pytest.mark.parametrize("kind", ["tar", "gz", "zst"])
def test_a_cut_off_archive_is_a_failure_that_names_it(tmp_path: Path, kind: str) -> None:
    write_tar(tmp_path / "t.tar", [Entry("p/x", data=os.urandom(100_000))], epoch=5)
    data = (tmp_path / "t.tar").read_bytes()
    packed = PACKERS[kind](data)
    (tmp_path / "cut").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(Failure, match="cut can't be read to its end"):
        _read_whole(tmp_path / "cut")


def test_something_else_is_not_taken_for_an_archive(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<html>404 not found</html>" * 100)
    with pytest.raises(Failure, match=r"page.html can't be read"), reading(tmp_path / "page.html") as tar:
        list(tar)


def test_extracting_gives_the_tree_back(tmp_path: Path) -> None:
    write_tar(tmp_path / "t.tar", entries_below(tree(tmp_path / "t"), "p/"), epoch=5)
    extract(tmp_path / "t.tar", tmp_path / "out")
    assert (tmp_path / "out/p/dirlink/tool").read_bytes() == b"#!/bin/sh\n"
    assert os.access(tmp_path / "out/p/bin/tool", os.X_OK)
    assert not os.access(tmp_path / "out/p/a.txt", os.X_OK)


@pytest.mark.parametrize("bad", ["../out-of-it", "/tmp/out-of-it"])
def test_extracting_never_writes_outside(tmp_path: Path, bad: str) -> None:
    with tarfile.open(tmp_path / "t.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo(bad))
    with pytest.raises(Failure, match="has the member"):
        extract(tmp_path / "t.tar", tmp_path / "out")
    assert not (tmp_path / "out-of-it").exists()


def test_extracting_does_not_write_through_a_symlink_of_the_archive(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    with tarfile.open(tmp_path / "t.tar", "w") as tar:
        link = tarfile.TarInfo("p/d")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "elsewhere")
        tar.addfile(link)
        tar.addfile(tarfile.TarInfo("p/d/x"))
    with pytest.raises(Failure, match="has the member"):
        extract(tmp_path / "t.tar", tmp_path / "out")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_compressed_bytes_do_not_depend_on_how_many_threads_ran(tmp_path: Path) -> None:
    block = os.urandom(4096)
    data = b"".join(block[i % 97 :] + bytes(i % 251) for i in range(6000))
    write_tar(tmp_path / "t.tar", [Entry("p/x", data=data)], epoch=5)
    digests = {
        compress(tmp_path / "t.tar", tmp_path / f"{n}.zst", level=3, threads=n, progress=lambda _: None).sha256
        for n in (1, 2, 5)
    }
    assert len(digests) == 1


def test_compressing_tells_how_far_it_is_and_both_digests(tmp_path: Path) -> None:
    written = write_tar(tmp_path / "t.tar", [Entry("p/x", data=bytes(3_000_000))], epoch=5)
    told: list[int] = []
    done = compress(tmp_path / "t.tar", tmp_path / "t.tar.zst", level=3, threads=1, progress=told.append)
    assert (done.tar_sha256, done.tar_size) == (written.sha256, written.size)
    assert told[-1] == written.size
    assert told == sorted(told)
    assert (tmp_path / "t.tar.zst").stat().st_size == done.size


def test_unpacking_takes_what_is_wanted_and_still_reads_all(tmp_path: Path) -> None:
    entries = [Entry("python/install/a", data=b"a"), Entry("python/build/b", data=b"b")]
    written = write_tar(tmp_path / "t.tar", entries, epoch=0)
    out = tmp_path / "out"
    assert extract(tmp_path / "t.tar", out, wanted=lambda member: "/install/" in member) == written.sha256
    assert [path.name for path in out.rglob("*") if path.is_file()] == ["a"]


def test_a_hard_link_to_something_outside_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    with tarfile.open(tmp_path / "t.tar", "w") as tar:
        info = tarfile.TarInfo("python/link")
        info.type = tarfile.LNKTYPE
        info.linkname = "../secret"
        tar.addfile(info)
    with pytest.raises(Failure, match="has a link to"):
        extract(tmp_path / "t.tar", tmp_path / "out")


def hostile(path: Path, *members: tarfile.TarInfo, content: bytes = b"evil") -> Path:
    """A tar as `write_tar` would never write it; a file gets the content."""
    with tarfile.open(path, "w") as tar:
        for info in members:
            info.size = len(content) if info.isreg() else 0
            tar.addfile(info, io.BytesIO(content))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def test_a_file_in_the_place_of_an_earlier_symlink_does_not_go_where_that_leads(tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("mine")
    packed = hostile(tmp_path / "t.tar", member("p/x", tarfile.SYMTYPE, str(outside)), member("p/x"))
    with pytest.raises(Failure, match=r"t\.tar has 'p/x' twice"):
        extract(packed, tmp_path / "out")
    assert outside.read_text() == "mine"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (member("p"), member("p", tarfile.SYMTYPE, "q")),
        (member("p", tarfile.DIRTYPE), member("p")),
        (member("p", tarfile.SYMTYPE, "nowhere"), member("p", tarfile.DIRTYPE)),
        (member("p"), member("p", tarfile.LNKTYPE, "p")),
    ],
    ids=["a link on a file", "a file on a directory", "a directory on a link", "a hard link on a file"],
)
def test_two_members_of_one_path_are_told_and_no_traceback(
    tmp_path: Path, first: tarfile.TarInfo, second: tarfile.TarInfo
) -> None:
    with pytest.raises(Failure, match="twice"):
        extract(hostile(tmp_path / "t.tar", first, second), tmp_path / "out")


def test_a_name_that_no_file_can_have_is_told(tmp_path: Path) -> None:
    named = member("p/x")
    named.pax_headers = {"path": "p/x\0y"}
    with pytest.raises(Failure, match="has the member"):
        extract(hostile(tmp_path / "t.tar", named), tmp_path / "out")
