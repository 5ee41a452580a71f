"""A bundle is believed for exactly one archive, one builder, one commit; everything else is told and refused."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.x509 import load_pem_x509_certificates
from cryptography.x509.oid import ExtendedKeyUsageOID

from master.signing import bundle as bundles
from master.signing import certificates, statement, timestamps
from master.signing.bundle import Bundle
from master.signing.certificates import Authority
from master.signing.trust import Trust, known_key
from master.signing.verify import Wanted, verify
from tests.unit.signing_samples import (
    BUILDER,
    COMMIT,
    CONTENT,
    NAME,
    NAMES,
    NOW,
    SOURCE,
    Signed,
    evidence,
    sha,
    signed,
)
from workers.errors import Failure
from workers.model import ROOT

PROFILES = ("key", "ca")


@pytest.fixture(params=PROFILES)
def sample(request: pytest.FixtureRequest, tmp_path: Path) -> Signed:
    return signed(tmp_path, request.param)


def refusal(
    sample: Signed, *, bundle: Bundle | None = None, trust: Trust | None = None, wanted: Wanted | None = None,
    digest: str = sha(CONTENT),
) -> str:  # fmt: skip
    with pytest.raises(Failure) as caught:
        verify(NAME, digest, bundle or sample.bundle, trust or sample.trust, wanted or Wanted())
    assert caught.value.where == "verify"
    return str(caught.value)


def resigned(sample: Signed, change: Callable[[dict[str, Any]], object]) -> Bundle:
    """Another statement that the same key signed."""
    said = json.loads(sample.bundle.payload)
    change(said)
    return sample.pen.sign(statement.payload(said), NAMES, COMMIT, NOW).bundle


def test_what_was_signed_is_believed(sample: Signed) -> None:
    wanted = Wanted(BUILDER, COMMIT, SOURCE, "x86_64-unknown-linux-gnu", "3.13", "pgo+lto")
    found = verify(NAME, sha(CONTENT), sample.bundle, sample.trust, wanted)
    assert (found.subject, found.builder) == (NAME, BUILDER)
    assert found.at == (NOW if sample.bundle.certificate else None)
    assert bundles.decode(bundles.encode(sample.bundle), "it") == sample.bundle


def test_other_bytes_are_refused(sample: Signed) -> None:
    text = refusal(sample, digest=sha(CONTENT[:-1] + b"?"))
    assert text.startswith(f"verify: {NAME} is not what the bundle attests\n  wanted  sha256 {NAME}: {sha(CONTENT)}")


@pytest.mark.parametrize("part", ["payload", "signature"])
def test_every_flipped_bit_of_what_is_signed_is_refused(sample: Signed, part: str) -> None:
    whole = getattr(sample.bundle, part)
    for place in range(0, len(whole), max(1, len(whole) // 40)):
        bits = bytearray(whole)
        bits[place] ^= 1 << (place % 8)
        flipped: dict[str, Any] = {part: bytes(bits)}
        refusal(sample, bundle=replace(sample.bundle, **flipped))


def test_the_type_of_the_payload_is_signed_too(sample: Signed) -> None:
    text = refusal(sample, bundle=replace(sample.bundle, payload_type="text/plain"))
    assert "the bundle's signature is not of what it holds" in text or "no trusted service" in text


def test_what_the_same_key_signed_for_something_else_is_no_statement(tmp_path: Path) -> None:
    sample = signed(tmp_path, "key")
    other = Bundle(sample.bundle.payload, "text/plain", b"", hint=sample.bundle.hint)
    signature = bytes.fromhex(other.envelope.sign(sample.pen.key.signer).signature)
    text = refusal(sample, bundle=replace(other, signature=signature))
    assert "the bundle holds something else than a statement" in text


def test_another_farms_keys_are_refused(sample: Signed, tmp_path: Path) -> None:
    other = signed(tmp_path / "other", "ca" if sample.bundle.certificate else "key")
    text = refusal(sample, trust=other.trust)
    assert "not trusted here" in text or "no trusted service says when" in text


def test_a_key_under_another_ones_hint_is_refused(tmp_path: Path) -> None:
    sample, other = signed(tmp_path, "key"), signed(tmp_path / "other", "key")
    forged = replace(other.bundle, hint=sample.bundle.hint)
    assert "the bundle's signature is not of what it holds" in refusal(sample, bundle=forged)


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        (Wanted(builder=f"{BUILDER}x"), "it was built by another builder"),
        (Wanted(commit="d" * 40), "it was built of another commit"),
        (Wanted(source="https://github.com/other/pymint"), "it was built of another source"),
        (Wanted(target="aarch64-unknown-linux-gnu"), "it was built of another target"),
        (Wanted(version="3.12"), "it was built of another version"),
        (Wanted(variant="noopt"), "it was built of another variant"),
        (Wanted(predicate="https://cyclonedx.org/bom"), "the bundle attests something else"),
    ],
)
def test_what_is_not_as_it_has_to_be_is_told(sample: Signed, wanted: Wanted, text: str) -> None:
    assert text in refusal(sample, wanted=wanted)


def test_a_builder_that_the_key_or_certificate_is_not_for_is_refused(sample: Signed) -> None:
    def change(said: dict[str, Any]) -> None:
        said["predicate"]["runDetails"]["builder"]["id"] = "https://farm.example/builders/linux-ephemeral/v1"

    assert "who signed may not speak for the builder" in refusal(sample, bundle=resigned(sample, change))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda said: said["predicate"]["buildDefinition"]["externalParameters"].update(x="y"), "other parameters"),
        (lambda said: said["predicate"]["buildDefinition"]["externalParameters"].pop("branch"), "other parameters"),
        (lambda said: said["predicate"]["buildDefinition"].update(buildType="https://x/y"), "a build type"),
        (lambda said: said.update(_type="https://in-toto.io/Statement/v0.1"), "of another kind"),
        (lambda said: said.update(subject=[]), "of nothing"),
    ],
)
def test_a_statement_that_is_not_understood_is_refused(
    sample: Signed, change: Callable[[dict[str, Any]], object], text: str
) -> None:
    assert text in refusal(sample, bundle=resigned(sample, change))


def test_a_rehearsal_counts_only_for_who_asks_for_one(tmp_path: Path) -> None:
    names = replace(NAMES, builder=f"{BUILDER}/dry-run")
    sample = signed(tmp_path, "key", names, dry_run=True)
    assert "not trusted here" in refusal(sample)
    known = Trust((known_key("dry-run", sample.pen.key.spki),))
    assert "it was signed in a dry run" in refusal(sample, trust=known)
    assert verify(NAME, sha(CONTENT), sample.bundle, known, Wanted(builder=names.builder)).builder == names.builder


def test_a_key_speaks_only_for_its_time(tmp_path: Path) -> None:
    sample = signed(tmp_path, "key")
    (known,) = sample.trust.keys
    for changed in (replace(known, notBefore="2026-12-01T00:00:00Z"), replace(known, notAfter="2026-11-02T00:00:00Z")):
        assert "was not in use when this was built" in refusal(sample, trust=Trust((changed,)))


def test_a_key_speaks_from_its_first_second_to_its_last(tmp_path: Path) -> None:
    sample = signed(tmp_path, "key")
    (known,) = sample.trust.keys
    built = json.loads(sample.bundle.payload)["predicate"]["runDetails"]["metadata"]["finishedOn"]
    for only in (replace(known, notBefore=built), replace(known, notAfter=built)):
        assert verify(NAME, sha(CONTENT), sample.bundle, Trust((only,)), Wanted()).signed_by == "farm"


def test_a_key_that_may_speak_for_nobody_speaks_for_nobody(tmp_path: Path) -> None:
    sample = signed(tmp_path, "key")
    (known,) = sample.trust.keys
    text = refusal(sample, trust=Trust((replace(known, builderIds=[]),)))
    assert "who signed may not speak for the builder" in text


def test_a_certificate_needs_a_timestamp_of_its_half_hour(tmp_path: Path) -> None:
    sample = signed(tmp_path, "ca")
    assert "no trusted service" in refusal(sample, bundle=replace(sample.bundle, timestamps=()))
    service = sample.pen.service
    assert isinstance(service, Authority)
    for late in (timedelta(minutes=40), timedelta(minutes=-40)):
        time = timestamps.issue(service, sample.bundle.signature, NOW + late)
        text = refusal(sample, bundle=replace(sample.bundle, timestamps=(time,)))
        assert "was not valid then" in text
    other = timestamps.issue(service, b"another signature", NOW)
    assert "no trusted service" in refusal(sample, bundle=replace(sample.bundle, timestamps=(other,)))


def test_a_timestamp_with_a_flipped_bit_is_none(tmp_path: Path) -> None:
    """But for the few bits that say nothing, such as the text of a granted status."""
    sample = signed(tmp_path, "ca")
    (whole,) = sample.bundle.timestamps
    (chain,) = sample.trust.services
    for place in range(0, len(whole), max(1, len(whole) // 60)):
        bits = bytearray(whole)
        bits[place] ^= 1 << (place % 8)
        assert timestamps.time_of(bytes(bits), sample.bundle.signature, chain) in (None, NOW)


def test_a_certificate_of_an_authority_by_the_same_name_is_refused(tmp_path: Path) -> None:
    sample, other = signed(tmp_path, "ca"), signed(tmp_path / "other", "ca")
    mixed = Trust(authorities=other.trust.authorities, services=sample.trust.services)
    assert "of no trusted authority" in refusal(sample, trust=mixed)


def test_a_timestamping_certificate_signs_no_builds(tmp_path: Path) -> None:
    sample = signed(tmp_path, "ca")
    own, root = load_pem_x509_certificates((sample.home.keys / "farm-tsa.crt").read_bytes())
    forged = replace(sample.bundle, certificate=own)
    trust = replace(sample.trust, authorities=(*sample.trust.authorities, (root,)))
    assert "of no trusted authority" in refusal(sample, bundle=forged, trust=trust)


def test_a_certificate_for_something_else_than_signing_code_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = signed(tmp_path, "ca")
    usage = SimpleNamespace(CODE_SIGNING=ExtendedKeyUsageOID.CLIENT_AUTH)
    monkeypatch.setattr(certificates, "ExtendedKeyUsageOID", usage)
    forged = sample.pen.sign(sample.bundle.payload, NAMES, COMMIT, NOW).bundle
    assert "of no trusted authority" in refusal(sample, bundle=forged)


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"[]", b'{"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json"}', b"\xff", b"[" * 100_000],
)
def test_what_is_no_bundle_is_told(data: bytes) -> None:
    with pytest.raises(Failure, match="it is not a bundle that can be read"):
        bundles.decode(data, "it")


def test_two_signatures_and_both_kinds_of_key_or_none_are_no_bundle(sample: Signed, tmp_path: Path) -> None:
    document = json.loads(bundles.encode(sample.bundle))
    twice = json.loads(bundles.encode(sample.bundle))
    twice["dsseEnvelope"]["signatures"] *= 2
    document["verificationMaterial"].pop("certificate" if sample.bundle.certificate else "publicKey")
    both = json.loads(bundles.encode(signed(tmp_path / "certified", "ca").bundle))
    both["verificationMaterial"]["publicKey"] = {"hint": "a key"}
    for changed in (document, twice, both):
        with pytest.raises(Failure, match="is not a bundle"):
            bundles.decode(json.dumps(changed).encode(), "it")


def test_another_kind_of_bundle_and_base64_with_more_in_it_are_refused(sample: Signed) -> None:
    document = json.loads(bundles.encode(sample.bundle))
    older = {**document, "mediaType": "application/vnd.dev.sigstore.bundle+json;version=0.2"}
    envelope = document["dsseEnvelope"]
    more = {**document, "dsseEnvelope": {**envelope, "payload": f"!{envelope['payload']}"}}
    for changed in (older, more):
        with pytest.raises(Failure, match="is not a bundle"):
            bundles.decode(json.dumps(changed).encode(), "it")


@pytest.mark.skipif(
    not (shutil.which("jq") and shutil.which("openssl")), reason="needs jq and openssl (Debian packages of those names)"
)
def test_the_documents_own_commands_verify_with_nothing_but_openssl(tmp_path: Path) -> None:
    sample = signed(tmp_path / "home", "key")
    text = (ROOT / "docs" / "provenance.md").read_text().partition("**With nothing but `openssl`**")[2]
    script = text.partition("```sh\n")[2].partition("```")[0].replace("ARCHIVE", NAME)
    assert "openssl dgst" in script
    (tmp_path / NAME).write_bytes(CONTENT)
    (tmp_path / "farm.pub").write_bytes((sample.home.keys / "farm.pub").read_bytes())

    def run() -> tuple[int, str]:
        done = subprocess.run(["sh", "-ec", script], cwd=tmp_path, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout

    (tmp_path / f"{NAME}.sigstore.json").write_bytes(bundles.encode(sample.bundle))
    assert run() == (0, f"Verified OK\n{NAME}: OK\n")
    (tmp_path / NAME).write_bytes(CONTENT + b"?")
    assert run()[0] == 1
    changed = replace(sample.bundle, payload=sample.bundle.payload.replace(b"local", b"other"))
    (tmp_path / f"{NAME}.sigstore.json").write_bytes(bundles.encode(changed))
    assert "Verified OK" not in run()[1]


def test_the_derived_archives_are_attested_with_what_they_were_made_of() -> None:
    said = statement.of_derived(evidence(), NAMES)
    assert said is not None
    needed = {one["name"]: one for one in said["predicate"]["buildDefinition"]["resolvedDependencies"]}
    assert needed[f"archive/{NAME}"]["digest"]["sha256"] == sha(CONTENT)
    assert needed["toolchain/llvm-objcopy"]["digest"]["sha256"] == "f" * 64
    assert [one["annotations"]["tarSha256"] for one in said["subject"]] == ["8" * 64]
