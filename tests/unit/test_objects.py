"""Objects: equal trees are equal bytes, and nothing gets out of its tree."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest
import zstandard

from workers.errors import Failure
from workers.jobserver import Jobserver
from workers.objects import extract, newest_mtime, pack, unpack_source
from workers.tarball import entries_below


def _tree(root: Path) -> Path:
    (root / "lib").mkdir(parents=True)
    (root / "lib" / "libz.a").write_bytes(b"archive")
    (root / "bin").mkdir()
    (root / "bin" / "tool").write_text("#!/bin/sh\n")
    (root / "bin" / "tool").chmod(0o700)
    (root / "lib" / "libz.so").symlink_to("libz.a")
    return root


def test_equal_trees_are_equal_bytes(tmp_path: Path) -> None:
    first, second = _tree(tmp_path / "one"), _tree(tmp_path / "two")
    os.utime(second / "lib" / "libz.a", (1, 1))
    pack(entries_below(first, ""), tmp_path / "1", 1000)
    pack(reversed(list(entries_below(second, ""))), tmp_path / "2", 1000)
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_a_tree_comes_back_with_links_and_modes(tmp_path: Path) -> None:
    tree = _tree(tmp_path / "tree")
    pack(entries_below(tree, ""), tmp_path / "object", 1000)
    extract(tmp_path / "object", tmp_path / "back")
    assert (tmp_path / "back" / "lib" / "libz.so").readlink() == Path("libz.a")
    assert os.access(tmp_path / "back" / "bin" / "tool", os.X_OK)
    assert (tmp_path / "back" / "lib" / "libz.a").stat().st_mtime == 1000


def test_two_objects_with_the_same_file_are_refused(tmp_path: Path) -> None:
    tree = _tree(tmp_path / "tree")
    pack(entries_below(tree, ""), tmp_path / "object", 1000)
    extract(tmp_path / "object", tmp_path / "deps")
    with pytest.raises(Failure, match="both bring"):
        extract(tmp_path / "object", tmp_path / "deps")


def test_licences_can_be_left_out(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "licences" / "zlib").mkdir(parents=True)
    (tree / "licences" / "zlib" / "LICENSE").write_text("do what you like")
    pack(entries_below(tree, ""), tmp_path / "object", 1000)
    extract(tmp_path / "object", tmp_path / "deps", licences=False)
    assert not (tmp_path / "deps" / "licences").exists()


def test_a_member_that_leads_out_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "evil"
    with path.open("wb") as raw, zstandard.ZstdCompressor().stream_writer(raw) as packed:
        with tarfile.open(fileobj=packed, mode="w|") as tar:
            info = tarfile.TarInfo("../evil.txt")
            info.size = 4
            tar.addfile(info, io.BytesIO(b"evil"))
    with pytest.raises(Failure, match="leads out"):
        extract(path, tmp_path / "deps")
    assert not (tmp_path / "evil.txt").exists()


def test_a_sources_top_directory_is_taken_off(tmp_path: Path) -> None:
    path = tmp_path / "zlib-1.3.2.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        info = tarfile.TarInfo("zlib-1.3.2/configure")
        info.size, info.mtime, info.mode = 2, 1234, 0o755
        tar.addfile(info, io.BytesIO(b"#!"))
    unpack_source(path, "zlib", tmp_path / "source")
    assert (tmp_path / "source" / "configure").read_bytes() == b"#!"
    assert newest_mtime(path) == 1234


def test_a_file_that_is_no_tar_is_named(tmp_path: Path) -> None:
    (tmp_path / "zlib").write_bytes(b"not a tar")
    with pytest.raises(Failure, match="zlib can't be unpacked"):
        unpack_source(tmp_path / "zlib", "zlib", tmp_path / "source")


def test_a_jobserver_has_as_many_slots_as_jobs() -> None:
    server = Jobserver(2)
    with server.slot(), server.slot():
        os.set_blocking(server.descriptors[0], False)
        with pytest.raises(BlockingIOError):
            os.read(server.descriptors[0], 1)
    assert os.read(server.descriptors[0], 9) == b"++"
    server.close()


def _ar(members: dict[str, bytes]) -> bytes:
    parts = [b"!<arch>\n"]
    for name, content in members.items():
        parts.append(f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode())
        parts.append(content + b"\n" * (len(content) % 2))
    return b"".join(parts)


def test_of_a_debian_package_its_files_are_unpacked(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:xz") as tar:
        for name in ("./usr/include/X11/X.h", "./usr/share/doc/x/copyright"):
            member = tarfile.TarInfo(name)
            member.size, member.mtime = 3, 1700000000
            tar.addfile(member, io.BytesIO(b"abc"))
    package = tmp_path / "x_1_all.deb"
    package.write_bytes(_ar({"debian-binary": b"2.0\n", "control.tar.xz": b"x", "data.tar.xz": stream.getvalue()}))

    unpack_source(package, "x", tmp_path / "source")

    assert (tmp_path / "source" / "include" / "X11" / "X.h").read_bytes() == b"abc"
    assert newest_mtime(package) == 1700000000


def test_a_debian_package_without_files_is_named(tmp_path: Path) -> None:
    package = tmp_path / "x_1_all.deb"
    package.write_bytes(_ar({"debian-binary": b"2.0\n"}))
    with pytest.raises(Failure, match="x can't be unpacked"):
        unpack_source(package, "x", tmp_path / "source")


def test_a_file_never_goes_where_a_symlink_of_another_object_leads(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "mine").write_text("mine")
    links, files = tmp_path / "links", tmp_path / "files"
    links.mkdir()
    (links / "share").symlink_to(tmp_path / "elsewhere")
    (links / "tool").symlink_to(tmp_path / "mine")
    (files / "share").mkdir(parents=True)
    pack(entries_below(links, ""), tmp_path / "1", 1000)
    for name, said in (("share/x", "leads out"), ("tool", "both bring tool")):
        (files / name).write_text("theirs")
        pack(entries_below(files, ""), tmp_path / "2", 1000)
        (files / name).unlink()
        extract(tmp_path / "1", tmp_path / name.partition("/")[0])
        with pytest.raises(Failure, match=said):
            extract(tmp_path / "2", tmp_path / name.partition("/")[0])
    assert (tmp_path / "mine").read_text() == "mine"
    assert list((tmp_path / "elsewhere").iterdir()) == []
