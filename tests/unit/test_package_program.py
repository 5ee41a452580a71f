"""`package` and `archive` on small objects in a real store: the same bytes twice, nothing unjudged kept."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from workers.cpython import EMULATOR
from workers.fips.config import module_mac
from workers.objects import pack
from workers.package.beside import statement
from workers.package.python_json import decode
from workers.programs import archive, package, validate
from workers.reports.base import Measure, read_report, write_report
from workers.reports.build import ArchiveReport, CellName, ChosenPin, PackageReport, Plan, PlannedNode, ProviderFacts
from workers.reports.checks import ProveReport, ValidateReport
from workers.sources.pins import load_pins
from workers.store import Store
from workers.tarball import Entry, reading

EPOCH = 1790000000
MODULE = b"\x7fELF and so on"
MODULE_CONFIG = f"[fips_sect]\nactivate = 1\nmodule-mac = {module_mac(MODULE)}\n"
# Stands in for the interpreter: answers like one that lies where it lies.
INTERPRETER = f"""#!/bin/sh
place=$(cd "$(dirname "$0")/.." && pwd -P)
exec {sys.executable} -c '
import json, subprocess, sys
answer = json.loads(subprocess.check_output([sys.executable, sys.argv[2]]))
answer["prefix"] = sys.argv[1]
answer["config_vars"] = {{"LIBPL": sys.argv[1] + "/lib/python3.13/config", "EXT_SUFFIX": ".so",
  "DESTSHARED": sys.argv[1] + "/lib/python3.13/lib-dynload", "LIBS": "-ldl", "prefix": sys.argv[1]}}
