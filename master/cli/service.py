"""`./mint service`: the farm's processes under systemd, which starts them at boot and again when they end or hang."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import sys
from pathlib import Path

import click

from master import instance, settings
from master.cli import daemons, fitness, ports, processes
from master.cli.context import Farm, this_farm
from master.cli.daemons import MARK, Daemon, mark_of
from master.home import cache_directory, write_file
from workers.errors import Failure

UNITS = Path("/etc/systemd/system")
NAMES = ("master", "worker")
TEMPLATE = """\
# Written by `./mint service install`; docs/watching.md says what each line is for.
[Unit]
Description=pymint {name} ({home})
After=network-online.target{after}
Wants=network-online.target
StartLimitIntervalSec=600
StartLimitBurst=10

[Service]
Type={kind}
User={user}
WorkingDirectory={checkout}
Environment="MINT_HOME={home}" "MINT_CACHE={cache}"
ExecStart="{checkout}/mint" service run {name}
{watchdog}Restart=on-failure
RestartSec=5
# SIGTERM to the process itself; what it started ends with it.
KillMode=mixed
TimeoutStartSec=600
TimeoutStopSec=120
UMask=0027
LimitNOFILE=65536
{hardening}
[Install]
WantedBy=multi-user.target
"""
# Only for the master: the worker makes sandboxes of its own, for which it needs namespaces and mounts.
HARDENING = """\
NoNewPrivileges=yes
ProtectSystem=strict
ReadWritePaths={writable}
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
"""


def unit(farm: Farm, name: str, user: str) -> str:
    """The text of a unit. The dry runs of releases make namespaces, so those are not taken from the master."""
    places = places_of(farm)
    master = name == "master"
    return TEMPLATE.format(
        name=name, home=_escaped(farm.home.root), user=user, checkout=_escaped(farm.home.checkout),
        cache=_escaped(cache_directory()), kind="notify" if master else "exec",
        after="" if master else " pymint-master.service",
        watchdog="NotifyAccess=main\nWatchdogSec=180\n" if master else "",
        hardening=HARDENING.format(writable=" ".join(f'"{_escaped(one)}"' for one in places)) if master else "",
    )  # fmt: skip


def _escaped(path: Path) -> str:
    """As units write a percent sign."""
    return str(path).replace("%", "%%")


def places_of(farm: Farm) -> list[Path]:
    """Where the master writes. The virtual environment follows a newer list of packages."""
    places = {farm.home.root, cache_directory(), settings.store_path(farm.settings, farm.home)}
    places.add(farm.home.checkout / ".venv")
    if farm.settings.backup.directory is not None:
        places.add(farm.home.root / farm.settings.backup.directory)
    if farm.settings.secrets.gpg_home is not None:  # gpg locks its keys and talks to its agent there
        places.add(farm.home.root / farm.settings.secrets.gpg_home)
    if "directory" in farm.settings.release.places:
        places.add(farm.home.root / farm.settings.release.directory)
    return sorted(places)


def _daemon(farm: Farm, name: str) -> Daemon:
    return daemons.master_daemon(farm.home) if name == "master" else daemons.worker_daemon(farm.home)


@click.group()
def service() -> None:
    """The farm's processes under systemd."""


WHICH = click.argument("names", nargs=-1, type=click.Choice(NAMES))
USER = click.option("--user", default=None, help="Whose processes they are; without it this user's.")


@service.command("print")
@WHICH
@USER
def print_units(names: tuple[str, ...], user: str | None) -> None:
    """Prints the units of the master and the local worker, or of one of them."""
    farm = this_farm()
    for name in names or NAMES:
        click.echo(f"# {UNITS / f'pymint-{name}.service'}")
        click.echo(unit(farm, name, user or getpass.getuser()))


@service.command()
@WHICH
@USER
def install(names: tuple[str, ...], user: str | None) -> None:
    """Writes the units, and has systemd start them now and at boot. As root."""
    farm = this_farm()
    if os.geteuid() != 0 or not Path("/run/systemd/system").is_dir():
        raise Failure(
            "service", "units can only be installed by root, where systemd runs", wanted="root, and systemd as init",
            found=f"{getpass.getuser()}{'' if Path('/run/systemd/system').is_dir() else ', and another init'}",
            todo=f"As root: {farm.home.checkout}/mint service install --user {getpass.getuser()}\n"
            "`./mint service print` shows what it would write.",
        )  # fmt: skip
    chosen = names or tuple(one for one in NAMES if one == "master" or settings.local_worker(farm.settings))
    for place in places_of(farm):
        if not place.exists():  # systemd refuses to start what names a place that is not there
            place.mkdir(parents=True)
            shutil.chown(place, user or getpass.getuser())
    for name in chosen:
        write_file(UNITS / f"pymint-{name}.service", unit(farm, name, user or getpass.getuser()).encode())
    units = [f"pymint-{name}.service" for name in chosen]
    for command in (["daemon-reload"], ["enable", "--now", *units]):
        done = subprocess.run(["systemctl", *command], capture_output=True, text=True, check=False)
        if done.returncode:
            raise Failure(
                "service", f"systemctl {command[0]} ended with {done.returncode}", found=done.stderr.strip()[-500:],
                todo=f"The units are written: {', '.join(units)}. `systemctl status` and `journalctl -u` tell more.",
            )  # fmt: skip
    click.echo(f"{', '.join(units)}: enabled and started")


@service.command()
@click.argument("name", type=click.Choice(NAMES))
def run(name: str) -> None:
    """Becomes the master or the local worker, in the foreground: what a unit starts."""
    farm = this_farm()
    daemon = _daemon(farm, name)
    with daemons.only_one(farm.home):
        if (process := daemon.running()) is not None:
            raise Failure(
                name, f"the {name} of this farm runs already", wanted="none", found=f"process {process.pid}",
                todo="./mint down ends it.",
            )  # fmt: skip
        if name == "master":
            for port in fitness.ports_of(farm.settings):
                ports.require_free(port, farm.home.settings_file)
        instance.prepare(farm.home, farm.settings)
        myself = processes.now(os.getpid())
        if myself is not None:
            processes.remember(daemon.pid_file, myself)
        sys.stdout.flush()
        os.chdir(daemon.start.cwd)
        # The same process goes on as the other program: the supervisor and `./mint status` know it by its number.
        os.execve(daemon.start.argv[0], daemon.start.argv, {**daemon.start.environment, MARK: mark_of(farm.home)})
