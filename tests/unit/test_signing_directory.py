"""A published directory: SHA256SUMS and bundles together, by `./mint verify`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from master.cli.verify import verify
from master.signing import directory
from master.signing.bundle import encode
from tests.unit.signing_samples import CONTENT, NAME, Signed, sha, signed
from workers.errors import Failure


@pytest.fixture
def place(tmp_path: Path) -> Path:
    found = tmp_path / "release"
    found.mkdir()
    (found / NAME).write_bytes(CONTENT)
    (found / "notes.html").write_bytes(b"notes")
    (found / "SHA256SUMS").write_text(f"{sha(CONTENT)}  {NAME}\n{sha(b'notes')}  notes.html\n")
    return found


@pytest.fixture
def sample(tmp_path: Path, place: Path) -> Signed:
    made = signed(tmp_path / "home", "key")
    (place / f"{NAME}.sigstore.json").write_bytes(encode(made.bundle))
    return made


def ran(place: Path, sample: Signed, *arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(verify, [str(place), "--keys", str(sample.home.keys / "keys.json"), *arguments])
    return done.exit_code, str(done.exception) if isinstance(done.exception, Failure) else done.output


def test_a_whole_directory_is_verified(place: Path, sample: Signed) -> None:
    code, said = ran(place, sample)
    assert code == 0, said
    assert f"{NAME}: verified" in said
    assert "notes.html: as listed" in said
    assert "SHA256SUMS is not signed" in said, "anybody may have listed the notes"
    code, said = ran(place, sample, "--json")
    assert f'"sha256": "{sha(CONTENT)}"' in said


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda p: (p / NAME).write_bytes(CONTENT + b"?"), f"{NAME} is not what SHA256SUMS lists"),
        (lambda p: (p / "notes.html").write_bytes(b"other"), "notes.html is not what SHA256SUMS lists"),
        (lambda p: (p / "notes.html").unlink(), "SHA256SUMS lists what is not here"),
        (lambda p: (p / "more.tar.gz").write_bytes(b""), "SHA256SUMS does not list every archive"),
        (lambda p: (p / f"{NAME}.sigstore.json").unlink(), f"{NAME} can't be judged"),
        (lambda p: (p / f"{NAME}.sigstore.json").write_bytes(b"{}"), "is not a bundle that can be read"),
        (lambda p: (p / "SHA256SUMS").write_text(f"{'0' * 64}  ../x\n"), "SHA256SUMS: line 1 can't be used"),
        (lambda p: (p / "SHA256SUMS").write_text("nothing\n"), "SHA256SUMS: line 1 can't be used"),
        (lambda p: (p / "SHA256SUMS").write_bytes(b"\xff\n"), "SHA256SUMS: line 1 can't be used"),
        (lambda p: (p / "SHA256SUMS").unlink(), "can't be read"),
    ],
)
def test_the_first_thing_that_is_wrong_is_told(
    place: Path, sample: Signed, change: Callable[[Path], object], text: str
) -> None:
    change(place)
    code, said = ran(place, sample)
    assert code == 1
    assert text in said


def test_sums_are_read_as_they_are_written() -> None:
    assert directory.read_sums(f"{'a' * 64}  x\n{'b' * 64} *y z\n") == {"x": "a" * 64, "y z": "b" * 64}


def test_without_anybody_to_trust_nothing_is_judged(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINT_HOME", str(tmp_path / "no-farm"))
    done = CliRunner().invoke(verify, [str(place)])
    assert done.exit_code == 2
    assert "whom to trust?" in done.output
