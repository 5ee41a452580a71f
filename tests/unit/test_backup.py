from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from master import instance
from master.backup import checking
from master.backup.restoring import restore
from master.backup.sealing import passphrase_of
from master.cli.backup import restore as command
from master.home import Home
from master.settings import Settings
from master.store import Store
from tests.unit.backup_samples import Sample, sample
from tests.unit.test_master_store import BUILDER
from workers.errors import Failure
from workers.model import ROOT

PASSPHRASE = b"correct horse battery"


@pytest.fixture
def farm(tmp_path: Path) -> Sample:
    return sample(tmp_path)


def back(farm: Sample, place: str = "again", **options: object) -> Home:
    home = Home(farm.home.root.with_name(place), ROOT)
    restore(home, farm.backups, lambda line: None, **options)  # type: ignore[arg-type]
    return home


def test_what_was_backed_up_comes_back_byte_for_byte(farm: Sample) -> None:
    second = farm.build(b"second")
    assert farm.backup().damaged == []
    home = back(farm)
    store = Store(home.root / "store")
    records = list(store.records())
    assert records == list(farm.store.records())
    assert second in records
    for one in records:
        for stored in store.files(one):
            assert store.checked(stored).read_bytes() == farm.store.checked(stored).read_bytes()
            assert store.checked(stored).stat().st_mode & 0o777 == 0o444
    with closing(sqlite3.connect(home.database)) as connection:
        assert connection.execute("SELECT count(*) FROM builds").fetchone() == (2,)
        assert connection.execute("SELECT DISTINCT last_active FROM masters").fetchall() == [(0,)]
    assert home.settings_file.read_text() == "[web]\nport = 1\n"
    assert home.journal.read_bytes() == b'{"number": 1}\n', "the line that was being written is left out"
    assert (home.keys / "farm.pub").read_text() == "public"
    assert not (home.keys / "farm.pem").exists()


def test_a_second_backup_copies_only_what_is_new(farm: Sample) -> None:
    first = farm.backup()
    assert first.new_files == first.files
    farm.build(b"second")
    second = farm.backup()
    assert second.files == first.files + 5  # record, attestation, archive, report, bundle
    assert second.new_files == 6, "and the database"
    assert farm.backup().new_files == 0


def test_hard_links_take_no_room(farm: Sample) -> None:
    made = farm.backup(link=True)
    assert made.damaged == []
    (one,) = farm.store.records()
    assert farm.backups.path_of(one.archive.sha256).samefile(farm.store.path_of(one.archive.sha256))
    assert checking.problems(farm.backups, farm.backups.read()[1]) == []


@pytest.mark.parametrize("link", [False, True])
def test_a_damaged_archive_is_named_and_the_rest_is_kept(farm: Sample, link: bool) -> None:
    second = farm.build(b"second")
    path = farm.store.path_of(second.archive.sha256)
    path.chmod(0o644)
    path.write_bytes(b"Second")
    made = farm.backup(link=link)
    assert [line.partition(" (")[0] for line in made.damaged] == ["a2.tar.zst"]
    assert "it is damaged" in made.damaged[0]
    assert checking.problems(farm.backups, farm.backups.read()[1]) == [], "the backup is whole as far as it goes"
    store = Store(back(farm).root / "store")
    assert len(list(store.records())) == 2
    with pytest.raises(Failure, match="not in the store any more"):
        store.checked(second.archive)


def test_bytes_that_another_file_has_too_are_no_reason_to_lose_them(farm: Sample) -> None:
    farm.build(b"second")
    farm.backup()
    *_, before, last = farm.store.records()
    wanted = farm.store.checked(before.archive).read_bytes()
    path = farm.store.path_of(last.archive.sha256)
    path.chmod(0o644)
    path.write_bytes(wanted)
    farm.backups.path_of(last.archive.sha256).unlink()  # so that it is copied anew
    assert [line.partition(" (")[0] for line in farm.backup().damaged] == [last.archive.name]
    assert Store(back(farm).root / "store").checked(before.archive).read_bytes() == wanted


