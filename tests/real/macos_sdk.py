"""A makeshift macOS SDK for machines that are no Mac: headers and stub of libSystem, out of the pinned ziglang wheel.

    python -m tests.real.macos_sdk DIRECTORY [--cache CACHE]

No framework and no other library is in it, so the libraries, OpenSSL and the FIPS provider compile with it; CPython
does not. What is compiled with it is for looking at.
"""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

import click

from workers.sources.cache import cached_path
from workers.sources.pins import load_pins

_INCLUDE = "ziglang/lib/libc/include/any-darwin-any/"
_STUB = "ziglang/lib/libc/darwin/libSystem.tbd"
# Newer than LLVM 22 knows.
_UNKNOWN = re.compile(r",?\s*arm64e\.x1-\w+")
# What is part of libSystem has a name of its own in an SDK.
_OTHER_NAMES = ("libc", "libm", "libdl", "libpthread", "libutil")
VERSION = "15.0"


def make_sdk(wheel: Path, directory: Path) -> Path:
    """Writes the SDK; returns its directory."""
    sdk = directory / f"MacOSX{VERSION}.sdk"
    library = sdk / "usr/lib"
    library.mkdir(parents=True)
    with zipfile.ZipFile(wheel) as files:
        for name in files.namelist():
            if name.startswith(_INCLUDE) and not name.endswith("/"):
                header = sdk / "usr/include" / name.removeprefix(_INCLUDE)
                header.parent.mkdir(parents=True, exist_ok=True)
                header.write_bytes(files.read(name))
        text = _UNKNOWN.sub("", files.read(_STUB).decode())
    (library / "libSystem.tbd").write_text(text)
    for name in _OTHER_NAMES:
        (library / f"{name}.tbd").symlink_to("libSystem.tbd")
    settings = {"CanonicalName": f"macosx{VERSION}", "Version": VERSION, "MaximumDeploymentTarget": f"{VERSION}.99"}
    (sdk / "SDKSettings.json").write_text(json.dumps(settings))
    return sdk


def cached_wheel(cache: Path) -> Path:
    """Where the wheel is once a build for Linux has fetched it."""
    return cached_path(cache, load_pins()["ziglang"][0].sha256)


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--cache", type=click.Path(path_type=Path), default=Path.home() / ".cache/pymint", show_default=True)
def command(directory: Path, cache: Path) -> None:
    """Writes MacOSX15.0.sdk below DIRECTORY and says where it is."""
    click.echo(make_sdk(cached_wheel(cache), directory))


if __name__ == "__main__":
    command()
