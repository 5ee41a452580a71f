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
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from workers import apple
from workers.compiler_rt import fetched_runtime, runtime_names
from workers.errors import Failure
from workers.machine import runs_macos
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
_FOR_ELF = ("ld.lld", "llvm-readelf")
# As a Mac's LLVM has them.
_LIBRARIES = ("libLLVM*.dylib", "libclang-cpp*.dylib", "liblld*.dylib")
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
    sdk: Apple's, for macOS targets. others: programs that are not LLVM's own or lie elsewhere, by the name that recipes
    call them by.
    """

    prefix: Path
    identity: Mapping[str, str]
    headers: Path | None = None
    runtime: Mapping[str, Path] = field(default_factory=dict)
    sdk: Path | None = None
    others: Mapping[str, Path] = field(default_factory=dict)

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
    if target is not None and target.os == "macos":
        return _for_macos(environment, target)
    prefix, clang, version = _compiler(environment, ("clang", "clang++", *_LINKS))
    resources = Path(_answer(clang, "-print-resource-dir"))
    arch = target.arch if target is not None else platform.machine()
    runtime, elsewhere = _runtime(resources / "lib" / "linux", arch, state)
    parts = {**_parts(prefix), **runtime}
    texts = [_config("TARGET", "GLIBC"), _wrapper(Path("LLVM")), *([_ELSEWHERE] if elsewhere else [])]
    identity = {"version": version, "wrappers": _digest_of_texts(texts), **_digests(parts)}
    return Toolchain(prefix, dict(sorted(identity.items())), resources / "include", runtime if elsewhere else {})


def _for_macos(environment: Mapping[str, str], target: Target) -> Toolchain:
    """The same LLVM with Apple's SDK. compiler-rt for macOS comes with an LLVM that was made for macOS only."""
    prefix, clang, version = _compiler(environment, ("clang", "clang++", *_macos_links()))
    linker = apple.find_linker(prefix)
    linked = _answer(linker, "--version")
    if f"LLD {MAJOR}." not in linked:
        raise Failure(
            "toolchain", "the linker is another release", wanted=f"LLD {MAJOR}", found=linked, todo=_install()
        )
    sdk = apple.find_sdk(environment)
    parts = {**_parts(prefix, linker), "dsymutil": prefix / "bin" / "dsymutil"}
    others = {apple.LINKER: linker}
    if runs_macos():
        others |= apple.find_gnu_programs()
        place = Path(_answer(clang, "-print-resource-dir")) / "lib" / "darwin"
        for name in apple.RUNTIME:
            if not (place / name).is_file():
                raise _missing(name, f"compiler-rt's {name} in {place}")
            parts[name] = place / name
    texts = [apple.compiler_config(target), _wrapper(Path("LLVM"))]
    identity = {
        "version": version,
        "wrappers": _digest_of_texts(texts),
        **sdk.identity(target),
        **_digests(parts),
    }
    return Toolchain(prefix, dict(sorted(identity.items())), sdk=sdk.path, others=others)


def _macos_links() -> dict[str, tuple[str, ...]]:
    """Without the linker for ELF, and without readelf, which a recipe could take for an answer about Mach-O."""
    return {**{name: others for name, others in _LINKS.items() if name not in _FOR_ELF}, **apple.LINKS}


def llvm_prefix(environment: Mapping[str, str] = os.environ) -> Path:
    """The LLVM that `PYMINT_LLVM` names, else the distribution's or, on a Mac, Homebrew's."""
    if named := environment.get("PYMINT_LLVM"):
        return Path(named).resolve()
    if runs_macos():
        return next((place for place in apple.LLVM_PLACES if place.exists()), apple.LLVM_PLACES[0]).resolve()
    return SYSTEM_LLVM.resolve()