def test_what_an_earlier_backup_has_is_not_lost_when_the_store_rots(farm: Sample) -> None:
    farm.backup()
    (one,) = farm.store.records()
    farm.store.path_of(one.archive.sha256).unlink()
    assert farm.backup().damaged == []
    assert Store(back(farm).root / "store").checked(one.archive).read_bytes() == b"first"


def test_rot_in_a_backup_is_found_and_not_restored(farm: Sample) -> None:
    farm.backup()
    (one,) = farm.store.records()
    path = farm.backups.path_of(one.archive.sha256)
    path.chmod(0o644)
    path.write_bytes(b"First")
    assert [one.archive.sha256 in line for line in checking.problems(farm.backups, farm.backups.read()[1])] == [True]
    with pytest.raises(Failure, match="is damaged in the backup"):
        back(farm)
    half = Home(farm.home.root.with_name("again"), ROOT)
    with pytest.raises(Failure, match="did not come to its end"):
        instance.prepare(half, Settings())
    path.write_bytes(b"first")
    assert Store(back(farm).root / "store").checked(one.archive).read_bytes() == b"first", "it goes on"
    assert not half.restoring.exists()


def test_a_restore_never_writes_over_a_farm(farm: Sample) -> None:
    farm.backup()
    with pytest.raises(Failure, match="is not empty"):
        restore(farm.home, farm.backups, lambda line: None)


def test_secrets_come_back_with_the_passphrase_and_are_nowhere_in_the_clear(farm: Sample) -> None:
    farm.backup(passphrase=PASSPHRASE)
    for path in farm.backups.directory.rglob("*"):
        assert not path.is_file() or b"private" not in path.read_bytes()
    home = back(farm, passphrase=PASSPHRASE)
    assert (home.keys / "farm.pem").read_text() == "private"
    assert (home.keys / "farm.pem").stat().st_mode & 0o777 == 0o600
    with pytest.raises(Failure, match="can't be decrypted"):
        back(farm, "other", passphrase=b"another passphrase")
    assert not (back(farm, "without").keys / "farm.pem").exists()