answer["stdlib_platform_config"] = sys.argv[1] + "/lib/python3.13/config"
answer.update(version="3.13.5", abi_tag="")
print(json.dumps(answer))' "$place" "$3"
"""

OBJECTS: Mapping[str, Mapping[str, bytes | str]] = {
    "zlib": {"lib/libz.a": b"!<arch>\n", "include/zlib.h": "", "licences/zlib/LICENSE": "zlib licence\n"},
    "fips-provider": {
        "ossl-modules/fips.so": MODULE,
        "fipsmodule.cnf": MODULE_CONFIG,
        "licences/openssl/LICENSE.txt": "Apache\n",
    },
    "cpython-3.13": {
        "python/install/bin/python3.13": INTERPRETER,
        "python/install/lib/python3.13/os.py": "",
        "python/build/Objects/object.o": b"\x7fELF\2\1\1",
        "python/build/Modules/zlibmodule.o": b"\x7fELF\2\1\1",
        "python/build/Modules/Setup.local": "zlib zlibmodule.c -lz\n",
        "python/build/Modules/config.c": '{"zlib", PyInit_zlib},\n{"marshal", PyMarshal_Init},\n',
        "python/build/Modules/config.c.in": '{"marshal", PyMarshal_Init},\n',
        "licences/cpython-3.13/LICENSE": "PSF\n",
    },
}
SOURCES = {"zlib": ["zlib"], "fips-provider": ["openssl"], "cpython-3.13": ["cpython-3.13"]}


def key(name: str) -> str:
    return name.encode().hex().ljust(64, "0")


@dataclass(frozen=True)
class Farm:
    """A run directory, a store with the three objects, and their plan."""

    root: Path
    plan: Plan

    @property
    def run(self) -> Path:
        return self.root / "run"

    def store(self) -> Store:
        return Store(self.root / "state/store", print)

    def save(self, plan: Plan) -> Farm:
        write_report(plan, self.run / "plan.json")
        return replace(self, plan=plan)

    def program(self, command: object, *arguments: str) -> Result:
        places = ["--run", str(self.run), "--state", str(self.root / "state"), "--cache", str(self.root / "cache")]
        return CliRunner().invoke(command, [*arguments, *places])  # type: ignore[arg-type]

    def judge(self, *, ok: bool = True, tar_sha256: str | None = None) -> None:
        """Leaves the reports of the two judges."""
        digest = tar_sha256 or read_report(self.run / "reports/package.json", PackageReport).tar_sha256
        write_report(
            ValidateReport("pymint/validate/1", ok, "x", digest, "pymint", [], "2.17", "2.17", Measure()),
            self.run / "reports/validate.json",
        )
        write_report(
            ProveReport(
                "pymint/prove/1", True, "x", digest, "fips", "3.5.7", "0", "toolchain", None, [], 0.1, 0.2, Measure()
            ),
            self.run / "reports/prove.json",
        )


@pytest.fixture
def farm(tmp_path: Path) -> Farm:
    store = Store(tmp_path / "state/store", print)
    for name, files in OBJECTS.items():
        entries = [
            Entry(path, data=text.encode() if isinstance(text, str) else text, executable="/bin/" in path)
            for path, text in files.items()
        ]
        pack(entries, tmp_path / name, EPOCH)
        store.add(key(name), name, tmp_path / name, Measure())
    pins = load_pins()
    chosen = [
        ChosenPin(source, pins[source][0].version, pins[source][0].sha256, pins[source][0].version)
        for sources in SOURCES.values()
        for source in sources
    ]
    stages = {"fips-provider": "fips-provider", "cpython-3.13": "cpython"}
    nodes = [
        PlannedNode(name, stages.get(name, "dependencies"), key(name), "", SOURCES[name], [], {}, None, {}, True)  # type: ignore[arg-type]
        for name in OBJECTS
    ]
    plan = Plan(
        schema="pymint/plan/2",
        cell=CellName("3.13", "x86_64-unknown-linux-gnu", "noopt"),
        commit="c" * 40,
        dirty=False,
        epoch=EPOCH,
        python_version="3.13.5",
        archive_name="cpython-3.13.5-x86_64-unknown-linux-gnu-noopt-20260921T1200.tar.zst",
        archive_key="a" * 64,
        archive_stored=False,
        toolchain={"version": "clang version 22.1.3"},
        provider=ProviderFacts("3.5.7", "toolchain", None, "2.17"),
        pins=chosen,
        nodes=nodes,
    )
    return Farm(tmp_path, plan).save(plan)


def packed(farm: Farm) -> PackageReport:
    result = farm.program(package.command)
    assert result.exit_code == 0, result.output
    return read_report(farm.run / "reports/package.json", PackageReport)


def members(path: Path) -> dict[str, bytes]:
    with reading(path) as tar:
        return {member.path: content or b"" for member, content in tar}


def test_the_tree_is_laid_out_with_python_json_first(farm: Farm) -> None:
    report = packed(farm)
    found = members(farm.run / "package" / report.name)
    assert next(iter(found)) == "python/PYTHON.json"
    assert sorted(found) == sorted(
        [
            "python/PYTHON.json",
            "python/BUILD.json",
            "python/FIPS.json",
            "python/build/Modules/Setup.local",
            "python/build/Modules/config.c",
            "python/build/Modules/config.c.in",
            "python/build/Modules/zlibmodule.o",
            "python/build/Objects/object.o",
            "python/build/lib/libz.a",
            "python/install/bin/python3.13",
            "python/install/lib/python3.13/os.py",
            "python/install/share/ssl/fipsmodule.cnf",
            "python/install/share/ssl/openssl-fips.cnf",
            "python/install/share/ssl/ossl-modules/fips.so",
            "python/licenses/LICENSE.cpython.txt",
            "python/licenses/LICENSE.openssl.txt",
            "python/licenses/LICENSE.zlib.txt",
        ]
    )
    assert report.members == len(found)
    assert found["python/install/share/ssl/ossl-modules/fips.so"] == MODULE


def test_the_documents_say_what_went_in_and_no_place_of_the_machine(farm: Farm) -> None:
    report = packed(farm)
    found = members(farm.run / "package" / report.name)
    document = decode(found["python/PYTHON.json"])
    assert document.build_info.extensions["zlib"][0].licenses == ["Zlib"]
    assert document.python_config_vars["prefix"] == "/install"
    fips, build = json.loads(found["python/FIPS.json"]), json.loads(found["python/BUILD.json"])
    assert fips["provider"]["certificate"] is None
    assert "not CMVP-validated" in fips["statement"]
    assert build["commit"] == "c" * 40
    assert {node["node"] for node in build["nodes"]} == set(OBJECTS)
    assert str(farm.root).encode() not in b"".join(found.values())


def test_the_documents_say_what_emulated_the_training(farm: Farm) -> None:
    def said(farm: Farm) -> object:
        name = packed(farm).name
        return json.loads(members(farm.run / "package" / name)["python/BUILD.json"])["training_emulator"]

    assert said(farm) == ""
    profile = PlannedNode("x-profile", "cpython", "0" * 64, "", [], [], {EMULATOR: "qemu-aarch64 7.2"}, None, {}, True)
    assert said(farm.save(replace(farm.plan, nodes=[profile, *farm.plan.nodes]))) == "qemu-aarch64 7.2"


def test_packing_twice_gives_the_same_bytes_and_leaves_nothing_behind(farm: Farm) -> None:
    first = packed(farm)
    (farm.run / "package/.tree-of-a-killed-run").mkdir()
    assert packed(farm).tar_sha256 == first.tar_sha256
    assert [path.name for path in (farm.run / "package").iterdir()] == [first.name]


def test_a_module_that_is_not_the_one_of_its_config_is_not_packed(farm: Farm, tmp_path: Path) -> None:
    pack(
        [
            Entry("ossl-modules/fips.so", data=MODULE + b"\0"),
            Entry("fipsmodule.cnf", data=MODULE_CONFIG.encode()),
            Entry("licences/openssl/LICENSE.txt", data=b"x"),
        ],
        tmp_path / "bad",
        EPOCH,
    )
    farm.store().add(key("fips-provider"), "fips-provider", tmp_path / "bad", Measure())
    result = farm.program(package.command)
    assert result.exit_code == 1
    assert "MAC does not match" in result.output


def test_an_object_that_is_gone_is_named(farm: Farm) -> None:
    store = farm.store()
    record = store.record(key("zlib"))
    assert record is not None
    store.path_of(record.digest).unlink()
    result = farm.program(package.command)
    assert result.exit_code == 1
    assert "the object of zlib is not in the store" in result.output


def test_what_was_judged_good_is_compressed_stored_and_not_made_again(farm: Farm) -> None:
    report = packed(farm)
    farm.judge()
    result = farm.program(archive.command)
    assert result.exit_code == 0, result.output
    made = read_report(farm.run / "reports/archive.json", ArchiveReport)
    target = farm.run / "archive" / farm.plan.archive_name
    assert (made.origin, made.tar_sha256, made.size) == ("built", report.tar_sha256, target.stat().st_size)
    assert set(made.reports) == {"validate.json", "prove.json"}

    again = replace(farm, root=farm.root).save(replace(farm.plan, archive_stored=True))
    for left in (farm.run / "package" / report.name, target, farm.run / "reports/validate.json"):
        left.unlink()
    stored = packed(again)
    assert (stored.origin, stored.tar_sha256, stored.members) == ("store", report.tar_sha256, report.members)
    assert again.program(validate.command).exit_code == 0
    assert (farm.run / "reports/validate.html").exists()
    result = again.program(archive.command)
    assert result.exit_code == 0, result.output
    second = read_report(farm.run / "reports/archive.json", ArchiveReport)
    assert (second.origin, second.sha256) == ("store", made.sha256)
    with reading(target) as tar:
        tar.finish()
    assert tar.sha256 == report.tar_sha256


def test_a_stored_archive_that_was_damaged_is_made_again(farm: Farm) -> None:
    report = packed(farm)
    farm.judge()
    assert farm.program(archive.command).exit_code == 0
    record = farm.store().record(farm.plan.archive_key)
    assert record is not None
    stored = farm.store().path_of(record.digest)
    stored.chmod(0o644)
    stored.write_bytes(stored.read_bytes()[:-1])
    farm.save(replace(farm.plan, archive_stored=True))
    again = packed(farm)
    assert (again.origin, again.tar_sha256) == ("built", report.tar_sha256)


def test_what_was_not_found_good_is_not_kept(farm: Farm) -> None:
    packed(farm)
    farm.judge(ok=False)
    result = farm.program(archive.command)
    assert result.exit_code == 1
    assert "validate did not find the archive good" in result.output
    assert farm.store().record(farm.plan.archive_key) is None
    assert not (farm.run / "archive").exists()


def test_a_verdict_on_other_bytes_does_not_count(farm: Farm) -> None:
    packed(farm)
    farm.judge(tar_sha256="0" * 64)
    result = farm.program(archive.command)
    assert result.exit_code == 1
    assert "judged other bytes" in result.output


def test_a_tar_that_changed_after_it_was_judged_is_not_kept(farm: Farm) -> None:
    report = packed(farm)
    farm.judge()
    path = farm.run / "package" / report.name
    path.write_bytes(path.read_bytes() + bytes(512))
    result = farm.program(archive.command)
    assert result.exit_code == 1
    assert "changed after it was packed and judged" in result.output
    assert farm.store().record(farm.plan.archive_key) is None
    assert list((farm.run / "archive").iterdir()) == []


def test_a_run_is_judged_by_pymints_own_policy(farm: Farm) -> None:
    packed(farm)
    result = farm.program(validate.command)
    report = read_report(farm.run / "reports/validate.json", ValidateReport)
    assert result.exit_code == 1
    assert report.policy == "pymint"
    assert "archive.python-links" in result.output
    assert "<title>" in (farm.run / "reports/validate.html").read_text()


def test_validated_is_said_only_of_a_module_with_a_certificate() -> None:
    assert "not CMVP-validated" in statement(ProviderFacts("3.1.2", "toolchain", None, "2.17"))
    said = statement(ProviderFacts("3.1.2", "policy", "4985", "2.31"))
    assert "CMVP-validated module of certificate 4985" in said
