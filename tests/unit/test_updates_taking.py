"""A newer release is found in every kind of source, fetched, judged by its witnesses, and refused where one objects."""

from __future__ import annotations

import gzip
import io
import lzma
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from master.updates.page import for_everybody
from tests.unit.sources_server import Heard, Served, Server, closed_port, pin, serving, sha
from tests.unit.upstream import Signer, directory_page, tarball
from workers.reports.base import decode, encode
from workers.sources.distribution import Listed
from workers.sources.outcome import Missed
from workers.sources.pins import Distro, Pin
from workers.sources.settings import SourceSettings
from workers.updates import signatures
from workers.updates.looking import Sources, standing
from workers.updates.model import Refused, Standing, Taken, UpdatesReport
from workers.updates.rules import Announced, Pgp, Rule, Sigstore
from workers.updates.taking import Means, take
from workers.updates.web import Reader
from workers.updates.witnesses import Court

OLD, NEW = tarball("zlib-2.0"), tarball("zlib-2.1")


def damaged_xz() -> bytes:
    """A tar whose first blocks unpack, and whose later ones do not."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:") as tar:
        for number in range(40):
            member = tarfile.TarInfo(f"zlib-2.1/{number}")
            member.size = 10_000
            tar.addfile(member, io.BytesIO(os.urandom(10_000)))
    packed = bytearray(lzma.compress(out.getvalue()))
    packed[300_000:300_100] = bytes(100)
    return bytes(packed)


def of_negative_size() -> bytes:
    """A tar that says of a file that it ends before it begins: read on from there, it comes again and again."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:") as tar:
        tar.addfile(tarfile.TarInfo("zlib-2.1/LICENSE"))
        member = tarfile.TarInfo("zlib-2.1/x")
        member.size = -512
        out.write(member.tobuf(tarfile.GNU_FORMAT))
        tar.offset += tarfile.BLOCKSIZE
    return gzip.compress(out.getvalue())


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signer]:
    if shutil.which("gpg") is None or shutil.which("gpgv") is None:
        pytest.skip("this machine has no gpg or no gpgv")
    one = Signer(tmp_path_factory.mktemp("signer") / "gpg", "upstream")
    yield one
    one.close()


@pytest.fixture
def site() -> Iterator[Server]:
    with serving() as one:
        one.files["pub/"] = Served(directory_page({"zlib-2.0.tar.gz": "05-Jan-2026", "zlib-2.1.tar.gz": "21-Sep-2026"}))
        one.files["pub/zlib-2.1.tar.gz"] = Served(NEW)
        yield one


def rule(site: Server, **more: object) -> Rule:
    plain = Rule(
        line="2", announced=Announced("directory", site.url("pub/")), urls=(site.url("pub/zlib-{version}.tar.gz"),),
        unsigned="nobody signs",
    )  # fmt: skip
    return replace(plain, **more)  # type: ignore[arg-type]


def signed(site: Server, signer: Signer, *fingerprints: str) -> Rule:
    return rule(site, unsigned="", pgp=Pgp("up.asc", fingerprints or (signer.fingerprint,)))


def nothing_listed() -> Sequence[Listed]:
    raise Missed("this machine has no apt")


def stands(
    pinned: Pin, rule: Rule, settings: SourceSettings | None = None, listed: object = nothing_listed
) -> Standing:
    return standing((pinned,), rule, Sources(settings or SourceSettings(), Reader(), listed))  # type: ignore[arg-type]


def taken(found: Standing, pinned: Pin, rule: Rule, place: Path, signer: Signer | None = None) -> Taken | Refused:
    keys = place / "keys"
    keys.mkdir(exist_ok=True)
    if signer is not None:
        (keys / "up.asc").write_bytes(signer.public)

    def none() -> object:
        raise AssertionError("the distribution was asked")

    court = Court(Reader(), place / "cache", none, keys=(keys,))  # type: ignore[arg-type]
    return take(found, pinned, rule, Means(court, Heard()))


