"""The programs that a build needs from the machine, and the Debian package of each."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

LLVM = "22"
RUNTIME = "compiler-rt"


@dataclass(frozen=True)
class Tool:
    """command: ends with 0 when the tool is there and whole; its first line of output is shown as the version."""

    name: str
    command: tuple[str, ...]
    package: str
    why: str


BUILD_TOOLS = (
    Tool("git", ("git", "--version"), "git", "fetches the commit that is built"),
    Tool("make", ("make", "--version"), "make", "runs the libraries' own build systems"),
    # Debian's essential perl-base lacks what OpenSSL's Configure loads.
    Tool("perl", ("perl", "-MIPC::Cmd", "-MTime::Piece", "-e", "print $^V"), "perl", "configures OpenSSL"),
    Tool("xz", ("xz", "--version"), "xz-utils", "unpacks sources"),
    Tool("patch", ("patch", "--version"), "patch", "applies what distributions changed in a source"),
    Tool("clang", (f"clang-{LLVM}", "--version"), f"clang-{LLVM}", "compiles"),
    Tool("lld", (f"ld.lld-{LLVM}", "--version"), f"lld-{LLVM}", "links, with LTO"),
    Tool("llvm-profdata", (f"llvm-profdata-{LLVM}", "--version"), f"llvm-{LLVM}", "merges the profiles of PGO"),
    Tool(RUNTIME, (f"clang-{LLVM}",), f"libclang-rt-{LLVM}-dev", "writes the profiles of PGO"),
)
TEST_TOOLS = (
    Tool("shellcheck", ("shellcheck", "--version"), "shellcheck", "checks the recipes"),
    Tool("chromium", ("chromium", "--version"), "chromium", "shows the pages to the browser tests"),
    Tool("chromedriver", ("chromedriver", "--version"), "chromium-driver", "steers chromium in the browser tests"),
)


def version_of(tool: Tool) -> str | None:
    """What the tool says of itself, or None when it is missing or does not run."""
    if shutil.which(tool.command[0]) is None:
        return None
    if tool.name == RUNTIME:  # a library, and clang answers with a path whether it is there or not
        library = _run([*tool.command, "--rtlib=compiler-rt", "-print-libgcc-file-name"]).stdout.strip()
        return library if library and Path(library).exists() else None
    ran = _run(tool.command)
    if ran.returncode:
        return None
    lines = [line.strip() for line in ran.stdout.splitlines() if line.strip()]
    return lines[0] if lines else "there"


def missing(tools: Sequence[Tool]) -> list[Tool]:
    return [tool for tool in tools if version_of(tool) is None]


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """A tool that can't be started or hangs is as good as missing."""
    try:
        return subprocess.run(
            command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=60, errors="replace"
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 127, "", str(error))
