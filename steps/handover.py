"""The last steps: what was made goes to the master, which believes only what it has checked itself."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from buildbot.process.buildstep import BuildStep
from buildbot.steps.worker import CompositeStepMixin
from buildbot.util import asyncSleep
from twisted.internet import defer, threads

from steps.program import REPORT_LIMIT, headline
from steps.results import CANCELLED, FAILURE, SUCCESS
from steps.transfer import fetch_file
from workers.errors import Failure
from workers.model import DERIVED
from workers.progress import size

ARCHIVE_NAME = re.compile(r"\Acpython-[A-Za-z0-9][A-Za-z0-9._+-]{0,160}\.tar\.(?:zst|gz)\Z")
REPORTS = (
    "plan", "sources", "dependencies", "openssl", "fips-provider", "cpython", "package", "validate", "prove", "test",
    "archive", "derive", "validate-flavours", "prove-flavours",
)  # fmt: skip
ARCHIVE = "archive.tar.zst"
# What the smaller archives are called while they wait to be looked at.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 5.0, 60.0
DERIVED_FILES: dict[str, str] = {flavour: f"{flavour}.archive" for flavour in DERIVED}


@dataclass(frozen=True)
class Submission:
    """What a build hands over. `directory` on the master holds `archive.tar.zst`, `<report>.json` and, of what the
    plan derives, `<flavour>.archive`.
    """

    directory: Path
    builder: str
    number: int
    buildid: int
    worker: str
    version: str
    target: str
    variant: str
    commit: str
    branch: str


@dataclass(frozen=True)
class Recorded:
    """What became of it: names and digests as the master computed them. `links`: title to address below the page."""

    archive: str
    sha256: str
    size: int
    links: dict[str, str]


class NotNow(Exception):
    """What keeps archives is away, and may be back in a moment. failure: what a person is told of it."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(str(failure))
        self.failure = failure


def pauses(limit_s: float) -> Iterator[float]:
    """How long to wait before each further attempt, in seconds, until so many have gone by."""
    pause = FIRST_PAUSE_S
    while limit_s > 0:
        yield min(pause, limit_s)
        limit_s -= pause
        pause = min(2 * pause, LONGEST_PAUSE_S)