def tried(site: Server, rule: Rule, place: Path, signer: Signer | None = None) -> Taken | Refused:
    """The way from the list to the judgement."""
    pinned = pin(site.url("pub/zlib-2.0.tar.gz"), version="2.0", content=OLD)
    return taken(stands(pinned, rule), pinned, rule, place, signer)


def test_an_unsigned_release_is_taken_and_says_that_it_is_unsigned(site: Server, tmp_path: Path) -> None:
    found = tried(site, rule(site), tmp_path)
    assert isinstance(found, Taken)
    assert (found.version, found.sha256, found.size) == ("2.1", sha(NEW), len(NEW))
    assert found.released == "2026-09-21"
    assert found.urls == (site.url("pub/zlib-2.1.tar.gz"),)
    assert [one.said for one in found.verdicts] == ["signature: none (nobody signs)"]
    assert (tmp_path / "cache" / "sha256" / sha(NEW)).read_bytes() == NEW


def test_a_good_signature_names_its_key(site: Server, tmp_path: Path, signer: Signer) -> None:
    site.files["pub/zlib-2.1.tar.gz.asc"] = Served(signer.sign(NEW))
    found = tried(site, signed(site, signer), tmp_path, signer)
    assert isinstance(found, Taken)
    assert [(one.kind, one.state) for one in found.verdicts] == [("pgp", "good")]
    assert signer.fingerprint in found.verdicts[0].said


def test_a_signature_over_other_bytes_is_refused_loudly(site: Server, tmp_path: Path, signer: Signer) -> None:
    site.files["pub/zlib-2.1.tar.gz.asc"] = Served(signer.sign(OLD))
    found = tried(site, signed(site, signer), tmp_path, signer)
    assert isinstance(found, Refused)
    assert found.loud
    assert "it is not over these bytes" in found.why
    assert not (tmp_path / "cache" / "sha256").exists()


def test_a_good_signature_by_a_key_that_is_not_named_is_refused(site: Server, tmp_path: Path, signer: Signer) -> None:
    site.files["pub/zlib-2.1.tar.gz.asc"] = Served(signer.sign(NEW))
    found = tried(site, signed(site, signer, "0" * 40), tmp_path, signer)
    assert isinstance(found, Refused)
    assert found.loud
    assert "which updates.toml does not name" in found.why


def test_a_key_that_is_not_there_is_refused_by_its_number(
    site: Server, tmp_path: Path, signer: Signer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = Signer(tmp_path_factory.mktemp("other") / "gpg", "somebody else")
    site.files["pub/zlib-2.1.tar.gz.asc"] = Served(other.sign(NEW))
    other.close()
    found = tried(site, signed(site, signer), tmp_path, signer)
    assert isinstance(found, Refused)
    assert f"signed by the key {other.fingerprint[-16:]}, which is none of the pinned ones" in found.why


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"-----BEGIN PGP SIGNATURE-----\n\nAAAA\n"])
def test_what_is_no_signature_is_called_that(site: Server, tmp_path: Path, signer: Signer, content: bytes) -> None:
    site.files["pub/zlib-2.1.tar.gz.asc"] = Served(content, ranges=False)
    found = tried(site, signed(site, signer), tmp_path, signer)
    assert isinstance(found, Refused)
    assert found.loud
    assert "what lies beside it is no OpenPGP signature" in found.why


def test_a_missing_signature_of_an_upstream_that_signs_is_refused(site: Server, tmp_path: Path, signer: Signer) -> None:
    found = tried(site, signed(site, signer), tmp_path, signer)
    assert isinstance(found, Refused)
    assert "upstream signs its releases, and not this one" in found.why


def test_what_is_newer_still_and_cannot_be_had_is_told(site: Server, tmp_path: Path) -> None:
    pinned, own = pin(version="2.0", content=OLD), rule(site)
    found = stands(pinned, own)
    newest = replace(found.offers[0], version="2.2", url=site.url("pub/zlib-2.2.tar.gz"))
    got = taken(replace(found, offers=[newest, *found.offers]), pinned, own, tmp_path)
    assert isinstance(got, Taken)
    assert (got.version, got.missed) == ("2.1", (f"2.2: 127.0.0.1:{site.port} answers 404",))


