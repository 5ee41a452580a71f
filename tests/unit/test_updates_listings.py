"""What upstreams announce, in the shapes in which they do, and what of it is a release to take."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.upstream import directory_page
from workers.sources.outcome import Missed
from workers.sources.pins import load_pins
from workers.updates.listings import Announcement, announcements, directory
from workers.updates.looking import versions_of_pip
from workers.updates.rules import Announced, Rule, load_rules, parse_rules
from workers.updates.versions import in_line, is_prerelease, newer, of_distribution, spelled, unspelled

UNSIGNED = 'unsigned = "nobody signs"\n'


def rule(text: str) -> Rule:
    return parse_rules(f"[x]\n{text}{UNSIGNED}")["x"]


def listed(rule: Rule, data: bytes, address: str = "https://up.example/pub/") -> dict[str, Announcement]:
    assert rule.announced is not None
    return {one.version: one for one in announcements(data, rule, rule.announced, address)}


@pytest.mark.parametrize(
    ("old", "new"),
    [("3.13.9", "3.13.10"), ("6.6", "6.6+20260608"), ("20250104-3.1", "20260512-3.1"), ("2025.1", "2026.1")],
)
def test_numbers_are_compared_as_numbers(old: str, new: str) -> None:
    assert newer(new, old)
    assert not newer(old, new)
    assert not newer(new, new)


def test_a_line_ends_where_a_number_does() -> None:
    assert in_line("3.5.9", "3.5")
    assert in_line("3.5", "3.5")
    assert not in_line("3.50.1", "3.5")
    assert not in_line("13.5.1", "3.5")
    assert in_line("9", "")


@pytest.mark.parametrize("version", ["3.14.0rc2", "3.14.0a1", "3.15.0b3", "1.5.0-beta1", "2.0~pre", "5.9.0alpha"])
def test_a_prerelease_says_so(version: str) -> None:
    assert is_prerelease(version)


@pytest.mark.parametrize("version", ["3.14.0", "6.6+20260608", "20260512-3.1", "2025.1", "3.53.4"])
def test_a_release_is_none(version: str) -> None:
    assert not is_prerelease(version)


@pytest.mark.parametrize(
    ("package", "upstream"),
    [
        ("1:1.3.dfsg+really1.3.2-4", "1.3.2"), ("3.5.9-1~deb13u1", "3.5.9"), ("6.6+20260608-2", "6.6+20260608"),
        ("1.5.7+dfsg-1+deb13u1", "1.5.7"), ("5.3.28+dfsg2-9", "5.3.28"), ("2:1.8.13-1", "1.8.13"),
        ("3.1-20260512-1", "3.1-20260512"), ("2.42.4-1", "2.42.4"), ("1:1.2.13.dfsg-1", "1.2.13"),
    ],
)  # fmt: skip
def test_the_distributions_versions_are_upstreams(package: str, upstream: str) -> None:
    assert of_distribution(package) == upstream


def test_every_pin_of_the_distribution_has_upstreams_version_by_that() -> None:
    """So that what the distribution has next is compared with what is pinned. Headers as packages have a revision."""
    rules = load_rules()
    for name, pins in load_pins().items():
        for pin in pins:
            if pin.distro is not None and pin.source == name and not pin.distro.is_built:
                assert rules[name].of_distribution(of_distribution(pin.distro.version)) == pin.version, name


def test_every_source_has_a_rule_that_makes_the_preferred_pins_address() -> None:
    pins, rules = load_pins(), load_rules()
    assert set(rules) == set(pins)
    for name, (pin, *_) in pins.items():
        if pin.urls and rules[name].urls:
            assert rules[name].urls_of(pin.version) == pin.urls, name
            assert rules[name].version_in(rules[name].file, pin.urls[0].rpartition("/")[2]) in {pin.version, None}


@pytest.mark.parametrize(
    ("version", "spelling", "text"),
    [("6.6+20260608", "dashes", "6.6-20260608"), ("2.8.3", "underscores", "2_8_3"), ("3.53.1", "sqlite", "3530100"),
     ("3.53.1.2", "sqlite", "3530102")],
)  # fmt: skip
def test_a_spelling_goes_both_ways(version: str, spelling: Any, text: str) -> None:
    assert spelled(version, spelling) == text
    assert unspelled(text, spelling) == version


PYTHON = rule(
    'line = "3.13"\nurls = ["https://up.example/pub/{version}/Python-{version}.tar.xz"]\n'
    'announced = { shape = "directory", url = "https://up.example/pub/", entry = "{version}/" }\n'
)


def test_a_directory_of_versions() -> None:
    """As python.org has it: a directory a version, that of a pre-release among them, and other things beside."""
    page = directory_page({"3.13.5/": "05-Jun-2025", "3.13.16/": "21-Sep-2026", "3.13.17rc1/": "22-Sep-2026",
                           "doc/": "01-Jan-2020", "2.7.18/": "20-Apr-2020"})  # fmt: skip
    found = listed(PYTHON, page)
    assert set(found) == {"3.13.5", "3.13.16", "3.13.17rc1", "2.7.18"}
    assert found["3.13.16"].released == "2026-09-21"
    assert found["3.13.16"].url == "https://up.example/pub/3.13.16/Python-3.13.16.tar.xz"
    assert not found["3.13.16"].certain
    assert found["3.13.17rc1"].refused == "a pre-release"


def test_a_directory_of_files_as_apache_writes_it() -> None:
    files = rule(
        'urls = ["https://up.example/pub/ncurses-{spelled}.tgz"]\nspelling = "dashes"\n'
        'announced = { shape = "directory", url = "https://up.example/pub/" }\n'
    )
    page = (
        '<table><tr><td><a href="ncurses-6.6-20260608.tgz">ncurses-6.6-2026..&gt;</a></td>'
        '<td align="right">2026-06-08 09:12  </td></tr><tr><td><a href="ncurses-6.6-20260608.tgz.asc">sig</a></td></tr>'
        '<tr><td><a href="ncurses-6.5-20250216-patch.sh.bz2">patch</a></td></tr></table>'
    )
    found = listed(files, page.encode())
    assert list(found) == ["6.6+20260608"]
    assert found["6.6+20260608"].certain
    assert found["6.6+20260608"].released == "2026-06-08"


def test_links_that_lead_elsewhere_are_none_of_the_list() -> None:
    page = b'<a href="https://evil.example/pub/3.13.99/">3.13.99/</a> <a href="/foo/3.13.98/">x</a><a href="..">up</a>'
    assert listed(PYTHON, page) == {}


@pytest.mark.parametrize("page", [b"", b"<html>Sorry, we are down</html>", b"\xff\xfe"])
def test_a_page_without_links_is_no_list(page: bytes) -> None:
    with pytest.raises(Missed, match="no directory listing"):
        listed(PYTHON, page)


GITHUB = rule(
    'line = "3.5"\nurls = ["https://github.com/o/r/releases/download/openssl-{version}/openssl-{version}.tar.gz"]\n'
    'announced = { shape = "github", url = "https://api.github.com/x", entry = "openssl-{version}" }\n'
)


def release(tag: str, *assets: str, **more: Any) -> dict[str, Any]:
    """Of GitHub's fields those that are looked at, and some that are not."""
    return {
        "tag_name": tag, "name": tag, "draft": False, "prerelease": False, "published_at": "2026-09-22T13:01:05Z",
        "assets": [{"name": one, "browser_download_url": f"https://github.com/o/r/{one}", "size": 5,
                    "state": "uploaded", "digest": "sha256:" + "a" * 64} for one in assets],
        **more,
    }  # fmt: skip


