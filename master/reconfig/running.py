"""The configuration that a master runs by, written down by itself, once it is in force."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from buildbot.util.service import BuildbotService
from twisted.internet import threads

from master.home import Home, write_file
from master.reconfig.inventory import Inventory, inventory_of
from workers.reports.base import encode


class Running(BuildbotService):
    """Writes the inventory to `master/running.json` when the master starts, and when it took another configuration."""

    name = "running"

    def reconfigService(self, inventory: Inventory, path: Path) -> Any:
        return threads.deferToThread(write_file, path, encode(inventory))


def running_of(home: Home, found: Mapping[str, Any]) -> Running:
    return Running(inventory=inventory_of(found, home.settings_file), path=home.running)