def test_without_gpgv_it_is_said_that_nothing_was_checked(
    site: Server, tmp_path: Path, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.files["pub/zlib-2.1.tar.gz.asc"] = Served(signer.sign(NEW))
    monkeypatch.setenv("PATH", str(tmp_path))
    found = tried(site, signed(site, signer), tmp_path, signer)
    assert isinstance(found, Taken)
    assert (found.verdicts[0].state, found.verdicts[0].said[:28]) == ("unchecked", "this machine has no gpgv (De")


def test_a_garbled_sigstore_bundle_is_refused(site: Server, tmp_path: Path) -> None:
    site.files["pub/zlib-2.1.tar.gz.sigstore"] = Served(b'{"mediaType": "application/vnd.dev.sigstore.bundle+json"}')
    own = rule(site, unsigned="", sigstore=Sigstore("rm@example.org", "https://accounts.example.org"))
    found = tried(site, own, tmp_path)
    assert isinstance(found, Refused)
    assert found.loud
    assert "Sigstore refuses it for rm@example.org" in found.why


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (tarball("zlib-1.9"), "at its top it should have zlib-2.1, and has zlib-1.9"),
        (tarball("zlib-2.1/../.."), "it has a file outside of itself"),
        (NEW[:-40], "it is no whole tarball"),
        (b"<html>not found</html>", "it is no whole tarball"),
        (tarball("zlib-2.1", at=4_000_000_000), "it has files from the future"),
        (damaged_xz(), "it is no whole tarball"),
        (of_negative_size(), "it is no whole tarball"),
    ],
)
def test_a_tarball_that_is_something_else_is_refused(site: Server, tmp_path: Path, content: bytes, why: str) -> None:
    site.files["pub/zlib-2.1.tar.gz"] = Served(content)
    found = tried(site, rule(site), tmp_path)
    assert isinstance(found, Refused)
    assert found.loud
    assert why in found.why


def test_a_file_that_is_needed_and_gone_is_a_matter_for_a_person(site: Server, tmp_path: Path) -> None:
    found = tried(site, rule(site, contains=("configure",)), tmp_path)
    assert isinstance(found, Refused)
    assert not found.loud
    assert "it has no configure: a person has to look" in found.why


def test_a_download_that_breaks_off_is_not_taken(site: Server, tmp_path: Path) -> None:
    site.files["pub/zlib-2.1.tar.gz"] = Served(NEW, cuts=[100])
    found = tried(site, rule(site), tmp_path)
    assert isinstance(found, Refused)
    assert "no source delivers it" in found.why


def test_a_file_without_end_is_not_read_to_its_end(site: Server, tmp_path: Path) -> None:
    site.files["pub/zlib-2.1.tar.gz"] = Served(bytes(30_000_000), no_length=True)
    found = tried(site, rule(site), tmp_path)
    assert isinstance(found, Refused)
    assert "sends more than 20000000 bytes" in found.why


def test_a_list_that_names_what_is_not_there_is_told_and_the_next_one_taken(site: Server, tmp_path: Path) -> None:
    own = rule(site, announced=Announced("directory", site.url("ftp/"), "{version}/"))
    site.files["ftp/"] = Served(directory_page({"2.1/": "21-Sep-2026", "2.2/": "22-Sep-2026"}))
    pinned = pin(version="2.0", content=OLD)
    found = stands(pinned, own)
    assert found.newest == "2.1"
    assert found.left_out == [f"2.2: 127.0.0.1:{site.port} lists it, but its tarball is not there"]