def test_a_passphrase_brings_no_secrets_that_were_never_kept(farm: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    farm.backup()
    path = farm.home.root.with_name("passphrase")
    path.write_bytes(PASSPHRASE)
    path.chmod(0o600)
    monkeypatch.setenv("MINT_HOME", str(farm.home.root.with_name("again")))
    said = CliRunner().invoke(command, [str(farm.backups.directory), "--passphrase-file", str(path)])
    assert said.exit_code == 0, said.output
    assert "Without private keys" in said.output


def test_secrets_in_folders_come_back_too(farm: Sample) -> None:
    """The workers' authority lies in one, and a name may have parts: secret:farm/smtp."""
    authority = farm.home.protocol_keys / "authority.key"
    authority.parent.mkdir(parents=True)
    authority.write_text("private, too")
    (farm.home.secrets / "farm").mkdir()
    (farm.home.secrets / "farm" / "smtp").write_text("a password")
    farm.backup(passphrase=PASSPHRASE)
    home = back(farm, passphrase=PASSPHRASE)
    assert (home.protocol_keys / "authority.key").read_text() == "private, too"
    assert (home.protocol_keys / "authority.key").stat().st_mode & 0o777 == 0o600
    assert (home.secrets / "farm" / "smtp").read_text() == "a password"


def test_a_passphrase_that_others_can_read_or_guess_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "passphrase"
    path.write_bytes(PASSPHRASE + b"\n")
    path.chmod(0o644)
    with pytest.raises(Failure, match="can be read by others"):
        passphrase_of(path)
    path.chmod(0o600)
    assert passphrase_of(path) == PASSPHRASE
    path.write_bytes(b"short\n")
    with pytest.raises(Failure, match="too short"):
        passphrase_of(path)


def test_old_backups_go_with_what_only_they_had(farm: Sample) -> None:
    farm.backup()
    (old,) = farm.store.records()
    for path in (farm.store.root / "index").rglob("*.json"):
        path.unlink()
    new = farm.build(b"second")
    made = farm.backup(keep=1)
    assert farm.backups.names() == [made.name]
    assert not farm.backups.path_of(old.archive.sha256).exists()
    assert farm.backups.path_of(new.archive.sha256).exists()
    assert checking.problems(farm.backups, farm.backups.read()[1]) == []


def test_no_old_backup_goes_while_one_that_stays_can_not_be_read(farm: Sample) -> None:
    names = [farm.backup().name, farm.backup().name]
    path = farm.backups.manifests / f"{names[1]}.json"
    path.chmod(0o644)
    path.write_text("{")
    with pytest.raises(Failure):
        farm.backup(keep=2)
    assert farm.backups.names()[:2] == names
    assert checking.problems(farm.backups, farm.backups.read(names[0])[1]) == []


@pytest.mark.parametrize("what", ["no database", "an unreadable record", "a broken database"])
def test_what_can_not_be_backed_up_leaves_no_backup(farm: Sample, what: str) -> None:
    farm.backup()
    if what == "no database":
        farm.home.database.unlink()
    elif what == "a broken database":
        farm.home.database.write_bytes(b"no database" * 1000)
    else:
        (path,) = (farm.store.root / "index").rglob("*.json")
        path.chmod(0o644)
        path.write_text("{")
    with pytest.raises(Failure):
        farm.backup()
    assert len(farm.backups.names()) == 1


@pytest.mark.parametrize("by_night", [False, True])
def test_a_place_that_takes_no_backup_is_told_in_words(farm: Sample, by_night: bool) -> None:
    place = "/sys/pymint-backups"  # where nobody makes directories, root neither
    farm.home.settings_file.write_text(f'[backup]\ndirectory = "{place}"\n')
    command = ["master.retention"] if by_night else ["master.cli", "backup", place]
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, env={**os.environ, "MINT_HOME": str(farm.home.root)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "this machine does not do what is wanted of it" in done.stderr
    assert place in done.stderr


def test_a_backup_inside_of_the_store_is_refused(farm: Sample) -> None:
    farm.backups = type(farm.backups)(farm.store.root / "backups")
    with pytest.raises(Failure, match="inside of what is to be backed up"):
        farm.backup()


def test_a_manifest_that_leads_out_of_the_farm_is_refused(farm: Sample) -> None:
    made = farm.backup()
    path = farm.backups.manifests / f"{made.name}.json"
    raw = json.loads(path.read_text())
    raw["files"][0]["path"] = "../../evil"
    path.chmod(0o644)
    path.write_text(json.dumps(raw))
    with pytest.raises(Failure, match="leads out of the farm"):
        back(farm)


KILLED = """
import os, signal, sys
from pathlib import Path
from master.backup import making, pool
from master.backup.model import Backups
from master.home import Home
home, store, backups = map(Path, sys.argv[1:4])
where, after = sys.argv[4], int(sys.argv[5])
left = [after]
def killing(plain):
    def wrapped(*arguments, **options):
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1
        return plain(*arguments, **options)
    return wrapped
if where == "promote":
    pool.Pool._promote = killing(pool.Pool._promote)
if where == "database":
    making.copy_database = killing(making.copy_database)
if where == "manifest":
    making.write_file = killing(making.write_file)
if where == "sweep":
    pool.Pool.sweep = killing(pool.Pool.sweep)
making.make(Home(home, home), store, Backups(backups), print, keep=2, now=1_900_000_000)
"""


@pytest.mark.parametrize(
    ("where", "after"), [("promote", 0), ("promote", 3), ("database", 0), ("manifest", 0), ("sweep", 0)]
)
def test_a_killed_backup_leaves_the_one_before_it_whole(farm: Sample, where: str, after: int) -> None:
    before = farm.backup()
    farm.build(b"second")
    command = [sys.executable, "-c", KILLED, farm.home.root, farm.store.root, farm.backups.directory, where, str(after)]
    done = subprocess.run([str(one) for one in command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr
    names = farm.backups.names()
    assert names[0] == before.name
    assert len(names) == (2 if where == "sweep" else 1)
    for name in names:
        assert checking.problems(farm.backups, farm.backups.read(name)[1]) == []
    assert Store(back(farm, name=before.name).root / "store").find(BUILDER, 1) is not None
    farm.backup()
    assert list(farm.backups.directory.glob(".new-*")) == [], "what the killed one left is gone"
