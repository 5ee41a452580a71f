"""The release form. What the command line and other programs send to it:

    POST /api/v2/forceschedulers/release    Content-Type: application/json
    {"jsonrpc": "2.0", "id": 1, "method": "force", "params":
        {"tag": "20261125", "revision": "<40 hex digits>", "dry_run": false}}

`dry_run` is true when it is left out. What is wrong is said under each field, as for the other forms (master/forms.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from buildbot.plugins import util
from buildbot.schedulers.forcesched import ValidationError
from twisted.internet import defer, threads

from master.access import RELEASE
from master.forms import CellForce, Revision, shared
from master.home import Home
from master.mirror import Mirror
from master.release import standing, tags
from master.release.gate import objections
from master.release.model import Readiness, checked_tag
from master.settings import Settings
from workers.errors import Failure
from workers.model import Matrix


@dataclass(frozen=True)
class Gate:
    """What the form asks, both in a thread. readiness: of a commit. taken: why a tag can't be had for a commit, in a
    dry run or not; "" when it can."""

    readiness: Callable[[str], Readiness]
    taken: Callable[[str, str, bool], str]


def gate_of(home: Home, settings: Settings, matrix: Matrix) -> Gate:
    return Gate(
        lambda commit: standing.ask(home, settings, matrix, commit),
        lambda tag, commit, dry_run: tags.ask(home, settings, tag, commit, dry_run=dry_run, begun=False),
    )


def _said(kwargs: Mapping[str, Any], name: str) -> str:
    return next((str(value).strip() for value in kwargs.get(name, [])), "")


class DryRun(util.BooleanParameter):
    """On unless it was switched off in so many words: Buildbot's own takes a field that is left out for "off"."""

    debug = False

    def getFromKwargs(self, kwargs: dict[str, Any]) -> bool:
        values = kwargs.get(self.fullName, [])
        said = values[0] if values else True
        for value, words in ((True, ("true", "on", "1")), (False, ("false", "off", "0"))):
            if said is value or str(said).lower() in words:
                return value
        raise ValidationError("A dry run is on or off: true or false.")

    def updateFromKwargs(self, properties: dict[str, Any], kwargs: dict[str, Any], **unused: Any) -> None:
        properties[self.name] = self.getFromKwargs(kwargs)


class Tag(util.StringParameter):
    """The release's name: digits that begin with a day, and free."""

    size = 10
    debug = False

    def __init__(self, gate: Gate, dry_run: DryRun) -> None:
        super().__init__(name="tag", label="Tag (YYYYMMDD, or YYYYMMDDNN for another release of that day)", default="")
        self.gate = gate
        self.dry_run = dry_run

    @defer.inlineCallbacks
    def updateFromKwargs(self, properties: dict[str, Any], kwargs: dict[str, Any], **unused: Any) -> Any:
        tag, commit = _said(kwargs, self.fullName), _said(kwargs, "revision")
        try:
            checked_tag(tag)
            dry_run = self.dry_run.getFromKwargs(kwargs)
            taken = yield threads.deferToThread(self.gate.taken, tag, commit, dry_run)
        except Failure as failure:
            raise ValidationError(f"{_sentence(failure.what)} {failure.todo}") from failure
        if taken:
            raise ValidationError(_sentence(taken))
        properties["tag"] = tag


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


class Commit(Revision):
    """The commit that is released: all 40 digits, on the branch, and each cell of the wanted set built of it."""

    def __init__(self, mirror: Mirror, branch: str, gate: Gate) -> None:
        super().__init__(mirror, branch)
        self.label = "Commit (all 40 digits)"
        self.gate = gate

    @defer.inlineCallbacks
    def updateFromKwargs(self, properties: dict[str, Any], kwargs: dict[str, Any], master: Any, **unused: Any) -> Any:
        commit = self.getFromKwargs(kwargs)
        if not commit:
            raise ValidationError("Name the commit: 40 digits of 0-9 and a-f.")
        look_up = self.mirror.on_branch(master.reactor, commit, self.branch_name)
        try:
            there = yield defer.Deferred.fromCoroutine(look_up)
            if not there:
                raise ValidationError(f"The commit {commit} is not on {self.branch_name}.")
            readiness = yield threads.deferToThread(self.gate.readiness, commit)
        except Failure as failure:
            found = f" ({failure.found})" if failure.found else ""
            raise ValidationError(f"{failure.what}{found}. {failure.todo}") from failure
        against = objections(readiness)
        if against:
            raise ValidationError(" ".join(against))
        properties["revision"] = commit
        properties["on_branch"] = self.branch_name


def form_of(mirror: Mirror, branch: str, gate: Gate) -> Any:
    """The form. Raises nothing."""
    dry_run = DryRun(name="dry_run", label="Dry run (nothing is published)", default=True)
    return CellForce(
        name=RELEASE,
        buttonName="Release",
        label="Release a commit",
        builderNames=[RELEASE],
        properties=[Tag(gate, dry_run), dry_run],
        **shared(mirror, branch, Commit(mirror, branch, gate), reason="release"),
    )