def test_prereleases_and_other_lines_are_left_out(site: Server) -> None:
    site.files["pub/"] = Served(
        directory_page({"zlib-2.2rc1.tar.gz": "", "zlib-3.0.tar.gz": "", "zlib-1.9.tar.gz": ""})
    )
    found = stands(pin(version="2.0", content=OLD), rule(site))
    assert found.offers == []
    assert found.left_out == ["2.2rc1: a pre-release"]
    assert found.known


def test_every_source_that_cannot_be_asked_is_named(site: Server) -> None:
    dead = f"http://127.0.0.1:{closed_port()}/"
    own = rule(site, announced=Announced("directory", dead))
    pinned = replace(
        pin(version="2.0", content=OLD), distro=Distro("zlib", "1:2.0-1", "trixie", "zlib_2.0.orig.tar.gz")
    )
    found = stands(pinned, own, SourceSettings(mirrors=(site.url("nowhere"),)))
    assert [(one.kind, one.why.partition(" (")[0].partition(":")[0]) for one in found.unasked] == [
        ("upstream", "127.0.0.1"), ("mirror", "127.0.0.1"), ("distribution", "this machine has no apt"),
    ]  # fmt: skip
    assert "answers 404" in found.unasked[1].why
    assert not found.known
    off = stands(pinned, own, SourceSettings(upstream=False, distro=False))
    assert [one.why for one in off.unasked] == ["[sources] upstream is off", "[sources] distro is off"]


def test_a_mirror_and_an_offline_directory_are_asked_by_the_files_names(site: Server, tmp_path: Path) -> None:
    pinned, own = pin(version="2.0", content=OLD), rule(site, announced=None)
    mirrored = stands(pinned, own, SourceSettings(mirrors=(site.url("pub"),)))
    assert [(one.kind, one.version) for one in mirrored.offers] == [("mirror", "2.1")]
    offline = tmp_path / "offline"
    offline.mkdir()
    (offline / "zlib-2.1.tar.gz").write_bytes(NEW)
    found = stands(pinned, own, SourceSettings(offline=offline))
    assert [(one.kind, one.version) for one in found.offers] == [("offline", "2.1")]
    got = taken(found, pinned, own, tmp_path)
    assert isinstance(got, Taken)
    assert got.sha256 == sha(NEW)
    assert [kind for kind, _, headers in site.requests if "pub/" not in headers] != []


def test_a_password_in_a_mirrors_address_is_in_nothing_that_everybody_reads(site: Server) -> None:
    own = replace(rule(site), announced=None)
    settings = SourceSettings((f"http://me:s%2Fcret@127.0.0.1:{site.port}/pub",), upstream=False)
    found = stands(pin(version="2.0", content=OLD), own, settings)
    said = encode(UpdatesReport("pymint/updates/1", True, 0, [found]))
    assert b"s%2Fcret" in said, "a release is fetched by it later"
    shown = for_everybody(said)
    assert decode(shown, UpdatesReport, "it").pins[0].offers[0].url == site.url("pub/zlib-2.1.tar.gz")
    assert b"cret" not in shown


def test_the_distributions_newer_file_is_found_and_a_repacked_one_is_pinned_beside(
    site: Server, tmp_path: Path
) -> None:
    def listed() -> Sequence[Listed]:
        url = "http://deb.example/pool/main/z/zlib/zlib_2.1.orig.tar.gz"
        return [
            Listed("zlib", "1:2.1+dfsg-1", "unstable", "c" * 64, 999, url),
            Listed("zlib", "1:2.2~rc1-1", "experimental", "d" * 64, 999, url.replace("2.1", "2.2~rc1")),
            Listed("other", "9-1", "unstable", "e" * 64, 1, "http://deb.example/other_9.orig.tar.gz"),
        ]

    pinned = replace(
        pin(version="2.0", content=OLD), distro=Distro("zlib", "1:2.0-1", "trixie", "zlib_2.0.orig.tar.gz")
    )
    own = rule(site)
    found = stands(pinned, own, listed=listed)
    assert {(one.kind, one.version) for one in found.offers} == {("upstream", "2.1"), ("distribution", "2.1")}
    assert "2.2~rc1: a pre-release" in found.left_out
    got = taken(found, pinned, own, tmp_path)
    assert isinstance(got, Taken)
    assert got.distro == Distro("zlib", "1:2.1+dfsg-1", "unstable", "zlib_2.1.orig.tar.gz", "c" * 64, 999)


