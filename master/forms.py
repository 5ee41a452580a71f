"""The force forms. What the command line and other programs send to them:

    POST /api/v2/forceschedulers/force-cell    Content-Type: application/json
    {"jsonrpc": "2.0", "id": 1, "method": "force", "params":
        {"builderNames": ["cpython-3.13-x86_64-unknown-linux-gnu-pgo-lto"],
         "revision": "<40 hex digits>", "reason": "by hand", "username": "anna"}}

All but `builderNames` (or `builderid`) may be left out; without a revision it is the head of the branch.
Answer: {"result": [buildsetid, {builderid: buildrequestid}]}, or status 400 and
{"error": {"message": {"revision": "the text that the form shows under that field"}}}.

`force-farm` takes {"cells": [builder names]} or any of {"targets": [...], "versions": [...], "variants": [...]}, and
`revision` likewise; its build ends when all of the cells' builds have. `release`: master/release/form.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from buildbot.plugins import schedulers, util
from buildbot.schedulers.forcesched import BaseParameter, CollectedValidationError, ValidationError
from twisted.internet import defer

from master.mirror import Mirror
from steps.checkout import COMMIT
from workers.errors import Failure
from workers.model import Cell

FORCE_CELL = "force-cell"
FORCE_FARM = "force-farm"
FARM = "farm"

# `./mint build` and the forms go before what pushes have queued.
FORCED_PRIORITY = 10


class Revision(util.StringParameter):
    """The commit to build: 40 hex digits that the repository has on a branch, or nothing for the branch's head.

    Always ends as a full commit, so that forced and pushed builds of a commit share one source stamp.
    """

    size = 40

    def __init__(self, mirror: Mirror, branch: str) -> None:
        super().__init__(
            name="revision", label="Commit (empty: the newest)", maxsize=40, regex=r"\A[0-9a-f]{40}\Z", default=""
        )
        self.mirror = mirror
        self.branch_name = branch
        self.debug = False  # else each wrong commit leaves a traceback in twistd.log

    def getFromKwargs(self, kwargs: dict[str, Any]) -> str:
        values = [str(value).strip() for value in kwargs.get(self.fullName, [])]
        revision = next(iter(values), "")
        if revision and not COMMIT.match(revision):
            raise ValidationError("A commit is 40 digits of 0-9 and a-f; leave it empty for the newest.")
        return revision

    @defer.inlineCallbacks
    def updateFromKwargs(self, properties: dict[str, Any], kwargs: dict[str, Any], master: Any, **unused: Any) -> Any:
        wanted = self.getFromKwargs(kwargs)
        look_up = self.mirror.resolve(master.reactor, wanted, self.branch_name)
        try:
            revision, branch = yield defer.Deferred.fromCoroutine(look_up)
        except Failure as failure:
            found = f" ({failure.found})" if failure.found else ""
            raise ValidationError(f"{failure.what}{found}. {failure.todo}") from failure
        properties["revision"] = revision
        properties["on_branch"] = branch


class Codebase(util.CodebaseParameter):
    """Fixed to the same repository, project and codebase as the poller's changes; the branch is one with the commit."""

    def createSourcestamp(self, properties: dict[str, Any], kwargs: dict[str, Any]) -> dict[str, Any]:
        stamp = dict(kwargs.get(self.fullName, {}))
        stamp["branch"] = stamp.pop("on_branch", None) or stamp.get("branch")
        return stamp


