"""Reading archives for the validator: static libraries, flavours, policies, the page, and the program by hand."""

from __future__ import annotations

import gzip
import importlib.util
import json
import marshal
import shutil
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import zstandard
from click.testing import CliRunner

from tests.unit.validate_samples import CONFIG, INTERPRETER, MODULE, SHARED, Sample, find_compiler, good, static_library
from workers.derive.layout import FIPS_DOCUMENT, bytecode_path, is_compiled, left_out, place
from workers.errors import Failure
from workers.model import ROOT
from workers.package.python_json import decode
from workers.programs.validate import command
from workers.reports.base import Measure, read_report
from workers.reports.checks import Finding, RuleResult, ValidateReport
from workers.tarball import Entry, write_tar
from workers.validate import ar
from workers.validate.contents import Needles, read_contents
from workers.validate.elf import newest_glibc, read_elf, version_number
from workers.validate.listing import listing
from workers.validate.page import page
from workers.validate.places import needles_for
from workers.validate.policy import load_policy, names, policy_for
from workers.validate.validate import validate


@pytest.fixture(scope="session")
def read_compiler(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return find_compiler(tmp_path_factory.mktemp("compiler"))


@pytest.fixture
def sample(read_compiler: Any) -> Sample:
    return good(read_compiler)


def compiled(path: str, source: bytes) -> Entry:
    """A module's bytecode as the smaller flavours have it: unchecked-hash, made of its name relative to the tree."""
    hashed = importlib.util.source_hash(source)
    head = importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + hashed
    code = marshal.dumps(compile(source, path, "exec"))
    return Entry(f"python/{bytecode_path(path, 'cpython-313')}", data=head + code)


def smaller(sample: Sample, directory: Path) -> Path:
    """The sample as install_only: what `derive` would leave of it, and the files that it would add."""
    left = left_out(decode(json.dumps(sample.document).encode()))
    entries = [
        replace(entry, path=f"python/{path}")
        for name, entry in sample.files.items()
        if (path := place(f"python/{name}", left)) is not None
    ]
    entries.append(replace(sample.files["FIPS.json"], path=f"python/{FIPS_DOCUMENT}"))
    modules = [(entry.path.removeprefix("python/"), entry.data or b"") for entry in entries]
    entries += [compiled(path, source) for path, source in modules if is_compiled(path)]
    made = directory / "cpython-3.13.5-x86_64-unknown-linux-gnu-install_only.tar.gz"
    write_tar(directory / "plain.tar", entries, epoch=1700000000)
    made.write_bytes(gzip.compress((directory / "plain.tar").read_bytes(), mtime=0))
    return made


def findings(report: ValidateReport) -> dict[str, list[Finding]]:
    return {rule.id: rule.findings for rule in report.rules if rule.findings}


# --- static libraries ---


def test_members_of_a_library_made_by_a_real_ar_are_read(tmp_path: Path) -> None:
    tool = shutil.which("ar") or shutil.which("llvm-ar-22")
    if tool is None:
        pytest.skip("no ar on this machine: the form that real tools write can't be tried")
    long_name = "a_name_that_is_longer_than_sixteen_characters.o"
    (tmp_path / "short.o").write_bytes(b"odd")
    (tmp_path / long_name).write_bytes(b"even")
    subprocess.run([tool, "rcs", "lib.a", "short.o", long_name], cwd=tmp_path, check=True)
    assert list(ar.members((tmp_path / "lib.a").read_bytes())) == [("short.o", b"odd"), (long_name, b"even")]


def test_names_in_the_bsd_form_are_read() -> None:
    content = b"a_long_name.o\0\0\0" + b"data"
    header = f"{'#1/16':16}{'0':12}{'0':6}{'0':6}{'644':8}{len(content):<10}`\n".encode()
    assert list(ar.members(b"!<arch>\n" + header + content)) == [("a_long_name.o", b"data")]


def test_a_library_that_is_cut_off_is_no_library() -> None:
    whole = static_library({"a.o": b"x" * 100})
    with pytest.raises(ValueError, match="cut off"):
        list(ar.members(whole[:-10]))


# --- ELF ---


def test_versions_are_compared_as_numbers() -> None:
    assert (version_number("GLIBC_2.9") or ()) < (version_number("GLIBC_2.17") or ())
    assert version_number("GLIBC_PRIVATE") is None


def test_the_facts_of_a_real_program_are_read(sample: Sample) -> None:
    elf = read_elf("bin/python3.13", sample.data(INTERPRETER))
    assert elf is not None
    assert (elf.kind, elf.needed, elf.relro, elf.bind_now, elf.stack) == (
        "executable",
        ("libc.so.6",),
        True,
        True,
        "not executable",
    )
    assert newest_glibc([elf]) == "2.17"


@pytest.mark.parametrize("part", [0.5, 0.9, 0.999])
def test_a_program_that_is_cut_off_is_not_judged_by_what_is_left(sample: Sample, part: float) -> None:
    data = sample.data(INTERPRETER)
    assert read_elf("x", data[: int(len(data) * part)]) is None


def test_what_only_begins_like_an_elf_file_is_not_taken_for_one() -> None:
    assert read_elf("x", b"\x7fELF" + bytes(200)) is None


def test_bitcode_is_left_alone(sample: Sample, tmp_path: Path) -> None:
    sample.put("build/Objects/object.o", b"BC\xc0\xde and so on")
    sample.put("build/lib/libz.a", static_library({"adler32.o": b"BC\xc0\xde"}))
    contents = read_contents(sample.write(tmp_path), Needles())
    assert contents.bitcode == 2
    assert validate(tmp_path / sample.name, load_policy("pymint")).ok


# --- flavours and policies ---


@pytest.mark.parametrize("ending", [".zst", ".gz"])
def test_a_full_archive_is_judged_however_it_is_compressed(sample: Sample, tmp_path: Path, ending: str) -> None:
    tar = sample.write(tmp_path)
    packed = tar.with_name(tar.name + ending)
    packed.write_bytes((zstandard.compress if ending == ".zst" else gzip.compress)(tar.read_bytes()))
    plain, compressed = (validate(path, load_policy("pymint")) for path in (tar, packed))
    assert compressed.ok
    assert compressed.tar_sha256 == plain.tar_sha256


def test_the_smaller_flavour_is_judged_without_python_json(sample: Sample, tmp_path: Path) -> None:
    report = validate(smaller(sample, tmp_path), load_policy("pymint"))
    assert findings(report) == {}
    looked_at = {rule.id: rule.looked_at for rule in report.rules}
    assert looked_at["python-json.format"] == 0
    assert looked_at["fips.module-mac"] == 1
    assert looked_at["elf.glibc-floor"] == 4, "the interpreter, libpython, _tkinter and _dbm: no test's module"
    assert looked_at["bytecode.fresh"] == looked_at["flavour.licences"] == 1


def test_a_stripped_module_in_the_smaller_flavour_is_refused(sample: Sample, tmp_path: Path) -> None:
    strip = shutil.which("strip") or shutil.which("llvm-strip-22") or shutil.which("llvm-strip")
    if strip is None:
        pytest.skip("no strip on this machine")
    (tmp_path / "fips.so").write_bytes(sample.data(MODULE))
    subprocess.run([strip, "--strip-debug", "fips.so"], cwd=tmp_path, check=True)
    sample.put(MODULE, (tmp_path / "fips.so").read_bytes() + b"\0")
    found = set(findings(validate(smaller(sample, tmp_path), load_policy("pymint"))))
    assert found == {"fips.module-mac", "fips.facts"}


def test_the_policy_is_seen_from_what_is_in_the_archive() -> None:
    assert policy_for(frozenset({"PYTHON.json", "FIPS.json"})) == "pymint"
    assert policy_for(frozenset({"share/ssl/openssl-fips.cnf"})) == "pymint"
    assert policy_for(frozenset({"install/share/ssl/fipsmodule.cnf"})) == "verkada-2026-01"
    assert policy_for(frozenset({"PYTHON.json"})) == "astral-2026-08"


@pytest.mark.parametrize(
    ("version", "triple", "builtin", "shared"),
    [
        ("3.10", "aarch64-apple-darwin", 93, 8),
        ("3.12", "x86_64-unknown-linux-gnu", 96, 9),
        ("3.13", "x86_64-unknown-linux-gnu", 96, 10),
        ("3.14", "aarch64-apple-darwin", 101, 9),
    ],
)
def test_upstreams_module_sets_have_the_counts_of_its_own_list(
    version: str, triple: str, builtin: int, shared: int
) -> None:
    sets = load_policy("astral-2026-08").modules_for(version, triple)
    assert sets is not None
    assert (len(sets[0] - sets[1]), len(sets[1])) == (builtin, shared)


def test_pymints_modules_leave_no_hash_beside_openssls() -> None:
    for version in ("3.10", "3.11", "3.12", "3.13", "3.14"):
        sets = load_policy("pymint").modules_for(version, "x86_64-unknown-linux-gnu")
        assert sets is not None
        assert not sets[0] & {"_md5", "_sha1", "_sha2", "_sha256", "_sha512", "_sha3", "_hmac"}
        assert {"_ssl", "_hashlib", "_blake2"} <= sets[0]
    assert SHARED


def test_an_unknown_policy_is_answered_with_those_there_are() -> None:
    with pytest.raises(Failure) as failure:
        load_policy("pyment")
    assert "pymint" in str(failure.value)
    assert names() == ["astral-2025-12", "astral-2026-08", "pymint", "verkada-2026-01", "verkada-2026-08"]


def test_a_place_directly_below_the_root_is_no_needle() -> None:
    assert needles_for([Path("/root"), Path("/srv/farm.d"), Path("/srv/farm.d")]) == (r"/srv/farm\.d",)


# --- the page and the program ---


def test_names_from_a_foreign_archive_are_text_on_the_page() -> None:
    rule = RuleResult("archive.inside", "Because.", 1, [Finding("<script>alert(1)</script>", "<b>", "x")])
    report = ValidateReport("pymint/validate/1", False, "<i>", "0", "pymint", [rule], None, None, Measure())
    made = page(report, "pymint")
    assert "&lt;script&gt;" in made
    assert "<script" not in made
    assert "http" not in made.replace('http-equiv"', "")


def test_by_hand_the_program_names_rule_file_found_wanted_and_why(sample: Sample, tmp_path: Path) -> None:
    sample.change(MODULE, lambda data: data + b"\0")
    archive = sample.write(tmp_path)
    result = CliRunner().invoke(command, [str(archive), "--json", str(tmp_path / "r.json")])
    assert result.exit_code == 1
    for text in ("fips.module-mac", "The module refuses to load", CONFIG, "found ", "wanted ", "NOT valid"):
        assert text in result.output
    assert not read_report(tmp_path / "r.json", ValidateReport).ok


def test_by_hand_a_good_archive_ends_well(sample: Sample, tmp_path: Path) -> None:
    result = CliRunner().invoke(command, [str(sample.write(tmp_path))])
    assert result.exit_code == 0, result.output
    assert "valid as pymint, needs glibc 2.17, its FIPS module glibc 2.17" in result.output


@pytest.mark.parametrize("where", ["in a file", "in a header", "between two members", "before the last empty block"])
def test_an_archive_that_was_cut_off_is_a_failure_and_not_a_verdict(sample: Sample, tmp_path: Path, where: str) -> None:
    archive = sample.write(tmp_path)
    with tarfile.open(archive) as tar:
        member = tar.getmembers()[-1]
    cut = {
        "in a file": member.offset_data + 1,
        "in a header": member.offset + 100,
        "between two members": member.offset,
        "before the last empty block": -(-(member.offset_data + member.size) // 512) * 512 + 512,
    }
    archive.write_bytes(archive.read_bytes()[: cut[where]])
    result = CliRunner().invoke(command, [str(archive)])
    assert result.exit_code == 1
    assert "can't be read to its end" in result.output


def test_an_empty_archive_is_judged_and_found_empty(tmp_path: Path) -> None:
    write_tar(tmp_path / "empty.tar", [Entry("python/x", data=b"")], epoch=0)
    report = validate(tmp_path / "empty.tar", load_policy("pymint"))
    assert {"archive.python-links", "fips.present"} <= set(findings(report))


def test_the_documented_list_of_rules_is_the_list_of_rules() -> None:
    assert (ROOT / "docs/rules.md").read_text() == listing(), "run: python -m workers.validate.listing > docs/rules.md"


def test_a_report_says_which_rules_had_nothing_to_judge(sample: Sample, tmp_path: Path) -> None:
    report = validate(sample.write(tmp_path), load_policy("pymint"))
    made = page(report, load_policy("pymint").title)
    assert made.count("nothing to judge") == sum(1 for rule in report.rules if not rule.looked_at)
    assert json.dumps(report.tar_sha256)[1:-1] in made
