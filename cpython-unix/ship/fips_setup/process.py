"""Every libcrypto in this process. FIPS mode governs the interpreter's own; wheels may bring others."""

from __future__ import annotations

import mmap
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from .places import Tree

# What libcrypto and its descendants say of themselves: `OpenSSL 3.5.7 9 Jun 2026`, `OpenSSL 1.1.1 (compatible; …)`.
_VERSION = re.compile(
    rb"OpenSSL \d+\.\d+\.\d+[\w.+-]* +(?:\d{1,2} [A-Z][a-z]{2} \d{4}|\(compatible; [^)\0]{1,40}\))"
    rb"|LibreSSL \d+\.\d+\.\d+"
)
_PACKAGES = ("site-packages", "dist-packages")


@dataclass(frozen=True)
class Libcrypto:
    """A file with a libcrypto in it. version: its own words; governed: whether FIPS mode reaches it.

    loaded: this process has it; if not, an installed package has, for whoever imports it.
    """

    path: str
    version: str
    governed: bool
    loaded: bool


def libcryptos(tree: Tree, *, installed: bool) -> list[Libcrypto]:
    """The libcryptos of this process, the interpreter's own first; with `installed` those that packages bring, too.

    Found by name or by what they have in them: one that hides its version and has another name is not.
    """
    loaded = mapped_files()
    found = []
    for path in dict.fromkeys([*loaded, *(installed_files() if installed else ())]):
        version = version_in(path)
        if version is None and not re.match(r"libcrypto[-.]", Path(path).name):
            continue
        found.append(Libcrypto(path, version or "unknown", _is_own(path, tree), path in loaded))
    return sorted(found, key=lambda library: (not library.governed, not library.loaded, library.path))


def installed_files() -> list[str]:
    """The shared objects of the packages that this interpreter finds."""
    places = {Path(os.path.realpath(place)) for place in sys.path if Path(place).name in _PACKAGES}
    files = (file for place in places for file in place.rglob("*") if ".so" in file.suffixes or file.suffix == ".dylib")
    return sorted(os.path.realpath(file) for file in files if file.is_file())


def _is_own(path: str, tree: Tree) -> bool:
    """bin, lib/libpython* and lib/python3.N/lib-dynload: what the archive brings, not what was installed into it."""
    try:
        parts = Path(os.path.realpath(path)).relative_to(os.path.realpath(tree.root)).parts
    except ValueError:
        return False
    return parts[0] == "bin" or "lib-dynload" in parts or (parts[0] == "lib" and parts[1].startswith("libpython"))


def version_in(path: str) -> str | None:
    """The version text of the libcrypto that is in a file; None for a file without one, or that can't be read."""
    try:
        with Path(path).open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            match = _VERSION.search(data)
            return match[0].decode("ascii", "replace") if match else None
    except (OSError, ValueError):  # gone since, or empty
        return None


def mapped_files() -> list[str]:
    """The files whose code this process has mapped. Empty where the system does not say."""
    if sys.platform == "darwin":
        return _images_of_dyld()
    try:
        with Path("/proc/self/maps").open(encoding="utf-8", errors="surrogateescape") as maps:
            return files_in_maps(maps.read())
    except OSError:
        return []


def files_in_maps(maps: str) -> list[str]:
    """The files with executable pages, of /proc/self/maps: address, permissions, offset, device, inode, path."""
    files = []
    for line in maps.splitlines():
        fields = line.split(None, 5)
        if len(fields) == 6 and "x" in fields[1] and fields[5].startswith("/"):
            files.append(fields[5].replace("\\012", "\n"))
    return list(dict.fromkeys(files))


def _images_of_dyld() -> list[str]:
    import ctypes

    dyld = ctypes.CDLL(None)
    dyld._dyld_get_image_name.restype = ctypes.c_char_p
    names = (dyld._dyld_get_image_name(index) for index in range(dyld._dyld_image_count()))
    return [os.fsdecode(name) for name in names if name is not None]
