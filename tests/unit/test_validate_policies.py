"""Archives of other people, of either generation, are judged by what held when they were made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.macho_samples import MachoMaker, find_maker
from tests.unit.validate_foreign import DYNLOAD, for_macos, foreign
from tests.unit.validate_samples import LIBPYTHON, LIBRARY, MODULE, Sample, find_compiler, good
from workers.reports.checks import Finding, ValidateReport
from workers.validate.policy import load_policy, names, policy_for
from workers.validate.validate import choose_policy, validate

LINUX = "x86_64-unknown-linux-gnu"
OLD_ASTRAL = f"cpython-3.13.5+20251209-{LINUX}-pgo+lto-full.tar"
NEW_ASTRAL = f"cpython-3.13.5+20260815-{LINUX}-pgo+lto-full.tar"
VERKADA = f"cpython-3.13.5-{LINUX}-pgo+lto-20260105T1234.tar"


@pytest.fixture(scope="session")
def policy_compiler(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return find_compiler(tmp_path_factory.mktemp("compiler"))


@pytest.fixture(scope="session")
def policy_maker(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return find_maker(tmp_path_factory.mktemp("macho"))


@pytest.fixture
def sample(policy_compiler: Any) -> Sample:
    return good(policy_compiler)


def findings(report: ValidateReport) -> dict[str, list[Finding]]:
    return {rule.id: rule.findings for rule in report.rules if rule.findings}


@pytest.mark.parametrize(
    ("policy", "name"),
    [
        ("astral-2025-12", OLD_ASTRAL),
        ("astral-2026-08", NEW_ASTRAL),
        ("verkada-2026-01", VERKADA),
        ("verkada-2026-08", VERKADA),
    ],
)
def test_an_archive_of_each_generation_is_seen_for_what_it_is_and_holds(
    sample: Sample, tmp_path: Path, policy: str, name: str
) -> None:
    archive = foreign(sample, policy, name).write(tmp_path)
    chosen = choose_policy(archive)
    assert chosen.name == policy
    assert findings(validate(archive, chosen)) == {}


def test_an_old_archive_is_not_asked_for_the_later_hardening(sample: Sample, tmp_path: Path) -> None:
    foreign(sample, "astral-2025-12", OLD_ASTRAL)
    sample.put(f"{DYNLOAD}/_crypt.so", sample.compiler.shared("int x;", hard=()))
    archive = sample.write(tmp_path)
    assert findings(validate(archive, load_policy("astral-2025-12"))) == {}
    assert {"elf.bind-now", "python-json.extensions"} <= set(findings(validate(archive, load_policy("astral-2026-08"))))


def test_the_compilers_own_library_came_with_the_second_generation(sample: Sample, tmp_path: Path) -> None:
    foreign(sample, "astral-2025-12", OLD_ASTRAL)
    sample.put(LIBRARY, sample.compiler.shared(LIBPYTHON, "./libgcc_s.so.1"))
    archive = sample.write(tmp_path)
    assert set(findings(validate(archive, load_policy("astral-2025-12")))) == {"elf.needed"}
    assert "elf.needed" not in findings(validate(archive, load_policy("astral-2026-08")))


def test_verkadas_module_has_to_match_its_mac(sample: Sample, tmp_path: Path) -> None:
    foreign(sample, "verkada-2026-01", VERKADA)
    sample.change(MODULE, lambda data: data + b"\0")
    assert set(findings(validate(sample.write(tmp_path), load_policy("verkada-2026-01")))) == {"fips.module-mac"}


def test_only_pymint_asks_for_whole_families_of_hidden_names(sample: Sample, tmp_path: Path) -> None:
    foreign(sample, "astral-2026-08", NEW_ASTRAL)
    sample.put(LIBRARY, sample.compiler.shared(LIBPYTHON + "\nvoid EVP_Q_digest(void){}"))
    archive = sample.write(tmp_path)
    assert findings(validate(archive, load_policy("astral-2026-08"))) == {}
    assert "elf.dependency-symbols" in findings(validate(archive, load_policy("pymint")))


@pytest.mark.parametrize(("policy", "day"), [("astral-2025-12", "20251209"), ("astral-2026-08", "20260815")])
def test_an_archive_for_macos_holds(
    sample: Sample, policy_maker: MachoMaker, tmp_path: Path, policy: str, day: str
) -> None:
    name = f"cpython-3.13.5+{day}-aarch64-apple-darwin-pgo+lto-full.tar"
    archive = for_macos(sample, policy_maker, policy, name).write(tmp_path)
    chosen = choose_policy(archive)
    assert chosen.name == policy
    report = validate(archive, chosen)
    assert findings(report) == {}
    looked_at = {rule.id: rule.looked_at for rule in report.rules if rule.id.startswith("macho.")}
    assert [name for name, count in looked_at.items() if not count] == ["macho.sdk-symbols"]


def test_security_framework_is_asked_for_from_the_second_generation_on(
    sample: Sample, policy_maker: MachoMaker, tmp_path: Path
) -> None:
    name = "cpython-3.13.5+20251209-aarch64-apple-darwin-pgo+lto-full.tar"
    archive = for_macos(sample, policy_maker, "astral-2025-12", name).write(tmp_path)
    report = validate(archive, load_policy("astral-2026-08"))
    assert [found.found for found in findings(report)["macho.required-dylibs"]] == [
        "nothing loads /System/Library/Frameworks/Security.framework/Versions/A/Security"
    ]


# --- which policy ---


def test_the_day_in_the_name_says_the_generation_where_there_is_one() -> None:
    plain = frozenset({"PYTHON.json"})
    assert policy_for(plain, OLD_ASTRAL) == "astral-2025-12"
    assert policy_for(plain, "cpython-3.13.5+20260709-x-install_only.tar.gz") == "astral-2025-12"
    assert policy_for(plain, "cpython-3.13.5-x-pgo+lto-20260710T0000.tar.zst") == "astral-2026-08"


def test_without_a_day_a_file_of_one_generation_says_it() -> None:
    assert policy_for(frozenset({"lib/tcl8.6/init.tcl"})) == "astral-2025-12"
    assert policy_for(frozenset({"lib/tcl9.0/init.tcl"})) == "astral-2026-08"
    module = "install/share/ssl/fipsmodule.cnf"
    assert policy_for(frozenset({module, "install/lib/tcl9.0/init.tcl"}), VERKADA) == "verkada-2026-08"
    assert policy_for(frozenset({module, "install/lib/tcl8.6/init.tcl"}), VERKADA) == "verkada-2026-01"


def test_each_maker_has_one_policy_that_is_taken_when_nothing_says_more() -> None:
    policies = [load_policy(name) for name in names()]
    for maker in ("pymint", "astral", "verkada"):
        assert len([policy for policy in policies if policy.maker == maker and not policy.marks]) == 1


def test_a_policy_says_only_what_differs_from_its_base() -> None:
    old, new = load_policy("astral-2025-12"), load_policy("astral-2026-08")
    assert new.targets[LINUX].needed - old.targets[LINUX].needed == {"libgcc_s.so.1"}
    assert new.targets[LINUX].glibc == old.targets[LINUX].glibc == "2.17"
    assert old.module_needs["_crypt"] == new.module_needs["_crypt"]
    assert load_policy("verkada-2026-08").hardened
    assert load_policy("verkada-2026-08").fips == "module"
