"""What is told: decided from what happened, and from nothing else."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from master.notices.choice import Kind
from master.watch.vitals import Checkup

# Buildbot's codes.
SUCCESS, WARNINGS, FAILURE, SKIPPED, EXCEPTION, RETRY, CANCELLED = range(7)
BAD = (FAILURE, EXCEPTION)
# A check that fails once may be a busy moment.
LOOKS = 2


@dataclass(frozen=True)
class Notice:
    """kind, subject (a line), text (whole sentences), page: an address, "" for none."""

    kind: Kind
    subject: str
    text: str
    page: str = ""


@dataclass(frozen=True)
class Ended:
    """A build that ended. failed: the steps that did, in their order, each with its line."""

    builder: str
    number: int
    result: int
    branch: str
    commit: str
    page: str
    failed: list[tuple[str, str]] = field(default_factory=list)
    tag: str = ""
    dry_run: bool = True


class Deciding:
    """branch: whose builds matter. Remembers what was told, so that one trouble is one notice."""

    def __init__(self, branch: str, worker_s: float) -> None:
        self.branch, self.worker_s = branch, worker_s
        self._commits: deque[str] = deque(maxlen=200)
        self._bad: dict[str, int] = {}
        self._away: dict[str, float] = {}
        self._lost: set[str] = set()

    def of_build(self, build: Ended) -> Notice | None:
        """What is to be told of a build; of a commit's failed cells the first alone."""
        step, line = build.failed[-1] if build.failed else ("", "")
        where = f"{build.builder} #{build.number}"
        if build.builder == "release":
            return self._of_release(build, line)
        if build.builder == "housekeeping":
            if build.result not in BAD:
                return None
            return Notice("housekeeping_failed", "The nightly housekeeping failed", f"{line}.", build.page)
        if step == "attest" and build.result in BAD:
            return Notice("not_signed", f"{where} was recorded and not signed", f"{line}.", build.page)
        if build.result not in BAD or build.branch != self.branch or build.commit in self._commits:
            return None
        self._commits.append(build.commit)
        text = f"{line or 'It ended before its first step'}.\nCommit {build.commit} of {build.branch}. "
        text += "Other cells of this commit that fail are not told one by one: see the page."
        return Notice("build_failed", f"{build.branch} is broken: {where}", text, build.page)

    @staticmethod
    def _of_release(build: Ended, line: str) -> Notice | None:
        if build.dry_run:
            return None
        if build.result in (SUCCESS, WARNINGS):
            return Notice("released", f"Released {build.tag}", f"Commit {build.commit} is public.", build.page)
        if build.result in BAD:
            return Notice(
                "release_failed", f"The release {build.tag} did not come to its end",
                f"{line}.\nWhat is published stays as it is. Once that is mended, rebuild it: it goes on.",
                build.page,
            )  # fmt: skip
        return None

    def of_checkup(self, checkup: Checkup, page: str) -> Iterator[Notice]:
        """A check that failed at two looks, and one that holds again after it was told."""
        now = {one.name: one for one in reversed(checkup.checks) if not one.ok}
        for name, one in now.items():
            self._bad[name] = self._bad.get(name, 0) + 1
            if self._bad[name] == LOOKS:
                yield Notice("not_well", f"The farm is not well: {name}", f"{one.found}; wanted: {one.wanted}.", page)
        for name in [name for name in self._bad if name not in now]:
            if self._bad.pop(name) >= LOOKS:
                yield Notice("not_well", f"The farm is well again: {name}", "The check holds again.", page)

    def of_workers(self, connected: Mapping[str, bool], now: float, page: str) -> Iterator[Notice]:
        """A worker that has been away for long, and one that is back after it was told."""
        for name, there in connected.items():
            if there:
                self._away.pop(name, None)
                if name in self._lost:
                    self._lost.discard(name)
                    yield Notice("worker_lost", f"The worker {name} is back", "It is connected again.", page)
                continue
            since = self._away.setdefault(name, now)
            if now - since >= self.worker_s and name not in self._lost:
                self._lost.add(name)
                text = f"It has not been connected for {(now - since) / 60:.0f} min. Its builds wait, or go elsewhere."
                yield Notice("worker_lost", f"The worker {name} is lost", text, page)
