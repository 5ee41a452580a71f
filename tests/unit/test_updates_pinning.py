"""A new pin in the text of sources.toml, and the branch that it stands on."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from master.updates.branches import Bumps, branch_of
from master.updates.candidates import in_turn, message, stands, touched
from tests.unit.sources_server import sha
from tests.unit.upstream import pins_toml
from workers.errors import Failure
from workers.model import DATA, load_matrix
from workers.reports.base import encode
from workers.sources.pins import Distro, Wheel, parse_pins
from workers.updates.advisories import AdvisoriesReport, Advisory, Affected, Feed, Range
from workers.updates.model import Offer, Standing, Taken
from workers.updates.rewriting import with_pin
from workers.updates.rules import Rule, load_rules
from workers.updates.signatures import Verdict

TEXT = (DATA / "sources.toml").read_text()
PINS, RULES = parse_pins(TEXT), load_rules()
OLD, NEW = b"old", b"new"


def taken(source: str, version: str, **more: object) -> Taken:
    before = PINS[source][0] if source in PINS else None
    said = {
        "source": source, "version": version, "before": before.version if before else "2.0", "sha256": sha(NEW),
        "size": 3, "released": "2026-11-01", "origin": "up.example", "verdicts": [Verdict("none", "none", "unsigned")],
        "urls": (f"https://up.example/{source}-{version}.tar.gz",), **more,
    }  # fmt: skip
    return Taken(**said)  # type: ignore[arg-type]


def added(new: str) -> list[str]:
    """The lines of the one block that is new; fails when anything else is another."""
    spare = len(new) - len(TEXT)
    starts = [found.start() for found in re.finditer(r"^(?=\[\[|#)", new, re.MULTILINE)]
    at = next(one for one in starts if new[:one] + new[one + spare :] == TEXT)
    return new[at : at + spare].splitlines()


def test_of_the_text_nothing_is_changed_and_only_the_new_release_is_new() -> None:
    new = with_pin(TEXT, taken("zlib", "1.3.9"), RULES["zlib"])
    assert added(new) == [
        "[[zlib.pins]]", 'version = "1.3.9"', 'urls = ["https://up.example/zlib-1.3.9.tar.gz"]',
        f'sha256 = "{sha(NEW)}"', "size = 3", 'released = "2026-11-01"', "",
    ]  # fmt: skip
    assert [pin.version for pin in parse_pins(new)["zlib"]] == ["1.3.9", "1.3.2", "1.3.1", "1.2.13"]
    assert parse_pins(new)["zlib"][0].cpe == "cpe:2.3:a:zlib:zlib:1.3.9:*:*:*:*:*:*:*"


@pytest.mark.parametrize("source", list(PINS))
def test_every_source_of_the_farm_can_get_a_new_pin(source: str) -> None:
    new = with_pin(TEXT, taken(source, "999.1"), Rule())
    assert parse_pins(new)[source][0].version == "999.1"


def test_a_source_whose_name_needs_quotes_gets_its_pin() -> None:
    assert '[["cpython-3.13".pins]]' in added(with_pin(TEXT, taken("cpython-3.13", "3.13.99"), RULES["cpython-3.13"]))


def test_a_comment_stays_with_the_release_that_it_is_about() -> None:
    new = with_pin(TEXT, taken("zstd", "1.5.9"), RULES["zstd"])
    about = new.index("# Upstream's bytes here are those that CPython's own Windows build uses.")
    assert new.index('version = "1.5.9"') < about < new.index('version = "1.5.7"')


def test_what_a_release_says_of_itself_moves_on_with_its_version() -> None:
    lines = added(with_pin(TEXT, taken("expat", "2.9.0"), RULES["expat"]))
    assert 'purl = "pkg:github/libexpat/libexpat@R_2_9_0"' in lines
    wheel = Wheel("pip==27.0", "any", "pip-27.0-py3-none-any.whl")
    new = with_pin(
        TEXT, taken("pip", "27.0", urls=(), pypi=wheel, licence_files=("pip-27.0.dist-info/licenses/LICENSE.txt",)),
        RULES["pip"],
    )  # fmt: skip
    assert 'licence_files = ["pip-27.0.dist-info/licenses/LICENSE.txt"]' in added(new)


def test_the_distributions_file_alone_or_beside_upstreams() -> None:
    distro = Distro("zlib", "1:1.3.9+dfsg-1", "unstable", "zlib_1.3.9+dfsg.orig.tar.gz", "c" * 64, 99)
    both = parse_pins(with_pin(TEXT, taken("zlib", "1.3.9", distro=distro), RULES["zlib"]))["zlib"][0]
    assert both.distro == distro
    assert [file.repacked for file in both.files] == [False, True]
    own = Distro("zlib", "1:1.3.9-1", "unstable", "zlib_1.3.9.orig.tar.gz")
    alone = parse_pins(with_pin(TEXT, taken("zlib", "1.3.9", urls=(), distro=own), RULES["zlib"]))["zlib"][0]
    assert (alone.distro, alone.urls) == (own, ())


def test_a_pin_that_somebody_else_has_changed_meanwhile_is_not_written() -> None:
    with pytest.raises(Failure, match=r"can't be written into sources\.toml"):
        with_pin(TEXT, taken("zlib", "1.3.9", before="1.3.1"), RULES["zlib"])


@pytest.mark.parametrize("version", ["1.3 && rm", "1..3", "1.3.lock", "1~rc1", "../../main"])
def test_a_branch_has_a_name_that_git_and_buildbot_take(version: str) -> None:
    with pytest.raises(Failure, match="can't have a branch"):
        branch_of("zlib", version)


@pytest.fixture
def bumps(tmp_path: Path) -> Bumps:
    """A repository with a `main`, its mirror, and a commit in it."""
    origin, mirror = tmp_path / "origin", tmp_path / "mirror.git"
    run = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", "init", "--quiet", "--initial-branch=main", str(origin)], check=True)
    (origin / "cpython-unix").mkdir()
    (origin / "cpython-unix" / "sources.toml").write_text(
        pins_toml("zlib", "2.0", "https://up.example/zlib-2.0.tar.gz", OLD)
    )
    (origin / "README").write_text("stays\n")
    subprocess.run([*run, "add", "-A"], cwd=origin, check=True)
    subprocess.run([*run, "commit", "--quiet", "-m", "first"], cwd=origin, check=True)
    subprocess.run(["git", "clone", "--quiet", "--mirror", str(origin), str(mirror)], check=True)
    return Bumps(mirror, str(origin), "pins of <pins@example.org>")


PATH = "cpython-unix/sources.toml"


def bumped(bumps: Bumps, text: str) -> str:
    main = bumps.head("main")
    assert main is not None
    return bumps.commit(main, PATH, text, "Pin zlib 2.1\n\nfor a test\n")


def test_a_branch_has_one_commit_that_changes_one_file(bumps: Bumps) -> None:
    commit = bumped(bumps, "changed\n")
    bumps.push(commit, "bump/zlib-2.1", None)
    origin = Path(bumps.push_to)

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=origin, capture_output=True, text=True, check=True).stdout.strip()

    assert git("rev-parse", "bump/zlib-2.1") == commit
    assert git("rev-parse", "bump/zlib-2.1^") == git("rev-parse", "main")
    assert git("diff", "--name-status", "main", "bump/zlib-2.1") == f"M\t{PATH}"
    assert git("show", "-s", "--format=%an <%ae>|%s", commit) == "pins of <pins@example.org>|Pin zlib 2.1"
    assert bumps.author_of(commit) == bumps.author
    assert bumps.text(commit, PATH) == "changed\n"
    assert bumps.text(commit, "no/such") is None


def test_main_is_never_pushed(bumps: Bumps) -> None:
    for branch in ("main", "refs/heads/main", "bump/../main", ""):
        with pytest.raises(Failure, match="is no branch for new pins"):
            bumps.push(bumped(bumps, "changed\n"), branch, None)


def test_a_branch_that_somebody_has_moved_is_left_alone(bumps: Bumps) -> None:
    first = bumped(bumps, "one\n")
    bumps.push(first, "bump/zlib-2.1", None)
    with pytest.raises(Failure, match="`git push` did not work"):
        bumps.push(bumped(bumps, "two\n"), "bump/zlib-2.1", None)
    bumps.push(bumped(bumps, "two\n"), "bump/zlib-2.1", first)


def test_a_branch_stands_as_long_as_mains_pins_do() -> None:
    main = pins_toml("zlib", "2.0", "https://up.example/zlib-2.0.tar.gz", OLD)
    ours = with_pin(main, taken("zlib", "2.1", before="2.0"), Rule())
    assert stands(ours, main, main, "zlib", "2.1", parse_pins)
    assert not stands(ours, main, main, "zlib", "2.2", parse_pins)
    assert not stands(ours, main, f"{main}# more\n", "zlib", "2.1", parse_pins)
    assert not stands(None, main, main, "zlib", "2.1", parse_pins)


def test_a_pin_touches_the_cells_that_are_made_of_it() -> None:
    from master.updates.candidates import sources_of

    matrix = load_matrix()
    cells, of = matrix.cells_of("release"), sources_of("toolchain", slh_dsa=True)
    shared = {"openssl-fips": "openssl"}
    assert len(touched("openssl", cells, of, shared)) == len(cells)
    python = touched("cpython-3.13", cells, of, shared)
    assert python
    assert all("cpython-3.13-" in name for name in python)
    linux = touched("libx11", cells, of, shared)
    assert linux
    assert not [name for name in linux if "darwin" in name]
    assert touched("no-such", cells, of, shared) == []


def standing(source: str, newest: str, hold: str = "") -> Standing:
    pinned = PINS[source][0]
    return Standing(
        source, pinned.version, "", "", [Offer(newest, "upstream", "up", "https://up.example/x")], ["upstream"],
        hold=hold, cpe=pinned.cpe or "", purl=pinned.purl or "",
    )  # fmt: skip


def test_what_mends_a_known_fault_goes_first_and_what_is_held_not_at_all() -> None:
    about = Affected("cpe/openssl/openssl", (Range("3.5.0", "3.5.99"),))
    known = AdvisoriesReport("pymint/advisories/1", 0, [Feed("f", 1, 5)], [Advisory("CVE-2026-1", affected=(about,))])
    found = [standing("zlib", "1.3.9"), standing("openssl", "3.5.99"), standing("bdb", "6.1", hold="its licence")]
    assert [one.source for one in in_turn(found, known)] == ["openssl", "zlib"]


def test_where_nothing_is_known_cpython_and_openssl_go_first() -> None:
    found = [standing(name, "99") for name in ("zlib", "openssl", "pip", "cpython-3.13")]
    assert [one.source for one in in_turn(found, None)] == ["openssl", "cpython-3.13", "zlib", "pip"]


def test_the_message_says_who_vouches_and_that_nothing_is_known() -> None:
    told = message(taken("zlib", "1.3.9"), [], known=False)
    assert told.splitlines()[0] == "Pin zlib 1.3.9"
    assert "- unsigned" in told
    assert "Which CVEs it mends is unknown" in told
    assert "unknown" not in message(taken("zlib", "1.3.9"), [], known=True)
    assert encode(taken("zlib", "1.3.9"))
