"""What an archive says of its FIPS module, and how the page and the last line say it."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from steps import summaries
from workers.fips.claims import claims, in_words, read_module, running
from workers.fips.config import module_mac, self_contained
from workers.fips.page import page, provider_in_words
from workers.fips.tree import CONFIG, MODULE_CONFIG, Tree, tree_at
from workers.package.beside import FipsDocument
from workers.reports.base import Measure
from workers.reports.build import ProviderFacts
from workers.reports.checks import Check, ProveReport, Skipped

BYTES = b"the bytes of a module"
SETTINGS = f"[fips_sect]\nactivate = 1\nmodule-mac = {module_mac(BYTES)}\nhmac-key-check = 1\n"
TOOLCHAIN = ProviderFacts("3.5.7", "toolchain", None, "2.17")
POLICY = ProviderFacts("3.1.2", "policy", "4985", "2.31")


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    (tmp_path / "share/ssl/ossl-modules").mkdir(parents=True)
    (tmp_path / "share/ssl/ossl-modules/fips.so").write_bytes(BYTES)
    (tmp_path / MODULE_CONFIG).write_text(SETTINGS)
    (tmp_path / CONFIG).write_text(self_contained(SETTINGS))
    return tree_at(tmp_path)


def document(facts: ProviderFacts, sha256: str = hashlib.sha256(BYTES).hexdigest()) -> FipsDocument:
    return FipsDocument("pymint/fips/1", facts, sha256, "m", "c", "s", "statement")


def failed(tree: Tree, of: FipsDocument | None = None) -> set[str]:
    return {check.id for check in claims(tree, read_module(tree), of, None) if not check.ok}


def test_a_whole_archive_has_nothing_against_it(tree: Tree) -> None:
    assert failed(tree, document(TOOLCHAIN)) == set()


def test_a_changed_module_is_found_by_its_mac_and_by_its_digest(tree: Tree) -> None:
    assert tree.module is not None
    tree.module.write_bytes(BYTES + b"\n")
    assert failed(tree, document(TOOLCHAIN)) == {"files.mac", "claims.module"}


def test_a_config_that_says_something_else_is_found_with_the_line(tree: Tree) -> None:
    tree.config.write_text(tree.config.read_text().replace("hmac-key-check = 1\n", ""))
    (check,) = (check for check in claims(tree, read_module(tree), None, None) if not check.ok)
    assert (check.id, check.found) == ("files.config", "missing: hmac-key-check = 1")


def test_a_check_that_both_configs_leave_out_is_missed(tree: Tree) -> None:
    """The module takes it for off: a line too little in both is as weak as a zero."""
    assert tree.module is not None
    module = BYTES + b"\0hmac-key-check\0tls1-prf-ems-check\0"
    tree.module.write_bytes(module)
    settings = SETTINGS.replace(module_mac(BYTES), module_mac(module))
    for text, missing in ((settings, "tls1-prf-ems-check"), (settings + "tls1-prf-ems-check = 1\n", None)):
        tree.module_config.write_text(text)
        tree.config.write_text(self_contained(text))
        found = {check.id: check.found for check in claims(tree, read_module(tree), None, None) if not check.ok}
        assert found == ({"files.checks": f"not on: {missing}"} if missing else {})


def test_space_and_comments_in_a_config_say_nothing(tree: Tree) -> None:
    tree.config.write_text("# a comment\n\n" + tree.config.read_text().replace(" = ", "="))
    assert failed(tree) == set()


def test_an_archive_is_shipped_with_fips_off(tree: Tree) -> None:
    tree.marker.symlink_to("nowhere")
    assert failed(tree) == {"files.unmarked"}


def test_an_archive_without_any_fips_file_is_judged(tmp_path: Path) -> None:
    assert failed(tree_at(tmp_path)) == {"files.module", "files.mac", "files.config"}


def test_a_certificate_is_for_the_procedure_of_its_policy_only(tree: Tree) -> None:
    assert "claims.certificate" in failed(tree, document(replace(TOOLCHAIN, certificate="4985")))
    assert "claims.certificate" in failed(tree, document(replace(POLICY, provider_version="3.5.7")))
    assert "claims.certificate" in failed(tree, document(replace(POLICY, certificate="9999")))
    assert "claims.certificate" not in failed(tree, document(POLICY))


def test_the_provider_that_answers_has_to_be_the_one_that_is_named() -> None:
    (check,) = running(TOOLCHAIN, None, ["OpenSSL FIPS Provider", "3.1.2", "3.1.2", "/x/fips.so"], "OpenSSL 3.5.7")
    assert not check.ok
    (check,) = running(TOOLCHAIN, None, None, "OpenSSL 3.5.7")
    assert check.found == "no provider answered"


def report(facts: ProviderFacts, **changes: object) -> ProveReport:
    made = ProveReport(
        "pymint/prove/1", True, "a.tar", "0" * 64, "OpenSSL FIPS Provider", facts.provider_version, "1" * 64,
        facts.procedure, facts.certificate, [Check("start.marker", "on", "neutral", True, "on", "on")], 0.02, 0.12,
        Measure(1.0, 1.0), "OpenSSL 3.5.7", [Skipped("start.marker-read-only", "run as root")],
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


def test_only_a_certificate_makes_a_provider_validated() -> None:
    assert "certificate 4985" in provider_in_words(report(POLICY))
    for text in (provider_in_words(report(TOOLCHAIN)), in_words(TOOLCHAIN), page(report(TOOLCHAIN))):
        assert text.count("validated") == text.count("not CMVP-validated") > 0
    assert "140-2" not in page(report(POLICY))


def test_the_page_escapes_what_an_archive_prints() -> None:
    found = "<script>alert(1)</script>"
    spoilt = report(TOOLCHAIN, ok=False, checks=[Check("inside.tls.1.3", "on", "positive", False, "works", found)])
    assert found not in page(spoilt)
    assert "&lt;script&gt;" in page(spoilt)


def test_a_proof_under_emulation_says_so_everywhere() -> None:
    emulated = report(TOOLCHAIN, emulator="qemu-aarch64 7.2")
    for say in (page, summaries.of_prove):
        assert "mulated" not in say(report(TOOLCHAIN))
        assert "qemu-aarch64 7.2" in say(emulated)


def test_the_page_is_one_file() -> None:
    text = page(report(TOOLCHAIN))
    assert "http:" not in text
    assert "https:" not in text
    assert "prefers-color-scheme: dark" in text
