"""Which targets a machine is itself, what it says when it can't run one, and who builds a cross target."""

from __future__ import annotations

from pathlib import Path

import pytest

from master.settings import WorkerSettings, builds
from workers import machine
from workers.compiler_rt import fetched_runtime, runtime_names
from workers.cpython import EMULATOR, cpython_nodes
from workers.errors import Failure
from workers.machine import emulation_of, file_of, is_emulated, machine_of
from workers.model import load_matrix
from workers.toolchain import Toolchain, prepare

MATRIX = load_matrix()
X86_64, AARCH64 = (MATRIX.targets[f"{arch}-unknown-linux-gnu"] for arch in ("x86_64", "aarch64"))


@pytest.fixture(autouse=True)
def on_x86_64(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "native_target", lambda: X86_64.triple)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")


def test_a_machine_emulates_nothing_for_its_own_target() -> None:
    assert emulation_of(X86_64) == ""


def test_without_the_processors_c_library_the_commands_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_LIBC_PLACES", ("/nowhere/{arch}/libc.so.6",))
    with pytest.raises(Failure) as caught:
        emulation_of(AARCH64)
    assert "libc6-arm64-cross" in str(caught.value)
    assert "/etc/qemu-binfmt/aarch64" in str(caught.value)


def test_a_c_library_that_does_not_start_is_no_emulation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "libc.so.6").write_bytes(b"\x7fELF no program")
    (tmp_path / "libc.so.6").chmod(0o755)
    monkeypatch.setattr(machine, "_LIBC_PLACES", (str(tmp_path / "libc.so.6"),))
    with pytest.raises(Failure, match="don't run here"):
        emulation_of(AARCH64)


def test_macos_is_emulated_nowhere() -> None:
    with pytest.raises(Failure, match="nothing emulates aarch64-apple-darwin"):
        emulation_of(MATRIX.targets["aarch64-apple-darwin"])


def test_a_profile_that_was_trained_under_emulation_says_so_and_only_it_does() -> None:
    cell = MATRIX.cell("3.13", AARCH64.triple, "pgo+lto")
    native, emulated = cpython_nodes(cell), cpython_nodes(cell, "qemu-aarch64 7.2")
    differing = [here for here, there in zip(emulated, native, strict=True) if here != there]
    assert [node.name for node in differing] == ["cpython-3.13-pgo-lto-profile"]
    assert differing[0].environment[EMULATOR] == "qemu-aarch64 7.2"
    assert EMULATOR not in native[2].environment


def test_a_programs_processor_is_read_from_its_header(tmp_path: Path) -> None:
    program = tmp_path / "python3.13"
    program.write_bytes(b"\x7fELF" + bytes(14) + (183).to_bytes(2, "little"))
    assert machine_of(program) == "aarch64"
    program.write_bytes(b"#!/bin/sh\nexit 0\n and more")
    assert machine_of(program) is None


def test_only_another_processors_program_is_emulated(tmp_path: Path) -> None:
    program = tmp_path / "python3.13"
    for e_machine, emulated in ((183, True), (62, False)):
        program.write_bytes(b"\x7fELF" + bytes(14) + e_machine.to_bytes(2, "little"))
        assert is_emulated(program) == emulated
    assert not is_emulated(tmp_path / "nothing")


def test_another_processors_files_are_looked_for_where_the_emulator_does(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(machine, "_PREFIX", str(tmp_path / "{arch}"))
    loader = tmp_path / "aarch64/lib/ld-linux-aarch64.so.1"
    assert file_of("aarch64", Path("/lib/ld-linux-aarch64.so.1")) is None
    loader.parent.mkdir(parents=True)
    loader.touch()
    assert file_of("aarch64", Path("/lib/ld-linux-aarch64.so.1")) == loader
    assert file_of("x86_64", Path("/bin/sh")) == Path("/bin/sh")


def test_a_cross_worker_builds_what_it_names() -> None:
    worker = WorkerSettings("local", [X86_64.triple], cross=[AARCH64.triple])
    assert builds(worker, MATRIX.cell("3.13", X86_64.triple, "pgo+lto"))
    assert builds(worker, MATRIX.cell("3.13", AARCH64.triple, "pgo+lto"))
    assert not builds(WorkerSettings("local", [X86_64.triple]), MATRIX.cell("3.13", AARCH64.triple, "noopt"))


def test_another_processors_compiler_rt_lies_where_recipes_see_it(tmp_path: Path) -> None:
    runtime = {}
    for name in runtime_names("aarch64"):
        runtime[name] = tmp_path / name
        runtime[name].write_text(name)
    prepare(tmp_path / "tools", AARCH64, Toolchain(tmp_path, {}, tmp_path / "include", runtime))
    laid = tmp_path / "tools/resource/lib/linux"
    assert {path.name for path in laid.iterdir()} == set(runtime)
    assert "-resource-dir=/mnt/pymint/toolchain/resource\n" in (tmp_path / "tools/target.cfg").read_text()


def test_a_package_that_does_not_unpack_whole_leaves_no_compiler_rt(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What a full disk cut off would else be linked into everything from then on."""
    monkeypatch.chdir(tmp_path)  # where the stand-in for apt-get leaves its file, whatever it is asked
    programs = tmp_path / "bin"
    programs.mkdir()
    names = " ".join(runtime_names("aarch64"))
    scripts = {
        "dpkg-query": "echo 1.0",
        "apt-get": "touch a.deb",
        "dpkg-deb": f'mkdir -p "$3" && cd "$3" && touch {names}; echo "no space left" >&2; exit 2',
    }
    for name, script in scripts.items():
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    with pytest.raises(Failure, match="compiler-rt for aarch64") as caught:
        fetched_runtime("aarch64", "libclang-rt-22-dev", tmp_path / "state")
    assert "no space left" in str(caught.value)
    assert list((tmp_path / "state/systems/compiler-rt-aarch64").iterdir()) == []
