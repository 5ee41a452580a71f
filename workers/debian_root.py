"""A Debian of a given release in a directory, for what has to be built in a documented environment.

Made by `debootstrap` from the mirror that this machine's own packages come from, so that a machine which reaches only
that one can do it. Made once and kept in the worker's state; recipes see it read-only (`workers.sandbox`, `system`).
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from workers.errors import Failure
from workers.room import in_use

# The Linux on x86_64 among the environments of CMVP certificate 4985: Debian 11 with gcc 10.2 and glibc 2.31.
POLICY_SUITE = "bullseye"
# A compiler, make and perl: what OpenSSL's INSTALL.md asks for, and no more.
POLICY_PACKAGES = ("gcc", "libc6-dev", "make", "perl")
_DONE = ".pymint-complete"


def debian_root(state: Path, suite: str, packages: Sequence[str], log: Path) -> Path:
    """The root directory of a minimal Debian `suite` with `packages`, made in `state` if it is not there yet.

    Raises Failure when debootstrap is missing, when this is not root, or when it fails; nothing half-made is kept.
    """
    root = state / "systems" / f"debian-{suite}"
    wanted = " ".join(sorted(packages))
    if _is_done(root, wanted):
        return root
    _require_debootstrap(suite)  # before what is there is thrown away
    root.parent.mkdir(parents=True, exist_ok=True)
    with in_use(root.parent, alone=True):  # two builds at once would break each other's
        if _is_done(root, wanted):  # another build was quicker
            return root
        staging = root.with_name(f".{root.name}.{os.getpid()}")
        shutil.rmtree(root, ignore_errors=True)
        shutil.rmtree(staging, ignore_errors=True)
        try:
            bootstrap(staging, suite, packages, log)
            (staging / _DONE).write_text(wanted)
            staging.rename(root)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return root


def _is_done(root: Path, wanted: str) -> bool:
    return (root / _DONE).is_file() and (root / _DONE).read_text() == wanted


def bootstrap(into: Path, suite: str, packages: Sequence[str], log: Path) -> None:
    """Makes a minimal Debian in an empty or missing directory. Raises Failure as `debian_root` does."""
    _require_debootstrap(suite)
    into.mkdir(parents=True, exist_ok=True)
    included = [f"--include={','.join(packages)}"] if packages else []
    command = ["debootstrap", "--variant=minbase", *included, suite, str(into), mirror()]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as stream:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, check=False)
    if done.returncode != 0:
        raise Failure(
            "debian-root",
            f"debootstrap could not make a Debian {suite}",
            found=log.read_text(errors="replace").strip().rpartition("\n")[2],
            todo=f"The whole log: {log}\nA release that is no longer mirrored needs a mirror of archived ones.",
        )
    for archive in (into / "var/cache/apt/archives").glob("*.deb"):
        archive.unlink()


def mirror() -> str:
    """Where this machine's own packages come from. Raises Failure when apt names no mirror of Debian's main archive."""
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(LABEL)|$(SITE)", "Created-By: Packages"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    sites = main_archives(listed)
    if not sites:
        raise Failure(
            "debian-root",
            "apt knows no mirror of Debian's main archive",
            wanted="a source with the label Debian in apt's sources",
            found=listed.strip() or "no package lists",
            todo="Add one and run `apt-get update`.",
        )
    return sites[0]


def main_archives(listed: str) -> list[str]:
    """The sites of `LABEL|SITE` lines that carry Debian itself: not its security updates, nor others' packages."""
    rows = [line.partition("|") for line in listed.splitlines()]
    return list(dict.fromkeys(site for label, _, site in rows if label == "Debian" and site))


def _require_debootstrap(suite: str) -> None:
    problem = _problem()
    if problem is not None:
        raise Failure("debian-root", f"no Debian {suite} can be made here", found=problem[0], todo=problem[1])


def _problem() -> tuple[str, str] | None:
    if shutil.which("debootstrap") is None:
        return "debootstrap is not installed", "As root: apt-get install debootstrap"
    if os.geteuid() != 0:
        return (
            f"user {os.geteuid()}, not root",
            "debootstrap sets owners that only root can. Run this stage once as root; the directory is kept.",
        )
    return None