class _Handover(BuildStep):
    haltOnFailure = True
    flunkOnFailure = True

    def __init__(self, incoming: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.incoming = incoming
        self.said: str | None = None

    @property
    def directory(self) -> Path:
        return Path(self.incoming) / str(self.build.buildid)

    async def refuse(self, problem: str) -> int:
        await self.addCompleteLog("problem", problem + "\n")
        self.said = headline(problem)
        return FAILURE

    def getCurrentSummary(self) -> dict[str, str]:
        return {"step": self.said} if self.said else dict(super().getCurrentSummary())

    def getResultSummary(self) -> dict[str, str]:
        return {"step": self.said or str(self.name)}


class Upload(_Handover):
    """Copies all archives and reports to the master's `incoming/<build id>/`, under names of the master's choice.

    Proves: nothing yet.
    Leaves: the files, not yet looked at.
    """

    name = "upload"

    def __init__(self, incoming: str, limit: int, **kwargs: Any) -> None:
        super().__init__(incoming, **kwargs)
        self.limit = limit

    async def run(self) -> int:
        name = str(self.getProperty("archive_name"))
        archives = {name: ARCHIVE}
        for flavour, derived in (self.getProperty("derived_names") or {}).items():
            archives[str(derived)] = DERIVED_FILES[flavour]
        for called in archives:
            if not ARCHIVE_NAME.match(called):
                return await self.refuse(f"upload: {called!r} is no name for an archive")
        here = f"../run/{self.build.buildid}"
        await threads.deferToThread(shutil.rmtree, self.directory, ignore_errors=True)
        await self._clear()
        wanted = [(f"{here}/reports/{report}.json", f"{report}.json", REPORT_LIMIT) for report in REPORTS]
        wanted += [(f"{here}/archive/{called}", file, self.limit) for called, file in archives.items()]
        for source, destination, limit in wanted:
            try:
                await fetch_file(self, source, self.directory / destination, limit)
            except Failure as failure:
                await threads.deferToThread(shutil.rmtree, self.directory, ignore_errors=True)
                # Of a build that was stopped the file that was on its way is no fault of anybody's.
                return CANCELLED if self.stopped else await self.refuse(str(failure))
        volume = sum((self.directory / file).stat().st_size for file in archives.values())
        smaller = f" and {len(archives) - 1} derived from it" if len(archives) > 1 else ""
        self.said = f"{name}{smaller}: {size(volume)} received"
        return SUCCESS

    async def _clear(self) -> None:
        """Drops what builds left that have ended: of a master that was killed nobody else does, on its own disk."""
        for path in await threads.deferToThread(_below, Path(self.incoming)):
            build = await self.build.master.data.get(("builds", path.name)) if path.name.isdigit() else None
            if build is not None and build["complete"]:
                await threads.deferToThread(shutil.rmtree, path, ignore_errors=True)


def _below(directory: Path) -> list[Path]:
    return list(directory.iterdir()) if directory.is_dir() else []


class Record(CompositeStepMixin, _Handover):
    """Checks what arrived against what the reports claim, and puts it into the store and the index.

    keep: does it, in a thread. patience_s: for how long a store that is away is tried again; the thread is given back
    meanwhile, since pages need it too.

    Proves: the archives' bytes are those that were validated and proven, of this commit and this cell.
    Leaves: the archives and their reports in the store, create-only; an index record; links on the build's page.
    """

    name = "record"
    logEnviron = False

    def __init__(self, incoming: str, keep: Callable[[Submission], Recorded], page_url: str, patience_s: float = 0,
                 **kwargs: Any) -> None:  # fmt: skip
        super().__init__(incoming, **kwargs)
        self.keep = keep
        self.page_url = page_url
        self.patience_s = patience_s
        self._sleeping: defer.Deferred[None] | None = None

    async def run(self) -> int:
        said = self.build.getProperty
        submission = Submission(
            directory=self.directory,
            builder=self.build.builder.name,
            number=self.build.number,
            buildid=self.build.buildid,
            worker=self.build.getWorkerName(),
            version=said("version"),
            target=said("target"),
            variant=said("variant"),
            commit=said("got_revision"),
            branch=said("branch"),
        )
        try:
            kept = await self._kept(submission)
        except NotNow as away:
            return await self.refuse(str(away.failure))
        except Failure as failure:
            return await self.refuse(str(failure))
        except defer.CancelledError:
            return int(CANCELLED)
        except OSError as error:
            return await self.refuse(f"record: the master's store can't be written: {error}")
        finally:
            await threads.deferToThread(shutil.rmtree, self.directory, ignore_errors=True)
        for title, address in kept.links.items():
            await self.addURL(title, self.page_url + address)
        first = next(iter(kept.links.values()))
        for name, value in {
            "archive_name": kept.archive,
            "archive_sha256": kept.sha256,
            "archive_size": kept.size,
            "archive_url": self.page_url + first,
        }.items():
            self.setProperty(name, value, "record")
        # Half a gigabyte a builder; what failed stays, for a look at it.
        await self.runRmdir(f"{self.build.workdir}/../run/{self.build.buildid}", abandonOnFailure=False)
        self.said = f"{kept.archive}: {size(kept.size)}, sha256 {kept.sha256[:16]}…"
        return SUCCESS

    async def _kept(self, submission: Submission) -> Recorded:
        """Raises NotNow when patience is at its end, CancelledError when the build is stopped meanwhile."""
        log: Any = None
        for pause in pauses(self.patience_s):
            try:
                return cast("Recorded", await threads.deferToThread(self.keep, submission))
            except NotNow as away:
                log = log or await self.addLog("waiting")
                await log.addStdout(f"{away.failure}\n  The next attempt is in {pause:.0f} s.\n")
                self.said = f"waiting: {away.failure.what}"
                self.updateSummary()
            self._sleeping = asyncSleep(pause, self.build.master.reactor)
            await self._sleeping
        return cast("Recorded", await threads.deferToThread(self.keep, submission))

    def interrupt(self, reason: Any) -> Any:
        if self._sleeping is not None and not self._sleeping.called:
            self._sleeping.cancel()
        return super().interrupt(reason)
