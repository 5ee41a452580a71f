"""Real Sigstore bundles: the right one is believed, and nothing that differs from it by a leaf is."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from workers.updates.in_force import out_of_force
from workers.updates.rules import Sigstore
from workers.updates.signatures import Verdict, sigstore

SAMPLES = Path(__file__).parent / "sigstore_samples"
GITHUB = "https://github.com/login/oauth"
# Signed at Sigstore's staging instance, whose root the library carries beside the public one: with a log of the first
# kind, and of the second, which has timestamps beside it.
SIGNERS = {"log-v1": Sigstore("william@yossarian.net", GITHUB), "log-v2": Sigstore("jku@goto.fi", GITHUB)}
STAGING, PUBLIC = (
    Path(str(files("sigstore") / "_store" / f"https%3A%2F%2Ftuf-repo-cdn.{name}.dev" / "trusted_root.json"))
    for name in ("sigstage", "sigstore")
)
Place = tuple[str | int, ...]


def sample(name: str) -> Any:
    return json.loads((SAMPLES / f"{name}.txt.sigstore").read_text())


def judged(
    name: str,
    bundle: Any = None,
    *,
    file: Path | None = None,
    rule: Sigstore | None = None,
    root: Path | None = STAGING,
) -> Verdict:
    """The verdict over a sample, but for what is given."""
    content = sample(name) if bundle is None else bundle
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return sigstore(file or SAMPLES / f"{name}.txt", text, rule or SIGNERS[name], root)


def entry(bundle: Any) -> Any:
    return bundle["verificationMaterial"]["tlogEntries"][0]


def changed(name: str, change: Callable[[Any], object]) -> Any:
    bundle = sample(name)
    change(bundle)
    return bundle


def leaves(value: Any, at: Place = ()) -> Iterator[Place]:
    if isinstance(value, dict | list):
        for key, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(one, (*at, key))
    else:
        yield at


def another(text: str) -> str:
    """A text of the same kind: a number one higher, base64 with one bit turned in its middle, else another letter."""
    if text.isdigit():
        return str(int(text) + 1)
    try:
        raw = bytearray(base64.b64decode(text, validate=True))
        raw[len(raw) // 2] ^= 1
        return base64.b64encode(raw).decode()
    except ValueError:
        return text[:-1] + ("A" if text[-1] != "A" else "B")


def with_leaf(name: str, at: Place, new: Callable[[Any], Any]) -> Any:
    bundle = sample(name)
    inner = bundle
    for key in at[:-1]:
        inner = inner[key]
    inner[at[-1]] = new(inner[at[-1]])
    return bundle


def always(value: Any) -> Callable[[Any], Any]:
    return lambda _: value


# In the second kind of log an entry's number stands once more outside of its proof, where it says nothing.
IDLE = ("log-v2", ("verificationMaterial", "tlogEntries", 0, "logIndex"))
LEAVES = [one for name in SIGNERS for at in leaves(sample(name)) if (one := (name, at)) != IDLE]
each_sample = pytest.mark.parametrize("name", SIGNERS)
each_leaf = pytest.mark.parametrize(
    ("name", "at"), LEAVES, ids=[f"{name}:{'.'.join(str(one) for one in at)}" for name, at in LEAVES]
)


@each_sample
def test_the_right_file_identity_and_issuer_are_believed_and_named(name: str) -> None:
    found = judged(name)
    assert found.state == "good"
    assert found.said == f"Sigstore: signed by {SIGNERS[name].identity}, as {GITHUB} vouches"


@each_sample
@pytest.mark.parametrize(
    "change",
    [{"identity": "thomas@python.org"}, {"issuer": "https://accounts.google.com"}, {"identity": "*"},
     {"identity": ""}, {"identity": "o.fi"}, {"issuer": f"{GITHUB}/"}],
    ids=str,
)  # fmt: skip
def test_another_identity_or_issuer_is_refused(name: str, change: dict[str, str]) -> None:
    rule = replace(SIGNERS[name], **change)
    found = judged(name, rule=rule)
    assert found.state == "bad"
    assert f"Sigstore refuses it for {rule.identity} by {rule.issuer}" in found.said


@each_sample
@pytest.mark.parametrize("at", [0, 54, -1])
def test_one_other_byte_of_the_file_is_refused(name: str, at: int, tmp_path: Path) -> None:
    content = bytearray((SAMPLES / f"{name}.txt").read_bytes())
    content[at] ^= 1
    (tmp_path / "changed").write_bytes(content)
    assert judged(name, file=tmp_path / "changed").state == "bad"


@each_leaf
def test_a_bundle_that_differs_in_one_place_is_refused(name: str, at: Place) -> None:
    assert judged(name, with_leaf(name, at, another)).state == "bad"


@each_leaf
def test_a_bundle_of_another_shape_is_refused_and_ends_nothing_else(name: str, at: Place) -> None:
    wrong: list[Any] = ["", "?", 7, None, [], {}]
    for one in wrong:
        assert judged(name, with_leaf(name, at, always(one))).state == "bad", one


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b"null", b"\xff\xfe", b"<html>not found</html>", b"[" * 100_000])
def test_what_is_no_bundle_is_refused(text: bytes) -> None:
    assert judged("log-v1", text).state == "bad"


@each_sample
@pytest.mark.parametrize(
    "change",
    [
        lambda bundle: entry(bundle).pop("inclusionProof"),
        lambda bundle: entry(bundle)["inclusionProof"].pop("checkpoint"),
        lambda bundle: entry(bundle)["inclusionProof"]["hashes"].clear(),
        lambda bundle: bundle["verificationMaterial"].pop("tlogEntries"),
        lambda bundle: bundle["verificationMaterial"].pop("timestampVerificationData", entry(bundle).clear()),
    ],
    ids=["proof", "checkpoint", "hashes", "entry", "time"],
)
def test_a_bundle_without_proof_that_the_log_has_it_is_refused(name: str, change: Callable[[Any], object]) -> None:
    assert judged(name, changed(name, change)).state == "bad"


@each_sample
def test_a_certificate_of_another_root_is_refused(name: str) -> None:
    assert judged(name, root=None).state == "bad"


def with_periods(part: str, start: str, end: str) -> str:
    """The text of the staging root with other periods for its authorities or logs."""
    root = json.loads(STAGING.read_text())
    for one in root[part]:
        one.get("publicKey", one)["validFor"] = {"start": start, "end": end}
    return json.dumps(root)


@each_sample
@pytest.mark.parametrize("part", ["certificateAuthorities", "tlogs", "ctlogs"])
def test_a_key_that_had_ended_or_not_begun_vouches_for_nothing(name: str, part: str, tmp_path: Path) -> None:
    root = tmp_path / "root.json"
    root.write_text(with_periods(part, "2020-01-01T00:00:00Z", "2026-01-01T00:00:00Z"))
    assert judged(name, root=root).state == "good"
    root.write_text(with_periods(part, "2020-01-01T00:00:00Z", "2024-04-01T00:00:00Z"))
    found = judged(name, root=root)
    assert found.state == "bad"
    assert "whose key was in force on 202" in found.said
    root.write_text(with_periods(part, "2026-01-01T00:00:00Z", "2030-04-01T00:00:00Z"))
    assert judged(name, root=root).state == "bad"


@pytest.mark.parametrize("text", [None, "{", "{}"])
def test_an_unreadable_root_is_no_reason_to_believe(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "root.json").write_text(text)
    assert judged("log-v1", root=tmp_path / "root.json").state != "good"


def test_python_orgs_own_bundle_of_before_the_checkpoints_is_refused_for_that_alone() -> None:
    bundle = (SAMPLES / "Python-3.12.5.tgz.sigstore").read_bytes()
    found = judged("log-v1", bundle, rule=Sigstore("thomas@python.org", "https://accounts.google.com"), root=None)
    assert found.state == "bad"
    assert "entry must contain inclusion proof, with checkpoint" in found.said


def python_orgs() -> tuple[x509.Certificate, str]:
    """The certificate of python.org's bundle, and the id of its log's key."""
    material = json.loads((SAMPLES / "Python-3.12.5.tgz.sigstore").read_text())["verificationMaterial"]
    raw = material["x509CertificateChain"]["certificates"][0]["rawBytes"]
    return x509.load_der_x509_certificate(base64.b64decode(raw)), material["tlogEntries"][0]["logId"]["keyId"]


def test_the_public_roots_keys_were_in_force_when_python_org_signed() -> None:
    assert out_of_force(json.loads(PUBLIC.read_text()), *python_orgs()) == ""
    assert out_of_force(json.loads(STAGING.read_text()), *python_orgs()) != ""


def test_an_authority_in_force_does_not_stand_in_for_the_one_that_issued() -> None:
    root = json.loads(PUBLIC.read_text())
    former, present = root["certificateAuthorities"]
    former["validFor"], present["validFor"] = {"start": "2021-03-07T03:20:29Z"}, former["validFor"]
    assert "no authority for it whose key was in force on 2024-08-06" in out_of_force(root, *python_orgs())
