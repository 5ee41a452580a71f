"""A published directory: SHA256SUMS and bundles together, by `./mint verify`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from master.cli.verify import verify
from master.signing import directory, statement
from master.signing.bundle import encode
from master.signing.release import of_release
from master.signing.statement import RELEASE
from master.store import digest_of
from tests.unit.signing_samples import BUILDER, COMMIT, CONTENT, NAME, NAMES, NOW, SOURCE, Signed, sha, signed
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


def ran(place: Path, sample: Signed, *arguments: str, unsigned_sums: bool = True) -> tuple[int, str]:
    keys = ["--keys", str(sample.home.keys / "keys.json")]
    unsigned = ["--unsigned-sums"] if unsigned_sums and place.is_dir() else []
    done = CliRunner().invoke(verify, [str(place), *keys, *unsigned, *arguments])
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
        (lambda p: (p / "SHA256SUMS").write_text((p / "SHA256SUMS").read_text() * 2), "SHA256SUMS: line 3 can't be"),
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


def sums_signed(place: Path, sample: Signed, kind: str = RELEASE) -> None:
    """Signs SHA256SUMS as it is now, with the farm's key."""
    said = {**of_release("https://github.com/o/r", "20261125", digest_of(place / "SHA256SUMS")[0], {}),
            "predicateType": kind}  # fmt: skip
    made = sample.pen.sign(statement.payload(said), NAMES, COMMIT, NOW).bundle
    (place / "SHA256SUMS.sigstore.json").write_bytes(encode(made))


def test_the_sums_of_a_release_are_what_was_signed(place: Path, sample: Signed) -> None:
    sums_signed(place, sample)
    code, said = ran(place, sample, unsigned_sums=False)
    assert (code, "SHA256SUMS: verified" in said) == (0, True), said
    (place / "more.txt").write_bytes(b"more")
    with (place / "SHA256SUMS").open("a") as stream:
        stream.write(f"{sha(b'more')}  more.txt\n")
    code, said = ran(place, sample)
    assert code == 1
    assert "SHA256SUMS is not what the bundle attests" in said


def test_a_release_whose_bundle_was_taken_away_is_refused_unless_asked_otherwise(place: Path, sample: Signed) -> None:
    sums_signed(place, sample)
    (place / "SHA256SUMS.sigstore.json").unlink()
    code, said = ran(place, sample, unsigned_sums=False)
    assert (code, "SHA256SUMS is not signed" in said, "--unsigned-sums" in said) == (1, True, True), said
    assert ran(place, sample)[0] == 0


def test_that_sums_may_be_unsigned_is_said_of_a_directory_only(place: Path, sample: Signed) -> None:
    assert ran(place / NAME, sample, "--unsigned-sums")[0] == 2


def test_the_sums_have_a_bundle_of_a_release_and_of_nothing_else(place: Path, sample: Signed) -> None:
    sums_signed(place, sample, "https://cyclonedx.org/bom")
    code, said = ran(place, sample)
    assert code == 1
    assert "SHA256SUMS: the bundle attests something else" in said


RIGHT = {
    "--builder": BUILDER, "--commit": COMMIT, "--source": SOURCE, "--target": "x86_64-unknown-linux-gnu",
    "--python": "3.13", "--variant": "pgo+lto",
}  # fmt: skip


@pytest.mark.parametrize("option", sorted(RIGHT))
def test_what_is_asked_for_has_to_be_so(place: Path, sample: Signed, option: str) -> None:
    for archive in (place, place / NAME):
        assert ran(archive, sample, *(word for pair in RIGHT.items() for word in pair))[0] == 0
        code, said = ran(archive, sample, option, "another")
        assert code == 1
        assert "it was built " in said
        assert "another" in said


def test_who_is_trusted_is_who_was_named(place: Path, sample: Signed, tmp_path: Path) -> None:
    (place / "SHA256SUMS").unlink()
    archive = place / NAME
    stranger, certified = signed(tmp_path / "stranger", "key"), signed(tmp_path / "certified", "ca")

    def by(option: str, file: Path) -> tuple[int, str]:
        done = CliRunner().invoke(verify, [str(archive), option, str(file)])
        return done.exit_code, str(done.exception) if isinstance(done.exception, Failure) else done.output

    for option, file in (("--key", "farm.pub"), ("--keys", "keys.json")):
        assert by(option, sample.home.keys / file)[0] == 0
        code, said = by(option, stranger.home.keys / file)
        assert (code, "signed with a key that is not trusted here" in said) == (1, True), said
    code, said = by("--trusted-root", certified.home.keys / "trusted_root.jsonl")
    assert (code, "signed with a key that is not trusted here" in said) == (1, True), said
    (place / f"{NAME}.sigstore.json").write_bytes(encode(certified.bundle))
    assert by("--trusted-root", certified.home.keys / "trusted_root.jsonl")[0] == 0
    code, said = by("--key", sample.home.keys / "farm.pub")
    assert (code, "no trusted service says when" in said) == (1, True), said


def test_sums_are_read_as_they_are_written() -> None:
    assert directory.read_sums(f"{'a' * 64}  x\n{'b' * 64} *y z\n") == {"x": "a" * 64, "y z": "b" * 64}


def test_without_anybody_to_trust_nothing_is_judged(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINT_HOME", str(tmp_path / "no-farm"))
    done = CliRunner().invoke(verify, [str(place)])
    assert done.exit_code == 2
    assert "whom to trust?" in done.output
