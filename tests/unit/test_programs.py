"""What the workers' programs share: an error that is told, and room that is made without taking it from anybody."""

from __future__ import annotations

import errno
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from workers.fips.prove import _fresh
from workers.programs.common import Places, failing_plainly, places
from workers.programs.prune import command as prune
from workers.room import in_use, is_in_use


@click.command()
@places
@failing_plainly
def program(places: Places) -> None:
    click.echo(f"works in {places.run}")


def started(where: Path) -> Result:
    return CliRunner().invoke(program, ["--run", f"{where}/run", "--state", f"{where}/state", "--cache", f"{where}/c"])


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_takes_no_directory_any_more_is_told_as_the_machines_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def full(self: Path, **kwargs: object) -> None:
        raise OSError(number, "full", str(self))

    monkeypatch.setattr(Path, "mkdir", full)
    ended = started(tmp_path)
    assert (ended.exit_code, ended.exception.__class__) == (1, SystemExit)
    assert ended.output.startswith("disk: no space left while writing ")  # the word by which the master gives it back


def test_a_place_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    ended = started(tmp_path)
    assert (ended.exit_code, ended.exception.__class__) == (1, SystemExit)
    assert f"{tmp_path}/state can't be made" in ended.output
    assert "works in" not in ended.output


def test_prune_takes_what_killed_programs_left_and_nothing_that_one_works_in(tmp_path: Path) -> None:
    scratch = tmp_path / "tmp"
    (scratch / "prove-1" / "half").mkdir(parents=True)
    (scratch / "prove-2").mkdir()
    (scratch / "abc.archive").write_text("a second name, of a program that was killed before it was stored")
    with in_use(scratch / "prove-2"):
        done = CliRunner().invoke(prune, ["--state", str(tmp_path), "--really"], catch_exceptions=False)
        assert done.exit_code == 0
        assert [path.name for path in scratch.iterdir()] == ["prove-2"]
    assert not is_in_use(scratch / "prove-2")
    CliRunner().invoke(prune, ["--state", str(tmp_path), "--really"], catch_exceptions=False)
    assert list(scratch.iterdir()) == []


def test_a_proof_holds_its_place_for_as_long_as_it_works_in_it(tmp_path: Path) -> None:
    with _fresh(tmp_path / "prove-1"):
        assert is_in_use(tmp_path / "prove-1")
    assert not (tmp_path / "prove-1").exists()
