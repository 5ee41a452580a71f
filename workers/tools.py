"""The programs that a build needs from the machine, and the package of each: Debian's, or Homebrew's formula."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from workers import apple
from workers.errors import Failure
from workers.machine import runs_macos
from workers.toolchain import MAJOR, llvm_prefix

RUNTIME = "compiler-rt"
BUSY = "there, but it did not answer within a minute"
LLVM = llvm_prefix() / "bin"
# Not a package: Apple's own installer of command line tools.
XCODE = "xcode-select --install"


@dataclass(frozen=True)
class Tool:
    """command: ends with 0 when the tool is there and whole; its first line of output is shown as the version.

    remembered: whether the same file means the same answer. What a command says of other files it has to be asked anew.
    """

    name: str
    command: tuple[str, ...]
    package: str
    why: str
    remembered: bool = True


# Debian's essential perl-base lacks what OpenSSL's Configure loads.
_PERL = ("perl", "-MIPC::Cmd", "-MTime::Piece", "-e", "print $^V")
_DEBIAN_TOOLS = (
    Tool("git", ("git", "--version"), "git", "fetches the commit that is built"),
    Tool("make", ("make", "--version"), "make", "runs the libraries' own build systems"),
    Tool("perl", _PERL, "perl", "configures OpenSSL", remembered=False),
    Tool("xz", ("xz", "--version"), "xz-utils", "unpacks sources"),
    Tool("patch", ("patch", "--version"), "patch", "applies what distributions changed in a source"),
    Tool("pkg-config", ("pkg-config", "--version"), "pkg-config", "finds the libraries that CPython is built with"),
    Tool("unshare", ("unshare", "--version"), "util-linux", "keeps recipes off the network and in fixed paths"),
    Tool("c++", ("c++", "--version"), "g++", "builds extension modules against each archive, as its users do"),
    Tool("clang", (f"{LLVM}/clang", "--version"), f"clang-{MAJOR}", "compiles"),
    Tool("lld", (f"{LLVM}/ld.lld", "--version"), f"lld-{MAJOR}", "links, with LTO"),
    Tool("llvm-profdata", (f"{LLVM}/llvm-profdata", "--version"), f"llvm-{MAJOR}", "merges the profiles of PGO"),
    Tool(RUNTIME, (f"{LLVM}/clang",), f"libclang-rt-{MAJOR}-dev", "writes the profiles of PGO", remembered=False),
)
# The GNU kinds, under the names that Homebrew gives them where macOS has others: see workers/apple.py.
_MACOS_TOOLS = (
    Tool("git", ("git", "--version"), XCODE, "fetches the commit that is built"),
    Tool(
        "macOS SDK",
        ("xcrun", "--sdk", "macosx", "--show-sdk-path"),
        XCODE,
        "has the system's headers and stubs",
        remembered=False,
    ),
    Tool("perl", _PERL, "perl", "configures OpenSSL", remembered=False),
    Tool("GNU make", ("gmake", "--version"), "make", "runs the libraries' own build systems side by side"),
    Tool("GNU install", ("ginstall", "--version"), "coreutils", "recipes call install -D"),
    Tool("GNU sed", ("gsed", "--version"), "gnu-sed", "recipes call sed -i"),
    Tool("GNU tar", ("gtar", "--version"), "gnu-tar", "recipes call tar --transform"),
    Tool("pkg-config", ("pkg-config", "--version"), "pkgconf", "finds the libraries that CPython is built with"),
    Tool("clang", (f"{LLVM}/clang", "--version"), f"llvm@{MAJOR}", "compiles; Apple's own is another compiler"),
    Tool("lld", (apple.LINKER, "--version"), f"lld@{MAJOR}", "links, with LTO"),
    Tool("llvm-profdata", (f"{LLVM}/llvm-profdata", "--version"), f"llvm@{MAJOR}", "merges the profiles of PGO"),
    Tool("dsymutil", (f"{LLVM}/dsymutil", "--version"), f"llvm@{MAJOR}", "gathers debug information"),
)
BUILD_TOOLS = _MACOS_TOOLS if runs_macos() else _DEBIAN_TOOLS
TEST_TOOLS = (
    Tool("shellcheck", ("shellcheck", "--version"), "shellcheck", "checks the recipes"),
    Tool("chromium", ("chromium", "--version"), "chromium", "shows the pages to the browser tests"),
    Tool("chromedriver", ("chromedriver", "--version"), "chromium-driver", "steers chromium in the browser tests"),
    Tool("softhsm2", ("softhsm2-util", "--version"), "softhsm2", "plays the device that holds a signing key"),
)


def version_of(tool: Tool) -> str | None:
    """What the tool says of itself, or None when it is missing or does not run."""
    command = tool.command
    if command[0] == apple.LINKER:
        try:
            command = (str(apple.find_linker(LLVM.parent)), *command[1:])
        except Failure:
            return None
    if shutil.which(command[0]) is None:
        return None
    if tool.name == RUNTIME:  # a library, and clang answers with a path whether it is there or not
        library = _run([*tool.command, "--rtlib=compiler-rt", "-print-libgcc-file-name"]).stdout.strip()
        return library if library == BUSY or (library and Path(library).exists()) else None
    ran = _run(command)
    if ran.returncode:
        return None
    lines = [line.strip() for line in ran.stdout.splitlines() if line.strip()]
    return lines[0] if lines else "there"


def missing(tools: Sequence[Tool]) -> list[Tool]:
    return [tool for tool in tools if version_of(tool) is None]


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """A tool that can't be started is as good as missing. One that is slow to answer is not: the machine is busy."""
    try:
        return subprocess.run(
            command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=60, errors="replace"
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 0, BUSY, "")
    except OSError as error:
        return subprocess.CompletedProcess(command, 127, "", str(error))
