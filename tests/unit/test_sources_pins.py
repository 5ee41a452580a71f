"""sources.toml: what it pins, and how a mistake in it is told."""

from __future__ import annotations

import tomllib
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from workers.errors import Failure
from workers.model import DATA, load_matrix
from workers.sources.pins import load_pins, pin_of

# Those who make the sources. A registry or a mirror has another address on every machine and none in the file.
UPSTREAMS = {
    "download.oracle.com",
    "ftp.gnu.org",
    "github.com",
    "invisible-island.net",
    "sourceware.org",
    "www.bytereef.org",
    "www.kernel.org",
    "www.openssl.org",
    "www.python.org",
    "www.sqlite.org",
    "www.thrysoee.dk",
    "www.x.org",
    "xcb.freedesktop.org",
    "zlib.net",
}

ZLIB = """
[zlib]
licences = ["Zlib"]
licence_files = ["LICENSE"]
cpe = "cpe:2.3:a:zlib:zlib:{version}:*"
[[zlib.pins]]
version = "1.3+2"
urls = ["https://example.org/zlib-1.3.tar.gz"]
sha256 = "0000000000000000000000000000000000000000000000000000000000000001"
size = 10
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "sources.toml"
    path.write_text(text)
    return path


def failure(tmp_path: Path, text: str) -> str:
    with pytest.raises(Failure) as caught:
        load_pins(written(tmp_path, text))
    return str(caught.value)


def test_every_source_that_the_matrix_and_the_nodes_name_is_pinned() -> None:
    pins = load_pins()
    named = {version.source for version in load_matrix().versions.values()}
    nodes = tomllib.loads((DATA / "nodes.toml").read_text())["node"]
    named |= {name for node in nodes.values() for name in [node.get("source"), *node.get("sources", [])] if name}
    assert named <= set(pins)


def test_no_registry_or_mirror_is_named_by_its_address() -> None:
    hosts = {urlsplit(url).netloc for pins in load_pins().values() for pin in pins for url in pin.urls}
    assert hosts <= UPSTREAMS


def test_every_pin_has_licences_and_a_name_for_vulnerability_data() -> None:
    for pins in load_pins().values():
        for pin in pins:
            assert pin.licences
            assert pin.purl
            assert "{" not in f"{pin.cpe}{pin.purl}"


def test_the_issues_second_pins_are_there_newest_first() -> None:
    pins = load_pins()
    assert [pin.version for pin in pins["cpython-3.13"]] == ["3.13.15", "3.13.5"]
    assert [pin.version for pin in pins["cpython-3.11"]] == ["3.11.16", "3.11.2"]


def test_the_provider_is_the_validated_release_or_else_what_libcrypto_may_be() -> None:
    pins = load_pins()
    provider = pins["openssl-fips"]
    assert provider[0].version == "3.1.2"
    assert provider[0].sha256 == "a0ce69b8b97ea6a35b96875235aa453b966ba3cba8af2de23657d8b6767d6539"
    assert [pin.version for pin in provider[1:]] == [pin.version for pin in pins["openssl"]]
    assert {pin.source for pin in provider} == {"openssl-fips"}


def test_versions_are_quoted_as_each_name_demands(tmp_path: Path) -> None:
    (pin,) = load_pins(written(tmp_path, ZLIB + 'purl = "pkg:generic/zlib@{version}"'))["zlib"]
    assert pin.cpe == r"cpe:2.3:a:zlib:zlib:1.3\+2:*"
    assert pin.purl == "pkg:generic/zlib@1.3%2B2"


def test_a_pin_is_found_by_the_digest_of_either_of_its_files() -> None:
    pins = load_pins()
    zlib = pins["zlib"][0]
    assert zlib.distro is not None
    own, repacked = zlib.files
    assert pin_of(pins, "zlib", own.sha256) == (zlib, own)
    assert pin_of(pins, "zlib", repacked.sha256) == (zlib, repacked)
    assert repacked.names == (zlib.distro.file,)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("size = 10", "size = -1"), "[zlib] 1.3+2 can't be read\n  found   size: -1 is not a number of bytes"),
        (('"Zlib"', "7"), "[zlib] can't be read\n  found   Expected `str`, got `int` - at `$.licences[0]`"),
        (("size = 10", "sise = 10"), "unknown field `sise`"),
        (("0001", "001"), "sha256: '000000000000000000000000000000000000000000000000000000000000001' is not"),
        (("0001", "000G"), "is not a sha256 in 64 lower-case hex digits"),
        (("https://example.org/zlib-1.3.tar.gz", "zlib.tar.gz"), "urls: 'zlib.tar.gz' is not the URL of a file"),
        (('urls = ["https://example.org/zlib-1.3.tar.gz"]\n', ""), "no origin: it needs urls, distro or pypi"),
        (("{version}", "{release}"), "[zlib] cpe or purl"),
        (("[zlib]\n", '[zlib]\nelse = "zlb"\n'), "[zlib] else can't be read\n  found   there is no source 'zlb'"),
        (("[zlib]\n", "[zlib\n"), "the file can't be read"),
        (("size = 10", ZLIB.partition("[[")[1] + ZLIB.partition("[[")[2]), "the release is pinned twice"),
    ],
)
def test_a_mistake_is_told_with_its_file_table_and_key(tmp_path: Path, change: tuple[str, str], told: str) -> None:
    message = failure(tmp_path, ZLIB.replace(*change))
    assert told in message
    assert "sources.toml" in message


def test_a_source_without_a_release_is_refused(tmp_path: Path) -> None:
    text = '[zlib]\nlicences = ["Zlib"]\nlicence_files = []\npins = []\n'
    assert "no release is pinned" in failure(tmp_path, text)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="can't be read"):
        load_pins(tmp_path / "none.toml")
