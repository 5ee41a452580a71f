"""What every command works with: this checkout, its MINT_HOME, the matrix and the settings."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from master import settings as settings_module
from master.home import Home, home_of
from master.settings import Settings
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
        return settings_module.load(self.home, self.matrix)

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


def this_farm() -> Farm:
    return Farm(home_of(CHECKOUT))
