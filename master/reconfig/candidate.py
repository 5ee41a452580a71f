"""`python -m master.reconfig.candidate BASE`: the inventory that a settings file would give, as JSON. Touches no farm.

BASE: where a master would work, in a MINT_HOME of its own, whose other files are links to the farm's. Buildbot reads
the whole configuration there as it does when it starts.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from master import settings
from master.home import Home, home_of_master
from master.reconfig.inventory import Inventory
from master.secrets.named import require_all
from workers.errors import Failure, retold
from workers.model import load_matrix
from workers.reports.base import decode, encode


@contextmanager
def overlaid(home: Home, settings_file: Path) -> Iterator[Path]:
    """A MINT_HOME that looks like this one, with another settings.toml; nothing that is made in it reaches the farm."""
    with tempfile.TemporaryDirectory(prefix="mint-check-") as name:
        top = Path(name)
        base = home.master.relative_to(home.root)
        for path in home.root.glob("*"):
            if path.name == home.secrets.name:
                shutil.copytree(path, top / path.name)
            elif path.name not in (home.settings_file.name, base.parts[0]):
                (top / path.name).symlink_to(path)
        (top / base).mkdir(parents=True)
        (top / home.secrets.name).mkdir(mode=0o700, exist_ok=True)
        if settings_file.exists():
            shutil.copyfile(settings_file, top / home.settings_file.name)
        yield top


def inventory_for(home: Home, settings_file: Path) -> Inventory:
    """In a process of its own: Buildbot leaves much behind in the one that reads a configuration. Raises Failure."""
    with overlaid(home, settings_file) as top:
        done = subprocess.run(
            [sys.executable, "-m", "master.reconfig.candidate", str(top / home.master.relative_to(home.root))],
            cwd=home.checkout, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
            env={**os.environ, "MINT_HOME": str(top)},
        )  # fmt: skip
        inside, outside = str(top), str(home.root)
        told = str(top / home.settings_file.name), str(settings_file)
        if done.returncode == 0:
            return decode(done.stdout.replace(inside, outside).encode(), Inventory, "the configuration")
        said = done.stderr.replace(*told).replace(inside, outside)
    raise retold(said) or Failure(
        "settings", "Buildbot does not take the configuration", found=said.strip()[-1500:],
        todo=f"Change {settings_file}; the running farm was left as it is.",
    )  # fmt: skip


def main(base: Path) -> int:
    """Prints the inventory of the master that works in `base`; on standard error what is wrong, and 1."""
    from buildbot.config.errors import ConfigErrors
    from buildbot.config.master import FileLoader

    checkout = Path(__file__).resolve().parents[2]
    try:
        config = FileLoader(str(base), str(checkout / "master" / "master.cfg")).loadConfig()
    except ConfigErrors as error:
        print("\n".join(error.errors), file=sys.stderr)
        return 1
    try:
        home = home_of_master(base, checkout)
        require_all(home, settings.load(home, load_matrix()))
    except Failure as failure:
        print(failure, file=sys.stderr)
        return 1
    (one,) = [one for one in config.services.values() if one.name == "running"]
    sys.stdout.buffer.write(encode(one._config_kwargs["inventory"]))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
