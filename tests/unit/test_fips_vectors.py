"""What OpenSSL's own test programs say, and which of them say it of a module."""

from __future__ import annotations

from pathlib import Path

import pytest

from workers.fips.running import Ran
from workers.fips.tampering import NotHere
from workers.fips.tree import tree_at
from workers.fips.vectors import Suite, judge_evp, machine_of, names, release_of, try_vectors, why_not

ELF = b"\x7fELF\x02\x01" + bytes(12) + b"\x3e\x00" + bytes(12)
ARM = b"\x7fELF\x02\x01" + bytes(12) + b"\xb7\x00" + bytes(12)
SETTINGS = "[fips_sect]\nactivate = 1\nmodule-mac = AA\n"


def ran(text: str, code: int = 0) -> Ran:
    return Ran(code, "", text, 0.0)


def suite(tmp_path: Path, script: str, version: str = "3.5.7") -> Suite:
    (tmp_path / "suite/vectors").mkdir(parents=True)
    (tmp_path / "suite/vectors/evpmd_sha.txt").write_text("Digest = SHA256\n")
    for name in ("evp_test", "acvp_test"):
        (tmp_path / "suite" / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "suite" / name).chmod(0o755)
    return Suite(tmp_path / "suite", version)


def test_a_run_without_errors_holds_with_its_count() -> None:
    check = judge_evp("a", ran("    # Completed 42 tests with 0 errors and 3 skipped\n"))
    assert check.ok
    assert check.found == "42 tests, 3 left out for this module"


def test_a_failure_names_file_and_place() -> None:
    check = judge_evp("a", ran("# INFO: a.txt:17 DIGEST error\n# Completed 4 tests with 1 errors and 0 skipped\n", 1))
    assert not check.ok
    assert "a.txt:17 DIGEST error" in check.found


@pytest.mark.parametrize(
    ("text", "code"), [("", 0), ("Completed 4 tests with 0 errors and 0 skipped", 1), ("killed", -9)]
)
def test_a_program_that_says_nothing_or_ends_badly_has_failed(text: str, code: int) -> None:
    assert not judge_evp("a", ran(text, code)).ok


def test_a_file_that_is_left_out_whole_is_not_counted_but_the_control_has_to_be_tested() -> None:
    nothing = "Completed 0 tests with 0 errors and 9 skipped"
    with pytest.raises(NotHere, match="all 9"):
        judge_evp("evpkdf_pbkdf1", ran(nothing))
    assert not judge_evp("evpmd_sha", ran(nothing)).ok


def test_programs_that_pass_with_a_damaged_module_are_found_out(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    (root / "bin").mkdir(parents=True)
    (root / "share/ssl/ossl-modules").mkdir(parents=True)
    (root / "share/ssl/ossl-modules/fips.so").write_bytes(ELF)
    (root / "share/ssl/fipsmodule.cnf").write_text(SETTINGS)
    (tmp_path / "w").mkdir()
    passing = suite(tmp_path, "echo 'Completed 5 tests with 0 errors and 0 skipped'; echo 'ok 1 - all'")
    assert list(names(passing)) == ["acvp", "evpmd_sha", "damaged-module"]
    assert try_vectors(tree_at(root), passing, "evpmd_sha", tmp_path / "w").ok
    damaged = try_vectors(tree_at(root), passing, "damaged-module", tmp_path / "w")
    assert not damaged.ok
    assert "passed all the same" in damaged.found


def test_a_suite_is_for_its_own_release_and_machine(tmp_path: Path) -> None:
    of = suite(tmp_path, "exit 0")
    (of.root / "evp_test").write_bytes(ELF)
    assert why_not(of, ELF + b"\0003.5.7\0") is None
    assert "3.1.2" in (why_not(of, ELF + b"\0003.1.2\0") or "")
    assert "another machine" in (why_not(of, ARM + b"\0003.5.7\0") or "")
    assert machine_of(ELF) != machine_of(ARM)
    assert release_of(b"\0003.5.7\0 \0003.1.2\0") is None