def test_githubs_releases() -> None:
    releases = [
        release("openssl-3.6.0", "openssl-3.6.0.tar.gz"),
        release("openssl-3.5.10", "openssl-3.5.10.tar.gz", "openssl-3.5.10.tar.gz.asc"),
        release("openssl-3.5.11-beta1", "openssl-3.5.11-beta1.tar.gz", prerelease=True),
        release("openssl-3.5.12"),
        release("openssl-3.5.13", "openssl-3.5.13.tar.gz", draft=True),
        release("FIPS-validated", "x"),
    ]
    found = listed(GITHUB, json.dumps(releases).encode())
    assert found["3.5.10"].digest == "sha256:" + "a" * 64
    assert (found["3.5.10"].released, found["3.5.10"].refused) == ("2026-09-22", "")
    assert found["3.5.11-beta1"].refused == "upstream marks it as a pre-release"
    assert found["3.5.12"].refused == "its tarball is not among the release's files"
    assert "3.5.13" not in found


@pytest.mark.parametrize("data", [b'{"message": "API rate limit exceeded"}', b"[{}]", b'[{"tag_name": "v1"', b""])
def test_what_is_no_list_of_releases_is_told(data: bytes) -> None:
    with pytest.raises(Missed, match="no list of GitHub's releases"):
        listed(GITHUB, data)


