"""Advisories in the shapes of OSV and NVD, what they say of a pinned release, and how that is shown."""

from __future__ import annotations

import gzip
import io
import json
import os
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.unit.sources_server import Served, closed_port, serving
from workers.updates.advisories import AdvisoriesReport, Advisory, Affected, Feed, Range, findings, mended, names_of
from workers.updates.feeds import gather, parse, read
from workers.updates.model import Offer, Standing, Unasked, UpdatesReport
from workers.updates.page import Candidate, in_words, page, view
from workers.updates.web import Reader

CPE, PURL = "cpe:2.3:a:openssl:openssl:3.5.7:*:*:*:*:*:*:*", "pkg:github/openssl/openssl@openssl-3.5.7"
NAMES = names_of(CPE, PURL)
NOW = 1_796_000_000


def osv(identity: str = "CVE-2026-7", **more: Any) -> dict[str, Any]:
    """As OSV has what comes from git: commits, and the tags that have the fault."""
    return {
        "schema_version": "1.7.3", "id": identity, "modified": "2026-10-02T03:04:05Z",
        "published": "2026-09-30T00:00:00Z",
        "summary": "A length is believed", "affected": [{
            "ranges": [{"type": "GIT", "repo": "https://github.com/openssl/openssl",
                        "events": [{"introduced": "636dfadc"}, {"fixed": "1a2b3c4d"}]}],
            "versions": ["openssl-3.5.6", "openssl-3.5.7", "openssl-3.0.1"]}], **more,
    }  # fmt: skip


def nvd(*matches: dict[str, Any], identity: str = "CVE-2026-8", **more: Any) -> dict[str, Any]:
    """As NVD's feeds have it, API 2.0."""
    return {"cve": {
        "id": identity, "published": "2026-09-30T10:15:00.000", "lastModified": "2026-10-01T10:15:00.000",
        "vulnStatus": "Analyzed", "descriptions": [{"lang": "es", "value": "no"}, {"lang": "en", "value": "A fault."}],
        "metrics": {"cvssMetricV31": [{"cvssData": {"baseSeverity": "HIGH", "baseScore": 7.5}}]},
        "configurations": [{"nodes": [{"operator": "OR", "cpeMatch": list(matches)}]}], **more}}  # fmt: skip


def match(version: str = "*", update: str = "*", **bounds: str) -> dict[str, Any]:
    return {"vulnerable": True, "criteria": f"cpe:2.3:a:openssl:openssl:{version}:{update}:*:*:*:*:*:*", **bounds}


def against(version: str, *records: dict[str, Any]) -> list[str]:
    found = [one for record in records for one in parse(json.dumps(record).encode())]
    return [one.id for one in findings(version, NAMES, found)]


def test_the_names_of_a_pin() -> None:
    assert {"cpe/openssl/openssl", "bitnami/openssl", "github/openssl/openssl"} == NAMES
    assert names_of("", "pkg:pypi/pip@26.2.1") == {"pypi/pip"}
    assert names_of("", "pkg:generic/libedit@3") == frozenset()


def test_tags_with_the_fault_are_versions_with_it() -> None:
    assert against("3.5.7", osv()) == ["CVE-2026-7"]
    assert against("3.5.8", osv()) == []


def test_ranges_by_number_begin_and_end_where_they_say() -> None:
    record = osv("BIT-openssl-2026-9", aliases=["CVE-2026-9"], affected=[{
        "package": {"ecosystem": "Bitnami", "name": "openssl"},
        "ranges": [{"type": "SEMVER", "events": [{"introduced": "3.0.0"}, {"fixed": "3.0.16"},
                                                 {"introduced": "3.5.0"}, {"fixed": "3.5.8"}]}]}])  # fmt: skip
    assert against("3.5.7", record) == ["CVE-2026-9"]
    assert [against(version, record) for version in ("3.5.8", "3.0.16", "3.4.0", "2.9")] == [[], [], [], []]
    (one,) = findings("3.5.7", NAMES, list(parse(json.dumps(record).encode())))
    assert one.fixed == "3.5.8"


def test_a_withdrawn_or_rejected_advisory_is_none() -> None:
    assert against("3.5.7", osv(withdrawn="2026-10-03T00:00:00Z")) == []
    feed = {"vulnerabilities": [nvd(match(), vulnStatus="Rejected")]}
    assert against("3.5.7", feed) == []