def _compiler(environment: Mapping[str, str], tools: Iterable[str]) -> tuple[Path, Path, str]:
    """The LLVM's prefix, its clang and what that says of itself, once all of `tools` and the host's own are seen."""
    prefix = llvm_prefix(environment)
    wanted = f"LLVM {MAJOR} in {prefix}"
    if any(prefix.is_relative_to(directory) for directory in _COVERED):
        raise Failure(
            "toolchain",
            f"an LLVM below {' or '.join(_COVERED)} can't be used",
            found=str(prefix),
            todo="Recipes see something else there. Put it elsewhere and set PYMINT_LLVM to it.",
        )
    clang = prefix / "bin" / "clang"
    for tool in tools:
        if not (prefix / "bin" / tool).exists():
            raise _missing(tool, wanted)
    version = subprocess.run([clang, "--version"], capture_output=True, text=True, check=False).stdout.split("\n")[0]
    release = re.search(r"version (\d+)", version)
    if release is None or int(release[1]) != MAJOR:
        raise Failure(
            "toolchain", "clang is another release", wanted=wanted, found=version or "no answer", todo=_install()
        )
    for tool, package in HOST_TOOLS.items():
        if shutil.which(tool, path=_SYSTEM_PATH) is None and not runs_macos():
            raise _missing(tool, f"{tool} (Debian's package {package})")
    return prefix, clang, version


def _digests(parts: Mapping[str, Path]) -> dict[str, str]:
    with ThreadPoolExecutor() as pool:
        return dict(zip(parts, pool.map(_digest, parts.values()), strict=True))


def _digest_of_texts(texts: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def find_tool(name: str, environment: Mapping[str, str] = os.environ) -> Path:
    """A program of the same LLVM, to be run outside of the sandbox. Raises Failure when it is not there."""
    prefix = llvm_prefix(environment)
    path = prefix / "bin" / name
    if not path.exists():
        raise _missing(name, f"{name} of LLVM {MAJOR} in {prefix}")
    return path


def prepare(directory: Path, target: Target, toolchain: Toolchain) -> None:
    """Writes what recipes see as /mnt/pymint/toolchain: wrapped compilers, binary tools under LLVM's and usual names.

    Raises Failure for a target of another kind than the toolchain was found for.
    """
    if (target.os == "macos") != (toolchain.sdk is not None):
        raise Failure(
            "toolchain",
            f"this toolchain is not for {target.triple}",
            wanted="one that was found for that target",
            found="one with a macOS SDK" if toolchain.sdk is not None else "one without a macOS SDK",
            todo="This is a mistake in pymint.",
        )
    programs = directory / "bin"
    programs.mkdir(parents=True, exist_ok=True)
    links = _LINKS
    if toolchain.sdk is not None:
        config, links = apple.compiler_config(target), _macos_links()
        (directory / "sdk").unlink(missing_ok=True)
        (directory / "sdk").symlink_to(toolchain.sdk)
    else:
        config = _config(target.triple, target.glibc or "") + (_ELSEWHERE if toolchain.runtime else "")
    (directory / "target.cfg").write_text(config)
    if toolchain.runtime and toolchain.headers is not None:
        _lay_out(directory / _RESOURCES, toolchain.headers, toolchain.runtime)
    for name, others in _COMPILERS.items():
        for program in (name, *others):
            (programs / program).write_text(_wrapper(toolchain.bin / name))
            (programs / program).chmod(0o755)
    places = {program: toolchain.bin / name for name, others in links.items() for program in (name, *others)}
    for program, place in {**places, **toolchain.others}.items():
        (programs / program).unlink(missing_ok=True)
        (programs / program).symlink_to(place)


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


def _parts(prefix: Path, linker: Path | None = None) -> dict[str, Path]:
    """The programs whose code decides about bytes, and the shared libraries that hold most of it."""
    programs = {name: prefix / "bin" / name for name in ("clang", "ld.lld", "llvm-ar", "llvm-objcopy", "llvm-profdata")}
    if linker is not None:
        del programs["ld.lld"]
        programs[linker.name] = linker
    if runs_macos():
        folders = {(program.resolve().parent.parent / "lib") for program in programs.values()}
        found = (path for folder in sorted(folders) for name in _LIBRARIES for path in sorted(folder.glob(name)))
        return {**programs, **{path.name: path for path in found if not path.is_symlink()}}
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
    if runs_macos():
        return f"{apple.install_command()}\nAn LLVM in another place: set PYMINT_LLVM to the directory above its bin."
    return (
        f"On Debian and Ubuntu, as root: apt-get install {' '.join(DEBIAN_PACKAGES)}\n"
        "An LLVM in another place: set PYMINT_LLVM to the directory above its bin."
    )
