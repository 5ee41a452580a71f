"""What building for macOS takes besides LLVM: Apple's SDK, and GNU programs, for which the recipes are written.

The same LLVM compiles and links as on Linux (clang and lld; Apple's own linker is not used), so that one release of one
linker decides about the bytes, and a Linux machine with an SDK compiles the libraries with the same recipes.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from workers.errors import Failure
from workers.machine import runs_macos
from workers.model import Target
from workers.sandbox import TOOLCHAIN

# Where Homebrew keeps an LLVM; its lld is a formula of its own.
LLVM_PLACES = tuple(Path("/opt/homebrew/opt", name) for name in ("llvm@22", "llvm"))
_LLD_PLACES = tuple(Path("/opt/homebrew/opt", name, "bin") for name in ("lld@22", "lld"))
FORMULAS = ("llvm@22", "lld@22", "make", "coreutils", "gnu-sed", "gnu-tar", "pkgconf")

# Programs whose BSD kinds won't do, and what they are called besides. make: macOS has 3.81, which knows another
# jobserver. sed -i, \n in its replacements; install -D; tar --transform.
GNU_PROGRAMS: Mapping[str, tuple[str, ...]] = {
    "make": ("gmake", "make"),
    "sed": ("gsed", "sed"),
    "tar": ("gtar", "tar"),
    "install": ("ginstall", "install"),
    "sha256sum": ("gsha256sum", "sha256sum"),
    "pkg-config": ("pkg-config", "pkgconf"),
}
_SEARCHED = ("/opt/homebrew/bin", "/usr/local/bin", "/usr/bin", "/bin")

# Tools that take part in what is made for macOS, beyond those for every target, with Apple's names for them.
LINKS: Mapping[str, tuple[str, ...]] = {
    "dsymutil": (),
    "llvm-lipo": ("lipo",),
    "llvm-otool": ("otool",),
    "llvm-install-name-tool": ("install_name_tool",),
    "llvm-libtool-darwin": ("libtool",),
}
LINKER = "ld64.lld"
RUNTIME = ("libclang_rt.osx.a", "libclang_rt.profile_osx.a")


@dataclass(frozen=True)
class Sdk:
    """Apple's headers and stubs. version: `14.2`; canonical_name: `macosx14.2`; digest: of its SDKSettings.json."""

    path: Path
    version: str
    canonical_name: str
    digest: str

    def identity(self, target: Target) -> dict[str, str]:
        """What of it is part of the toolchain's identity; PYTHON.json says the fields that begin with apple_."""
        return {
            "apple_sdk_canonical_name": self.canonical_name,
            "apple_sdk_deployment_target": target.deployment_target or "",
            "apple_sdk_platform": "macosx",
            "apple_sdk_version": self.version,
            "sdk": self.digest,
        }


def only_libraries(target: Target, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether of a macOS target this machine builds only what needs no product of its own run: it has but an SDK."""
    return target.os == "macos" and not runs_macos() and sdk_asked_for(environment) is not None


def sdk_asked_for(environment: Mapping[str, str]) -> str | None:
    """The SDK that the environment names."""
    return environment.get("PYMINT_MACOS_SDK") or None


def find_sdk(environment: Mapping[str, str]) -> Sdk:
    """The SDK that `PYMINT_MACOS_SDK` names, else the one that Xcode or its command line tools have chosen.

    Raises Failure when there is none, or when it does not say its version.
    """
    named = sdk_asked_for(environment)
    place = named or _chosen()
    if not place:
        raise _no_sdk("no macOS SDK is to be found", "xcrun names none" if runs_macos() else "no macOS on this machine")
    path = Path(place).resolve()
    settings = path / "SDKSettings.json"
    try:
        text = settings.read_bytes()
        said = json.loads(text)
        version, name = str(said["Version"]), str(said["CanonicalName"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _no_sdk(f"{path} is no macOS SDK", f"{settings.name}: {type(error).__name__}: {error}") from error
    if not name.startswith("macosx"):
        raise _no_sdk(f"{path} is an SDK of another system", name)
    return Sdk(path, version, name, hashlib.sha256(text).hexdigest())


def _chosen() -> str:
    try:
        asked = subprocess.run(
            ["xcrun", "--sdk", "macosx", "--show-sdk-path"], capture_output=True, text=True, check=False
        )
    except OSError:
        return ""
    return asked.stdout.strip() if asked.returncode == 0 else ""


def _no_sdk(what: str, found: str) -> Failure:
    return Failure(
        "toolchain",
        what,
        wanted="a MacOSX.sdk with its SDKSettings.json",
        found=found,
        todo="On macOS: xcode-select --install. An SDK in another place: set PYMINT_MACOS_SDK to its directory.",
    )


def find_linker(prefix: Path) -> Path:
    """LLVM's linker for Mach-O: beside the compiler, or where Homebrew has it. Raises Failure when it is in neither."""
    for place in (prefix / "bin", *_LLD_PLACES):
        if (place / LINKER).exists():
            return place / LINKER
    raise Failure(
        "toolchain",
        f"{LINKER} is missing",
        wanted=f"{LINKER} of the compiler's own release",
        found=f"not in {', '.join(str(place) for place in (prefix / 'bin', *_LLD_PLACES))}",
        todo=install_command(),
    )


def find_gnu_programs(searched: Iterable[str] = _SEARCHED) -> dict[str, Path]:
    """By the name that recipes call them by. Raises Failure for those that are missing or not GNU's, all at once."""
    path = ":".join(searched)
    found: dict[str, Path] = {}
    for name, others in GNU_PROGRAMS.items():
        for other in others:
            program = shutil.which(other, path=path)
            if program is not None and (name == "pkg-config" or _is_gnu(program)):
                found[name] = Path(program)
                break
    absent = [name for name in GNU_PROGRAMS if name not in found]
    if absent:
        raise Failure(
            "toolchain",
            f"{len(absent)} programs that the recipes call are missing",
            wanted=f"{', '.join(absent)}: the GNU ones (sed -i, install -D, tar --transform, make's jobserver)",
            found=f"none in {path}",
            todo=install_command(),
        )
    return found


def _is_gnu(program: str) -> bool:
    asked = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    version = asked.stdout.partition("\n")[0]
    # macOS's own make is GNU's too, of 2006.
    return asked.returncode == 0 and "GNU" in version and "3.81" not in version


def install_command() -> str:
    """What gets a Mac everything that a build needs."""
    return f"xcode-select --install; brew install {' '.join(FORMULAS)}"


def compiler_config(target: Target) -> str:
    """What each call of the compiler gets first. The deployment target is part of the triple."""
    lines = (
        f"--target={target.arch}-apple-macos{target.deployment_target}",
        f"-isysroot {TOOLCHAIN}/sdk",
        "-fuse-ld=lld",
        f"-ffile-prefix-map={Path(TOOLCHAIN).parent}/=",
    )
    return "\n".join(lines) + "\n"
