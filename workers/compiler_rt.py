"""compiler-rt for another processor: the machine's own packages carry only their own processor's.

Taken from the same release of the distribution's package for that processor, with the distribution's own client and the
machine's own sources and keys, in package lists of its own: the machine's stay as they are, and it gets no second
architecture. Fetched once and kept in the worker's state.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from workers.errors import Failure

_DEBIAN_NAMES = {"aarch64": "arm64", "x86_64": "amd64"}


def runtime_names(arch: str) -> tuple[str, ...]:
    """The files that are linked into what is built for a processor."""
    return (
        f"libclang_rt.builtins-{arch}.a",
        f"libclang_rt.profile-{arch}.a",
        f"clang_rt.crtbegin-{arch}.o",
        f"clang_rt.crtend-{arch}.o",
    )


def fetched_runtime(arch: str, package: str, state: Path) -> Path:
    """The directory with `arch`'s files, of the very release of `package` that is installed; fetched if not there yet.

    Raises Failure when the package is not installed, or when the distribution has not got it for that processor.
    """
    debian = _DEBIAN_NAMES.get(arch, arch)
    version = _run(["dpkg-query", "--show", "--showformat=${Version}", package]).stdout.strip()
    if not version:
        raise _failure(arch, package, f"{package} is not installed, so its release is not known")
    kept = state / "systems" / f"compiler-rt-{arch}" / version.replace(":", "_")
    if all((kept / name).is_file() for name in runtime_names(arch)):
        return kept
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent, prefix=".fetching-") as name:
        home = Path(name)
        archive = _download(home, f"{package}:{debian}={version}", debian)
        if isinstance(archive, str):
            raise _failure(arch, package, archive)
        unpacked = _run(["dpkg-deb", "--extract", str(archive), str(home / "unpacked")])
        if unpacked.returncode != 0:
            raise _failure(arch, package, unpacked.stderr.strip() or f"dpkg-deb ended with {unpacked.returncode}")
        ready = home / "ready"
        ready.mkdir()
        for wanted in runtime_names(arch):
            found = next((home / "unpacked").rglob(wanted), None)
            if found is None:
                raise _failure(arch, package, f"{archive.name} has no {wanted}")
            shutil.copyfile(found, ready / wanted)
        shutil.rmtree(kept, ignore_errors=True)
        ready.rename(kept)
    return kept


def _download(home: Path, package: str, debian: str) -> Path | str:
    """The package's file, or what the client said instead."""
    for part in ("lists/partial", "cache/archives/partial"):
        (home / part).mkdir(parents=True)
    (home / "status").touch()
    options = {
        "Dir::State": home,
        "Dir::State::lists": home / "lists",
        "Dir::State::status": home / "status",
        "Dir::Cache": home / "cache",
        "APT::Architecture": debian,
        "APT::Architectures::": debian,
        "Acquire::Languages": "none",
        # The directories are this user's, whom the client's own user can't write for.
        "APT::Sandbox::User": "root" if os.geteuid() == 0 else "",
    }
    flags = [f"-o{name}={value}" for name, value in options.items() if value]
    # Sources that are for the machine's own processor alone have no lists for this one: no reason to stop.
    updated = _run(["apt-get", "--quiet", *flags, "update"])
    fetched = _run(["apt-get", "--quiet", *flags, "download", package], cwd=home)
    found = next(home.glob("*.deb"), None)
    if found is not None and fetched.returncode == 0:
        return found
    said = [line for line in (updated.stderr + fetched.stderr).splitlines() if line.startswith(("E:", "W:"))]
    return "; ".join(said[-3:]) or f"apt-get download ended with {fetched.returncode}"


def _run(command: list[str], cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    except OSError as error:
        return subprocess.CompletedProcess(command, 127, "", f"E: {error}")


def _failure(arch: str, package: str, found: str) -> Failure:
    return Failure(
        "toolchain",
        f"compiler-rt for {arch} can't be had",
        wanted=f"{', '.join(runtime_names(arch))} of the release of {package} that is installed",
        found=found,
        todo="Put them into clang's own directory (`clang -print-resource-dir`, lib/linux) by hand, or have apt reach\n"
        f"a mirror that carries {_DEBIAN_NAMES.get(arch, arch)}, or give this target a worker of its own processor.",
    )
