"""The compiler that everything is built with: LLVM 22, found on this machine, told apart by digest.

Recipes see it as /mnt/pymint/toolchain: `clang` there is a wrapper that adds the target, the sysroot for the target's
glibc, compiler-rt and lld, so that nothing of this machine's own C library, gcc or binutils gets into an object.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from workers.compiler_rt import fetched_runtime, runtime_names
from workers.errors import Failure
from workers.model import Target
from workers.sandbox import DEPS, TOOLCHAIN

MAJOR = 22
RUNTIME_PACKAGE = f"libclang-rt-{MAJOR}-dev"
SYSTEM_LLVM = Path("/usr/lib/llvm-22")
SYSROOT = f"{DEPS}/sysroot"

# What a Debian or Ubuntu machine needs to build: LLVM, and the programs that recipes and libraries' own builds call.
DEBIAN_PACKAGES = (
    f"clang-{MAJOR}",
    f"lld-{MAJOR}",
    f"llvm-{MAJOR}",
    RUNTIME_PACKAGE,
    "util-linux",
    "make",
    "perl",
    "pkg-config",
    "patch",
)
# Their release does not reach an object's bytes: they only call the compiler, or write the same text.
HOST_TOOLS = {"make": "make", "perl": "perl", "pkg-config": "pkg-config", "patch": "patch"}

# Names that recipes, or a library's own build that asks for no compiler in particular, may call.
_LINKS: dict[str, tuple[str, ...]] = {
    "llvm-ar": ("ar",),
    "llvm-ranlib": ("ranlib",),
    "llvm-nm": ("nm",),
    "llvm-strip": ("strip",),
    "llvm-objcopy": ("objcopy",),
    "llvm-objdump": ("objdump",),
    "llvm-readelf": ("readelf",),
    "llvm-profdata": (),
    "llvm-dwarfdump": (),
    "llvm-strings": ("strings",),
    "llvm-size": ("size",),
    "ld.lld": ("ld",),
}
_COMPILERS: dict[str, tuple[str, ...]] = {"clang": ("cc",), "clang++": ("c++",)}
_SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_COVERED = ("/mnt", "/tmp")  # in a sandbox these show something else


# For another processor than the machine's clang looks for its parts here, where its own headers are too.
_RESOURCES = "resource"
_ELSEWHERE = f"-resource-dir={TOOLCHAIN}/{_RESOURCES}\n"


@dataclass(frozen=True)
class Toolchain:
    """An LLVM on this machine. identity: what of it can change an object's bytes, by name: versions, sha256 digests.

    headers, runtime: clang's own headers, and compiler-rt's files for another processor, where those lie elsewhere.
    """

    prefix: Path
    identity: Mapping[str, str]
    headers: Path | None = None
    runtime: Mapping[str, Path] = field(default_factory=dict)

    @property
    def bin(self) -> Path:
        return self.prefix / "bin"

    @property
    def path(self) -> str:
        """PATH inside the sandbox. LLVM's own directory comes early: another llvm-ar fails on this one's bitcode."""
        return f"{TOOLCHAIN}/bin:{self.bin}:{_SYSTEM_PATH}"


def find_toolchain(
    environment: Mapping[str, str] = os.environ, *, target: Target | None = None, state: Path | None = None
) -> Toolchain:
    """The LLVM that `PYMINT_LLVM` names (a prefix: the directory above bin), else the distribution's.

    target: what is built; this machine's own kind if not given. state: the worker's, where compiler-rt for another
    processor is kept once it was fetched.

    Raises Failure when it, one of its parts, or one of the other programs is missing, or when it is another release.
    """
    prefix = Path(environment.get("PYMINT_LLVM") or SYSTEM_LLVM).resolve()
    wanted = f"LLVM {MAJOR} in {prefix}"
    if any(prefix.is_relative_to(directory) for directory in _COVERED):
        raise Failure(
            "toolchain",
            f"an LLVM below {' or '.join(_COVERED)} can't be used",
            found=str(prefix),
            todo="Recipes see something else there. Put it elsewhere and set PYMINT_LLVM to it.",
        )
    clang = prefix / "bin" / "clang"
    for tool in ("clang", "clang++", *_LINKS):
        if not (prefix / "bin" / tool).exists():
            raise _missing(tool, wanted)
    version = subprocess.run([clang, "--version"], capture_output=True, text=True, check=False).stdout.split("\n")[0]
    release = re.search(r"version (\d+)", version)
    if release is None or int(release[1]) != MAJOR:
        raise Failure(
            "toolchain", "clang is another release", wanted=wanted, found=version or "no answer", todo=_install()
        )
    for tool, package in HOST_TOOLS.items():
        if shutil.which(tool, path=_SYSTEM_PATH) is None:
            raise _missing(tool, f"{tool} (Debian's package {package})")
    resources = Path(_answer(clang, "-print-resource-dir"))
    arch = target.arch if target is not None else platform.machine()
    runtime, elsewhere = _runtime(resources / "lib" / "linux", arch, state)
    parts = {**_parts(prefix), **runtime}
    with ThreadPoolExecutor() as pool:
        digests = dict(zip(parts, pool.map(_digest, parts.values()), strict=True))
    texts = [_config("TARGET", "GLIBC"), _wrapper(Path("LLVM")), *([_ELSEWHERE] if elsewhere else [])]
    wrappers = hashlib.sha256("\n".join(texts).encode()).hexdigest()
    identity = {"version": version, "wrappers": wrappers, **digests}
    return Toolchain(prefix, dict(sorted(identity.items())), resources / "include", runtime if elsewhere else {})


def find_tool(name: str, environment: Mapping[str, str] = os.environ) -> Path:
    """A program of the same LLVM, to be run outside of the sandbox. Raises Failure when it is not there."""
    prefix = Path(environment.get("PYMINT_LLVM") or SYSTEM_LLVM).resolve()
    path = prefix / "bin" / name
    if not path.exists():
        raise _missing(name, f"{name} of LLVM {MAJOR} in {prefix}")
    return path


def prepare(directory: Path, target: Target, toolchain: Toolchain) -> None:
    """Writes what recipes see as /mnt/pymint/toolchain: wrapped compilers, binary tools under LLVM's and usual names.

    Raises Failure for a target that is not built on Linux.
    """
    if target.os != "linux" or target.glibc is None:
        raise Failure(
            "toolchain",
            f"{target.triple} can't be built here",
            wanted="a Linux target",
            found=target.os,
            todo="Give this target a worker of its own system.",
        )
    programs = directory / "bin"
    programs.mkdir(parents=True, exist_ok=True)
    (directory / "target.cfg").write_text(
        _config(target.triple, target.glibc) + (_ELSEWHERE if toolchain.runtime else "")
    )
    if toolchain.runtime and toolchain.headers is not None:
        _lay_out(directory / _RESOURCES, toolchain.headers, toolchain.runtime)
    for name, others in _COMPILERS.items():
        for program in (name, *others):
            (programs / program).write_text(_wrapper(toolchain.bin / name))
            (programs / program).chmod(0o755)
    for name, others in _LINKS.items():
        for program in (name, *others):
            (programs / program).unlink(missing_ok=True)
            (programs / program).symlink_to(toolchain.bin / name)


def _config(triple: str, glibc: str) -> str:
    """What each call of the compiler gets first. clang never complains of an option of its file that a call can't use.

    No -no-pie here: each shared object and extension module would fail to link, and CPython's make goes on without.
    """
    lines = (
        f"--target={triple}",
        f"--sysroot={SYSROOT}",
        # The headers are one set for every glibc and take the release from here.
        f"-D__GLIBC_MINOR__={glibc.removeprefix('2.')}",
        "-rtlib=compiler-rt",
        "--unwindlib=none",
        "-fuse-ld=lld",
        # __FILE__ and debug information without even the sandbox's path.
        "-ffile-prefix-map=/mnt/pymint/=",
    )
    return "\n".join(lines) + "\n"


def _wrapper(compiler: Path) -> str:
    return f'#!/bin/sh\nexec {compiler} --config={TOOLCHAIN}/target.cfg "$@"\n'


def _parts(prefix: Path) -> dict[str, Path]:
    """The programs whose code decides about bytes, and the shared libraries that hold most of it."""
    programs = {name: prefix / "bin" / name for name in ("clang", "ld.lld", "llvm-ar", "llvm-objcopy", "llvm-profdata")}
    listed = "".join(
        subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout for path in programs.values()
    )
    libraries = {Path(found).name: Path(found) for found in re.findall(r"=> (\S*/lib(?:LLVM|clang|lld)\S*)", listed)}
    return {**programs, **libraries}


def _runtime(place: Path, arch: str, state: Path | None) -> tuple[dict[str, Path], bool]:
    """compiler-rt's parts that are linked into what is built, and whether they lie where clang does not look by itself.

    Raises Failure when one is missing.
    """
    names = runtime_names(arch)
    elsewhere = arch != platform.machine() and not all((place / name).is_file() for name in names)
    if elsewhere and state is not None:
        place = fetched_runtime(arch, RUNTIME_PACKAGE, state)
    found = {name: place / name for name in names}
    for name, path in found.items():
        if not path.is_file():
            raise _missing(name, f"compiler-rt's {name} in {path.parent}")
    return found, elsewhere


def _lay_out(directory: Path, headers: Path, runtime: Mapping[str, Path]) -> None:
    """What clang calls its resource directory: its own headers and the other processor's compiler-rt.

    Copies, since a recipe does not see every place of the machine.
    """
    place = directory / "lib" / "linux"
    place.mkdir(parents=True, exist_ok=True)
    for name, path in runtime.items():
        shutil.copyfile(path, place / name)
    (directory / "include").unlink(missing_ok=True)
    (directory / "include").symlink_to(headers)


def _answer(program: Path, question: str) -> str:
    return subprocess.run([program, question], capture_output=True, text=True, check=False).stdout.strip()


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _missing(tool: str, wanted: str) -> Failure:
    return Failure("toolchain", f"{tool} is missing", wanted=wanted, found="nothing there", todo=_install())


def _install() -> str:
    return (
        f"On Debian and Ubuntu, as root: apt-get install {' '.join(DEBIAN_PACKAGES)}\n"
        "An LLVM in another place: set PYMINT_LLVM to the directory above its bin."
    )
