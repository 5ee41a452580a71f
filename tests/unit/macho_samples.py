"""Small Mach-O files for Apple silicon, made at test time on any machine: clang, LLVM's linker, a stub of libSystem."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

LIBSYSTEM = "/usr/lib/libSystem.B.dylib"


def stub(install_name: str, symbols: Sequence[str], compatibility: str = "1") -> str:
    """A library of an SDK, as version 4 of its format has it."""
    return f"""--- !tapi-tbd
tbd-version:     4
targets:         [ arm64-macos, arm64e-macos ]
install-name:    '{install_name}'
compatibility-version: {compatibility}
exports:
  - targets:         [ arm64-macos, arm64e-macos ]
    symbols:         [ {", ".join(symbols)} ]
...
"""


class MachoMaker:
    """Compiles and links. Files land in `directory`."""

    def __init__(self, directory: Path, clang: str, linker: str) -> None:
        self.directory = directory
        self._clang = clang
        self._linker = linker
        symbols = ["_malloc", "_free", "dyld_stub_binder", "___stack_chk_fail", "_newer"]
        (directory / "libSystem.tbd").write_text(stub(LIBSYSTEM, symbols))

    def compile(self, source: str, name: str = "x", *flags: str, macos: str = "11.0", arch: str = "arm64") -> Path:
        (self.directory / f"{name}.c").write_text(source)
        command = [self._clang, "-target", f"{arch}-apple-macos{macos}", "-w", "-c", f"{name}.c", "-o", f"{name}.o"]
        subprocess.run([*command, *flags], cwd=self.directory, check=True)
        return self.directory / f"{name}.o"

    def link(
        self,
        source: str,
        kind: str,
        *flags: str,
        libraries: Sequence[Path | str] = (),
        macos: str = "11.0",
        debug: bool = False,
    ) -> bytes:
        """kind: `-execute`, `-dylib` or `-bundle`."""
        self.compile(source, "x", *(["-g"] if debug else []), macos=macos)
        command = [self._linker, "-arch", "arm64", "-platform_version", "macos", macos, "14.2", kind]
        command += ["x.o", "libSystem.tbd", *map(str, libraries), "-o", "out", *flags]
        subprocess.run(command, cwd=self.directory, check=True, capture_output=True)
        return (self.directory / "out").read_bytes()

    def library(self, source: str, name: str, *flags: str, libraries: Sequence[Path | str] = ()) -> bytes:
        return self.link(source, "-dylib", "-install_name", f"@rpath/{name}", *flags, libraries=libraries)


def find_maker(directory: Path) -> MachoMaker:
    """Skips, saying why, where the tools are missing."""
    clang = shutil.which("clang-22") or shutil.which("clang")
    linker = shutil.which("ld64.lld-22") or shutil.which("ld64.lld")
    if clang is None or linker is None:
        pytest.skip("no clang or no ld64.lld (Debian's clang-22, lld-22): Mach-O files can't be made on this machine")
    return MachoMaker(directory, clang, linker)
