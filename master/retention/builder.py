"""The builder that keeps the farm small: every night, and by its form."""

from __future__ import annotations

import sys
from typing import Any

from buildbot.plugins import schedulers, util
from buildbot.process.factory import BuildFactory

from master.forms import CellForce
from master.home import Home
from master.settings import Settings
from steps.housekeeping import Housekeep

HOUSEKEEPING = "housekeeping"
NOW = "housekeeping-now"
# Of a source stamp: this builder builds no commit.
FIELDS = ("branch", "revision", "repository", "project")


def builder_of(home: Home, worker: str) -> Any:
    """One run at a time. worker: of the master's own machine, since it works on the master's files."""
    command = [sys.executable, "-m", "master.retention"]
    return util.BuilderConfig(
        name=HOUSEKEEPING,
        workernames=[worker],
        factory=BuildFactory([Housekeep(command, str(home.checkout), {"MINT_HOME": str(home.root)})]),
        locks=[util.MasterLock(HOUSEKEEPING).access("exclusive")],
        tags=["farm"],
        description="Makes the nightly backup and drops what [retention] says; never anything of a released commit",
        collapseRequests=True,
    )


def schedulers_of(chosen: Settings) -> list[Any]:
    nothing = {name: util.FixedParameter(name=name, default="") for name in FIELDS}
    source = util.CodebaseParameter("", **nothing)
    return [
        schedulers.Nightly(name=HOUSEKEEPING, builderNames=[HOUSEKEEPING], hour=chosen.retention.hour, minute=17),
        CellForce(
            name=NOW, buttonName="Housekeeping", label="Make a backup and drop what may go, now",
            builderNames=[HOUSEKEEPING], codebases=[source], username=util.UserNameParameter(need_email=False),
        ),
    ]  # fmt: skip
