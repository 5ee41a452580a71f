"""What `./mint` says and does where this machine has to run another processor's programs."""

from __future__ import annotations

from pathlib import Path

import pytest

from master.cli import emulation
from master.cli.emulation import cross_targets, emulation_verdicts, require_emulation
from master.settings import parse
from workers import machine
from workers.errors import Failure
from workers.model import load_matrix

MATRIX = load_matrix()
X86_64, AARCH64 = (MATRIX.targets[f"{arch}-unknown-linux-gnu"] for arch in ("x86_64", "aarch64"))
WORKER = f'[[workers]]\nname = "NAME"\ntargets = ["{X86_64.triple}"]\ncross = ["{AARCH64.triple}"]\n'


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An x86-64 machine with nothing that runs aarch64 programs; returns where its files would be."""
    monkeypatch.setattr(machine, "native_target", lambda: X86_64.triple)
    monkeypatch.setattr(machine, "_LIBC_PLACES", (str(tmp_path / "usr/lib/libc.so.6"),))
    monkeypatch.setattr(machine, "_PREFIX", str(tmp_path / "etc/qemu-binfmt/{arch}"))
    return tmp_path


def test_only_this_machines_own_worker_is_looked_at() -> None:
    for name, wanted in (("local", [AARCH64]), ("elsewhere", [])):
        settings = parse(WORKER.replace("NAME", name), Path("settings.toml"))
        assert cross_targets(settings, MATRIX) == wanted


def test_what_is_missing_is_told_with_the_exact_commands(bare: Path) -> None:
    (verdict,) = emulation_verdicts([AARCH64])
    assert (verdict.level, verdict.name) == ("bad", "emulation")
    assert "no C library of that processor" in verdict.found
    assert (
        "apt-get install -y --no-install-recommends qemu-user-static binfmt-support libc6-arm64-cross && "
        f"mkdir -p {bare}/etc/qemu-binfmt && ln -sfn /usr/aarch64-linux-gnu {bare}/etc/qemu-binfmt/aarch64"
    ) in verdict.todo


def test_an_emulation_that_works_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emulation, "emulation_of", lambda target: "qemu-aarch64 7.2, glibc 2.36")
    (verdict,) = emulation_verdicts([AARCH64])
    assert (verdict.level, verdict.found) == ("ok", f"{AARCH64.triple}, by qemu-aarch64 7.2, glibc 2.36")


def test_who_may_not_install_gets_the_commands(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emulation, "can_install", lambda: False)
    with pytest.raises(Failure, match="libc6-arm64-cross"):
        require_emulation([AARCH64])


def test_root_gets_packages_and_link_once(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def install(packages: list[str]) -> list[str]:
        library = bare / "usr/lib/libc.so.6"
        library.parent.mkdir(parents=True)
        library.write_text("#!/bin/sh\necho 'GNU C Library (Debian GLIBC 2.36-8cross1) stable release version 2.36.'\n")
        library.chmod(0o755)
        asked.append(packages)
        return []

    monkeypatch.setattr(emulation, "can_install", lambda: True)
    monkeypatch.setattr(emulation, "install", install)
    require_emulation([AARCH64])
    require_emulation([AARCH64])
    assert asked == [["qemu-user-static", "binfmt-support", "libc6-arm64-cross"]]
    assert (bare / "etc/qemu-binfmt/aarch64").readlink() == Path("/usr/aarch64-linux-gnu")


def test_what_apt_could_not_bring_is_told(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emulation, "can_install", lambda: True)
    monkeypatch.setattr(emulation, "install", lambda packages: ["E: Unable to locate package"])
    with pytest.raises(Failure, match="don't run here") as caught:
        require_emulation([AARCH64])
    assert "E: Unable to locate package" in str(caught.value)
