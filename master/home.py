"""Where the farm's state lies: one directory, MINT_HOME (`.mint` in the checkout unless the environment says else)."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from master.cluster.choice import NAME
from workers.errors import Failure

MASTERS = "masters"


@dataclass(frozen=True)
class Home:
    """The places below MINT_HOME. `checkout` is where the master's own code lies.

    name: which of several masters this is, None for the only one. They share one MINT_HOME.
    """

    root: Path
    checkout: Path
    name: str | None = None

    @property
    def settings_file(self) -> Path:
        return self.root / "settings.toml"

    @property
    def master(self) -> Path:
        """The master's base directory: buildbot.tac, state.sqlite, twistd.log."""
        return self.root / MASTERS / self.name if self.name else self.root / "master"

    @property
    def database(self) -> Path:
        return self.master / "state.sqlite"

    @property
    def repository(self) -> Path:
        """A bare mirror of the configured repository, in which the forms look commits up."""
        return self.master / "repository.git"

    @property
    def worker(self) -> Path:
        """The local worker's base directory: buildbot.tac, worker.toml, twistd.log and one directory a builder."""
        return self.root / "worker"

    @property
    def worker_state(self) -> Path:
        """The local worker's objects, locks, temporary files (`--state`). Not below `worker`, which Buildbot tidies."""
        return self.root / "state"

    @property
    def incoming(self) -> Path:
        """Where uploads land, one directory a build, until the master has checked them."""
        return self.root / "incoming"

    @property
    def secrets(self) -> Path:
        return self.root / "secrets"

    @property
    def keys(self) -> Path:
        """The keys that sign what is built, and their public halves. No worker ever sees it."""
        return self.root / "keys"

    @property
    def protocol_keys(self) -> Path:
        """The authority that workers know the master by, and the master's certificate (master/fleet/authority.py)."""
        return self.secrets / "protocol"

    @property
    def workers(self) -> Path:
        """What `./mint worker create` makes on this machine: a directory a worker."""
        return self.root / "workers"

    @property
    def images_file(self) -> Path:
        """The ids of the images that containers are started by (master/images/kept.py)."""
        return self.root / "images.json"

    @property
    def journal(self) -> Path:
        """Everything that was ever signed."""
        return self.root / "signing" / "journal.jsonl"

    @property
    def releasing(self) -> Path:
        """What releases leave while they are made: a directory a build, and how far each place has come."""
        return self.root / "releasing"

    @property
    def running(self) -> Path:
        """The configuration that the running master works by: an Inventory, written by itself."""
        return self.master / "running.json"

    @property
    def restoring(self) -> Path:
        """There while a backup is being restored: what is here is not whole."""
        return self.root / "restoring"

    @property
    def updates(self) -> Path:
        """What was found by looking for newer sources: reports, the distribution's lists, advisories."""
        return self.root / "updates"

    @property
    def benchmarks(self) -> Path:
        """Results of measured comparisons, one a build (master/pages/benchmarks.py)."""
        return self.root / "benchmarks"

    @property
    def gitconfig(self) -> Path:
        """For every git that master and worker start: the user's own settings, and the repository marked as safe."""
        return self.root / "gitconfig"


def home_of(checkout: Path, environment: Mapping[str, str] = os.environ) -> Home:
    """MINT_HOME, or `.mint` in the checkout, for the master that MINT_MASTER names. Raises Failure for no name."""
    chosen, name = environment.get("MINT_HOME"), environment.get("MINT_MASTER") or None
    if name is not None and not NAME.match(name):
        raise Failure(
            "settings", "MINT_MASTER is no name for a master", wanted="small letters, digits and dashes",
            found=repr(name), todo="Name one of [[masters]] in settings.toml.",
        )  # fmt: skip
    return Home(Path(chosen).absolute() if chosen else checkout / ".mint", checkout, name)


def home_of_master(basedir: Path, checkout: Path) -> Home:
    """The home of the master that works in this base directory."""
    if basedir.parent.name == MASTERS:
        return Home(basedir.parent.parent, checkout, basedir.name)
    return Home(basedir.parent, checkout)


def cache_directory(environment: Mapping[str, str] = os.environ) -> Path:
    """Where downloads are kept: MINT_CACHE, or `pymint` in the user's cache directory."""
    if chosen := environment.get("MINT_CACHE"):
        return Path(chosen).absolute()
    base = environment.get("XDG_CACHE_HOME") or str(Path(environment.get("HOME", "/")) / ".cache")
    return Path(base) / "pymint"


def write_file(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Writes to a temporary name, flushes to the disk, renames: a reader sees the old file or the new one, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fchmod(stream.fileno(), mode)
            os.fsync(stream.fileno())
        Path(temporary).rename(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@contextmanager
def one_keeper(home: Home, say: Callable[[str], None], *, drops: bool = True) -> Iterator[None]:
    """Held by whatever drops from the store, or has to find there what it just read of: a prune, a backup, a plan.

    drops: it does, so nobody else is at work meanwhile. Who only reads does not wait for others that only read.
    """
    home.root.mkdir(parents=True, exist_ok=True)
    how = fcntl.LOCK_EX if drops else fcntl.LOCK_SH
    with (home.root / "keeping.lock").open("w") as lock:
        try:
            fcntl.flock(lock, how | fcntl.LOCK_NB)
        except BlockingIOError:
            say("a prune, a backup or a release of this farm is at work on the store: waiting for it")
            fcntl.flock(lock, how)
        yield