@pytest.mark.parametrize(
    ("bounds", "hit"),
    [
        ({"versionStartIncluding": "3.5.0", "versionEndExcluding": "3.5.8"}, True),
        ({"versionStartIncluding": "3.5.0", "versionEndExcluding": "3.5.7"}, False),
        ({"versionStartIncluding": "3.5.0", "versionEndIncluding": "3.5.7"}, True),
        ({"versionStartExcluding": "3.5.7"}, False), ({"versionStartExcluding": "3.5.6"}, True), ({}, True),
        ({"versionEndExcluding": "3.5.10"}, True),
    ],
)  # fmt: skip
def test_nvds_bounds(bounds: dict[str, str], hit: bool) -> None:
    assert bool(against("3.5.7", {"vulnerabilities": [nvd(match(**bounds))]})) == hit


def test_nvds_single_versions_and_what_is_not_vulnerable() -> None:
    one = {
        "vulnerabilities": [nvd(match("3.5.7", "-"), match("3.5.9", "beta1"), {**match("3.5.6"), "vulnerable": False})]
    }
    assert [against(version, one) for version in ("3.5.7", "3.5.9", "3.5.6")] == [["CVE-2026-8"], [], []]
    (advisory,) = parse(json.dumps(one).encode())
    assert (advisory.severity, advisory.summary) == ("high", "A fault.")


def test_two_data_bases_on_one_cve_are_one_finding_that_knows_what_mends_it() -> None:
    both = [osv("CVE-2026-8"), {"vulnerabilities": [nvd(match(versionEndExcluding="3.5.8"))]}]
    found = [one for record in both for one in parse(json.dumps(record).encode())]
    assert [(one.id, one.fixed) for one in findings("3.5.7", NAMES, found)] == [("CVE-2026-8", "3.5.8")]
    assert [one.id for one in mended("3.5.7", "3.5.8", NAMES, found)] == ["CVE-2026-8"]
    assert mended("3.5.6", "3.5.7", NAMES, found) == []


def test_a_range_of_commits_alone_decides_nothing() -> None:
    record = osv()
    del record["affected"][0]["versions"]
    (advisory,) = parse(json.dumps(record).encode())
    assert not advisory.affected[0].decidable


