"""What the steps say of reports and failures: pure functions."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest

from steps import pages, summaries
from steps.checkout import check_request
from steps.program import failure_in, headline, progress_of
from workers.errors import Failure
from workers.model import Flavour
from workers.reports.base import Measure
from workers.reports.build import (
    BuiltNode,
    CellName,
    ChosenPin,
    DerivedArchive,
    DeriveReport,
    FetchedSource,
    NodesReport,
    Plan,
    PlanReport,
    ProviderFacts,
    SourcesReport,
)
from workers.reports.checks import (
    Check,
    Finding,
    FlavourProof,
    FlavourValidation,
    ProveFlavoursReport,
    ProveReport,
    RuleResult,
    ValidateFlavoursReport,
    ValidateReport,
)

TOOK = Measure(0.3, 0.1, 10)
FAILURE = Failure(
    "sources", "openssl-3.5.7.tar.gz is not what sources.toml pins", wanted="a", found="b", todo="Do.\nIt."
)


def node(name: str, origin: str) -> BuiltNode:
    return BuiltNode(name, "k", "d", 1, origin, Measure(99, 99, 9), None)  # type: ignore[arg-type]


def nodes(*made: BuiltNode) -> NodesReport:
    return NodesReport("pymint/nodes/1", True, "openssl", list(made), TOOK)


@pytest.mark.parametrize(
    ("report", "text"),
    [
        (nodes(node("openssl", "store")), "openssl 3.5.7: from the store, 0.3 s"),
        (nodes(node("openssl", "built")), "openssl 3.5.7: built, 0.3 s"),
        (nodes(node("openssl", "store"), node("xz", "store")), "2 nodes: from the store, 0.3 s"),
        (nodes(node("openssl", "built"), node("xz", "store")), "openssl 3.5.7: built; 1 from the store, 0.3 s"),
        (nodes(node("openssl", "built"), node("xz", "built")), "openssl 3.5.7, xz: built, 0.3 s"),
        (nodes(), "openssl: not needed, 0.3 s"),
    ],
)
def test_a_stage_says_what_was_built_and_how_long_it_took_now(report: NodesReport, text: str) -> None:
    assert summaries.of_nodes(report, {"openssl": "3.5.7"}) == text


def test_sources_say_what_was_fetched() -> None:
    nothing = SourcesReport("pymint/sources/1", True, [], [], TOOK)
    assert summaries.of_sources(nothing) == "no source is needed, 0.3 s"
    stored = FetchedSource("zlib", "1", "0", 10, "the cache (upstream)", 0.0)
    fetched = FetchedSource("openssl", "3", "0", 53_200_000, "upstream", 1.0)
    report = SourcesReport("pymint/sources/1", True, [stored, fetched], [], TOOK)
    assert summaries.of_sources(report) == "2 sources: 1 fetched (53.2 MB), 0.3 s"


def test_the_plan_says_when_a_pin_is_not_the_newest() -> None:
    pin = ChosenPin("cpython-3.13", "3.13.5", "0", "3.13.15")
    facts = ProviderFacts("3.5.7", "toolchain", None, "2.17")
    plan = Plan(
        "pymint/plan/2", CellName("3.13", "t", "v"), "c", False, 0, "3.13.5", "n", "k", False, {}, facts, [pin], []
    )
    text = summaries.of_plan(PlanReport("pymint/plan-report/2", True, plan, TOOK))
    assert "not the first choice: cpython-3.13 3.13.5 for 3.13.15" in text


def smaller(flavour: Flavour, origin: Literal["store", "built"]) -> DerivedArchive:
    return DerivedArchive(flavour, "n", "s", 24_100_000, "t", 1, 1, 1, 1, 1, origin)


def test_the_smaller_archives_are_named_with_their_sizes() -> None:
    report = DeriveReport("pymint/derive/1", True, "s", "s", [smaller("install_only", "built")], 2, TOOK)
    assert summaries.of_derive(report) == "install_only 24.1 MB: derived, 0.3 s"
    kept = replace(report, archives=[smaller("install_only", "store"), smaller("debug_symbols", "store")])
    assert summaries.of_derive(kept) == "install_only 24.1 MB, debug_symbols 24.1 MB: from the store, 0.3 s"


def test_what_is_wrong_with_a_smaller_archive_is_named_with_its_flavour() -> None:
    rules = [RuleResult("flavour.left-out", "w", 1, [Finding("f", "f", "w")]), RuleResult("a.good", "w", 1, [])]
    bad = ValidateReport("pymint/validate/1", False, "n", "s", "pymint", rules, None, None, TOOK)
    judged = ValidateFlavoursReport("pymint/validate-flavours/1", False, [FlavourValidation("install_only", bad)], TOOK)
    assert summaries.of_validate_flavours(judged) == "1 rule broken: install_only flavour.left-out"
    checks = [Check("md5", "on", "negative", False, "w", "f"), Check("start", "on", "positive", True, "w", "w")]
    proof = ProveReport("pymint/prove/1", False, "n", "s", "p", "3", "s", "toolchain", None, checks, 0, 0, TOOK)
    found = [Check("debug_symbols.found.x", "off", "positive", False, "a line", "none")]
    proven = ProveFlavoursReport("pymint/prove-flavours/1", False, [FlavourProof("install_only", proof)], found, TOOK)
    assert summaries.of_prove_flavours(proven) == "2 of 3 checks failed: install_only md5, debug_symbols.found.x"
    assert summaries.checks_in_words(found) == "FAILED  debug_symbols.found.x\n  wanted  a line\n  found   none\n"


def test_validated_is_said_with_a_certificate_only() -> None:
    assert summaries.of_provider("3.1.2", "policy", "4985") == "3.1.2, procedure policy, CMVP certificate 4985"
    for procedure in ("policy", "toolchain"):
        assert summaries.of_provider("3.5.7", procedure, None).endswith("not CMVP-validated")


def test_a_failure_is_found_at_the_end_of_what_a_program_wrote() -> None:
    assert failure_in(f"warning: x\n  indented\n{FAILURE}\n") == str(FAILURE)
    assert failure_in("a\nb\nc") == "a\nb\nc"
    trace = "Traceback (most recent call last):\n  File x\nValueError: no"
    assert failure_in(f"noise\n{trace}\n") == trace
    assert failure_in("") == ""


def test_the_headline_is_what_went_wrong() -> None:
    assert headline(str(FAILURE)) == "sources: openssl-3.5.7.tar.gz is not what sources.toml pins"
    assert headline("Traceback (most recent call last):\n  File x\nValueError: no") == "ValueError: no"
    assert headline(" \n") == "failed without a word"
    assert len(headline("x" * 1000)) == 300


@pytest.mark.parametrize(
    ("event", "wanted"),
    [
        ('{"event": "progress", "done": 3, "total": 12, "what": "openssl"}', ("openssl", 25)),
        ('{"event": "progress", "done": 30, "total": 12, "what": "x"}', ("x", 100)),
        ('{"event": "progress", "done": 1, "total": 0, "what": "x"}', None),
        ('{"event": "other"}', None),
        ('{"event": "progress", "done": "a", "total": 2, "what": "x"}', None),
        ("[]", None),
        ("not json", None),
        ('{"event": "progress", "done": 1e308, "total": 1, "what": "x"}', None),
        ('{"event": "progress", "done": 1, "total": 1e-308, "what": "x"}', None),
        ('{"event": ' + "[" * 200_000, None),
    ],
)
def test_only_sound_events_are_progress(event: str, wanted: tuple[str, int] | None) -> None:
    assert progress_of(event) == wanted


@pytest.mark.parametrize(
    ("repository", "branch", "revision", "named"),
    [
        ("/evil", "main", "a" * 40, "another repository"),
        ("/repo", "main", None, "does not name a commit"),
        ("/repo", "main", "main", "does not name a commit"),
        ("/repo", "main", "a" * 40 + "\n", "does not name a commit"),
        ("/repo", "--upload-pack=id", "a" * 40, "does not name a branch"),
        ("/repo", None, "a" * 40, "does not name a branch"),
    ],
)
def test_the_first_step_refuses_what_a_form_would(
    repository: str, branch: str | None, revision: str | None, named: str
) -> None:
    with pytest.raises(Failure, match=named):
        check_request(repository, "/repo", branch, revision)
    check_request("/repo", "/repo", "main", "a" * 40)


EVIL = "<script>alert(1)</script><img src=x onerror=alert(1)>"


def test_text_of_a_worker_is_never_markup() -> None:
    rules = [RuleResult(EVIL, EVIL, 1, [Finding(EVIL, EVIL, EVIL)])]
    validate = ValidateReport("pymint/validate/1", False, EVIL, EVIL, EVIL, rules, EVIL, EVIL, TOOK)
    checks = [Check(EVIL, "on", "negative", False, EVIL, EVIL)]
    prove = ProveReport("pymint/prove/1", False, EVIL, EVIL, EVIL, EVIL, EVIL, EVIL, None, checks, 0.0, 0.1, TOOK)
    for html in (pages.of_validate(validate), pages.of_prove(prove)):
        assert "<script" not in html
        assert "<img" not in html
        assert "&lt;script&gt;" in html
        frame = pages.embedded(html)
        assert frame.count("<") == 2, "one element, everything else inside its attribute"
        assert 'sandbox=""' in frame


def test_broken_rules_and_failed_checks_are_shown() -> None:
    rules = [
        RuleResult("a.good", "w", 1, []),
        RuleResult("z.bad", "why it matters", 1, [Finding("lib/x.so", "f", "w")]),
    ]
    report = ValidateReport("pymint/validate/1", False, "n", "s", "pymint", rules, "2.17", None, TOOK)
    assert "lib/x.so" in pages.of_validate(report)
    assert summaries.of_validate(report) == "1 of 2 rules broken: z.bad"
