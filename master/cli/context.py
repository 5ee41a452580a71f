"""What every command works with: this checkout, its MINT_HOME, the matrix and the settings."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from master import settings as settings_module
from master.home import Home, home_of
from master.settings import Settings
from workers.errors import Failure
from workers.model import Matrix, load_matrix

CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Farm:
    """This checkout's farm. Reading `settings` or `matrix` raises Failure when a file is wrong."""

    home: Home

    @cached_property
    def matrix(self) -> Matrix:
        return load_matrix()

    @cached_property
    def settings(self) -> Settings:
        """Where none of several masters was named, whoever only asks asks the first: each knows all."""
        found = settings_module.load(self.home, self.matrix)
        first = found.masters[0].name if found.masters and self.home.name is None else self.home.name
        return settings_module.for_master(found, first, self.home.settings_file)

    @property
    def page(self) -> str:
        """The page's address for people, with a slash at its end."""
        return settings_module.page_url(self.settings)

    @property
    def api(self) -> str:
        """The REST API's address on this machine, with a slash at its end, whatever proxy is in front."""
        web = self.settings.web
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(web.interface, web.interface)
        return f"http://{f'[{host}]' if ':' in host else host}:{web.port}/api/v2/"

    def require_one(self) -> None:
        """Raises Failure where there are several masters and none was named: what is this machine's?"""
        if self.home.name is None and self.settings.masters:
            raise Failure(
                "settings", "which of the masters?", wanted="--master or MINT_MASTER",
                found=", ".join(one.name for one in self.settings.masters), todo="Name the one of this machine.",
            )  # fmt: skip


def this_farm(master: str | None = None) -> Farm:
    """master: which of several, before what MINT_MASTER says."""
    return Farm(home_of(CHECKOUT, {**os.environ, "MINT_MASTER": master} if master else os.environ))