def test_files_archives_and_directories_are_read(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("CVE-2026-7.json", json.dumps(osv()))
        archive.writestr("readme.txt", "no")
    (tmp_path / "all.zip").write_bytes(packed.getvalue())
    (tmp_path / "nvd.json.gz").write_bytes(gzip.compress(json.dumps({"vulnerabilities": [nvd(match())]}).encode()))
    (tmp_path / "list.json").write_text(json.dumps([osv("CVE-2026-1"), osv("CVE-2026-2")]))
    assert sorted(one.id for one in read(tmp_path)) == ["CVE-2026-1", "CVE-2026-2", "CVE-2026-7", "CVE-2026-8"]


def test_a_feed_that_cannot_be_had_anew_is_read_as_it_was_and_its_age_is_told(tmp_path: Path) -> None:
    with serving() as site:
        site.files["osv.json"] = Served(json.dumps([osv(), osv("CVE-2026-1", affected=[])]).encode())
        url = site.url("osv.json")
        first = gather((url,), NAMES, tmp_path, Reader())
        assert (first.feeds[0].count, first.feeds[0].problem, len(first.advisories)) == (2, "", 1)
        site.files["osv.json"] = Served(b"<html>moved</html>")
        second = gather((url,), NAMES, tmp_path, Reader())
        assert (second.feeds[0].count, len(second.advisories)) == (2, 1)
        assert "what came can't be read" in second.feeds[0].problem
        site.files.clear()
        third = gather((url,), NAMES, tmp_path, Reader())
        assert "answers 404" in third.feeds[0].problem
        assert third.known
    (file,) = [one for one in tmp_path.iterdir() if not one.name.startswith(".")]
    os.utime(file, (NOW - 9 * 86400, NOW - 9 * 86400))
    again = gather((url,), NAMES, tmp_path, Reader())
    shown = page(view(report(), again, {}, NOW))
    assert "9 days old" in shown
    assert "not brought up to date" in shown


@pytest.mark.parametrize("data", [b"[" * 200_000, b"PK"], ids=["nested without end", "encrypted"])
def test_a_feed_that_breaks_its_reader_is_told_and_holds_no_other_back(tmp_path: Path, data: bytes) -> None:
    if data == b"PK":
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("CVE-2026-7.json", json.dumps(osv()))
        data = packed.getvalue().replace(b"PK\x01\x02\x14\x03\x14\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01\x00")
    (tmp_path / "bad").write_bytes(data)
    (tmp_path / "good").write_text(json.dumps(osv()))
    found = gather((str(tmp_path / "bad"), str(tmp_path / "good")), NAMES, tmp_path / "cache", Reader())
    assert "it can't be read: R" in found.feeds[0].problem
    assert found.feeds[1].count == 1


def test_a_password_in_a_feeds_address_is_not_told(tmp_path: Path) -> None:
    with serving() as site:
        site.files["osv.json"] = Served(json.dumps(osv()).encode())
        found = gather((f"http://me:secret@127.0.0.1:{site.port}/osv.json",), NAMES, tmp_path, Reader())
        assert found.feeds[0] == replace(found.feeds[0], where=site.url("osv.json"), count=1, problem="")
        assert site.gets("osv.json")[0]["authorization"].startswith("Basic ")


def test_nothing_read_is_unknown_and_never_none(tmp_path: Path) -> None:
    for wheres in ((), (f"http://127.0.0.1:{closed_port()}/x",), (str(tmp_path / "no-such"),)):
        known = gather(wheres, NAMES, tmp_path / "cache", Reader())
        assert not known.known
        shown = page(view(report(), known, {}, NOW))
        assert "CVEs are known against these pins is <strong>unknown</strong>" in shown
        assert "none in the data" not in shown
        assert "advisories unknown: no data was read" in in_words(report(), known)


def report(*more: Standing) -> UpdatesReport:
    openssl = Standing(
        "openssl", "3.5.7", "3.5", "2026-06-09",
        [Offer("3.5.9", "upstream", "api.example", "https://up.example/x", "2026-09-22")], ["upstream"],
        [Unasked("distribution", "openssl", "this machine has no apt")], ["3.5.10-beta1: a pre-release"],
        cpe=CPE, purl=PURL,
    )  # fmt: skip
    return UpdatesReport("pymint/updates/1", True, NOW - 7300, [*more, openssl])


def test_the_page_shows_age_faults_and_whom_nobody_could_ask() -> None:
    about = Affected("cpe/openssl/openssl", (Range("3.5.0", "3.5.8"),))
    advisories = [
        Advisory("CVE-2026-8", summary="A fault", severity="high", url="https://x.example/8", affected=(about,))
    ]
    known = AdvisoriesReport("pymint/advisories/1", NOW, [Feed("nvd.json", NOW, 7, "2026-10-01")], advisories)
    silent = Standing("zlib", "1.3.2", "", "", unasked=[Unasked("upstream", "api.example", "it does not answer")])
    candidate = Candidate(
        "3.5.9", "bump/openssl-3.5.9: 7 of 7 cells built and proven", True, {"x #1": "../archives/x/1/"}
    )
    found = view(report(silent), known, {"openssl": candidate}, NOW)
    assert [row.source for row in found.rows] == ["openssl", "zlib"]
    row, quiet = found.rows
    assert row.age == 174
    assert row.mends == 1
    assert (quiet.age, quiet.words) == (None, "nobody could be asked")
    shown = page(found)
    for text in ("174 days", "CVE-2026-8", "mended by 3.5.8", "3.5.9 mends 1 of them", "7 of 7 cells built and proven",
                 "not asked: the distribution (openssl): this machine has no apt",
                 "left out: 3.5.10-beta1: a pre-release",
                 "2 hours ago", "7 advisories, the newest changed 2026-10-01"):  # fmt: skip
        assert text in shown, text


def test_what_servers_say_is_escaped() -> None:
    evil = "<script>alert(1)</script>"
    one = Standing(
        "x", evil, "", "", [Offer(evil, "upstream", evil, evil)], ["upstream"], [Unasked("mirror", evil, evil)]
    )
    known = AdvisoriesReport("pymint/advisories/1", NOW, [Feed(evil, NOW, 1, evil, evil)], [])
    shown = page(view(UpdatesReport("pymint/updates/1", True, NOW, [one]), known, {"x": Candidate(evil, evil)}, NOW))
    assert evil not in shown
    assert "&lt;script&gt;" in shown