class Cells(util.ChoiceStringParameter):
    """Any choice of cells: by name, or else all that the three other fields leave."""

    def __init__(self, cells: Sequence[Cell]) -> None:
        super().__init__(
            name="cells", label="Cells (none: by target, version and variant)", multiple=True, strict=True,
            choices=[cell.builder_name for cell in cells], default=[], debug=False,
        )  # fmt: skip
        self.all_cells = list(cells)

    def updateFromKwargs(self, properties: dict[str, Any], kwargs: dict[str, Any], **unused: Any) -> None:
        named = self.getFromKwargs(kwargs)
        properties[self.name] = named or self._by_fields(kwargs)
        if not properties[self.name]:
            raise ValidationError("No cell is left: choose cells, or a target, version or variant that goes together.")

    def _by_fields(self, kwargs: dict[str, Any]) -> list[str]:
        targets, versions, variants = (set(kwargs.get(name, [])) for name in ("targets", "versions", "variants"))
        if not (targets or versions or variants):
            return []
        return [
            cell.builder_name
            for cell in self.all_cells
            if (not targets or cell.target.triple in targets)
            and (not versions or cell.version.minor in versions)
            and (not variants or cell.variant.name in variants)
        ]


def _choice(name: str, label: str, choices: list[str]) -> BaseParameter:
    return util.ChoiceStringParameter(
        name=name, label=label, multiple=True, strict=True, choices=choices, default=[], debug=False
    )


class CellForce(schedulers.ForceScheduler):
    """A force scheduler that keeps to its builders: Buildbot's own takes any builder id, and any letter for a name."""

    @defer.inlineCallbacks
    def computeBuilderNames(self, builderNames: Any = None, builderid: Any = None) -> Any:
        if isinstance(builderNames, str):
            builderNames = [builderNames]
        if builderNames is None and builderid is None and len(self.builderNames) == 1:
            builderNames = list(self.builderNames)
        chosen = yield super().computeBuilderNames(builderNames, builderid)
        unknown = sorted({*(builderNames or []), *chosen} - set(self.builderNames))
        if unknown or not chosen or (builderNames is None and builderid is None):
            known = ", ".join(self.builderNames)
            text = f"no worker builds {', '.join(unknown)}" if unknown else "name the builder to force"
            # The shape of a wrong field: the page shows it, and programs get status 400 instead of 500.
            raise CollectedValidationError({"builderNames": f"{text}. Known: {known}."})
        return chosen


def shared(mirror: Mirror, branch: str, revision: Revision, reason: str = "forced") -> dict[str, Any]:
    """What all forms have: the commit, in the one repository, and who wants it why."""
    return {
        "codebases": [
            Codebase(
                codebase="", name="", label="What to build",
                branch=util.FixedParameter(name="branch", default=branch),
                revision=revision,
                repository=util.FixedParameter(name="repository", default=mirror.url),
                project=util.FixedParameter(name="project", default=""),
            )
        ],
        "reason": util.StringParameter(name="reason", label="Reason", default=reason, size=60, maxsize=500),
        "username": util.UserNameParameter(
            name="username", label="Your name", need_email=False, default="", size=30, maxsize=100
        ),
        "priority": util.IntParameter(name="priority", label="Priority", default=FORCED_PRIORITY, hide=True),
        "reasonString": "%(reason)s",
    }  # fmt: skip


def forms_of(cells: Sequence[Cell], mirror: Mirror, branch: str) -> list[Any]:
    """The two forms. Raises nothing; Buildbot checks their names."""
    names = [cell.builder_name for cell in cells]

    def distinct(values: list[str]) -> list[str]:
        return list(dict.fromkeys(values))

    return [
        CellForce(
            name=FORCE_CELL,
            buttonName="Build",
            label="Build this cell",
            builderNames=names,
            **shared(mirror, branch, Revision(mirror, branch)),
        ),
        CellForce(
            name=FORCE_FARM,
            buttonName="Build cells",
            label="Build any choice of cells",
            builderNames=[FARM],
            properties=[
                _choice("targets", "Targets", distinct([cell.target.triple for cell in cells])),
                _choice("versions", "Versions", distinct([cell.version.minor for cell in cells])),
                _choice("variants", "Variants", distinct([cell.variant.name for cell in cells])),
                Cells(cells),
            ],
            **shared(mirror, branch, Revision(mirror, branch)),
        ),
    ]
