"""Archives that were made to mislead, or to break, who judges them: each gives a finding, none an exception."""

from __future__ import annotations

import io
import itertools
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.unit.test_validate_read import findings, smaller
from tests.unit.validate_faults import with_right_checksums
from tests.unit.validate_faults_sbom import CYCLONEDX
from tests.unit.validate_samples import (
    CONFIG,
    MODULE_CONFIG,
    SYSCONFIG_DATA,
    Sample,
    find_compiler,
    good,
    static_library,
)
from workers.programs.validate import command
from workers.reports.base import read_report
from workers.reports.checks import ValidateReport
from workers.tarball import Entry, write_tar
from workers.validate import ar
from workers.validate.contents import Needles, read_contents
from workers.validate.policy import load_policy
from workers.validate.signature import read_signature
from workers.validate.validate import validate

Change = Callable[[bytes], bytes]


@pytest.fixture(scope="session")
def hostile_compiler(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return find_compiler(tmp_path_factory.mktemp("compiler"))


@pytest.fixture
def sample(hostile_compiler: Any) -> Sample:
    return good(hostile_compiler)


def broken(archive: Path) -> set[str]:
    return set(findings(validate(archive, load_policy("pymint"))))


def a_call_for_a_value(sample: Sample) -> None:
    sample.put(SYSCONFIG_DATA, "build_time_vars = {'CC': print()}\nbuild_time_vars = dict(build_time_vars)\n")


def a_time_that_is_none(sample: Sample) -> None:
    sample.bills.append((CYCLONEDX, lambda found: found["metadata"].update(timestamp="yesterday") or found))


@pytest.mark.parametrize(
    ("rule", "change"), [("relocation.sysconfig", a_call_for_a_value), ("sbom.build", a_time_that_is_none)]
)
def test_what_a_rule_can_make_nothing_of_is_its_finding(
    sample: Sample, tmp_path: Path, rule: str, change: Callable[[Sample], None]
) -> None:
    change(sample)
    found = findings(validate(sample.write(tmp_path), load_policy("pymint")))
    assert "Error" in found[rule][0].found


def test_a_name_that_is_no_text_is_judged_told_and_written(sample: Sample, tmp_path: Path) -> None:
    sample.put("install/bin/pip3", "#!/usr/local/bin/python3\n", executable=True)
    sample.after.append(lambda tar: with_right_checksums(tar.replace(b"bin/pip3\0", b"bin/pip\xff\0")))
    result = CliRunner().invoke(command, [str(sample.write(tmp_path)), "--json", str(tmp_path / "r.json")])
    assert isinstance(result.exception, SystemExit), result.exception
    found = findings(read_report(tmp_path / "r.json", ValidateReport))
    assert {rule: [one.file for one in several] for rule, several in found.items()} == {
        "text.shebangs": [r"install/bin/pip\udcff"]
    }


def test_a_version_that_is_none_in_a_name_keeps_nothing_from_being_judged(sample: Sample, tmp_path: Path) -> None:
    renamed = smaller(sample, tmp_path).rename(tmp_path / "cpython-latest-x86_64-unknown-linux-gnu-install_only.tar.gz")
    report = validate(renamed, load_policy("pymint"))
    assert "relocation.files" not in findings(report)
    assert next(rule.looked_at for rule in report.rules if rule.id == "relocation.files") == 1


# --- binaries ---


@pytest.mark.parametrize("size", ["-60", "1_0", "ten", ""])
def test_a_member_of_a_library_has_a_size_in_plain_digits(size: str) -> None:
    whole = static_library({"a.o": b"x" * 10}).decode()
    with pytest.raises(ValueError, match="size"):
        list(itertools.islice(ar.members(whole.replace(f"{10:<10}", f"{size:<10}", 1).encode()), 10))


def test_a_file_for_several_processors_that_is_cut_off_is_unreadable(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", [Entry("python/lib/libx.a", data=b"\xca\xfe\xba\xbe\0\0\0\x02")], epoch=0)
    assert set(read_contents(tmp_path / "a.tar", Needles()).unreadable) == {"lib/libx.a"}


def test_a_signature_of_pages_of_no_size_is_broken() -> None:
    directory = struct.pack(">IIIIIIIIIBBBB", 0xFADE0C02, 44, 0, 2, 44, 0, 0, 0, 0, 32, 2, 0, 0)
    blob = struct.pack(">IIIII", 0xFADE0CC0, 20 + len(directory), 1, 0, 20) + directory
    assert read_signature(blob, 0, len(blob)).broken is not None


def test_binaries_of_an_unknown_processor_are_found_where_nothing_names_a_target(
    sample: Sample, tmp_path: Path
) -> None:
    for path, entry in list(sample.files.items()):
        if (entry.data or b"").startswith(b"\x7fELF"):
            sample.change(path, lambda data: data[:18] + (243).to_bytes(2, "little") + data[20:])
    archive = smaller(sample, tmp_path).rename(tmp_path / "python-install_only.tar.gz")
    assert "elf.machine" in broken(archive)


# --- members and links ---


def members(*made: tuple[str, str]) -> Change:
    """Adds members to the end: (path, what a link leads to, or nothing for an empty file)."""

    def apply(tar: bytes) -> bytes:
        out = io.BytesIO(tar)
        with tarfile.open(fileobj=out, mode="a", format=tarfile.PAX_FORMAT) as added:
            for path, link in made:
                info = tarfile.TarInfo(path)
                info.mtime, info.uname, info.gname, info.mode = 1700000000, "root", "root", 0o644
                if link:
                    info.type, info.linkname = tarfile.SYMTYPE, link
                added.addfile(info)
        return out.getvalue()

    return apply


@pytest.mark.parametrize("path", ["python//licenses/LICENSE.zlib.txt", "python/./licenses/LICENSE.zlib.txt"])
def test_a_second_member_for_one_file_is_found_however_its_path_is_spelt(
    sample: Sample, tmp_path: Path, path: str
) -> None:
    sample.after.append(members((path, "")))
    assert "archive.no-twins" in broken(sample.write(tmp_path))


def test_a_member_below_a_link_is_outside(sample: Sample, tmp_path: Path) -> None:
    sample.after.append(members(("python/install/lib/x", "python3.13"), ("python/install/lib/x/new.py", "")))
    assert "archive.inside" in broken(sample.write(tmp_path))


def test_a_link_that_leads_out_by_way_of_another_is_found(sample: Sample, tmp_path: Path) -> None:
    # As text the second is install/lib/python3.13; by way of the first, python3.13 beside `python/`.
    up, out = ("python/install/lib/python3.13/up", "../../../build"), "install/lib/python3.13/up/../../python3.13"
    sample.after.append(members(up, ("python/z", out)))
    assert "archive.links" in broken(sample.write(tmp_path))


def test_a_full_archive_under_a_smaller_flavours_name_is_found(sample: Sample, tmp_path: Path) -> None:
    sample.name = "cpython-3.13.5-x86_64-unknown-linux-gnu-install_only.tar"
    assert "archive.name" in broken(sample.write(tmp_path))


# --- the FIPS module's config, read as OpenSSL reads it ---

HIDDEN = {
    "in the section that the provider really has": lambda text: text.replace("fips_sect", "other_sect").replace(
        "security-checks = 1", "security-checks = 0"
    ),
    "by a section's name before it": lambda text: text + "fips_sect::security-checks = 0\n",
    "in quotes": lambda text: text.replace("security-checks = 1", 'security-checks = "0"'),
    "by a variable": lambda text: "nothing = 0\n" + text.replace("checks = 1", "checks = ${default::nothing}"),
    "by a line that goes on": lambda text: text.replace("security-checks = 1", "security-checks = \\\n0"),
    "behind an end of line that OpenSSL does not know": lambda text: text + "x = \x85[other]\nsecurity-checks = 0\n",
}


@pytest.mark.parametrize("how", HIDDEN)
def test_a_check_that_is_off_in_another_spelling_is_found(sample: Sample, tmp_path: Path, how: str) -> None:
    for path in (CONFIG, MODULE_CONFIG):
        sample.change(path, lambda data: HIDDEN[how](data.decode()).encode())
    assert broken(sample.write(tmp_path)) & {"fips.not-weakened", "fips.relocatable"}
