"""A farm made of a backup, in an empty MINT_HOME. May be killed at any time and begun again."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from master.backup.making import postgres
from master.backup.model import DUMP, Backups, Entry, Manifest
from master.backup.sealing import Seal
from master.cluster.choice import database_complaint
from master.database import where
from master.home import Home, write_file
from master.settings.lines import line_of
from master.settings.reading import parse
from master.store import copy_hashed, digest_of
from workers.errors import Failure
from workers.progress import counted

MARKER = "database-release"
# Who restores sits there and waits.
PATIENCE_S = 20.0


def restore(
    home: Home, backups: Backups, say: Callable[[str], None], *, name: str | None = None,
    passphrase: bytes | None = None, url: str | None = None,
) -> tuple[str, Manifest]:  # fmt: skip
    """Writes every file of a backup, each checked. Raises Failure; the farm does not start until this ended well.

    url: of an empty PostgreSQL database, instead of the one that the backup's settings name, and in them from then on.
    """
    chosen, manifest = backups.read(name)
    if url is not None and manifest.database != "postgres":
        raise Failure("backup", f"the backup {chosen} has SQLite's database, which is a file of MINT_HOME",
                      todo="Leave --database out.")  # fmt: skip
    _require_empty(home, chosen)
    seal = _seal_of(manifest, passphrase)
    # From here on, and until the last line, `instance.prepare` refuses to start what is not whole yet.
    write_file(home.restoring, f"{backups.directory.absolute()}\n{chosen}\n".encode())
    roots = {"home": home.root, "store": _store_of(home, backups, manifest)}
    for number, one in enumerate(manifest.files, 1):
        target = roots[one.root] / one.path
        if not target.resolve().is_relative_to(roots[one.root].resolve()):
            raise Failure("backup", f"{one.path} leads out of the farm", todo="Nobody should use this backup.")
        if (one.sealed and seal is None) or one.path == DUMP:
            continue
        _write(target, one, backups, seal if one.sealed else None)
        if number % 2000 == 0:
            say(f"{number} of {counted(len(manifest.files), 'file')}")
    if manifest.database == "postgres":
        _fill(home, backups, manifest, chosen, url)
    else:
        _settle(home.database)
        write_file(home.master / MARKER, manifest.buildbot.encode())
    home.restoring.unlink()
    return chosen, manifest


def _fill(home: Home, backups: Backups, manifest: Manifest, name: str, url: str | None) -> None:
    """The dump into the database that the restored settings name. Raises Failure; begun again, it goes on."""
    if url is not None:
        _name_database(home, url)
    (one,) = [one for one in manifest.files if one.path == DUMP]
    source = backups.path_of(one.sha256)
    try:
        found = digest_of(source)
    except OSError as error:
        raise _damaged(one, source, str(error)) from error
    if found != (one.sha256, one.size):
        raise _damaged(one, source, f"sha256 {found[0]}, {found[1]} bytes")
    chosen = parse(home.settings_file.read_text(), home.settings_file)
    database = where(home, chosen, PATIENCE_S)
    if isinstance(database, Path):
        raise Failure(
            "backup", "the backup's settings name no PostgreSQL database, and it has one's content",
            wanted="[database] url in the settings.toml of the backup", found=str(home.settings_file),
            todo="Name an empty one: ./mint restore … --database postgresql://USER@HOST/NAME",
        )  # fmt: skip
    postgres().fill(database, source, name)
    postgres().settle(database)
    postgres().finish(database)


def _name_database(home: Home, url: str) -> None:
    """Writes another address into the restored settings, so that the farm never meets the database that it had."""
    lines = home.settings_file.read_text().splitlines()
    number = line_of("\n".join(lines) + "\n", ["database", "url"])
    said = f"url = {json.dumps(url)}"
    if number is None or not lines[number - 1].lstrip().startswith("url"):
        lines += ["", "[database]", said]
    else:
        lines[number - 1] = said
    text = "\n".join(lines) + "\n"
    chosen = parse(text, home.settings_file).database
    if (complaint := database_complaint(chosen, [])) is not None:
        raise Failure("backup", f"--database: {complaint.what}", wanted=complaint.wanted, found=complaint.found,
                      todo="Start the same ./mint restore with another one.")  # fmt: skip
    write_file(home.settings_file, text.encode())


def _require_empty(home: Home, chosen: str) -> None:
    # The lock is that of the command which restores.
    there = sorted(path.name for path in home.root.glob("*") if path.name != "lock")
    if home.restoring.exists():
        begun = home.restoring.read_text().splitlines()[1:2]
        if begun == [chosen]:
            return
        raise Failure(
            "backup", f"another backup was being restored into {home.root}", wanted=chosen, found="".join(begun),
            todo="Go on with that one (--at), or empty the directory first.",
        )  # fmt: skip
    if there:
        raise Failure(
            "backup", f"{home.root} is not empty", wanted="an empty or new MINT_HOME", found=", ".join(there[:8]),
            todo="A restore never writes over a farm. Move that one away, or set MINT_HOME to another place.",
        )  # fmt: skip


def _seal_of(manifest: Manifest, passphrase: bytes | None) -> Seal | None:
    if manifest.salt is None or passphrase is None:
        return None
    return Seal.of(passphrase, bytes.fromhex(manifest.salt))


def _store_of(home: Home, backups: Backups, manifest: Manifest) -> Path:
    """Where the restored settings have the store's directory; that of a bucket is brought there from it.

    Raises Failure when they can't be read.
    """
    for one in manifest.files:
        if (one.root, one.path) == ("home", home.settings_file.name):
            text = _content(one, backups).decode()
            return home.root / parse(text, home.settings_file).store.path
    return home.root / "store"


def _content(one: Entry, backups: Backups) -> bytes:
    """A small file's bytes, checked. Raises Failure."""
    path = backups.path_of(one.sha256)
    try:
        found = digest_of(path)
        if found == (one.sha256, one.size):
            return path.read_bytes()
        said = f"sha256 {found[0]}, {found[1]} bytes"
    except OSError as error:
        said = str(error)
    raise _damaged(one, path, said)


