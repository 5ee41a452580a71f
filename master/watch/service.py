"""The master's eye on itself, as a service: the pages that tell others how it is."""

from __future__ import annotations

from typing import Any

from buildbot.util.service import BuildbotService

from master import settings as farm_settings
from master.home import Home
from master.settings import Settings
from master.watch.measuring import Measuring, Places
from master.watch.page import HealthPage
from master.watch.vitals import Limits


class Watch(BuildbotService):
    """Puts `/health` below the web server's root. Kept over reconfigurations."""

    name = "watch"

    def reconfigService(self, places: Places, limits: Limits) -> Any:
        root = self.master.www.apps.get("base").resource
        root.putChild(b"health", HealthPage(Measuring(places, limits), self.master))
        return super().reconfigService()


def watch_of(home: Home, chosen: Settings) -> Watch:
    places = Places(farm_settings.store_path(chosen, home), home.incoming, home.database)
    return Watch(places=places, limits=Limits(chosen.repository.poll_s, int(chosen.health.disk_gb * 10**9)))
