"""`python -m master.database FILE`: makes the master's SQLite database, or brings it to this Buildbot's release."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from buildbot.config.master import MasterConfig
from buildbot.scripts.upgrade_master import upgradeDatabase
from buildbot.util import in_reactor
from twisted.internet import defer

# Relative to the master's base directory, `Home.database`. Everything that asks for the database begins here.
DB_URL = "sqlite:///state.sqlite"


@in_reactor
@defer.inlineCallbacks
def upgrade(database: Path) -> Any:
    config = MasterConfig()
    config.db.db_url = f"sqlite:///{database.name}"
    yield upgradeDatabase({"basedir": str(database.parent), "quiet": True}, config)
    return 0


if __name__ == "__main__":
    # None after a failure, whose traceback is printed
    sys.exit(0 if upgrade(Path(sys.argv[1]).absolute()) == 0 else 1)
