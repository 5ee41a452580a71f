"""What a Dockerfile is built from, besides the Dockerfile: apt's sources, packages, wheels, files; and its digest."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from workers.debian_root import mirror
from workers.errors import Failure
from workers.images.data import ImageSpec, digest_of_files, files_below
from workers.model import ROOT

_RELEASE = Path("/etc/os-release")


@dataclass(frozen=True)
class AptSource:
    """A line of apt's sources. signed_by: the machine's keyring for it; None: Debian's own, which every root has."""

    site: str
    release: str
    component: str
    signed_by: Path | None


@dataclass(frozen=True)
class Packages:
    """Where an image's packages come from, and in what state that is: versions by name, or a release file's digest."""

    sources: tuple[AptSource, ...]
    state: dict[str, str]


def own_suite(text: str | None = None) -> str | None:
    """This machine's release of Debian by its code name; None where it is another system."""
    said = text if text is not None else _RELEASE.read_text() if _RELEASE.exists() else ""
    found = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', said, re.MULTILINE))
    return found.get("VERSION_CODENAME") if found.get("ID") == "debian" else None


def offered(madison: str) -> dict[str, tuple[str, str, str, str]]:
    """Of `apt-cache madison`: by package the version that is installed, and from which site, release and component."""
    found: dict[str, tuple[str, str, str, str]] = {}
    for line in madison.splitlines():
        parts = [part.strip() for part in line.split("|")]
        if len(parts) != 3 or not parts[2].endswith("Packages"):
            continue
        site, place, *_ = parts[2].split()
        release, _, component = place.rpartition("/")
        found.setdefault(parts[0], (parts[1], site, release, component))
    return found


def packages_of(spec: ImageSpec) -> Packages:
    """From where this machine takes them, if the image is of its own release; else from its mirror."""
    if spec.suite == own_suite():
        return _own_packages(spec.all_packages())
    site = mirror()
    address = f"{site}/dists/{spec.suite}/InRelease"
    try:
        with urllib.request.urlopen(address, timeout=60) as answer:
            release = answer.read(1 << 20)
    except OSError as error:
        raise Failure(
            "image", f"the mirror has no Debian {spec.suite}", wanted=address, found=str(error),
            todo="A release that is no longer mirrored needs a mirror of archived ones in apt's sources.",
        ) from error  # fmt: skip
    state = {f"release {spec.suite}": hashlib.sha256(release).hexdigest()}
    return Packages((AptSource(site, spec.suite, "main", None),), state)


def _own_packages(names: Sequence[str]) -> Packages:
    found = offered(_said(["apt-cache", "madison", *names]))
    if absent := [name for name in names if name not in found]:
        raise Failure(
            "image", "this machine's apt does not offer all that the image needs", wanted=", ".join(names),
            found=f"no {', '.join(absent)}", todo="apt-get update; LLVM may need a source of its own, apt.llvm.org.",
        )  # fmt: skip
    keyrings: dict[tuple[str, str], str] = {}
    listed = _said(["apt-get", "indextargets", "--format", "$(SITE)|$(RELEASE)|$(SIGNED_BY)", "Created-By: Packages"])
    for line in listed.splitlines():
        site, release, keyring = [*line.split("|", 2), "", ""][:3]
        keyrings[site, release] = keyring
    sources = []
    for site, release, component in dict.fromkeys((s, r, c) for _, s, r, c in found.values()):
        keyring = keyrings.get((site, release), "")
        others = keyring.startswith("/") and "debian-archive-keyring" not in keyring
        sources.append(AptSource(site, release, component, Path(keyring) if others else None))
    return Packages(tuple(sources), {name: found[name][0] for name in names})


def _said(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout
    except FileNotFoundError as error:
        raise Failure(
            "image", "images are made on Debian and what comes of it", wanted=command[0], found=str(error),
            todo="Have another machine build them: [images] workers in settings.toml.",
        ) from error  # fmt: skip


def parts_of(spec: ImageSpec, dockerfile: Path, architecture: str, packages: Packages) -> dict[str, str]:
    """Everything that can change what is in the image, by name."""
    parts = {
        "architecture": architecture,
        "suite": spec.suite,
        "Dockerfile": hashlib.sha256(dockerfile.read_bytes()).hexdigest(),
        "packages": " ".join(spec.all_packages()),
        **{f"package {name}": version for name, version in packages.state.items()},
    }
    if spec.wheels:
        parts["wheels"] = " ".join(spec.wheels)
        parts["constraints"] = hashlib.sha256((ROOT / "constraints.txt").read_bytes()).hexdigest()
    if spec.files:
        parts["files"] = digest_of_files(ROOT, spec.files)
    return parts


def write_context(spec: ImageSpec, dockerfile: Path, packages: Packages, wheels: Path | None, into: Path) -> None:
    """Lays the build's directory out. COPY of the classic builder compares contents, so times do not matter."""
    apt = into / "apt"
    (apt / "keyrings").mkdir(parents=True)
    lines = []
    for source in packages.sources:
        option = ""
        if source.signed_by is not None:
            shutil.copyfile(source.signed_by, apt / "keyrings" / source.signed_by.name)
            option = f" [signed-by=/etc/apt/keyrings/{source.signed_by.name}]"
        lines.append(f"deb{option} {source.site} {source.release} {source.component}\n")
    (apt / "sources.list").write_text("".join(lines))
    (apt / "pymint-packages").write_text("\n".join(spec.all_packages()) + "\n")
    shutil.copyfile(dockerfile, into / "Dockerfile")
    if wheels is not None:
        shutil.copytree(wheels, into / "wheels")
    for name, path in files_below(ROOT, spec.files):
        target = into / "files" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)


def fetch_wheels(spec: ImageSpec, state: Path, log: Path) -> Path:
    """The wheels of the image's virtual environment, by this machine's own pip, in the versions of constraints.txt."""
    wanted = "\n".join(spec.wheels) + "\n"
    digest = hashlib.sha256((wanted + spec.python + (ROOT / "constraints.txt").read_text()).encode()).hexdigest()[:16]
    place = state / "images" / f"wheels-{digest}"
    if place.is_dir():
        return place
    staging = place.with_name(f".{place.name}.{os.getpid()}")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    try:
        (staging / "requirements.txt").write_text(wanted)
        command = [
            sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-input", "--progress-bar=off",
            "--only-binary=:all:", f"--python-version={spec.python}", "-c", str(ROOT / "constraints.txt"),
            "-d", str(staging), "-r", str(staging / "requirements.txt"),
        ]  # fmt: skip
        with log.open("ab") as stream:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, check=False)
        if done.returncode:
            raise Failure(
                "image", "the Python packages of the image can't be had",
                found=log.read_text(errors="replace").strip().rpartition("\n")[2],
                todo=f"pip asks the index that this machine is set up with (pip config list). All of it: {log}",
            )  # fmt: skip
        for older in place.parent.glob("wheels-*"):
            shutil.rmtree(older)
        staging.rename(place)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return place