def test_a_digest_that_the_list_names_has_to_be_the_files(site: Server, tmp_path: Path) -> None:
    pinned, own = pin(version="2.0", content=OLD), rule(site)
    found = stands(pinned, own)
    found = replace(found, offers=[replace(found.offers[0], digest="sha256:" + "0" * 64)])
    got = taken(found, pinned, own, tmp_path)
    assert isinstance(got, Refused)
    assert got.loud
    assert "the list says 0000" in got.why


@pytest.mark.parametrize("digest", ["sha3_256:", "md5:d41d8cd98f00b204e9800998ecf8427e"])
def test_a_digest_that_nobody_compared_is_no_witness(site: Server, tmp_path: Path, digest: str) -> None:
    pinned, own = pin(version="2.0", content=OLD), rule(site)
    found = stands(pinned, own)
    found = replace(found, offers=[replace(found.offers[0], digest=digest)])
    got = taken(found, pinned, own, tmp_path)
    assert isinstance(got, Taken)
    assert [one.kind for one in got.verdicts] == ["none"]


def test_a_signature_that_is_refused_is_not_passed_over(site: Server, tmp_path: Path, signer: Signer) -> None:
    site.files["pub/zlib-2.1.tar.gz.asc"] = Served(b"", statuses=[403])
    found = tried(site, signed(site, signer), tmp_path, signer)
    assert isinstance(found, Refused)
    assert not found.loud
    assert all(text in found.why for text in ("its signature can't be had", "answers 403"))


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("[GNUPG:] EXPSIG 0 up\n[GNUPG:] VALIDSIG {f} 2020 1 2 4 0 22 10 00 {f}\n", "expired"),
        ("[GNUPG:] REVKEYSIG 0 up\n[GNUPG:] VALIDSIG {f} 2020 1 0 4 0 22 10 00 {f}\n", "revoked"),
    ],
)
def test_a_signature_that_says_itself_that_it_is_over_is_bad(status: str, said: str) -> None:
    fingerprint = "A" * 40
    verdict = signatures.judged(status.replace("{f}", fingerprint), (fingerprint,))
    assert verdict.state == "bad"
    assert said in verdict.said


def test_a_signed_tar_that_does_not_unpack_is_bad(tmp_path: Path, signer: Signer) -> None:
    (tmp_path / "up.asc").write_bytes(signer.public)
    (tmp_path / "cut.tar.xz").write_bytes(lzma.compress(os.urandom(100_000))[:50_000])
    rule = Pgp("up.asc", (signer.fingerprint,), uncompressed=True)
    verdict = signatures.pgp(tmp_path / "cut.tar.xz", signer.sign(b"x"), rule, tmp_path)
    assert (verdict.state, verdict.said[:36]) == ("bad", "what is signed can't be unpacked (Co")


def test_the_keys_in_the_repository_are_those_that_the_rules_name() -> None:
    from workers.updates.rules import KEYS, load_rules

    named = {rule.pgp.keys: rule.pgp.fingerprints for rule in load_rules().values() if rule.pgp is not None}
    assert {path.name for path in KEYS.iterdir()} == set(named)
    if shutil.which("gpg") is None:
        pytest.skip("this machine has no gpg to read a key's fingerprint")
    for name, fingerprints in named.items():
        assert signatures.dearmored((KEYS / name).read_text())
        shown = subprocess.run(
            ["gpg", "--batch", "--with-colons", "--show-keys", str(KEYS / name)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        own = [line.split(":")[9] for line in shown.splitlines() if line.startswith("fpr:")]
        assert set(fingerprints) <= set(own)
