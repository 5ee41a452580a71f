"""Every rule of the validator is tripped by an archive that is good but for one thing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import tests.unit.validate_faults_binaries
import tests.unit.validate_faults_relocation  # noqa: F401  (importing both adds their faults to CHANGES)
from tests.unit.test_validate_macho import MACHO_CHANGES
from tests.unit.validate_faults import CHANGES
from tests.unit.validate_flavour_faults import CHANGES as FLAVOUR_CHANGES
from tests.unit.validate_samples import Sample, find_compiler, good
from workers.reports.checks import ValidateReport
from workers.validate.policy import load_policy
from workers.validate.rule import RULES
from workers.validate.validate import validate


@pytest.fixture(scope="session")
def sample_compiler(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return find_compiler(tmp_path_factory.mktemp("compiler"))


@pytest.fixture
def sample(sample_compiler: Any) -> Sample:
    return good(sample_compiler)


def judged(sample: Sample, directory: Path) -> ValidateReport:
    return validate(sample.write(directory), load_policy("pymint"), [Path("/srv/farm/checkout")])


def broken_rules(report: ValidateReport) -> set[str]:
    return {rule.id for rule in report.rules if rule.findings}


def test_the_good_sample_breaks_no_rule_and_gives_nearly_all_something_to_judge(sample: Sample, tmp_path: Path) -> None:
    report = judged(sample, tmp_path)
    assert [(rule.id, rule.findings) for rule in report.rules if rule.findings] == []
    assert report.ok
    assert report.glibc_floor == report.provider_glibc_floor == "2.17"
    idle = {rule.id for rule in report.rules if rule.looked_at == 0}
    # A full Linux archive: the smaller flavours' rules are tried in test_validate_flavours.py.
    others = ("macho.", "bytecode.", "debug.", "flavour.")
    not_in_313 = {"archive.static-is-static", "relocation.build-details"}
    assert idle == {n for n in RULES if n.startswith(others)} - {"flavour.build-id"} | not_in_313


@pytest.mark.parametrize("name", CHANGES)
def test_an_archive_with_one_fault_breaks_the_rule_for_it_and_no_other(
    sample: Sample, tmp_path: Path, name: str
) -> None:
    rules, change = CHANGES[name]
    change(sample)
    report = judged(sample, tmp_path)
    assert broken_rules(report) == rules
    assert not report.ok


def test_every_rule_has_a_fault_that_breaks_it() -> None:
    tried = {rule for rules, _ in CHANGES.values() for rule in rules} | set(MACHO_CHANGES) | set(FLAVOUR_CHANGES)
    assert set(RULES) - tried == set()


def test_every_rule_says_why_in_a_sentence() -> None:
    for rule in RULES.values():
        assert rule.why.endswith("."), rule.id
        assert re.fullmatch(r"[a-z]+(?:-[a-z]+)*\.[a-z]+(?:-[a-z0-9]+)*", rule.id)