def _damaged(one: Entry, path: Path, found: str) -> Failure:
    return Failure(
        "backup", f"{one.path} is damaged in the backup", wanted=f"sha256 {one.sha256}, {one.size} bytes in {path}",
        found=found, todo="`./mint backup DIR --verify` lists all such files. Restore an older backup (--at), or\n"
        "bring that file from a copy of the backups.",
    )  # fmt: skip


def _write(target: Path, one: Entry, backups: Backups, seal: Seal | None) -> None:
    if seal is not None:
        write_file(target, seal.open(one.path, _content(one, backups)), one.mode)
        return
    if target.exists() and digest_of(target) == (one.sha256, one.size):
        return
    source = backups.path_of(one.sha256)
    target.parent.mkdir(parents=True, exist_ok=True)
    _copy(source, target, one)


def _copy(source: Path, target: Path, one: Entry) -> None:
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=".new-")
    try:
        digest, length = copy_hashed(source, descriptor, one.mode)
        if (digest, length) != (one.sha256, one.size):
            raise _damaged(one, source, f"sha256 {digest}, {length} bytes")
        Path(name).rename(target)
    except FileNotFoundError as error:
        raise _damaged(one, source, str(error)) from error
    finally:
        Path(name).unlink(missing_ok=True)


def _settle(database: Path) -> None:
    """The master of the backup is gone: the next one takes over what it had claimed, and begins its builds again.

    Buildbot waits ten minutes for a sign of life of a master that has another name, as one in another place has. What
    such a master had claimed it never gives back: a master deletes no claims but its own (db/buildrequests.py).
    """
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE masters SET last_active = 0")
        open_requests = "SELECT id FROM buildrequests WHERE complete = 0"
        connection.execute(f"DELETE FROM buildrequest_claims WHERE brid IN ({open_requests})")