def test_sqlites_page_has_a_table_for_programs() -> None:
    sqlite = rule(
        'line = "3"\nurls = ["https://up.example/2026/sqlite-autoconf-{spelled}.tar.gz"]\nspelling = "sqlite"\n'
        'announced = { shape = "sqlite", url = "https://up.example/download.html" }\n'
    )
    page = (
        "<html><!-- for scripts\nPRODUCT,VERSION,RELATIVE-URL,SIZE-IN-BYTES,SHA3-HASH\n"
        "PRODUCT,3.54.0,2027/sqlite-amalgamation-3540000.zip,2800000,aa\n"
        f"PRODUCT,3.54.0,2027/sqlite-autoconf-3540000.tar.gz,3300000,{'b' * 64}\n-->"
    )
    found = listed(sqlite, page.encode(), "https://up.example/download.html")
    assert found["3.54.0"].url == "https://up.example/2027/sqlite-autoconf-3540000.tar.gz"
    assert found["3.54.0"].digest == "sha3_256:" + "b" * 64


def test_a_rule_has_to_say_what_vouches_for_a_file() -> None:
    with pytest.raises(Exception, match="sigstore or pgp"):
        parse_rules('[x]\nurls = ["https://up.example/x-{version}.tar.gz"]\n')
    with pytest.raises(Exception, match="whole fingerprint"):
        parse_rules('[x]\npgp = { keys = "x.asc", fingerprints = ["DEADBEEF"] }\n')
    with pytest.raises(Exception, match="it names none"):
        parse_rules('[x]\npgp = { keys = "x.asc", fingerprints = [] }\n')
    for nobody in ('identity = "", issuer = "https://up.example"', 'identity = "rm@up.example", issuer = ""'):
        with pytest.raises(Exception, match="identity and issuer have to say"):
            parse_rules(f"[x]\nsigstore = {{ {nobody} }}\n")
    with pytest.raises(Exception, match="unknown: lnie"):
        parse_rules(f'[x]\nlnie = "3"\n{UNSIGNED}')
    assert Announced("directory", "https://up.example/").entry == ""


def test_what_an_index_offers_is_read_as_every_pip_prints_it() -> None:
    said = "pip (26.3)\nAvailable versions: 26.3, 26.2.1, 9.0.0\n  INSTALLED: 23.2.1\n  LATEST:    26.3\n"
    assert versions_of_pip(said) == ["26.3", "26.2.1", "9.0.0"]
    assert versions_of_pip("ziglang (0.17.1)\nAvailable versions: 0.17.1\n") == ["0.17.1"]
    assert versions_of_pip("Usage: pip index versions [options]\n") == []


def test_a_link_that_is_no_address_hides_none_of_the_others() -> None:
    page = b'<a href="//[">x</a><a href="http://[::1">y</a><a href="zlib-2.1.tar.gz">zlib-2.1.tar.gz</a>'
    own = rule('urls = ["https://up.example/pub/zlib-{version}.tar.gz"]\n')
    found = directory(page.decode(), own, own.file, "https://up.example/pub/")
    assert [one.version for one in found] == ["2.1"]


def test_a_page_that_no_parser_can_read_is_told() -> None:
    own = rule('urls = ["https://up.example/pub/zlib-{version}.tar.gz"]\n')
    with pytest.raises(Missed, match="no directory listing"):
        directory("<![foo[", own, own.file, "https://up.example/pub/")
