"""A farm kept small: the backup first, then archives, builds' rows and logs, and what broken builds left.

Everything may be killed at any moment and begun again.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from master import settings as farm_settings
from master.backup.making import make
from master.backup.model import Backups
from master.backup.sealing import passphrase_of
from master.database import where
from master.home import Home, one_keeper
from master.release import kept
from master.retention import rows
from master.retention.deciding import Held, uploads_to_drop
from master.secrets.places import secrets_of
from master.settings import Settings
from master.store import Store
from workers.errors import Failure
from workers.progress import counted, size

DAY_S = 24 * 3600
# A file that was just put into the store may wait for its record.
GRACE_S = 3600.0
Say = Callable[[str], None]
if TYPE_CHECKING:
    from master.database import Where


@dataclass(frozen=True)
class Terms:
    """What is dropped. Times in seconds; None: nothing of that. limit_s: how long all of it may take."""

    keep_builds: int | None
    row_age_s: float | None
    log_age_s: float
    upload_age_s: float
    limit_s: float


def terms_of(settings: Settings) -> Terms:
    chosen = settings.retention
    return Terms(
        keep_builds=chosen.keep_builds,
        row_age_s=chosen.build_days * DAY_S if chosen.build_days is not None else None,
        log_age_s=settings.build.keep_log_days * DAY_S,
        upload_age_s=chosen.upload_hours * 3600,
        limit_s=chosen.minutes * 60,
    )


def back_up(home: Home, settings: Settings, say: Say) -> None:
    """The backup that `[backup]` asks for, if any. Raises Failure."""
    chosen = settings.backup
    if chosen.directory is None:
        say("backup: none, since [backup] names no directory")
        return
    secret = chosen.passphrase_file
    passphrase = passphrase_of(secrets_of(home.root, settings.secrets).place(secret)) if secret is not None else None
    store = farm_settings.store_place(settings, home)
    backups = Backups(home.root / chosen.directory)
    made = make(home, store, backups, say, passphrase=passphrase, link=chosen.link, keep=chosen.keep,
                database=where(home, settings))  # fmt: skip
    say(f"backup: {made.name}, {counted(made.files, 'file')}; {made.new_files} new, {size(made.new_bytes)}")
    if made.damaged:
        raise Failure(
            "backup", f"{len(made.damaged)} files are not in the store as recorded, so not in the backup",
            found="\n          ".join(made.damaged[:10]),
            todo="Everything else was kept, and nothing was dropped. An older backup may have them; else build those "
            "commits again.",
        )  # fmt: skip


def held_by(store: Store) -> Held:
    """What releases and records hold. Raises Failure when one of them can't be read: nothing may be dropped then."""
    return Held(
        commits=frozenset(plan.commit for plan in kept.held(store.root)),
        records=frozenset((one.builder, one.number) for one in store.records()),
    )


def drop(home: Home, settings: Settings, say: Say, terms: Terms, *, really: bool) -> bool:
    """Drops what may go; whether it came to the end of it within the time. Raises Failure."""
    began, now = time.monotonic(), time.time()
    verb = "dropped" if really else "would be dropped"
    store = Store(farm_settings.store_place(settings, home), patient=True)
    with one_keeper(home, say):
        drop_archives(store, terms.keep_builds, say, really=really)
        held = held_by(store)
    database = where(home, settings)
    if isinstance(database, Path) and not database.exists():
        return True
    _drop_uploads(farm_settings.uploads_path(settings, home), database, now - terms.upload_age_s, say, really=really)
    done = rows.drop(
        database, held, rows_before=now - terms.row_age_s if terms.row_age_s is not None else None,
        logs_before=now - terms.log_age_s, deadline=began + terms.limit_s, really=really,
    )  # fmt: skip
    say(f"database: rows of {counted(done.builds, 'build')}, logs of {counted(done.logs, 'build')} {verb}")
    if not done.finished:
        say(f"not finished after {terms.limit_s / 60:.0f} min: the next run goes on")
    return done.finished


def drop_archives(store: Store, keep_builds: int | None, say: Say, *, really: bool) -> None:
    """What nothing in the store refers to, and with `keep_builds` older builds. Raises Failure, before it drops any."""
    chosen = store.prune(really=False, keep_builds=keep_builds, grace_s=GRACE_S) if store.root.is_dir() else []
    total = 0
    for path in chosen:
        length = store.size_at(path)
        total += length
        say(f"{path.relative_to(store.root)}: {size(length)}")
    if really and chosen:
        store.prune(really=True, keep_builds=keep_builds, grace_s=GRACE_S)
    say(f"archives: {counted(len(chosen), 'file')}, {size(total)} {'dropped' if really else 'would be dropped'}")


def _drop_uploads(incoming: Path, database: Where, before: float, say: Say, *, really: bool) -> None:
    if not incoming.is_dir():
        return
    with rows.opened(database, really=False) as connection:
        busy = rows.running(connection)
    found = [(path.name, _changed(path)) for path in incoming.iterdir()]
    for name in uploads_to_drop(found, busy, before):
        say(f"incoming/{name}: left by a build that ended")
        if really:
            path = incoming / name
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def _changed(path: Path) -> float:
    """When anything in it changed last; never, for what goes by itself while it is looked at."""
    try:
        return max([path.lstat().st_mtime, *(one.lstat().st_mtime for one in path.rglob("*"))])
    except FileNotFoundError:
        return float("inf")


def only_now(terms: Terms, keep_builds: int | None) -> Terms:
    """The terms of somebody who waits for it: no limit, and his own word on how many builds to keep."""
    chosen = keep_builds if keep_builds is not None else terms.keep_builds
    return replace(terms, keep_builds=chosen, limit_s=float("inf"))
